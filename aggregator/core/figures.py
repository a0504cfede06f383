"""What the database knows in numbers: values between the store that counts and the metrics that tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeedFigure:
    """How one feed's polling goes; the time is 0 where nothing has been complete yet."""

    account: str
    provider: str
    feed: str
    last_complete: float
    stale: bool


@dataclass(frozen=True, slots=True)
class OrdersFigure:
    """How many orders of an account are in a state."""

    provider: str
    account: str
    direction: str
    state: str
    orders: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database knows, at one moment."""

    feeds: tuple[FeedFigure, ...] = ()
    orders: tuple[OrdersFigure, ...] = ()
    waiting: int = 0
    next_deadline: float | None = None
    unknown_words: int = 0
    quarantined: int = 0
    numberless: int = 0
