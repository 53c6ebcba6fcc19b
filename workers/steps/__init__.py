"""One module a step: submit, poll, store, adopt, sweep. Imports `adoption`, `clients` and what is under them."""
