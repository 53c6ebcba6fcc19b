"""`retouch`: all commands with their options. Each imports its implementation when it runs."""
# ruff: noqa: PLC0415 - commands import what they need when they run, so that `retouch --help` answers at once

import sys
from typing import Annotated, Any, Literal

import typer

from cli import arguments, output, streams
from cli.errors import WrongUsage

app = typer.Typer(
    name="retouch",
    help="Image edits on the Qubico Kontext API: crash-safe, rate-limited, observable.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _argument(metavar: str, text: str, **more: Any) -> Any:
    return typer.Argument(metavar=metavar, help=text, show_default=False, **more)


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, show_default=False, **more)


Json = Annotated[bool, _option("Print JSON, one object per line.", "--json")]
EditId = Annotated[str, _argument("ID", "The edit's id, like edit_01J…", callback=arguments.text)]
AnyEditId = Annotated[str | None, _argument("ID", "One edit's id.", callback=arguments.text)]
Steps = Annotated[str, typer.Option(help="Steps to run, separated by commas.")]

Images = Annotated[
    list[str], _argument("IMAGE", "URLs, PNG, JPEG or WebP files, or folders of files (without subfolders).")
]
Prompt = Annotated[str, _argument("PROMPT", "The edit to make.", callback=arguments.text)]
Out = Annotated[
    str | None,
    _option(
        "File or folder for the result; - is stdout. Several pictures need a folder.",
        "-o",
        "--out",
        metavar="OUT|-|FOLDER/",
    ),
]
Width = Annotated[int | None, _option("Width of the result in pixels; needs --height.")]
Height = Annotated[int | None, _option("Height of the result in pixels; needs --width.")]
SamplingSteps = Annotated[int | None, _option("Sampling steps, 1 to 40; default 28.")]
Seed = Annotated[int | None, _option("Random seed; the same seed gives the same result.")]
Priority = Annotated[Literal["interactive", "standard", "bulk"] | None, _option("Priority in the queue.")]
Force = Annotated[bool, _option("Buy again, also an edit that was bought before.", "--force")]
NoWait = Annotated[bool, _option("Submit, print the id and exit.", "--no-wait")]
DryRun = Annotated[bool, _option("Show the price; nothing is submitted.", "--dry-run")]

Invariants = Annotated[bool, _option("Check all edits against the consistency rules instead.", "--invariants")]
Deep = Annotated[bool, _option("With --invariants: also verify result hashes and task tokens.", "--deep")]
Since = Annotated[
    str | None,
    _option("With --invariants: span of provider history to read, such as 2h; default RETOUCH_EDITS__HOT."),
]
Template = Annotated[Literal["production"] | None, _option("Print a `.env` template instead.")]


@app.command()
def up(*, as_json: Json = False) -> None:
    """Start the whole system on this host and run it until Ctrl-C."""
    from cli.local import up

    output.run(up.run(as_json=as_json))


@app.command()
def demo() -> None:
    """Edit the sample picture on a temporary system with the sandbox, then stop."""
    from cli.local import demo

    output.run(demo.run())


@app.command()
def api() -> None:
    """Run the API (uvicorn api.app:app)."""
    from cli.local import processes

    processes.api()


@app.command()
def worker(*, steps: Steps = "submit,poll,store,adopt,sweep") -> None:
    """Run Celery workers, as many as RETOUCH_WORKER__PROCESSES."""
    from cli.local import processes, programs
    from config.local_stack import load_for_process

    chosen = programs.parse_steps(steps)
    settings = load_for_process("worker")
    if settings.worker.processes == 1:
        processes.worker(settings, chosen)
    from cli.local import up

    output.run(up.workers(settings, chosen))


@app.command()
def flower() -> None:
    """Run Flower (celery -A workers.app flower), on loopback."""
    from cli.local import processes

    processes.flower()


@app.command()
def sandbox() -> None:
    """Run the Qubico sandbox (uvicorn qubico.sandbox.app:app), on loopback."""
    from cli.local import processes

    processes.sandbox()


@app.command()
def edit(
    images: Images,
    prompt: Prompt,
    *,
    out: Out = None,
    width: Width = None,
    height: Height = None,
    steps: SamplingSteps = None,
    seed: Seed = None,
    priority: Priority = None,
    force: Force = False,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Edit pictures: submit them, wait, and save each result under an unused name.

    The same command within 24 hours continues the same edits and buys nothing twice.
    """
    from cli.commands import edit
    from cli.commands.submit import EditRequest

    given = {"width": width, "height": height, "steps": steps, "seed": seed, "priority": priority}
    options = {name: value for name, value in given.items() if value is not None}
    request = EditRequest(prompt=prompt, options=options, force=force)
    output.run(edit.run(images, request, out=out, wait=not no_wait, dry_run=dry_run, as_json=as_json))


@app.command()
def status(edit_id: AnyEditId = None, *, as_json: Json = False) -> None:
    """Show one edit, or the latest ones; at a terminal as a live table until Ctrl-C."""
    from cli.commands import status

    output.run(status.status(edit_id=edit_id, as_json=as_json))


@app.command()
def cancel(edit_id: EditId, *, as_json: Json = False) -> None:
    """Cancel a queued edit."""
    from cli.commands import status

    output.run(status.cancel(edit_id=edit_id, as_json=as_json))


@app.command()
def explain(edit_id: EditId, *, as_json: Json = False) -> None:
    """Explain in one sentence why an edit waits or how it ended."""
    from cli.commands import status

    output.run(status.why(edit_id=edit_id, as_json=as_json))


@app.command()
def doctor(*, invariants: Invariants = False, deep: Deep = False, since: Since = None, as_json: Json = False) -> None:
    """Check settings, Redis, storage, provider, clocks, addresses and workers; show each fault and its fix."""
    from cli.doctor import invariants as rules
    from cli.doctor import report

    if not invariants and (deep or since is not None):
        raise WrongUsage("--deep and --since belong to --invariants")
    work = rules.run(deep=deep, since=since, as_json=as_json) if invariants else report.run(as_json=as_json)
    output.run(work, at_once=True)


@app.command()
def config(*, template: Template = None, as_json: Json = False) -> None:
    """Print all settings with source and meaning; secrets are masked."""
    from cli.commands import config

    if template:
        config.show_template()
    else:
        config.show(as_json=as_json)


def main() -> None:
    sys.stdout, sys.stderr = streams.opened(sys.stdout, sys.stderr)
    with output.ending():
        app(prog_name="retouch")  # shells know the program by this name, also as `python -m cli`


if __name__ == "__main__":
    main()
