"""From tables to shapes. What is wrong is added to a list of mistakes, one line for each, with its key."""

import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from aggregator.config.shapes import Words
from aggregator.config.values import Region, Zone, near, quoted
from aggregator.core.account import Options
from aggregator.core.model import Meaning, Reason, State, Vocabulary, WaitingOn
from aggregator.core.normalise import folded

T = TypeVar("T")

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_STATES = (Vocabulary.PORT_IN, Vocabulary.PORT_OUT)
_WHO = tuple(str(who) for who in WaitingOn if who is not WaitingOn.UNKNOWN)
CLOSED = {
    Vocabulary.REQUIREMENT: _WHO,
    Vocabulary.ACTION_REQUIREMENT: _WHO,
    Vocabulary.PORTABILITY: ("pending", "confirmed", "provisional"),
    Vocabulary.ACTIVATION_JOB: ("created", "in_process", "completed", "failed"),
}
"""Word lists whose meanings are one of few; for requirements it is who must act."""


def table_of(value: object, key: str, mistakes: list[str]) -> dict[str, Any]:
    """A table; anything else is a mistake and counts as an empty one."""
    if isinstance(value, dict):
        return value
    mistakes.append(f"{key}: not a table (write [{key}] above its keys)")
    return {}


def checked(
    shape: type[T], table: Mapping[str, Any], key: str, mistakes: list[str], also: Collection[str] = ()
) -> T | None:
    """A table as a frozen dataclass, validated key by key; None when there were mistakes.
    `also` are keys that are known here without being the shape's; they serve the hints."""
    known = [*keys_of(shape), *also]
    try:
        found = _model(cast(Any, shape)).model_validate(dict(table))
    except ValidationError as error:
        faults = error.errors(include_url=False)
    else:
        values = {name: getattr(found, f"value_{name}") for name in keys_of(shape)}
        try:
            return shape(**values)
        except ValueError as error:  # an adapter's own check of its options
            mistakes.append(f"{key}: {error}")
            return None
    for fault in faults:
        name = str(fault["loc"][0])
        mistakes.append(f"{key}.{name}: {_said(fault, name, known)}")
    return None


def keys_of(shape: type[Any]) -> tuple[str, ...]:
    """The keys a shape's table may have."""
    return tuple(field.name for field in fields(shape) if field.init)


@cache
def _model(shape: Any) -> type[BaseModel]:
    """A strict model of a dataclass. Its fields have names of their own, so that none hides pydantic's."""
    hints = get_type_hints(shape, include_extras=True)
    if issubclass(shape, Options):
        hints |= {"time_zone": Zone, "region": Region}
    found: dict[str, Any] = {}
    for field in fields(shape):
        if not field.init:
            continue
        if field.default_factory is not MISSING:
            default = Field(default_factory=field.default_factory, alias=field.name)
        else:
            default = Field(... if field.default is MISSING else field.default, alias=field.name)
        found[f"value_{field.name}"] = (hints[field.name], default)
    settings = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
    model: type[BaseModel] = create_model(shape.__name__, __config__=settings, **found)
    return model


def _said(fault: ErrorDetails, name: str, known: list[str]) -> str:
    """What is wrong, in our words. Texts are repeated only where they cannot be secrets."""
    kind, value = fault["type"], fault["input"]
    context = fault.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        hint = near(value, choices.split(", ")) if isinstance(value, str) else ""
        return f"not one of {choices}: {quoted(value)}{hint}"
    plain = {
        "extra_forbidden": f"no such key{near(name, known)}",
        "missing": "missing",
        "string_type": "not a text in quotes",
        "bool_type": f"not true or false (without quotes): {quoted(value)}",
        "int_type": f"not a whole number (without quotes): {quoted(value)}",
    }
    return plain.get(kind, fault["msg"])


# --- words ----------------------------------------------------------------------------------------------


