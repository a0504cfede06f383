"""Typed look-ups of single fields. What cannot be read is not told, and noted with its place (`core/unread.py`)."""

from typing import Any, TypeVar

from aggregator.core.model import NOT_TOLD, NotTold
from aggregator.core.unread import Json, is_noting, unread
from aggregator.errors import PageChanged

T = TypeVar("T")

MAX_COUNT = 2**31 - 1  # what a column for a count holds on both databases
MAX_EXACT = 2**53  # up to here a JSON number with a fraction or an exponent is the whole number it says


def written(value: object) -> str | None:
    """A text, or a JSON number as its text: providers write ids and telephone numbers as either. `1.0` and `1e3` are
    the whole numbers `1` and `1000`. None for everything else, an empty text included.

    >>> written("P-1"), written(13035550123), written(1e3), written(True), written(1.5)
    ('P-1', '13035550123', '1000', None, None)
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not (value.is_integer() and abs(value) <= MAX_EXACT):
        return None
    return str(int(value))


def get(item: Json, name: str, kind: type[T]) -> T:
    """A field that must be there, of that type (an empty string counts as missing, a bare number is a text as
    `written` has it). Raises PageChanged."""
    value = item.get(name)
    if kind is str and (said := written(value)) is not None:
        return said  # type: ignore[return-value]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or value == "":
        raise PageChanged(f"{name}: {'missing' if value in (None, '') else 'not ' + kind.__name__}")
    return value


def text(item: Json, name: str) -> str | None:
    """A text field: None where it is missing, null, empty or cannot be read; a bare number is read as its digits.
    Where None would say "there is none" (a reference, a carrier), `told` tells the two apart."""
    value = item.get(name)
    said = written(value)
    if said is None and value not in (None, ""):
        unread(item, name, f"not a text but {kind_of(value)}")
    return said


def told(item: Json, name: str) -> str | NotTold | None:
    """A text field of which null is "there is none", while an absent one, and one that cannot be read, says
    nothing."""
    value = item.get(name, NOT_TOLD)
    if value is NOT_TOLD or value is None or value == "":
        return value or None
    said = written(value)
    if said is None:
        unread(item, name, f"not a text but {kind_of(value)}", blunt=False)
        return NOT_TOLD
    return said


def texts(item: Json, name: str) -> tuple[str, ...]:
    """The texts of a list that may be missing or null; entries that are none are noted and left out."""
    lines = entries(item, name)
    said = tuple(line for entry in lines if (line := written(entry)) is not None)
    if len(said) < len(lines):
        unread(item, name, f"{len(lines) - len(said)} of {len(lines)} not a text", blunt=False)
    return said


def flag(item: Json, name: str) -> bool | None:
    """A yes or no that may be missing or null."""
    value = item.get(name)
    if value is None or isinstance(value, bool):
        return value
    unread(item, name, f"not a bool but {kind_of(value)}")
    return None


def inner(item: Json, name: str) -> dict[str, Any]:
    """An inner object that may be missing or null: then it is empty."""
    value = item.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        unread(item, name, f"not an object but {kind_of(value)}")
        return {}
    return value


def several(item: Json, name: str) -> list[Any]:
    """A list that may be missing or null: then it is empty."""
    value = item.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        unread(item, name, f"not a list but {kind_of(value)}")
        return []
    return value


def entries(item: Json, name: str) -> list[Any]:
    """Like `several`, for a list whose entries stand for themselves: something else in its place is one entry
    that cannot be read."""
    value = item.get(name)
    return [] if value is None else value if isinstance(value, list) else [value]


def whole(item: Json, name: str) -> int | None:
    """A count that may be missing; `3.0` and `"3"` are 3, anything else is not told."""
    value = item.get(name)
    said: Any = value
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 11:
        said = int(said)
    told = isinstance(said, int | float) and not isinstance(said, bool)
    if told and 0 <= said <= MAX_COUNT and said == int(said):
        return int(said)
    if value not in (None, "") and is_noting():
        unread(item, name, "not a count", blunt=False)
    return None


def kind_of(value: object) -> str:
    """What a value is, for a message that must not tell it."""
    return "null" if value is None else type(value).__name__
