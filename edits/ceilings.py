"""The ceilings of the provider account, as one process was given them. Across processes the lowest of each holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ceilings:
    creates_per_second: float
    reads_per_second: float
    max_in_flight: int
