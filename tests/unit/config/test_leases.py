"""The table of leases holds together: a change of one time that no longer fits another is noticed here."""

from datetime import timedelta

import pytest

from config.leases import Leases

WAITS = {
    "submit_lease": ("send_window", "create_timeout"),
    "poll_lease": ("read_timeout",),
    "store_lease": ("read_timeout", "download_timeout", "storage_timeout"),  # it may read the task for a fresh address
    "adopt_lease": ("read_timeout",),
}
"""What the holder of each lease may wait for, besides the margin."""


def test_every_lease_is_in_the_table() -> None:
    assert {name for name in Leases.model_fields if name.endswith("_lease")} == WAITS.keys()


@pytest.mark.parametrize("lease", WAITS)
def test_a_lease_is_longer_than_all_waits_of_its_holder_together(lease: str) -> None:
    table = Leases()
    needed: timedelta = sum((getattr(table, wait) for wait in WAITS[lease]), table.margin)
    assert getattr(table, lease) >= needed
