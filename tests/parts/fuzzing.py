"""How much is tried at random, and where it begins: a little from one seed in every run, as much as one likes by hand.

FUZZ_TIMES=50 tries fifty times as much; FUZZ_SEED=7 begins elsewhere.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def tried(examples: int, **more: Any) -> settings:
    """Settings of hypothesis for what is tried against real parts, so without a stopwatch."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        database=None,
        suppress_health_check=[*_SLOW, HealthCheck.function_scoped_fixture],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        **more,
    )


def fuzzed(examples: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Around a test with `given`: so many examples, from the seed."""

    def decorated(test: Callable[..., Any]) -> Callable[..., Any]:
        return seed(SEED)(tried(examples)(test))

    return decorated
