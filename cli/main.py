"""`retouch`: every command and its options; the work is done elsewhere and imported when it is asked for."""
# ruff: noqa: PLC0415 - commands import what they need when they run, so that `retouch --help` answers at once

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import arguments, output, streams
from cli.errors import Stop

if TYPE_CHECKING:
    from cli.client import Server

app = typer.Typer(
    name="retouch",
    help="Image edits on the Qubico Kontext API: crash-safe, rate-limited, watched over.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON; lists as one object a line.")]
EditId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The edit's id, like edit_01J…", show_default=False, callback=arguments.text),
]


@app.command()
def up(*, as_json: Json = False) -> None:
    """Start the whole system on this host and keep it running until Ctrl-C."""
    from cli.local import up as command

    output.run(command.run(as_json=as_json))


@app.command()
def demo() -> None:
    """Edit the sample picture through the whole system, on the sandbox, and stop."""
    from cli.local import demo as command

    output.run(command.run())


@app.command()
def api() -> None:
    """Run the API (uvicorn api.app:app)."""
    from cli.local import processes

    with output.ending():
        processes.api()


@app.command()
def worker(
    *,
    steps: Annotated[str, typer.Option(help="Queues to work on, by comma.")] = "submit,poll,store,adopt,sweep",
) -> None:
    """Run Celery workers: RETOUCH_WORKER__PROCESSES of them."""
    from cli.local import processes, programs
    from config.local_stack import load_for_process

    with output.ending():
        chosen = programs.parse_steps(steps)
        settings = load_for_process("worker")
        if settings.worker.processes == 1:
            processes.worker(settings, chosen)
    from cli.local import workers

    output.run(workers.run(settings, chosen))


@app.command()
def flower() -> None:
    """Run Flower (celery -A workers.app flower), on loopback."""
    from cli.local import processes

    with output.ending():
        processes.flower()


@app.command()
def sandbox() -> None:
    """Run the Qubico sandbox (uvicorn qubico.sandbox.app:app), on loopback."""
    from cli.local import processes

    with output.ending():
        processes.sandbox()


@app.command()
def edit(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="http(s) addresses, PNG, JPEG or WebP files, folders of such (not those below them).",
            show_default=False,
        ),
    ],
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT", help="What to do with the pictures.", show_default=False, callback=arguments.text
        ),
    ],
    *,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT|-|FOLDER/",
            help="File or folder for the result; - is stdout. Several pictures need a folder.",
            show_default=False,
        ),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Of the result; with --height.", show_default=False)] = None,
    height: Annotated[int | None, typer.Option(help="Of the result; with --width.", show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(help="1 to 40; the server's own is 28.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed paints the same way.", show_default=False)] = None,
    priority: Annotated[
        Literal["interactive", "standard", "bulk"] | None, typer.Option(help="Place in the queue.", show_default=False)
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Buy again what was asked for before.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Hand it in and print its id.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost; nothing is bought.")] = False,
    as_json: Json = False,
) -> None:
    """Edit pictures: hand them in, wait, and save each result under a name that is free.

    The same command again, within 24 hours, buys nothing twice: it takes up what the first one left.
    """
    from cli.commands import edit
    from cli.commands.submit import Asked

    given = {"width": width, "height": height, "steps": steps, "seed": seed, "priority": priority}
    options = {name: value for name, value in given.items() if value is not None}
    wanted = edit.Wanted(
        images=tuple(images),
        asked=Asked(prompt=prompt, options=options, anew=anew),
        out=out,
        wait=not no_wait,
        dry_run=dry_run,
        as_json=as_json,
    )
    output.run(edit.run(_server(), wanted))


@app.command()
def status(
    edit_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="One edit's id.", show_default=False, callback=arguments.text),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show one edit, or the most recent ones: at a terminal a live table until Ctrl-C, else once."""
    from cli.commands import status

    output.run(status.status(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def cancel(edit_id: EditId, *, as_json: Json = False) -> None:
    """Cancel an edit that is still queued."""
    from cli.commands import status as commands

    output.run(commands.cancel(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def explain(edit_id: EditId, *, as_json: Json = False) -> None:
    """Say why an edit waits, or how it ended, in a sentence."""
    from cli.commands import status as commands

    output.run(commands.why(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def doctor(
    *,
    invariants: Annotated[
        bool, typer.Option("--invariants", help="Hold every edit against every rule instead: what must never happen.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="With --invariants: also read each result's hash and each task's token.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            help="With --invariants: how far back to read the provider's history, like 2h; else RETOUCH_EDITS__HOT.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at settings, Redis, storage, provider, clock, address and workers; say what is wrong and what to do."""
    from cli.doctor import invariants as rules
    from cli.doctor import report as command

    with output.ending():
        wanted = rules.parse(invariants=invariants, deep=deep, since=since)
    work = rules.run(wanted, as_json=as_json) if wanted else command.run(as_json=as_json)
    output.run(work, at_once=True)


@app.command()
def config(
    *,
    template: Annotated[
        Literal["production"] | None,
        typer.Option(help="Print a `.env` to start from instead.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print every setting, where it was set and what it means; secrets are masked."""
    from cli.commands import config

    with output.ending():
        if template:
            config.show_template()
        else:
            config.show(as_json=as_json)


def _server() -> "Server":
    from cli import client
    from config.settings import load

    with output.ending():
        return client.find(load(production_guards=False))


def main() -> None:
    sys.stdout, sys.stderr = streams.opened(sys.stdout, sys.stderr)
    try:
        with streams.flushed():
            app(prog_name="retouch")  # shells know the program by this name, also as `python -m cli`
    except Stop as error:
        output.note(f"retouch: {error}", style="red")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
