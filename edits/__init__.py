"""Edits: their rules, their state and their use cases. Imports `qubico` nowhere, and of ours only `config`."""
