"""`retouch up`: runs the whole system on this host until a signal comes."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.table import Table
from rich.text import Text

from cli import ceilings, output
from cli.local import data_dir, signals, stack
from cli.local.ports import Ports
from cli.local.supervisor import Patience, Supervisor
from config import local_stack
from edits.ceilings import Ceilings
from edits.db import checks

KILLED_BEFORE = 5.0  # seconds beyond their graces that services of a killed `up` may take to end


async def run(*, as_json: bool) -> int:
    """The exit code: 0 after SIGTERM, 130 after Ctrl-C."""
    env = stack.here()
    settings = env.load()
    if settings.redis_url is not None:
        await checks.refuse_unfit(settings.redis_url, settings.namespace, broker_url=settings.broker_url)
    grace = settings.shutdown_grace.total_seconds()
    with data_dir.locked(settings.data_dir, patience=3 * grace + KILLED_BEFORE) as lock:
        secrets = data_dir.keep_secrets(settings.data_dir)
        system = stack.build(env, settings=settings, secrets=secrets, ports=Ports())
        logs = settings.data_dir / "logs"
        patience = Patience.of(settings.stall_limit.total_seconds())
        supervisor = Supervisor(
            system.services, logs=logs, say=output.note, grace=grace, patience=patience, keep_open=(lock,)
        )
        output.note("starting …")
        code = await signals.run_until_signal(supervisor, announced(system, as_json=as_json))
    output.note("stopped")
    return code


@contextmanager
def announced(system: stack.Stack, *, as_json: bool) -> Iterator[None]:
    """Inside, other processes on this host find the system through its data dir."""
    local_stack.announce(system.settings.data_dir, system.up)
    _greet(system, as_json=as_json)
    try:
        yield
    finally:
        output.note("stopping …")
        local_stack.withdraw(system.settings.data_dir, pid=system.up.pid)


def _greet(system: stack.Stack, *, as_json: bool) -> None:
    if as_json:
        output.data_json(dict(addresses(system)))
    else:
        card = Table(box=None, show_header=False, pad_edge=False)
        card.add_column(style="bold")
        card.add_column(overflow="fold")
        for name, value in addresses(system):
            card.add_row(name, Text(value))
        output.data(card)
    output.note(ceilings.sentence(Ceilings.of(system.settings.qubico)))
    if not system.settings.livemode:
        output.note("the provider is the sandbox: nothing is bought")
    output.note("ready; stop with Ctrl-C")


def addresses(system: stack.Stack) -> list[tuple[str, str]]:
    password = system.settings.flower.password
    shown = [
        ("api", system.up.api_url),
        ("docs", f"{system.up.api_url}/docs"),
        ("api_key", system.up.api_key),
        ("flower", system.up.flower_url or ""),
        ("flower_user", system.settings.flower.user),
        ("flower_password", password.get_secret_value() if password else ""),
        ("logs", str(system.settings.data_dir / "logs")),
    ]
    if system.up.sandbox_url:
        shown.insert(6, ("sandbox", system.up.sandbox_url))
    return shown
