"""A rate limit as one number, the time at which the bucket would be full again; a refused request takes nothing."""


class RateLimit:
    """`per_second` 0 lets everything through; the bucket holds `burst` seconds of requests, at least one."""

    def __init__(self, *, per_second: float, burst: float) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._burst = max(burst - self._gap, 0.0)
        self._full_at = 0.0

    def allows(self, now: float) -> bool:
        start = max(self._full_at, now)
        if start - now > self._burst + 1e-9:
            return False
        self._full_at = start + self._gap
        return True
