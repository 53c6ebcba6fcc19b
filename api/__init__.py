"""The HTTP API. It may import the use cases and rooms of `edits`, `qubico`'s readers, `config` and `runtime`."""
