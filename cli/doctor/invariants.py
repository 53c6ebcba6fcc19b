"""`retouch doctor --invariants`: opens what the settings name, and shows what the checker of `edits` finds there."""

from datetime import UTC, datetime, timedelta

from rich.text import Text

from cli import output
from cli.doctor.provider_history import ProvidersPast
from cli.errors import Unreachable, WrongUsage
from config import addresses, local_stack, values
from config.settings import Settings
from edits import invariants
from edits.attempts import Tokens
from edits.ceilings import Ceilings
from edits.db.circuits import Limiter
from edits.db.connection import LOST, connect
from edits.db.sender import Scripts
from edits.db.tokens import RequestTokens
from edits.db.trouble import explain
from edits.invariants import Report, Result
from edits.storage.backends import StorageError
from edits.storage.links import Links
from edits.storage.store import Storage
from qubico.client import QubicoClient

SOCKET_TIMEOUT = 5.0  # seconds; nobody waits for the answer but the operator
STYLES = {True: ("holds", "green"), False: ("broken", "bold red"), None: ("not checked", "yellow")}


async def run(*, deep: bool, since: str | None, as_json: bool) -> int:
    """The exit code: 0 every rule holds, 1 one is broken, 3 not everything could be looked at. Raises WrongUsage."""
    try:
        span = values.duration(since) if since is not None else None
    except ValueError as exc:
        raise WrongUsage(f"--since: {exc}") from exc
    report = await check(local_stack.load_for_process("worker"), deep=deep, since=span)
    for result in report.results.values():
        output.show(_line(result), result.as_json(), as_json=as_json)
    if not as_json:
        figures = report.figures
        output.data(
            f"{figures['edits']} edits are here: {figures['tasks_bought']} tasks bought = "
            f"{figures['edits_submitted']} edits submitted + {figures['rebuys']} bought again"
        )
    if report.broken:
        return 1
    if report.not_checked:
        output.note("not everything could be looked at; what was looked at holds")
        return Unreachable.exit_code
    return 0


async def check(
    settings: Settings, *, deep: bool = False, since: timedelta | None = None, patience: float = 1.0
) -> Report:
    """The report on a whole system, as these settings of a worker describe it. Raises Unreachable."""
    secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
    previous = settings.secret_key_previous.get_secret_value() if settings.secret_key_previous else None
    client = QubicoClient(
        base_url=settings.qubico.base_url or "",
        api_key=settings.qubico.api_key.get_secret_value() if settings.qubico.api_key else "",
        read_timeout=settings.leases.read_timeout.total_seconds(),
    )
    async with connect(settings.redis_url or "", socket_timeout=SOCKET_TIMEOUT) as redis, client as qubico:
        scripts = Scripts(redis, settings.namespace)
        ceilings = Ceilings.of(settings.qubico)
        tokens = Tokens(settings.namespace, secret, previous)
        try:
            storage = Storage(settings.storage_url, links=Links(secret, previous), public_url=settings.public_url)
        except StorageError:
            storage = None
        try:
            return await invariants.check(
                redis,
                settings,
                storage=storage,
                history=ProvidersPast(qubico, RequestTokens(scripts, ceilings), Limiter(scripts), tokens),
                deep=deep,
                since=datetime.now(UTC) - since if since else None,
                patience=patience,
            )
        except LOST as exc:
            shown = addresses.mask(settings.redis_url or "")
            raise Unreachable(f"{shown}: {explain(exc)}") from exc


def _line(result: Result) -> Text:
    word, style = STYLES[result.holds]
    line = Text.assemble((f"{word:<11}", style), f"  {result.rule:<16}  {result.checked} checked")
    if result.broken:
        line.append(f", {result.broken} broken")
    if result.not_checked:
        line.append(f"; {result.not_checked}")
    for example in result.examples:
        line.append(f"\n{'':31}{example.subject}: {example.said}")
    if result.broken:
        rule = invariants.RULES[result.rule]
        line.append(f"\n{'':29}{rule.means}\n{'':29}→ {rule.do}")
    return line
