"""The system on one host: services, supervisor, ports, data dir. May import `cli.commands`, `config` and `edits`."""
