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
        self._base, self._since = self.start, monotonic()

    def now(self) -> datetime:
        """The simulated present."""
        passed = (self._monotonic() - self._since) * self._speed
        return min(self._real(), self._base + timedelta(seconds=passed))

    def advance(self, seconds: float) -> datetime:
        """Jump forward; backward is refused by staying."""
        self._base, self._since = self.now() + timedelta(seconds=max(0.0, seconds)), self._monotonic()
        return self.now()

    def set_speed(self, speed: float) -> None:
        """Change how fast the clock runs from now on."""
        self._base, self._since = self.now(), self._monotonic()
        self._speed = speed
