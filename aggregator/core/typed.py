"""Whether a value is what its type says, through all of its fields. Asked of every page, so it is made once for each
type and looks at nothing twice.

>>> mistyped(Moment(date(2026, 6, 1)), Moment)
>>> mistyped(Moment(datetime(2026, 6, 1)), Moment)
'on: not a date but datetime'
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from aggregator.core.model import Moment, Told

__all__ = ["Moment", "date", "datetime", "mistyped"]

Check: TypeAlias = Callable[[Any], str | None]
"""What is wrong with a value, with the way to it; None where nothing is."""


def mistyped(value: object, kind: type) -> str | None:
    """What is wrong with a value that should be of this type: a way to it, and what stands there. None where all is
    right. Instants need a zone."""
    wrong = _check(kind)(value)
    return None if wrong is None else wrong.removeprefix(".").removeprefix(": ")


@cache
def _check(hint: Any) -> Check:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _any_of(inner)
    if origin is Literal:
        return _exactly(f"{', '.join(map(str, inner))}", lambda value: value in inner)
    if origin is tuple:
        return _tuple(inner)
    if origin is frozenset:
        return _each_of(frozenset, inner[0])
    if hint is Any or not isinstance(hint, type):
        return lambda value: None
    if hint is datetime:
        return _instant
    if hint in (date, int, float):
        return _exactly(hint.__name__, lambda value: type(value) is hint)
    if is_dataclass(hint):
        return _fields(hint)
    return _exactly(hint.__name__, lambda value: isinstance(value, hint))


def _exactly(name: str, is_so: Callable[[Any], bool]) -> Check:
    return lambda value: None if is_so(value) else f": not a {name} but {_kind(value)}"


def _instant(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return f": not a datetime but {_kind(value)}"
    return None if value.tzinfo is not None and value.utcoffset() is not None else ": a time without a zone"


def _any_of(hints: tuple[Any, ...]) -> Check:
    """One of several: of a value that is of one of the classes, what is wrong inside it."""
    classes = {hint: _check(hint) for hint in hints if isinstance(hint, type)}
    others = [_check(hint) for hint in hints if not isinstance(hint, type)]
    names = " or ".join(hint.__name__ for hint in classes if hint is not type(None))

    def check(value: Any) -> str | None:
        if (own := classes.get(type(value))) is not None:
            return own(value)
        if any(other(value) is None for other in (*others, *classes.values())):
            return None
        return f": not a {names} but {_kind(value)}"

    return check


def _tuple(inner: tuple[Any, ...]) -> Check:
    if len(inner) == 2 and inner[1] is ...:
        return _each_of(tuple, inner[0])
    checks = tuple(map(_check, inner))

    def check(value: Any) -> str | None:
        if not isinstance(value, tuple) or len(value) != len(checks):
            return f": not a tuple of {len(checks)} but {_kind(value)}"
        return next((wrong for part, own in zip(value, checks, strict=True) if (wrong := own(part))), None)

    return check


def _each_of(kind: type[tuple[Any, ...]] | type[frozenset[Any]], hint: Any) -> Check:
    own = _check(hint)

    def check(value: Any) -> str | None:
        if not isinstance(value, kind):
            return f": not a {kind.__name__} but {_kind(value)}"
        for number, part in enumerate(value):
            if (wrong := own(part)) is not None:
                return f"[{number}]{wrong}"
        return None

    return check


def _fields(kind: type) -> Check:
    checks: list[tuple[str, frozenset[type], Check]] = []

    def check(value: Any) -> str | None:
        if type(value) is not kind:
            return f": not a {kind.__name__} but {_kind(value)}"
        if not checks:  # made at first use: a class may hold its own kind
            hints = get_type_hints(kind).items()
            checks.extend((name, _plain(hint), _check(hint)) for name, hint in hints)
        for name, plain, own in checks:
            part = getattr(value, name)
            if type(part) not in plain and (wrong := own(part)) is not None:
                return f".{name}{wrong}"
        return None

    return check


def _plain(hint: Any) -> frozenset[type]:
    """The classes whose values need no further look."""
    inner = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    plain = {one for one in inner if one in (str, int, bool, type(None)) or _is_enum(one)}
    told = {type(value) for one in inner if get_origin(one) is Literal for value in get_args(one)}
    return frozenset(plain | (told & {Told}))  # a sentinel is all of its class


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _kind(value: object) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    return "None" if value is None else type(value).__name__
