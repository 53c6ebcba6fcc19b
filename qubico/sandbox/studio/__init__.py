"""Painters of the sandbox, one per medium. May import the sandbox's `tasks`, `faults`, `shelf` and `outgoing`."""
