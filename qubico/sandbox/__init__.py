"""A provider in one process, for tests and development. Imports nothing of the client, so both share no mistake."""
