"""The ceilings of the provider account, as one process was given them. Across processes the lowest of each holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from config.tree import QubicoSettings


@dataclass(frozen=True, slots=True)
class Ceilings:
    creates_per_second: float
    reads_per_second: float
    max_in_flight: float

    @classmethod
    def of(cls, settings: QubicoSettings) -> "Ceilings":
        return cls(settings.creates_per_second, settings.reads_per_second, settings.max_in_flight)

    def by_name(self) -> dict[str, float]:
        """By the name of its setting, as Redis keeps them."""
        return asdict(self)

    def lowered(self, shared: Mapping[str, float | str]) -> "Ceilings":
        """With those of the cluster, by name, that are lower."""
        return Ceilings(**{name: min(own, float(shared.get(name, own))) for name, own in self.by_name().items()})
