"""The table of leases holds together, and each way in which it might not is noticed."""

from datetime import timedelta

import pytest

from config.leases import Leases

QUIET = timedelta(seconds=60)


def test_the_table_holds_together():
    assert list(Leases().contradictions("quiet", QUIET)) == []


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
        ({"submit_lease": 60}, "quiet"),
    ],
)
def test_a_lease_shorter_than_what_its_holder_may_wait_for_is_named(changed, name):
    leases = Leases(**{key: timedelta(seconds=value) for key, value in changed.items()})
    assert [found.removeprefix("leases.") for found, _ in leases.contradictions("quiet", QUIET)] == [name]
