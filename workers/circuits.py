"""Judges operations by their answers: a refusal or outage opens a circuit, and a successful probe closes it.

While a circuit is open no worker calls its operation.

Failures are counted in the process, so that success costs Redis nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from edits.db.circuits import MOST_REFUSED, OPERATIONS, Limiter, Operation
from edits.db.claims import Claims
from edits.db.clock import boot_time
from edits.db.sender import ScriptError
from edits.db.tokens import CircuitOpen, RequestTokens
from qubico import errors

IN_A_ROW: Final = 5  # consecutive failures that count as an outage


@dataclass(slots=True)
class Circuit:
    """One operation as this process sees it. Others may be claimed before a probe has its answer.

    A probe counts until Redis has its result, so that the report may be repeated.
    """

    limiter: Limiter
    operation: Operation
    probes: set[str] = field(default_factory=set)
    failures: int = 0
    failing_since: float = 0.0
    opened_at: float = float("-inf")  # boot time (s) of its last opening that this process knows

    def note(self, claims: Claims) -> None:
        if self.operation in claims.half:
            self.probes |= {claim.id for claim in claims.claims}

    def opened(self) -> None:
        self.opened_at = boot_time()

    def opened_since(self, moment: float, claim_id: str) -> bool:
        """Whether calls claimed then must not be sent any more; a probe may."""
        return self.opened_at > moment and claim_id not in self.probes

    async def answered(self, claim_id: str) -> None:
        """The operation works, under any answer."""
        self.failures = 0
        if claim_id in self.probes:
            await self.limiter.close(self.operation)
            self.probes.discard(claim_id)

    async def failed(self, claim_id: str, cause: Exception, *, age: float, at_once: bool = False) -> None:
        """No answer. `age`: seconds since the request. `at_once`: one failure is enough, as nothing could be sent."""
        if not self.failures:
            self.failing_since = boot_time()
        self.failures += 1
        if claim_id in self.probes or at_once or self.failures >= IN_A_ROW:
            self.failures = 0
            await self._open(claim_id, cause, age=age, ago=boot_time() - self.failing_since)

    async def refused(self, claim_id: str, cause: Exception, *, age: float, after: float | None) -> None:
        """Answered 429. `age`: seconds since the request."""
        await self._open(claim_id, cause, age=age, after=after, most=MOST_REFUSED)

    async def over(self, claim_id: str) -> None:
        """A probe that ended without a result lets another start."""
        if claim_id in self.probes:
            self.probes.discard(claim_id)
            await self.limiter.probe_again(self.operation)

    async def _open(self, claim_id: str, cause: Exception, **limits: Any) -> None:
        self.opened()
        probe, told = claim_id in self.probes, f"{type(cause).__name__}: {cause}"
        await self.limiter.open(self.operation, probe=probe, cause=told, **limits)
        self.probes.discard(claim_id)


class Circuits:
    def __init__(self, limiter: Limiter) -> None:
        self.create, self.read, self.history, self.download, self.storage = self._all = tuple(
            Circuit(limiter, name) for name in OPERATIONS
        )

    async def worked_on(self, claim_id: str) -> None:
        """The work on a claim is over."""
        for circuit in self._all:
            await circuit.over(claim_id)


@asynccontextmanager
async def reading(tokens: RequestTokens, circuit: Circuit) -> AsyncIterator[None]:
    """Around a read that is no poll: waits for its token and reports the result to the circuit.

    Raises Unavailable also where nothing was asked, because the operation does not work now.
    """
    began = boot_time()
    name = f"read at {began}"
    try:
        if await tokens.read(circuit.operation):
            circuit.probes.add(name)
    except CircuitOpen as exc:
        raise errors.Unavailable(f"not asked: {exc} does not work now") from exc
    try:
        yield
    except errors.Throttled as exc:
        await circuit.refused(name, exc, age=boot_time() - began, after=exc.retry_after)
        raise
    except errors.Unavailable as exc:
        await circuit.failed(name, exc, age=boot_time() - began)
        raise
    except errors.TaskGone:
        await circuit.answered(name)
        raise
    else:
        await circuit.answered(name)
    finally:
        with suppress(ScriptError):  # then its time as a probe runs out
            await circuit.over(name)
