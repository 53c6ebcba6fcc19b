"""`python -m cli` is `retouch`."""

from cli.main import main

main()
