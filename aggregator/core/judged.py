"""An adapter's data, judged when it is loaded: what is wrong with it, by field, before an account relies on it."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from aggregator.core.account import Adapter, Auth, Cancelling, FeedDefaults, FeedKind, Options, Pacing, Paging
from aggregator.core.asked import Mistake, kind_of, unasked
from aggregator.core.clocks import Clock, CountedFrom
from aggregator.core.model import (
    Basis,
    Direction,
    Meaning,
    Reason,
    State,
    Vocabulary,
    WaitingOn,
)
from aggregator.core.normalise import REGIONS, folded
from aggregator.core.stuck import Usual
from aggregator.core.why import REASON_WORDS

STATUSES = (Vocabulary.PORT_IN, Vocabulary.PORT_OUT)
WAITED = (Vocabulary.REQUIREMENT, Vocabulary.ACTION_REQUIREMENT)
"""Word lists that say whom something waits for."""


def judged(adapter: object) -> tuple[Mistake, ...]:
    """Everything that is wrong with an adapter's data; nothing, where it can be relied on."""
    if not isinstance(adapter, Adapter):
        return (Mistake("", f"its entry point is not an Adapter but {kind_of(adapter)}"),)
    judges = (_basics, _tables, _feeds, _words, _reasons, _keep, _time)
    found = [mistake for judge in judges for mistake in judge(adapter)]
    return tuple(found) or tuple(unasked(adapter))


# --- the small ones -------------------------------------------------------------------------------------


def _basics(adapter: Adapter) -> Iterator[Mistake]:
    for name in ("label", "base_url", "region", "time_zone", "auth_header"):
        if not isinstance(said := getattr(adapter, name), str) or not said:
            yield Mistake(name, f"not a text but {kind_of(said)}")
    yield from _one_of("auth", adapter.auth, Auth)
    if isinstance(adapter.auth_header, str) and re.search(r"[^!-9;-~]", adapter.auth_header):
        yield Mistake("auth_header", f"not the name of a header: {adapter.auth_header[:40]!r}")
    yield from _pace(adapter)
    if isinstance(adapter.base_url, str) and urlsplit(adapter.base_url).scheme not in ("http", "https"):
        yield Mistake("base_url", f"not an http or https URL: {adapter.base_url!r}")
    if isinstance(adapter.region, str) and adapter.region not in REGIONS:
        yield Mistake("region", f"no such country: {adapter.region!r}")
    if not _is_zone(adapter.time_zone):
        yield Mistake("time_zone", f"no such time zone: {adapter.time_zone!r}")
    for name in ("plan", "read"):
        if not callable(getattr(adapter, name)):
            yield Mistake(name, f"not a function but {kind_of(getattr(adapter, name))}")
    for name in ("auth_user", "milder", "otherwise", "refusal"):
        if (said := getattr(adapter, name)) is not None and not callable(said):
            yield Mistake(name, f"not a function but {kind_of(said)}")
    if adapter.auth is Auth.BASIC and adapter.auth_user is None:
        yield Mistake("auth", "BASIC without `auth_user`, which says who the user is")
    if not (isinstance(adapter.options, type) and issubclass(adapter.options, Options)):
        yield Mistake("options", "not a class that inherits from Options")
    elif not is_dataclass(adapter.options) or "__dataclass_params__" not in vars(adapter.options):
        yield Mistake("options", f"{adapter.options.__name__} is not a dataclass")
    yield from _several("limited_by", adapter.limited_by, str)
    if adapter.cancel is not None:
        yield from _a("cancel", adapter.cancel, Cancelling)
        if isinstance(adapter.cancel, Cancelling) and adapter.cancel.lock is not None:
            yield from _a("cancel.lock", adapter.cancel.lock, timedelta)


def _pace(adapter: Adapter) -> Iterator[Mistake]:
    """How gently it is asked, and for how much at once."""
    yield from _a("pacing", adapter.pacing, Pacing)
    if isinstance(adapter.pacing, Pacing):
        wait, most = adapter.pacing.min_interval_s, adapter.pacing.in_flight
        if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait < float("inf"):
            yield Mistake("pacing.min_interval_s", f"not a number of seconds: {str(wait)[:40]!r}")
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            yield Mistake("pacing.in_flight", f"not a number from 1: {str(most)[:40]!r}")
    if adapter.paging is None:
        return
    yield from _a("paging", adapter.paging, Paging)
    if isinstance(adapter.paging, Paging):
        for name in ("size", "number", "skip"):
            said = getattr(adapter.paging, name)
            if (not isinstance(said, str) or not said) and (name == "size" or said is not None):
                yield Mistake(f"paging.{name}", f"not the name of a parameter but {kind_of(said)}")


