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
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class OrdersFigure:
    """How many orders of an account are in a state."""

    provider: str
    account: str
    direction: str
    state: str
    orders: int


@dataclass(frozen=True, slots=True)
class DeadlineFigure:
    """The first deadline of one kind among the orders of an account and direction that wait for us, as seconds
    since 1970; it may have passed."""

    account: str
    direction: str
    kind: str
    at: float


@dataclass(frozen=True, slots=True)
class WordsFigure:
    """How many words of a list nobody knows, and whether a word of that list can move a state."""

    account: str
    vocabulary: str
    moves_state: bool
    words: int


@dataclass(frozen=True, slots=True)
class OwedFigure:
    """How many events of an account have been without their payload for longer than an hour, and than a day."""

    account: str
    hour: int
    day: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database knows, at one moment."""

    feeds: tuple[FeedFigure, ...] = ()
    orders: tuple[OrdersFigure, ...] = ()
    waiting: int = 0
    deadlines: tuple[DeadlineFigure, ...] = ()
    unknown_words: tuple[WordsFigure, ...] = ()
    quarantined: int = 0
    numberless: int = 0
    owed: tuple[OwedFigure, ...] = ()
