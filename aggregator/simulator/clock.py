"""The simulated clock: compressed, and never ahead of the real one."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aggregator.simulator.settings import Settings


class Clock:
    """Runs `speed` times as fast as the real clock from its start; with speed 0 it moves only by hand."""

    def __init__(
        self,
        settings: Settings,
        real: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._real, self._monotonic = real, monotonic
        self.start = settings.start or (real() - timedelta(days=settings.days))
        self._speed = settings.speed
        self._base, self._since = self.start + timedelta(days=settings.history), monotonic()

    def now(self) -> datetime:
        """The simulated present."""
        passed = (self._monotonic() - self._since) * self._speed
        left = (self._real() - self._base).total_seconds()
        return self._base + timedelta(seconds=min(passed, left))

    def advance(self, seconds: float) -> datetime:
        """Jump forward; backward is refused by staying."""
        return self.advance_to(self.now() + timedelta(seconds=max(0.0, seconds)))

    def advance_to(self, at: datetime) -> datetime:
        """Jump forward to this moment, or to the real present if that is earlier."""
        now = self.now()
        self._base, self._since = max(now, min(at, self._real())), self._monotonic()
        return self._base

    def set_speed(self, speed: float) -> None:
        """Change how fast the clock runs from now on."""
        self._base, self._since = self.now(), self._monotonic()
        self._speed = speed
