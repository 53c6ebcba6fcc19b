"""`retouch`: all commands with their options. Each imports its implementation when it runs."""
# ruff: noqa: PLC0415 - commands import what they need when they run, so that `retouch --help` answers at once

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli import arguments, output, streams
from cli.errors import Stop

if TYPE_CHECKING:
    from cli.client import Server

app = typer.Typer(
    name="retouch",
    help="Image edits on the Qubico Kontext API: crash-safe, rate-limited, observable.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _option(text: str) -> Any:
    return typer.Option(help=text, show_default=False)


Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
EditId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The edit's id, like edit_01J…", show_default=False, callback=arguments.text),
]


@app.command()
def up(*, as_json: Json = False) -> None:
    """Start the whole system on this host and run it until Ctrl-C."""
    from cli.local import up as command

    output.run(command.run(as_json=as_json))


@app.command()
def demo() -> None:
    """Edit the sample picture on a temporary system with the sandbox, then stop."""
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
    steps: Annotated[str, typer.Option(help="Steps to run, separated by commas.")] = "submit,poll,store,adopt,sweep",
) -> None:
    """Run Celery workers, as many as RETOUCH_WORKER__PROCESSES."""
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
            help="URLs, PNG, JPEG or WebP files, or folders of files (without subfolders).",
            show_default=False,
        ),
    ],
    prompt: Annotated[
        str,
        typer.Argument(metavar="PROMPT", help="The edit to make.", show_default=False, callback=arguments.text),
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
    width: Annotated[int | None, _option("Width of the result in pixels; needs --height.")] = None,
    height: Annotated[int | None, _option("Height of the result in pixels; needs --width.")] = None,
    steps: Annotated[int | None, _option("Sampling steps, 1 to 40; default 28.")] = None,
    seed: Annotated[int | None, _option("Random seed; the same seed gives the same result.")] = None,
    priority: Annotated[
        Literal["interactive", "standard", "bulk"] | None,
        _option("Priority in the queue."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Buy again, also an edit that was bought before.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Submit, print the id and exit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the price; nothing is submitted.")] = False,
    as_json: Json = False,
) -> None:
    """Edit pictures: submit them, wait, and save each result under an unused name.

    The same command within 24 hours continues the same edits and buys nothing twice.
    """
    from cli.commands import edit
    from cli.commands.submit import EditRequest

    given = {"width": width, "height": height, "steps": steps, "seed": seed, "priority": priority}
    options = {name: value for name, value in given.items() if value is not None}
    command = edit.EditCommand(
        images=tuple(images),
        request=EditRequest(prompt=prompt, options=options, force=force),
        out=out,
        wait=not no_wait,
        dry_run=dry_run,
        as_json=as_json,
    )
    output.run(edit.run(_server(), command))


@app.command()
def status(
    edit_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="One edit's id.", show_default=False, callback=arguments.text),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show one edit, or the latest ones; at a terminal as a live table until Ctrl-C."""
    from cli.commands import status

    output.run(status.status(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def cancel(edit_id: EditId, *, as_json: Json = False) -> None:
    """Cancel a queued edit."""
    from cli.commands import status as commands

    output.run(commands.cancel(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def explain(edit_id: EditId, *, as_json: Json = False) -> None:
    """Explain in one sentence why an edit waits or how it ended."""
    from cli.commands import status as commands

    output.run(commands.why(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def doctor(
    *,
    invariants: Annotated[
        bool, typer.Option("--invariants", help="Check all edits against the consistency rules instead.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="With --invariants: also verify result hashes and task tokens.")
    ] = False,
    since: Annotated[
        str | None,
        _option("With --invariants: span of provider history to read, such as 2h; default RETOUCH_EDITS__HOT."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check settings, Redis, storage, provider, clocks, addresses and workers; show each fault and its fix."""
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
        _option("Print a `.env` template instead."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print all settings with source and meaning; secrets are masked."""
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