def _tables(adapter: Adapter) -> Iterator[Mistake]:
    for name in ("feeds", "words", "reasons", "keep", "usual"):
        if not isinstance(said := getattr(adapter, name), Mapping):
            yield Mistake(name, f"not a table but {kind_of(said)}")


def _feeds(adapter: Adapter) -> Iterator[Mistake]:
    lists: dict[object, str] = {}
    for name, feed in _rows(adapter.feeds):
        here = f"feeds[{name!r}]"
        if not isinstance(name, str) or not name:
            yield Mistake("feeds", f"the name of a feed is no text but {kind_of(name)}")
            continue
        if not isinstance(feed, FeedDefaults):
            yield Mistake(here, f"not FeedDefaults but {kind_of(feed)}", name)
            continue
        yield from _one_of(f"{here}.kind", feed.kind, FeedKind, name)
        yield from _one_of(f"{here}.direction", feed.direction, Direction, name)
        for part in ("every", "lookback", "deep", "start"):
            said = getattr(feed, part)
            if said is None and part in ("deep", "start"):
                continue
            yield from _a(f"{here}.{part}", said, timedelta, name)
            if isinstance(said, timedelta) and (said < timedelta(0) or (part == "every" and not said)):
                yield Mistake(f"{here}.{part}", f"not a time to wait: {said}", name)
        yield from _a(f"{here}.resweeps", feed.resweeps, int, name)
        if feed.kind is FeedKind.EVENTS and feed.lookback == timedelta(0):
            yield Mistake(
                f"{here}.lookback", "missing: a feed of events is read again from before its cursor", name
            )
        is_list = feed.kind is FeedKind.LISTING
        if is_list and (other := lists.setdefault(feed.direction, name)) != name:
            yield Mistake(here, f"a second list for {feed.direction}, beside {other!r}", name)


def _words(adapter: Adapter) -> Iterator[Mistake]:
    for vocabulary, table in _rows(adapter.words):
        wrong = tuple(_one_of("words", vocabulary, Vocabulary))
        yield from wrong
        if wrong:
            continue
        if not isinstance(table, Mapping):
            yield Mistake(f"words[{_name(vocabulary)}]", f"not a table but {kind_of(table)}")
            continue
        here = f"words[{_name(vocabulary)}]"
        yield from _spelling(here, table, "word")
        for word, meaning in table.items():
            if isinstance(word, str) and word:
                yield from _meaning(f"{here}[{word!r}]", vocabulary, word, meaning)


def _spelling(field: str, table: Mapping[object, object], what: str) -> Iterator[Mistake]:
    """Whether what a table is looked up by are texts, of which no two are taken for the same."""
    spelt: dict[str, str] = {}
    for word in table:
        here = f"{field}[{word!r}]"
        if not isinstance(word, str) or not word:
            yield Mistake(here, f"a {what} is a text, not {kind_of(word)}")
        elif (same := spelt.setdefault(folded(word), word)) != word:
            yield Mistake(here, f"the same {what} as {same!r}", word)


def _meaning(here: str, vocabulary: Vocabulary, word: str, meaning: object) -> Iterator[Mistake]:
    if not isinstance(meaning, Meaning):
        yield Mistake(here, f"not a Meaning but {kind_of(meaning)}", word)
        return
    yield from _one_of(f"{here}.basis", meaning.basis, Basis, word)
    if meaning.waiting_on is not None:
        yield from _one_of(f"{here}.waiting_on", meaning.waiting_on, WaitingOn, word)
    if not isinstance(meaning.value, str) or not meaning.value:
        yield Mistake(here, f"its meaning is a text, not {kind_of(meaning.value)}", word)
    elif meaning.value == State.UNKNOWN:
        yield Mistake(here, "says 'unknown', which is what a word without an entry is", word)
    elif vocabulary in STATUSES and meaning.value not in list(State):
        yield Mistake(here, f"no such state: {meaning.value!r}{_near(meaning.value, [*State])}", word)
    elif vocabulary in WAITED and meaning.value not in list(WaitingOn):
        yield Mistake(
            here, f"nobody to wait for: {meaning.value!r}{_near(meaning.value, [*WaitingOn])}", word
        )


def _reasons(adapter: Adapter) -> Iterator[Mistake]:
    yield from _spelling("reasons", dict(_rows(adapter.reasons)), "code")
    for code, reason in _rows(adapter.reasons):
        here = f"reasons[{code!r}]"
        if not isinstance(code, str) or not code:
            continue
        if not isinstance(reason, Reason):
            yield Mistake(here, f"not a Reason but {kind_of(reason)}", code)
            continue
        yield from _one_of(f"{here}.waiting_on", reason.waiting_on, WaitingOn, code)
        yield from _one_of(f"{here}.basis", reason.basis, Basis, code)
        if reason.code not in REASON_WORDS:
            yield Mistake(here, f"no such reason: {reason.code!r}{_near(reason.code, [*REASON_WORDS])}", code)


