"""One module a step: submit, poll, store, adopt, sweep. Imports `adoption`, `clients` and below."""
