"""What the doctor's checks conclude from a state."""

from decimal import Decimal

import pytest

from cli.doctor import network, provider, redis, report
from cli.doctor.results import Level
from config.settings import load
from edits.db.checks import RedisState
from edits.db.workers import Workers
from edits.errors import Unavailable
from edits.models import Step

LIVE = {"RETOUCH_QUBICO__BASE_URL": "https://api.piapi.ai", "RETOUCH_QUBICO__API_KEY": "k"}


def settings(**environ):
    return load(environ, None)


def workers(*, processes=1, on=1, ceilings=None, **only):
    steps = dict.fromkeys(Step, on) | {Step(name): number for name, number in only.items()}
    return Workers(processes=processes, on=steps, ceilings=ceilings or {})


def state(**changes):
    whole = {
        "name": "Valkey 9.1.2", "version": (7, 2), "cluster": False, "policy": "noeviction", "replica": False,
        "replicas": 0, "appendonly": True, "appendfsync": "always", "used_bytes": 1, "max_bytes": 0,
        "host_bytes": 1000, "ahead": 0.0,
    }  # fmt: skip
    return RedisState(**whole | changes)


def test_an_old_redis_must_not_keep_edits():
    assert state().fault is None
    assert "too old" in state(name="Redis 6.2.1", version=(6, 2)).fault


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"max_bytes": 100, "used_bytes": 70}, Level.WARN, "nearly full"),
        ({"max_bytes": 100, "used_bytes": 80}, Level.FAIL, "new edits are refused"),
        ({"used_bytes": 800}, Level.FAIL, "new edits are refused"),
        ({"host_bytes": 0}, Level.WARN, "its memory limit is not known"),
        ({"appendonly": False}, Level.WARN, "appendonly is off"),
        ({"appendfsync": None}, Level.OK, "is not readable"),
    ],
)
async def test_what_a_redis_lacks_is_told(changes, level, said):
    findings = await redis.server(settings(RETOUCH_REDIS_URL="redis://h/0"), state(**changes))
    assert any(finding.level is level and said in finding.said for finding in findings)


@pytest.mark.parametrize(
    ("ahead", "level", "said"),
    [(0.2, Level.OK, "behind Redis"), (-5, Level.WARN, "5.0 s ahead of Redis"), (90, Level.FAIL, "90.0 s behind")],
)
async def test_a_clock_that_is_off_is_told_with_its_direction(ahead, level, said):
    (finding,) = await network.clock(settings(), state(ahead=ahead))
    assert finding.level is level
    assert said in finding.said


async def test_without_anybody_to_ask_the_clock_is_not_known():
    (finding,) = await network.clock(settings(), Unavailable("away"))
    assert (finding.level, "not known" in finding.said) == (Level.WARN, True)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "cannot reach it for callbacks, so its tasks are only polled, and uploads"),
        ({"RETOUCH_STORAGE_URL": "s3://bucket"}, "cannot reach it for callbacks, so its tasks are only polled"),
        ({"RETOUCH_PUBLIC_URL": "http://retouch.example.com"}, "is not https"),
    ],
)
def test_an_address_that_the_provider_cannot_use_is_told(environ, said):
    (finding,) = network._reach(settings(**LIVE, **environ))
    assert finding.level is Level.WARN
    assert said in finding.said
    assert ("uploads" in finding.said) == ("uploads" in said)


@pytest.mark.parametrize("environ", [LIVE | {"RETOUCH_PUBLIC_URL": "https://retouch.example.com"}, {}])
def test_an_address_that_can_be_used_is_no_matter(environ):
    assert list(network._reach(settings(**environ))) == []


@pytest.mark.parametrize(
    ("usd", "level"), [("0.019", Level.FAIL), ("0.02", Level.WARN), ("1.99", Level.WARN), ("2", Level.OK)]
)
def test_a_balance_is_judged_by_the_edits_it_pays_for(usd, level):
    assert provider._balance(Decimal(usd)).level is level


@pytest.mark.parametrize(
    ("found", "levels", "said"),
    [
        (workers(), [Level.OK], "1 alive, every step has a process (submit 1, poll 1, store 1, adopt 1, sweep 1)"),
        (workers(processes=0, on=0), [Level.FAIL], "no worker is alive"),
        (workers(adopt=0), [Level.FAIL], "none for adopt"),
        (Unavailable("away"), [Level.WARN], "not known"),
    ],
)
def test_workers_are_counted_by_their_steps(found, levels, said):
    findings = list(report._workers(found))
    assert [finding.level for finding in findings] == levels
    assert any(said in finding.said for finding in findings)


@pytest.mark.parametrize(
    ("given", "warned", "sums_up_to"),
    [
        ({}, [], "49,000"),
        ({"max_in_flight": (20.0,)}, [], "49,000"),
        (
            {"max_in_flight": (10.0, 20.0)},
            ["disagree on RETOUCH_QUBICO__MAX_IN_FLIGHT: 10, 20; the lowest, 10, applies"],
            "24,000",
        ),
        ({"max_in_flight": (40.0,)}, ["is 20 here, and 40 in the running processes"], "98,000"),
    ],
)
def test_ceilings_are_those_of_the_processes_that_run(given, warned, sums_up_to):
    *warnings, total = report._ceilings(settings(), workers(ceilings=given))
    assert len(warnings) == len(warned)
    for finding, said in zip(warnings, warned, strict=True):
        assert said in finding.said
    assert total.said.startswith(sums_up_to)
