"""What a step works with, opened once a process: Redis, the provider, the storage, and the rules set for them."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from config.settings import Settings
from edits.attempts import Tokens
from edits.ceilings import Ceilings
from edits.db.circuits import Limiter
from edits.db.claims import Claimer
from edits.db.connection import connect
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.sender import Scripts
from edits.db.tokens import RequestTokens
from edits.db.workers import WorkerRegistry
from edits.pacing.slots import GOOD_FOR, SlotClock
from edits.storage.links import Links
from edits.storage.store import Storage
from qubico.client import QubicoClient
from qubico.schemas import Task
from workers.circuits import Circuits, reading
from workers.pace import Paces

SOCKET_TIMEOUT: Final = 3.0  # seconds; a worker can wait longer for Redis than a caller of the API
BATCH_GAP: Final = 0.01  # seconds between batches to Redis; after a pause the next one leaves at once
CALLBACKS: Final = "/v1/callbacks/qubico/"
INCOMPLETE: Final = "settings for a worker come from load_for_process, which refuses incomplete ones"


@dataclass(frozen=True, slots=True)
class Clients:
    settings: Settings
    repository: EditRepository
    registry: WorkerRegistry
    claims: Claimer
    rate_tokens: RequestTokens
    outcomes: Outcomes
    limiter: Limiter
    qubico: QubicoClient
    storage: Storage
    tokens: Tokens
    circuits: Circuits
    paces: Paces
    requests: Counter[str] = field(default_factory=Counter)  # to the provider, since the last heartbeat
    jitter: Callable[[], float] = random.random
    slot_good_for: float = GOOD_FOR
    stopping: Callable[[], bool] = field(default=lambda: False)

    async def read_task(self, task_id: str) -> Task:
        """A read that is no poll: waits for a token. Raises QubicoError."""
        async with reading(self.rate_tokens, self.circuits.read):
            return await self.qubico.get(task_id)


@asynccontextmanager
async def open_clients(settings: Settings, *, stopping: Callable[[], bool] = lambda: False) -> AsyncIterator[Clients]:
    secret = settings.secret_key
    if settings.redis_url is None or secret is None:
        raise RuntimeError(INCOMPLETE)
    previous = settings.secret_key_previous
    secrets = secret.get_secret_value(), previous.get_secret_value() if previous else None
    redis = connect(settings.redis_url, socket_timeout=SOCKET_TIMEOUT)
    scripts = Scripts(redis, settings.namespace, replicas=settings.redis_wait_replicas, gap=BATCH_GAP)
    repository = EditRepository(redis, namespace=settings.namespace, scripts=scripts)
    registry = WorkerRegistry(scripts, Ceilings.of(settings.qubico))
    slots, limiter, requests = SlotClock(), Limiter(scripts), Counter[str]()
    async with redis, _qubico(settings, requests) as qubico:
        yield Clients(
            settings=settings,
            repository=repository,
            registry=registry,
            claims=Claimer(scripts, registry, slots),
            rate_tokens=RequestTokens(scripts, registry.ceilings, slots),
            outcomes=Outcomes(scripts),
            limiter=limiter,
            circuits=Circuits(limiter),
            qubico=qubico,
            storage=Storage(settings.storage_url, links=Links(*secrets), public_url=settings.public_url),
            tokens=Tokens(settings.namespace, *secrets),
            paces=Paces(repository),
            requests=requests,
            stopping=stopping,
        )


def _qubico(settings: Settings, requests: Counter[str]) -> QubicoClient:
    """Counts its requests in `requests`."""
    leases = settings.leases
    if settings.qubico.base_url is None or settings.qubico.api_key is None:
        raise RuntimeError(INCOMPLETE)
    return QubicoClient(
        base_url=settings.qubico.base_url,
        api_key=settings.qubico.api_key.get_secret_value(),
        create_timeout=leases.create_timeout.total_seconds(),
        read_timeout=leases.read_timeout.total_seconds(),
        download_timeout=leases.download_timeout.total_seconds(),
        result_hosts=settings.qubico.result_hosts,
        observe=lambda operation, outcome: requests.update([f"request:{operation}:{outcome}"]),
    )
