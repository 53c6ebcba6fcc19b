"""Client commands, one file each, over `cli.client` and `cli.output`. May not import `cli.local` or `cli.doctor`."""
