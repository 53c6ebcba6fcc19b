"""The table of leases holds together, and each way in which it might not is noticed."""

from datetime import timedelta

import pydantic
import pytest

from config.leases import Leases


def test_the_table_holds_together():
    assert Leases().submit_lease == timedelta(seconds=40)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"create_timeout": 31}, "submit_lease"),
        ({"send_window": 16}, "submit_lease"),
        ({"submit_lease": 29}, "submit_lease"),
        ({"read_timeout": 26, "store_lease": 90}, "poll_lease"),
        ({"poll_lease": 14}, "poll_lease"),
        ({"download_timeout": 36}, "store_lease"),
        ({"storage_timeout": 16}, "store_lease"),
        ({"store_lease": 54}, "store_lease"),
        ({"adopt_lease": 14}, "adopt_lease"),
    ],
)
def test_a_lease_shorter_than_what_its_holder_may_wait_for_is_named(changed, name):
    with pytest.raises(pydantic.ValidationError, match=f"{name} must be at least"):
        Leases(**{key: timedelta(seconds=value) for key, value in changed.items()})
