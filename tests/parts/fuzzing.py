"""Number and seed of random examples: few examples from one fixed seed, unless the environment says otherwise.

FUZZ_TIMES=50 runs fifty times as many examples; FUZZ_SEED=7 sets the seed.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def tried(examples: int, **more: Any) -> settings:
    """Settings of hypothesis for tests on real services: no time limit for an example."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        database=None,
        suppress_health_check=[*_SLOW, HealthCheck.function_scoped_fixture],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        **more,
    )


def fuzzed(examples: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a test that uses `given`: this many examples, from the seed."""

    def decorated(test: Callable[..., Any]) -> Callable[..., Any]:
        return seed(SEED)(tried(examples)(test))

    return decorated
