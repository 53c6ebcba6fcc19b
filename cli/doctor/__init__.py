"""`retouch doctor`: checks of the system and its report. May import `cli.output`, `config`, `edits` and `qubico`."""
