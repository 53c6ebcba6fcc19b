"""Painters of the sandbox, one per medium, in a process pool. May import the sandbox's `tasks` and `faults`."""
