"""How the provider's stand-in is to behave, and the bucket by which it lets creates in."""

from dataclasses import dataclass

from benchmarks.shapes import SHAPES


@dataclass(frozen=True, slots=True)
class Provider:
    """How the stand-in behaves."""

    shape: str = SHAPES[0].name
    speed: float = 1.0
    """Tasks take so many times less than their shape says."""

    reads: int | None = None
    """A task is seen to have ended at this read, whatever its age: the same work for whoever asks."""

    picture_bytes: int = 256 * 1024
    rate: float | None = None
    """Creates a second that its bucket lets in; None: all of them."""

    burst: float = 0.1
    """Seconds of the rate that the bucket holds, at least 2 tokens; 0: one create at a time, no burst at all."""

    cap: int | None = None
    """Tasks in flight that it allows. One more is taken all the same, and counted as `over_cap`."""

    create_delay: float = 0.0
    """Seconds until a create is answered."""

    knows_all: bool = False
    """A task that it never took is shown as one that runs."""

    seed: int = 7


@dataclass(slots=True)
class Bucket:
    """Tokens as a provider's front keeps them."""

    rate: float
    most: float
    tokens: float
    at: float = 0.0
    depth: float = 0.0
    """Tokens that the creates taken so far are ahead of the rate."""

    @classmethod
    def of(cls, provider: Provider) -> "Bucket | None":
        if provider.rate is None:
            return None
        most = max(2.0, provider.rate * provider.burst) if provider.burst else 1.0
        return cls(provider.rate, most, most)

    def take(self, now: float) -> bool:
        refilled = (now - self.at) * self.rate
        self.tokens, self.depth = min(self.most, self.tokens + refilled), max(0.0, self.depth - refilled)
        self.at = now
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        self.depth += 1
        return True
