"""Step store: copies a result into storage. A failed copy never buys again; the manifest, last, is the commit mark."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from edits import retry
from edits.db.claims import Claim, Claims
from edits.db.clock import boot_time
from edits.db.fields import Field, Text
from edits.media import kinds, sniff
from edits.models import CostState, Edit, EditResult, EditStatus, ErrorKind, Step, TimelineEvent, Wait, from_ms, to_ms
from edits.storage import layout, manifest
from edits.storage.backends import ObjectMissing, StorageError, TooLarge
from qubico import errors
from workers.lease import Lease
from workers.steps.poll import IN_THE_TASK
from workers.steps.work import StepWork, Trouble, Work, failures

log = structlog.get_logger()


class LaterAttempt(Exception):
    """The storage has a later state than Redis, which gets it from the provider's history (restored.py)."""


class Store(StepWork):
    step = Step.STORE

    async def claim(self, most: int) -> Claims:
        claims = await self.clients.claims.due(Step.STORE, most, lease=self.lease, wakes=Step.STORE, with_input=True)
        for circuit in (self.clients.circuits.storage, self.clients.circuits.download):
            circuit.note(claims)
        return claims

    async def work(self, claim: Claim, lease: Lease) -> None:
        work = Work(self.clients, claim, lease)
        try:
            result = await self._written_before(claim) or await self._copy(claim)
            at = await self._write_manifest(work, result)
        except (errors.ResultGone, errors.TaskGone) as exc:  # each try has a fresh address
            if not await work.retry(Trouble.GONE, retry.FILE_GONE):
                text = f"The provider's file is missing: {exc}"
                await work.repurchase_or_fail(ErrorKind.RESULT_UNAVAILABLE, text)
        except errors.ResultHostRefused as exc:
            await work.repurchase_or_fail(ErrorKind.RESULT_UNAVAILABLE, str(exc))
        except (errors.ResultTooLarge, TooLarge, kinds.PictureInvalid) as exc:
            await work.repurchase_or_fail(ErrorKind.RESULT_INVALID, f"The provider's file was refused: {exc}")
        except (StorageError, LaterAttempt) as exc:
            await self._not_kept(work, exc)
        except errors.QubicoError as exc:
            await self._later(work, exc)
        else:
            await self.clients.circuits.storage.answered(claim.id)
            if at is None:
                return
            extension = result.key.rpartition(".")[2]
            await work.lease.decide(lambda: self.clients.outcomes.succeed(claim, result, at=at, extension=extension))
            log.info("edit.succeeded", edit_id=claim.id, bytes=result.bytes)

    async def _written_before(self, claim: Claim) -> EditResult | None:
        """The result in a complete manifest of this attempt, if any: then nothing is downloaded."""
        try:
            data = await self.clients.storage.get(layout.manifest_key(claim.id))
        except ObjectMissing:
            return None
        found = manifest.read(data)
        if found is None or found[0].attempt < claim.attempt or found[0].result is None:
            return None
        if found[0].attempt > claim.attempt:
            raise LaterAttempt("its manifest tells of a later attempt, so Redis was set back")
        result = found[0].result
        there = await self.clients.storage.head(result.key)
        return result if there is not None and there.size == result.bytes else None

    async def _copy(self, claim: Claim) -> EditResult:
        """Streams the file into storage and checks its kind, size and end: a broken file is never stored."""
        cap = self.clients.settings.edits.max_result_bytes
        async with self._file(claim, cap=cap) as chunks:
            first = await _head(chunks)
            check = sniff.Sniffer()
            extension = kinds.kind_of(first)
            key = layout.result_key(claim.id, claim.attempt, extension)
            stored = await self.clients.storage.put_stream(
                key,
                _checked(first, chunks, check),
                content_type=layout.content_type(key),
                max_bytes=cap,
            )
        info = check.finish()
        return EditResult(
            key=key,
            content_type=info.content_type,
            bytes=stored.bytes,
            sha256=stored.sha256,
            width=info.width,
            height=info.height,
        )

    @asynccontextmanager
    async def _file(self, claim: Claim, *, cap: int) -> AsyncIterator[AsyncIterator[bytes]]:
        address = claim.long.get(Text.ADDRESS, "")
        worked = not (failures(claim, Trouble.PASSING) or failures(claim, Trouble.GONE))
        if address != IN_THE_TASK and worked:
            async with self._download(claim, address, cap=cap) as chunks:
                yield chunks
            return
        # The file is in the task itself, or the address failed: read the task again for a fresh one.
        task = await self.clients.read_task(claim.task_id)
        if task.image_url is None:
            yield _one(task.image_bytes(max_bytes=cap))
            return
        async with self._download(claim, task.image_url, cap=cap) as chunks:
            yield chunks

    @asynccontextmanager
    async def _download(self, claim: Claim, address: str, *, cap: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Reports whether the file host answers, with any answer."""
        circuit, began = self.clients.circuits.download, boot_time()
        try:
            async with self.clients.qubico.download(address, max_bytes=cap) as chunks:
                yield chunks
        except errors.Unavailable as exc:
            await circuit.failed(claim.id, exc, age=boot_time() - began)
            raise
        except (errors.ResultGone, errors.ResultTooLarge, kinds.PictureInvalid):
            await circuit.answered(claim.id)
            raise
        else:
            await circuit.answered(claim.id)

    async def _write_manifest(self, work: Work, result: EditResult) -> int | None:
        """Returns the moment of success, ms by the clock of Redis, that manifest and record will both show.

        None if the lease is over: then nothing is written, and the edit comes back.
        """
        edit = work.claim.edit()
        told = await work.lease.decide(lambda: self.clients.claims.timeline_until_now(edit.id))
        if told is None:
            return None
        timeline, at = told
        done = edit.model_copy(
            update={
                "status": EditStatus.SUCCEEDED,
                "finished_at": from_ms(at),
                "updated_at": from_ms(at),
                "waiting_for": None,
                "waiting_since": None,
                "result": result,
                "cost_state": CostState.CHARGED,
            }
        )
        last = _last_event(edit, timeline, at, result)
        await self.clients.storage.put(
            layout.manifest_key(edit.id), manifest.compose(done, [*timeline, last]), content_type="application/json"
        )
        return at

    async def _later(self, work: Work, exc: errors.QubicoError) -> None:
        """A failed download is retried until the provider deletes the file."""
        log.warning("edit.not_stored", edit_id=work.id, cause=type(exc).__name__, detail=str(exc)[:200])
        waited = timedelta(milliseconds=work.claim.moment(Field.LEASE_END) - work.claim.moment(Field.WAIT_SINCE))
        if waited > retry.FILE_LIFE:
            text = "The file could not be copied before the provider deleted it."
            await work.repurchase_or_fail(ErrorKind.RESULT_UNAVAILABLE, text)
        else:
            await work.retry(Trouble.PASSING, retry.COPY)

    async def _not_kept(self, work: Work, exc: StorageError | LaterAttempt) -> None:
        """Trouble with our own storage is retried for ever and never ends the edit."""
        if isinstance(exc, StorageError):
            await work.unanswered(self.clients.circuits.storage, exc)
        log.warning("edit.not_stored", edit_id=work.id, cause=type(exc).__name__, detail=str(exc)[:200])
        await work.retry(Trouble.STORAGE, retry.KEEP)


async def _checked(first: bytes, rest: AsyncIterator[bytes], check: sniff.Sniffer) -> AsyncIterator[bytes]:
    """The chunks, each checked before it is passed on; a wrong end breaks the stream, so nothing is stored."""
    check.feed(first)
    yield first
    async for chunk in rest:
        check.feed(chunk)
        yield chunk
    check.finish()


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    """The first bytes, enough to recognise the type if there are as many."""
    head = b""
    while len(head) < kinds.KIND_BYTES and (chunk := await anext(chunks, b"")):
        head += chunk
    return head


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _last_event(edit: Edit, timeline: list[TimelineEvent], at: int, result: EditResult) -> TimelineEvent:
    before = to_ms(timeline[-1].at) if timeline else to_ms(edit.created_at)
    return TimelineEvent(
        seq=len(timeline) + 1,
        at=from_ms(at),
        type=EditStatus.SUCCEEDED,
        wait=Wait.COPY,
        duration_ms=at - before,
        data={"bytes": result.bytes},
    )
