"""`retouch doctor`: checks, one file per part. May import `cli.output`, `config`, `edits` and `qubico`."""
