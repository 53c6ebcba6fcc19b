"""`.env.example` and the production template, written from the settings tree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from config.rules import REQUIRED_IN_PRODUCTION
from config.tree import ENTRIES, Entry

_WIDTH = 110
_HEAD = """\
Settings of Retouch. Copy lines to change into `.env`; environment variables override it. Empty means not set.
Durations: 90s 15m 2h 30d or ISO 8601. Sizes: 20MiB or bytes. Lists: by comma or as JSON.
Names marked (file) can also be set as NAME_FILE=/path to a file with the value.
Variables of the storage client (AWS_*, GOOGLE_*, AZURE_*) can be set here, too.
"""
_PRODUCTION_HEAD = """\
Settings of a production system. Fill in every line that is not commented out; `retouch config` shows the result.
Secrets: openssl rand -hex 32. Names marked (file) can be set as NAME_FILE=/run/secrets/… instead.
"""
_PRODUCTION = dict.fromkeys(REQUIRED_IN_PRODUCTION, "") | {
    "RETOUCH_ENV": "production",
    "RETOUCH_API__HOST": "0.0.0.0",  # noqa: S104 -- text for a container behind its proxy
    "RETOUCH_PUBLIC_URL": "https://retouch.example.com",
    "RETOUCH_REDIS_URL": "rediss://:password@redis.example.com:6379/0",
    "RETOUCH_STORAGE_URL": "s3://bucket/prefix",
}


def env_example() -> str:
    """The text of `.env.example`: every setting, commented out, with its default and meaning."""
    return _text(_HEAD, {})


def production_template() -> str:
    """The template for production: required settings are open, the rest is commented out."""
    return _text(_PRODUCTION_HEAD, _PRODUCTION)


def _text(head: str, chosen: dict[str, str]) -> str:
    return "\n".join([*_comment(head), *(line for entry in ENTRIES for line in _lines(entry, chosen))]) + "\n"


def _lines(entry: Entry, chosen: dict[str, str]) -> Iterator[str]:
    yield ""
    worked_out = entry.shown_default if entry.shown_default != entry.default else ""
    notes = [entry.meaning, *([f"default: {worked_out}"] if worked_out else [])]
    yield from _comment("; ".join(notes) + (" (file)" if entry.from_file else ""))
    if entry.name in chosen:
        yield f"{entry.name}={chosen[entry.name]}"
    else:
        yield f"#{entry.name}={'' if worked_out else entry.default or ''}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for part in text.splitlines() for line in textwrap.wrap(part, _WIDTH, break_on_hyphens=False)]


if __name__ == "__main__":
    (Path(__file__).parents[1] / ".env.example").write_text(env_example(), encoding="utf-8")
