"""Addresses from outside: which may be fetched, and how. Imports rules, and the decoder of `qubico`."""
