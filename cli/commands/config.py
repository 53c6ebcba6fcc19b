"""`retouch config`: all settings here, with those of a running `up` as defaults; secrets are masked."""

import sys

from cli import output, render
from config import local_stack, reference
from config.settings import load


def show(*, as_json: bool) -> None:
    settings = load(production_guards=False)
    if up := local_stack.find(settings.data_dir):
        settings = load(production_guards=False, beneath=[(f"up of {settings.data_dir}", up.environment)])
    rows = settings.describe()
    if as_json:
        for row in rows:
            output.data_json(row._asdict())
    else:
        output.data(render.settings_table(rows))


def show_template() -> None:
    """Prints a `.env` for production, without any value of this host."""
    sys.stdout.write(reference.production_template())