def words(table: Mapping[str, Any], key: str, mistakes: list[str]) -> Words:
    """A `statuses` table: words of the vocabulary `status`, and a sub-table for each of the others."""
    found: dict[Vocabulary, dict[str, Meaning | Reason]] = {}
    for word, value in table.items():
        if isinstance(value, dict) and not value.keys() & {"state", "waiting_on"}:
            _sub_table(word, value, f"{key}.{word}", found, mistakes)
        else:
            _take(Vocabulary.PORT_IN, word, value, key, found, mistakes)
    for vocabulary, meanings in found.items():
        seen: dict[str, str] = {}
        for word in meanings:
            other = seen.setdefault(folded(word), word)
            if other != word:
                mistakes.append(f"{key}: {quoted(other)} and {quoted(word)} are one word of {vocabulary}")
    return found


def merged(shared: Words, own: Words) -> Words:
    """The account's words on top of those all accounts of its provider share, compared as they will match."""
    found: dict[Vocabulary, dict[str, Meaning | Reason]] = {}
    for vocabulary in Vocabulary:
        mine = own.get(vocabulary, {})
        beaten = {folded(word) for word in mine}
        table = {
            word: said for word, said in shared.get(vocabulary, {}).items() if folded(word) not in beaten
        }
        if table or mine:
            found[vocabulary] = {**table, **mine}
    return found


def _sub_table(
    name: str,
    table: Mapping[str, Any],
    key: str,
    found: dict[Vocabulary, dict[str, Meaning | Reason]],
    mistakes: list[str],
) -> None:
    others = [str(vocabulary) for vocabulary in Vocabulary if vocabulary is not Vocabulary.PORT_IN]
    if name not in others:
        hint = near(name, others) or f" (there is {', '.join(others)}; other words stand without a sub-table)"
        mistakes.append(f"{key}: no such word list{hint}")
        return
    for word, value in table.items():
        _take(Vocabulary(name), word, value, key, found, mistakes)


def _take(
    vocabulary: Vocabulary,
    word: str,
    value: object,
    key: str,
    found: dict[Vocabulary, dict[str, Meaning | Reason]],
    mistakes: list[str],
) -> None:
    """One word with its meaning, or its mistakes. What looks alike is refused, the empty word too."""
    where = f"{key}.{quoted(word)}"
    if not folded(word):
        mistakes.append(f"{where}: an empty word")
        return
    meaning = _meaning(vocabulary, value, where, mistakes)
    if meaning is not None:
        found.setdefault(vocabulary, {})[word] = meaning


def _meaning(
    vocabulary: Vocabulary, value: object, where: str, mistakes: list[str]
) -> Meaning | Reason | None:
    """Our side of a word: a text, or for states and reasons a table that also says who must act."""
    name = "state" if vocabulary in _STATES else "reason"
    before, who = len(mistakes), None
    if isinstance(value, dict) and vocabulary in (*_STATES, Vocabulary.REASON):
        for key in sorted(value.keys() - {name, "waiting_on"}):
            mistakes.append(f"{where}.{key}: no such key{near(key, [name, 'waiting_on'])}")
        who = _one_of(WaitingOn, value.get("waiting_on"), f"{where}.waiting_on", mistakes)
        where, value = f"{where}.{name}", value.get(name)
        if value is None:
            mistakes.append(f"{where}: missing")
            return None
    if vocabulary in _STATES:
        state = _one_of(State, value, where, mistakes)
        return Meaning(state, waiting_on=who) if state and len(mistakes) == before else None
    if vocabulary in CLOSED and value not in CLOSED[vocabulary]:
        known = list(CLOSED[vocabulary])
        hint = near(value, known) if isinstance(value, str) else ""
        mistakes.append(f"{where}: not one of {', '.join(known)}: {quoted(value)}{hint}")
    elif not isinstance(value, str) or not _PLAIN.fullmatch(value):
        mistakes.append(f"{where}: not a plain word: {quoted(value)} (write a-z, digits and _)")
    if not isinstance(value, str) or len(mistakes) > before:
        return None
    return Reason(value, who or WaitingOn.US) if vocabulary is Vocabulary.REASON else Meaning(value)


E_ = TypeVar("E_", State, WaitingOn)


def _one_of(closed: type[E_], value: object, where: str, mistakes: list[str]) -> E_ | None:
    """A member of a closed set, by its name; None stays None."""
    known = [str(member) for member in closed]
    if value is None or value in known:
        return closed(value) if value is not None else None
    hint = near(value, known) if isinstance(value, str) else ""
    mistakes.append(f"{where}: not one of {', '.join(known)}: {quoted(value)}{hint}")
    return None
