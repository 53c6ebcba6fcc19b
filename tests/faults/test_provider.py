"""The provider misbehaves in every way that its stand-in can: one after another in a test, each alone in a soak."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System

pytestmark = pytest.mark.fault

LOSING = {"drop": 0.3, "html_502": 0.2, "drop_before": 0.2}
ACCOUNT_ASKED_EVERY = 15  # seconds


@dataclass(frozen=True)
class ProviderFault:
    """Switches of the sandbox that are set for a while, and then set back."""

    name: str
    fault: str
    how: str
    during: Mapping[str, Any]
    after: Mapping[str, Any]
    may_fail: frozenset[str] = field(default=frozenset())

    @contextmanager
    def made(self, system: System) -> Iterator[None]:
        system.sandbox(**self.during)
        try:
            yield
        finally:
            system.sandbox(**self.after)


def _away(name: str, fault: str, outage: str) -> ProviderFault:
    return ProviderFault(
        f"provider_{name}", fault, f"sandbox: outage {outage}", {"outage": outage}, {"outage": "none"}
    )  # fmt: skip


def _by_chance(name: str, fault: str, rates: Mapping[str, float], **also: Any) -> ProviderFault:
    how = ", ".join([*(f"{share:.0%} {word}" for word, share in rates.items()), *(f"{k} {v}" for k, v in also.items())])
    back = {"history_lag": 0, "echo": "whole"}
    after = {"fault_rates": {}, **{name: back[name] for name in also}}
    return ProviderFault(f"provider_{name}", fault, f"sandbox: {how}", {"fault_rates": rates, **also}, after)


FAULTS = [
    _away("hung", "the provider hangs", "hang"),
    _away("resets", "the provider resets every connection", "drop"),
    _away("down", "the provider answers 503 with HTML", "refuse_503"),
    _by_chance("loses_answers", "answers to creates are lost, most after it accepted", LOSING),
    _by_chance("history_late", "answers are lost, and its history is late", LOSING, history_lag=20 if SOAK else 3),
    _by_chance("echo_blank", "answers are lost, and tasks show no token", LOSING, echo="blank"),
    _by_chance("throttles", "throttling in bursts", {"throttled": 0.6, "get_429_once": 0.3}),
    _by_chance(
        "reads_badly", "reads answer 404, 500, 429 at first", {"get_500_once": 0.4, "not_visible_once": 0.4, "odd": 0.3}
    ),
    _by_chance("files", "result files are cut or away at first", {"cut": 0.4, "file_503": 0.4}),
    _by_chance(
        "callbacks",
        "callbacks are lost, doubled, too early",
        {"callback_lost": 0.3, "callback_double": 0.3, "callback_early": 0.3},
    ),
    ProviderFault(
        "provider_no_credit", "out of credit, then topped up", "sandbox: balance 0",
        {"balance_usd": 0}, {"balance_usd": 10_000},
    ),
    ProviderFault(
        "provider_key_revoked", "the key is revoked, then restored", "sandbox: another key",
        {"api_key": "another-key"}, {"api_key": "sandbox-key"},
    ),
]  # fmt: skip
IN_TURN = ProviderFault("provider_in_turn", "every fault of the provider in turn", "as below", {}, {})
RUNS = [pytest.param(fault, [fault], id=fault.name) for fault in FAULTS] if SOAK else [
    pytest.param(IN_TURN, FAULTS, id=IN_TURN.name)
]  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("named", "faults"), RUNS)
def test_provider(scenario: Scenario, named: ProviderFault, faults: list[ProviderFault]):
    edits = scenario.size("edits", test=4, soak=40)
    seconds = scenario.size("seconds", test=2, soak=20)
    scenario.is_(named.fault, how=named.how)
    scenario.row.dose = f"{seconds * len(faults)} s"
    settings = {
        "SANDBOX_API_KEY": "sandbox-key",
        "SANDBOX_SEED": str(scenario.chance.randrange(2**31)),
        "RETOUCH_QUBICO__CREATES_PER_SECOND": "20",
    }
    with scenario.system(**settings) as system:
        for fault in faults:
            with fault.made(system), system.submitting(edits, per_second=edits / seconds, uploads=4):
                time.sleep(seconds)
        system.fault_over()
        scenario.judge(system, may_fail=frozenset().union(*(fault.may_fail for fault in faults)))
