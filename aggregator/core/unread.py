"""Fields that cannot be read. Each costs nothing but itself: it is not told, and named with its path.

The look-ups of `core/reading.py` note such a field here, while one item of a page is being read. Outside of an
item (the fields of a page itself) there is nobody to note it: then it is a `PageChanged`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from aggregator.errors import PageChanged

Json = Mapping[str, Any]


class Unread(NamedTuple):
    """A field of an object inside an item, and what is wrong with it, without its content. `blunt`: the look-up
    could only answer None or "empty", which may mean "there is none" to whoever asked."""

    within: Json
    name: str
    error: str
    blunt: bool


_noted: ContextVar[list[Unread] | None] = ContextVar("unread", default=None)


@contextmanager
def noting() -> Iterator[list[Unread]]:
    """Gather what cannot be read while an item, or an entry of one, is being read."""
    found: list[Unread] = []
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def unread(within: Json, name: str, error: str, *, blunt: bool = True) -> None:
    """Note that this field cannot be read. Raises PageChanged where no item is being read."""
    found = _noted.get()
    if found is None:
        raise PageChanged(f"{name}: {error}")
    found.append(Unread(within, name, error, blunt))


def noted() -> list[Unread]:
    """What could not be read so far of the item that is being read."""
    return _noted.get() or []


def is_noting() -> bool:
    """Whether an item is being read."""
    return _noted.get() is not None


def path_of(item: Json, said: Unread) -> str:
    """The dotted path of a noted field within its item, without the places in lists.

    >>> inside = {"value": {}}
    >>> path_of({"id": "a", "status": [inside]}, Unread(inside, "value", "not a text but dict", True))
    'status.value'
    """
    return ".".join((*(_way(item, said.within) or ()), said.name))


def _way(value: object, sought: Json) -> tuple[str, ...] | None:
    if value is sought:
        return ()
    if isinstance(value, Mapping):
        for name, entry in value.items():
            if isinstance(entry, Mapping | list) and (way := _way(entry, sought)) is not None:
                return (name, *way)
    elif isinstance(value, list):
        for entry in value:
            if isinstance(entry, Mapping | list) and (way := _way(entry, sought)) is not None:
                return way
    return None
