"""A real `retouch up` under a fault: submits edits and judges the outcome from outside."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis as redis_sync

from edits.db.clock import reckon
from tests.faults import pictures
from tests.parts.stack import RunningStack, start_stack, stop
from tests.parts.valkey import free_port

UNENDED = "queued,submitting,processing,storing"
STEPS = ("submit", "poll", "store", "adopt", "sweep")
LEAP = 8.0  # seconds; with the next one the clock of Redis runs six times as fast,
LEAP_EVERY = 1.5  # so that a send window of 5 s is over before a lease of 40 s is
LEAPS = 10  # and no more: the provider's clock and ours may differ by two minutes
MORE_EVERY = 10.0  # seconds
AFTERWARDS = 30_000  # the first number of the edits that are handed in after a fault
ACCEPTED_WITHIN = 180.0  # seconds; longer than any fault keeps the API away
FAULTY = {
    "RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD": "41s",  # the shortest that the lease of a submit allows
    "RETOUCH_LOG__FORMAT": "json",
}


@dataclass
class Verdict:
    """Outcome of the accepted edits."""

    lost: list[str] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    bought_twice: int = 0
    spoiled: list[str] = field(default_factory=list)
    recovered: float | None = None
    broken: str = ""  # findings of `retouch doctor --invariants`


class System:
    """The system of one scenario. Edits are numbered from 0; each has its own picture and idempotency key."""

    def __init__(self, stack: RunningStack, *, pictures_url: str, settings: dict[str, str]) -> None:
        self.stack = stack
        self.accepted: dict[int, str] = {}
        self._settings = settings
        self._pictures_url = pictures_url
        self._over_at: float | None = None
        self._after = range(0)
        self._leapt = 0

    # --- edits ---

    def submit(self, number: int, *, upload: bool = False, prompt: str = pictures.PROMPT) -> None:
        """Repeats the request with the same key until the API accepts it."""
        image = pictures.as_data(number) if upload else f"{self._pictures_url}/{number}.png"
        body = {"prompt": prompt, "image": image, "width": 128, "height": 128}
        until = time.monotonic() + ACCEPTED_WITHIN
        while time.monotonic() < until:
            with suppress(httpx.TransportError), self.stack.http(timeout=5) as api:
                answer = api.post("/v1/edits", json=body, headers={"Idempotency-Key": f"fault-{number}"})
                if answer.status_code in {200, 202}:
                    self.accepted[number] = answer.json()["id"]
                    return
                assert answer.status_code in {429, 503}, answer.text
            time.sleep(0.2)
        raise AssertionError(f"edit {number} was not accepted within {ACCEPTED_WITHIN:.0f} s")

    @contextmanager
    def submitting(
        self,
        count: int,
        *,
        per_second: float,
        uploads: int = 0,
        prompt_of: Callable[[int], str] = lambda _number: pictures.PROMPT,
    ) -> Iterator[None]:
        """Submits `count` edits during the block, each `uploads`-th as an upload; at its end the rest without pause."""
        first, hurry = len(self.accepted), Event()
        faults: list[BaseException] = []

        def hand_in() -> None:
            try:
                for number in range(first, first + count):
                    upload = uploads > 0 and number % uploads == 0
                    self.submit(number, upload=upload, prompt=prompt_of(number))
                    hurry.wait(1 / per_second)
            except BaseException as exc:  # noqa: BLE001 - raised where the block ends
                faults.append(exc)

        thread = Thread(target=hand_in, daemon=True)
        thread.start()
        try:
            yield
        finally:
            hurry.set()
            thread.join(300)
        assert not thread.is_alive(), "the API took no more edits"
        if faults:
            raise faults[0]

    def ledger(self) -> dict[str, Any]:
        """The provider's record of its sales."""
        book: dict[str, Any] = httpx.get(f"{self.stack.sandbox_url}/sandbox/ledger", timeout=30).json()
        return book

    def timeline(self, edit_id: str) -> list[dict[str, Any]]:
        with self.stack.http() as api:
            events: list[dict[str, Any]] = api.get(f"/v1/edits/{edit_id}/timeline").json()
            return [{"id": edit_id}, *events]

    def sandbox(self, **options: Any) -> None:
        """Changes options of the sandbox."""
        answer = httpx.patch(f"{self.stack.sandbox_url}/sandbox/options", json=options, timeout=10)
        assert answer.status_code == 200, answer.text

    # --- time ---

    def now(self) -> float:
        """Seconds since 1970, by the clock of edits' timestamps."""
        with self.redis() as redis:
            ahead, tick = redis.mget("retouch:clock", "retouch:tick")
            return reckon(redis.time(), ahead, tick) / 1000

    def fault_over(self) -> None:
        """The fault has ended: the system must recover without help. Submits three more edits."""
        # The clock in Redis is late if no process could read it, and early if time was made to leap.
        self._over_at = max(self.now(), time.time())
        first = max(AFTERWARDS, *self.accepted) + 1  # others may be submitted meanwhile
        self._after = range(first, first + 3)
        for number in self._after:
            self.submit(number)

    def goes_on(self) -> bool:
        """Whether one of the edits submitted after the fault has succeeded."""
        with self.stack.http(timeout=5) as api:
            edits = [api.get(f"/v1/edits/{self.accepted[number]}").json() for number in self._after]
        return any(edit.get("status") == "succeeded" for edit in edits)

    @property
    def was_at_fault(self) -> bool:
        return self._over_at is not None

    def until_ended(self, *, within: float, leap: bool) -> bool:
        """Waits until all edits have ended. Submits a few more: they show how fresh the provider's history is.

        `leap` moves the clock in Redis ahead, so that leases end sooner.
        """
        until = time.monotonic() + within
        next_at = time.monotonic() + LEAP_EVERY
        while self.unended():
            now = time.monotonic()
            if now > until:
                return False
            if now >= next_at:
                leaping = leap and self._leapt < LEAPS
                if leaping:
                    self._leap()
                self.submit(len(self.accepted))
                next_at = now + (LEAP_EVERY if leaping else MORE_EVERY)
            time.sleep(0.3)
        return True

    def unended(self) -> bool:
        try:
            with self.stack.http(timeout=10) as api:
                answer = api.get("/v1/edits", params={"status": UNENDED, "limit": 1})
        except httpx.TransportError:
            return True
        return answer.status_code != 200 or bool(answer.json()["data"])

    def redis(self) -> "redis_sync.Redis":
        return redis_sync.Redis.from_url(self.stack.redis_url, socket_timeout=5, decode_responses=True)

    def _leap(self) -> None:
        self._leapt += 1
        with self.redis() as redis:
            redis.incrby("retouch:clock", round(LEAP * 1000))
            for step in STEPS:
                redis.publish("retouch:wake", step)

    # --- processes ---

    def kill(self) -> None:
        """Kills `up` and all its services at once, as a power failure would, and starts it again."""
        self.stack.process.kill()
        self.stack.process.wait()
        self.stack = start_stack(self.stack.folder, **self._settings)

    # --- the end ---

    def judge(self) -> Verdict:
        verdict = Verdict()
        with self.stack.http() as api:
            edits = {number: api.get(f"/v1/edits/{edit_id}").json() for number, edit_id in self.accepted.items()}
            for number, edit in edits.items():
                if edit.get("status") == "succeeded":
                    if not self._as_promised(api, number, edit):
                        verdict.spoiled.append(edit["id"])
                elif edit.get("status") == "failed":
                    verdict.failed[edit["error"]["kind"]] += 1
                else:
                    verdict.lost.append(self.accepted[number])
        verdict.broken = self._broken_rules()
        verdict.bought_twice = self._bought_twice(edits.values())
        verdict.recovered = self._recovered(edits)
        return verdict

    def _as_promised(self, api: httpx.Client, number: int, edit: dict[str, Any]) -> bool:
        """Whether the result has the promised hash and shows this edit's picture, and its folder has a manifest."""
        served = api.get(f"/v1/edits/{edit['id']}/result").content
        hashed = hashlib.sha256(served).hexdigest() == edit["result"]["sha256"]
        return hashed and pictures.shows(served, number) and self._kept(edit["id"], served)

    def _kept(self, edit_id: str, served: bytes) -> bool:
        storage = urlsplit(self.stack.setting("RETOUCH_STORAGE_URL"))
        if storage.scheme != "file":
            return True
        objects = Path(storage.path)
        kept = [path.read_bytes() for path in objects.glob(f"edits/*/*/*/{edit_id}/**/result.png")]
        return served in kept and any(objects.glob(f"edits/*/*/*/{edit_id}/manifest.json"))

    def _broken_rules(self) -> str:
        checked = self.stack.program("doctor", "--invariants", **self.stack.made)
        return "" if checked.returncode == 0 else (checked.stdout + checked.stderr).decode()

    def _bought_twice(self, edits: Any) -> int:
        """Tasks in the provider's ledger beyond an edit's first or of no edit, and edits with a wrong count."""
        owners = Counter(row["webhook_secret"].split(".")[1] for row in self.ledger()["tasks"])
        known = {edit["id"]: edit for edit in edits if "id" in edit}
        beyond = sum(count - 1 for count in owners.values())
        nobodys = sum(owner not in known for owner in owners)
        told = {i: (edit["provider"] or {}).get("tasks_bought", 0) for i, edit in known.items() if not _unknown(edit)}
        return beyond + nobodys + sum(owners[i] != count for i, count in told.items())

    def _recovered(self, edits: dict[int, Any]) -> float | None:
        """Seconds from the end of the fault to the first success of an edit submitted since."""
        after = [edits[number] for number in self._after]
        ends = [datetime.fromisoformat(edit["finished_at"]) for edit in after if edit.get("status") == "succeeded"]
        return min(end.timestamp() for end in ends) - self._over_at if ends and self._over_at else None


def _unknown(edit: dict[str, Any]) -> bool:
    """Whether the edit ended with submission_unknown."""
    return bool(edit["error"]) and edit["error"]["kind"] == "submission_unknown"


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[System]:
    """`retouch up` in this folder with these settings, stopped at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with pictures.served() as pictures_url:
        # A task fixes the address of its result, so a restarted `up` needs the same sandbox port.
        chosen = FAULTY | {"RETOUCH_SANDBOX__PORT": str(free_port())} | settings
        stack = start_stack(folder, **chosen)
        fixed = {name: stack.environ[name] for name in ("RETOUCH_API__PORT",)}
        system = System(stack, pictures_url=pictures_url, settings=chosen | fixed)
        try:
            system.submit(0)  # a first purchase, which shows how fresh the provider's history is
            assert system.until_ended(within=60, leap=False)
            yield system
        finally:
            stop(system.stack.process)
