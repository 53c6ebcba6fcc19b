"""Turns records into the API's views. Every link starts with RETOUCH_PUBLIC_URL."""

import math
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from api.schemas import edits as shown
from edits.models import UNITS_PER_USD, Edit
from edits.service import Checked
from edits.storage.store import Address, Storage

DOWNLOAD_FOR: Final = timedelta(hours=1)
_CENT: Final = Decimal("0.01")
_SAME: Final = (shown.EditView.model_fields.keys() & Edit.model_fields.keys()) - {"input", "result", "error"}
_SAME_INPUT: Final = shown.InputView.model_fields.keys() - {"image"}  # fields that a record and its view share


class Views:
    def __init__(self, storage: Storage, *, public_url: str) -> None:
        self._storage = storage
        self._edits = f"{public_url}/v1/edits"

    async def edit(self, edit: Edit) -> shown.EditView:
        """The edit with a fresh download address, if it has a result."""
        address = await self.address(edit.result.key) if edit.result else None
        return edit_view(edit, self.self_link(edit), address)

    async def address(self, key: str) -> Address:
        """A signed address of the object that needs no key. Raises StorageError."""
        return await self._storage.address(key, expires_in=DOWNLOAD_FOR)

    def self_link(self, edit: Edit) -> str:
        return f"{self._edits}/{edit.id}"


def edit_view(edit: Edit, link: str, address: Address | None = None) -> shown.EditView:
    """`link` is the edit's own; `address`: where its result can be fetched without a key, null in lists."""
    provider = result = None
    if edit.task_id is not None:
        bought, others = edit.tasks_bought, list(edit.other_task_ids)
        provider = shown.ProviderView(
            task_id=edit.task_id, status=edit.task_status, tasks_bought=bought, other_task_ids=others
        )
    if edit.result is not None:
        url, expires_at = address or (None, None)
        file = edit.result.model_dump(exclude={"key"})
        result = shown.ResultView(url=f"{link}/result", download_url=url, download_expires_at=expires_at, **file)
    given = {name: getattr(edit.input, name) for name in _SAME_INPUT}
    return shown.EditView(
        **{name: getattr(edit, name) for name in _SAME},
        input=shown.InputView(image=edit.input.image or f"{link}/input", **given),
        waiting=shown.WaitingView(for_=edit.waiting_for, since=edit.waiting_since) if edit.waiting_for else None,
        provider=provider,
        result=result,
        error=shown.ErrorView(**edit.error.model_dump()) if edit.error else None,
        cost=_cost(edit),
        links=shown.LinksView(self_=link, **{name: f"{link}/{name}" for name in ("result", "timeline", "cancel")}),
    )


def dry_run(checked: Checked, *, seed: int) -> shown.DryRunView:
    """`seed`: as requested; -1 if it is drawn on acceptance."""
    edit, estimate = checked.edit, checked.estimate
    eta = estimate.eta and shown.EtaView(p50=math.ceil(estimate.eta.p50), p90=math.ceil(estimate.eta.p90))
    return shown.DryRunView(
        livemode=edit.livemode,
        external_id=edit.external_id,
        priority=edit.priority,
        input=shown.DryInputView(**edit.input.model_dump(exclude={"upload", "seed"}), seed=seed),
        queue=shown.QueueView(position=estimate.position, eta_seconds=eta),
        cost=_cost(edit),
        metadata=edit.metadata,
    )


@lru_cache(maxsize=1024)
def dollars(units: int) -> str:
    """Exact, with at least the cents: 200000 is 0.02, 123456 is 0.0123456."""
    exact = Decimal(units) / UNITS_PER_USD
    return f"{exact.quantize(_CENT) if exact == exact.quantize(_CENT) else exact.normalize():f}"


def _cost(edit: Edit) -> shown.CostView:
    return shown.CostView(units=edit.cost_units, usd=dollars(edit.cost_units), state=edit.cost_state)
