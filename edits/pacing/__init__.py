"""When to send and when to read again: pure functions of time. Imports rules alone."""
