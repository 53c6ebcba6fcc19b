"""`retouch`: every command and its options; the work is done elsewhere and imported when it is asked for."""
# ruff: noqa: PLC0415 - commands import what they need when they run, so that `retouch --help` answers at once

from typing import TYPE_CHECKING, Annotated

import typer

from cli import output

if TYPE_CHECKING:
    from cli.client import Server

app = typer.Typer(
    name="retouch",
    help="Image edits on the Qubico Kontext API: crash-safe, rate-limited, watched over.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON; lists as one object a line.")]
EditId = Annotated[str, typer.Argument(metavar="ID", help="The edit's id, like edit_01J…", show_default=False)]


@app.command()
def up(*, as_json: Json = False) -> None:
    """Start the whole system on this host and keep it running until Ctrl-C."""
    from cli import up as command

    output.run(command.run(as_json=as_json))


@app.command()
def demo() -> None:
    """Edit the sample picture through the whole system, on the sandbox, and stop."""
    from cli import demo as command

    output.run(command.run())


@app.command()
def api() -> None:
    """Run the API (uvicorn api.app:app)."""
    from cli import processes

    with output.ending():
        processes.api()


@app.command()
def worker(
    *,
    steps: Annotated[str, typer.Option(help="Queues to work on, by comma.")] = "submit,poll,store,adopt,sweep",
) -> None:
    """Run workers (celery -A workers.app worker): RETOUCH_WORKER__PROCESSES of them."""
    from cli import commands, processes
    from config.joined import load_for_process

    with output.ending():
        chosen = commands.parse_steps(steps)
        settings = load_for_process("worker")
        if settings.worker.processes == 1:
            processes.worker(settings, chosen)
    output.run(processes.workers(settings, chosen))


@app.command()
def flower() -> None:
    """Run Flower (celery -A workers.app flower), on loopback."""
    from cli import processes

    with output.ending():
        processes.flower()


@app.command()
def sandbox() -> None:
    """Run the Qubico sandbox (uvicorn qubico.sandbox.app:app), on loopback."""
    from cli import processes

    with output.ending():
        processes.sandbox()


@app.command()
def edit(
    image: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="An http(s) address or a local PNG, JPEG or WebP.", show_default=False),
    ],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to do with the picture.", show_default=False)],
    *,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="OUT|-", help="File or folder for the result; - is stdout.", show_default=False
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Hand it in and print its id.")] = False,
    as_json: Json = False,
) -> None:
    """Edit a picture: hand it in, wait, and save the result under a name that is free."""
    from cli import editing

    work = editing.run(_server(), image=image, prompt=prompt, out=out, wait=not no_wait, as_json=as_json)
    output.run(work)


@app.command()
def status(
    edit_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One edit's id.", show_default=False)] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show one edit, or the most recent ones."""
    from cli import looking

    output.run(looking.status(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def cancel(edit_id: EditId, *, as_json: Json = False) -> None:
    """Cancel an edit that is still queued."""
    from cli import looking

    output.run(looking.cancel(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def explain(edit_id: EditId, *, as_json: Json = False) -> None:
    """Say why an edit waits, or how it ended, in a sentence."""
    from cli import looking

    output.run(looking.why(_server(), edit_id=edit_id, as_json=as_json))


@app.command()
def config(*, as_json: Json = False) -> None:
    """Print every setting, where it was set and what it means; secrets are masked."""
    from cli import configuration

    with output.ending():
        configuration.show(as_json=as_json)


def _server() -> "Server":
    from cli import client
    from config.settings import load

    with output.ending():
        return client.find(load(production_guards=False))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