def _keep(adapter: Adapter) -> Iterator[Mistake]:
    for name, tree in _rows(adapter.keep):
        yield from _tree(f"keep[{name!r}]", tree)


def _tree(here: str, tree: object) -> Iterator[Mistake]:
    if not isinstance(tree, Mapping):
        yield Mistake(here, f"not a tree of fields, as keep(…) makes it, but {kind_of(tree)}")
        return
    for name, branch in tree.items():
        if not isinstance(name, str):
            yield Mistake(here, f"the name of a field is no text but {kind_of(name)}")
        else:
            yield from _tree(f"{here}[{name!r}]", branch)


def _time(adapter: Adapter) -> Iterator[Mistake]:
    """The clocks that the provider runs, and how long its orders usually stay in a state."""
    if not isinstance(adapter.clocks, tuple):
        yield Mistake("clocks", f"not a tuple but {kind_of(adapter.clocks)}")
        return
    for number, clock in enumerate(adapter.clocks):
        here = f"clocks[{number}]"
        if not isinstance(clock, Clock):
            yield Mistake(here, f"not a Clock but {kind_of(clock)}")
            continue
        if not isinstance(clock.kind, str) or not clock.kind:
            yield Mistake(f"{here}.kind", f"not a text but {kind_of(clock.kind)}")
        word = str(clock.kind)
        yield from _one_of(f"{here}.direction", clock.direction, Direction, word)
        yield from _one_of(f"{here}.counted_from", clock.counted_from, CountedFrom, word)
        yield from _a(f"{here}.after", clock.after, timedelta, word)
        yield from _one_of(f"{here}.basis", clock.basis, Basis, word)
        if clock.waiting_on is not None:
            yield from _one_of(f"{here}.waiting_on", clock.waiting_on, WaitingOn, word)
        yield from _several(f"{here}.states", clock.states, State, word)
    for key, usual in _rows(adapter.usual):
        here = f"usual[{key!r}]"
        if not isinstance(key, tuple) or len(key) != 2:
            yield Mistake("usual", f"a key is (Direction, State), not {kind_of(key)}")
            continue
        yield from _one_of(here, key[0], Direction)
        yield from _one_of(here, key[1], State)
        yield from _a(here, usual, Usual)
        if isinstance(usual, Usual):
            yield from _a(f"{here}.time", usual.time, timedelta)


# --- in words -------------------------------------------------------------------------------------------


def _rows(table: object) -> Iterable[tuple[Any, Any]]:
    """The rows of a table; none of what is no table, which `_tables` says."""
    return table.items() if isinstance(table, Mapping) else ()


def _a(field: str, said: object, kind: type, word: str = "") -> Iterator[Mistake]:
    if not isinstance(said, kind):
        a = "an" if kind.__name__[0].lower() in "aeiou" else "a"
        yield Mistake(field, f"not {a} {kind.__name__} but {kind_of(said)}: {str(said)[:40]}", word)


def _one_of(field: str, said: object, kind: type[StrEnum], word: str = "") -> Iterator[Mistake]:
    if not isinstance(said, kind):
        hint = _member(said, kind) if isinstance(said, str) else ""
        yield Mistake(field, f"not a {kind.__name__} but {kind_of(said)}: {str(said)[:40]!r}{hint}", word)


def _several(field: str, said: object, kind: type, word: str = "") -> Iterator[Mistake]:
    if not isinstance(said, frozenset | set | tuple):
        yield Mistake(field, f"not a set of {kind.__name__} but {kind_of(said)}", word)
        return
    wrong: Callable[[object], bool] = lambda one: not isinstance(one, kind)  # noqa: E731
    for one in filter(wrong, said):
        hint = _member(one, kind) if isinstance(one, str) and issubclass(kind, StrEnum) else ""
        yield Mistake(field, f"holds {kind_of(one)} {str(one)[:40]!r}{hint}", word)


def _near(said: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(said[:60].lower(), [str(one) for one in known], 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _member(said: str, kind: type[StrEnum]) -> str:
    """What to write in place of a bare text."""
    close = difflib.get_close_matches(said[:60].lower(), [*kind], 1)
    return f" (write {kind.__name__}.{kind(close[0]).name})" if close else ""


def _name(vocabulary: Vocabulary) -> str:
    return f"Vocabulary.{vocabulary.name}"


def _is_zone(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(ZoneInfo(name))
    except (ValueError, OSError, LookupError):
        return False
