"""Facts of realistic lives, generated: whatever a provider may tell us about one order, in its own words.

A life is a tuple of normalised facts in the one order of facts. Times are few, so that many facts share one;
snapshots carry the provider's `updated_at` or the moment of the look; events may be read long after.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st
from made import account, hour

from aggregator.core.diff import as_text
from aggregator.core.fold import stamp
from aggregator.core.model import (
    NOT_TOLD,
    Announced,
    Carrier,
    Carriers,
    Change,
    Comment,
    Dates,
    Direction,
    Fact,
    Moment,
    NumberSaid,
    OrderRef,
    Partial,
    ReasonSaid,
    References,
    Source,
    Status,
    Task,
    Vocabulary,
    Whole,
    Word,
)
from aggregator.core.normalise import normalise
from aggregator.core.standing import COPIED, NUMBER_FIELDS, ORDER_FIELDS, Standing

US = ("+13035550101", "13035550102", "+1 303 555 0103")
AU = ("+61255500101", "02 5550 0102", "+611111111112")  # the last is the published impossible one
UNHEARD_OF = "brand-new-word"


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of order at one provider: its words, its numbers, whether these have a life of their own, and
    whether only they have one (the provider then gives no status of the order)."""

    provider: str
    direction: Direction
    numbers: tuple[str, ...]
    own_statuses: bool = False
    silent: bool = False
    words: tuple[str, ...] = field(init=False)
    side: Mapping[Vocabulary, tuple[str, ...]] = field(init=False)
    codes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        adapter = account(self.provider).adapter
        status = Vocabulary.PORT_IN if self.direction is Direction.PORT_IN else Vocabulary.PORT_OUT
        tables = {vocabulary: (*table, UNHEARD_OF) for vocabulary, table in adapter.words.items()}
        object.__setattr__(self, "words", tables[status])
        object.__setattr__(self, "side", tables)
        object.__setattr__(self, "codes", (*adapter.reasons, UNHEARD_OF))


KINDS = (
    Kind("telnyx", Direction.PORT_IN, US),
    Kind("telnyx", Direction.PORT_OUT, US),
    Kind("fonedynamics", Direction.PORT_IN, AU, own_statuses=True),
    Kind("fonedynamics", Direction.PORT_IN, AU, own_statuses=True, silent=True),
)
_WORDS = {kind.provider: account(kind.provider).words for kind in KINDS}
TASKS = (Vocabulary.ACTIVATION_JOB, Vocabulary.ACTION_REQUIREMENT)
_HOURS = st.integers(0, 6)
_days = st.integers(1, 3).map(lambda day: Moment(date(2026, 7, day)))
_texts = st.sampled_from(("PO-1", "PO-2"))


def _or_not(strategy: st.SearchStrategy[Any], *others: Any) -> st.SearchStrategy[Any]:
    """What a strategy gives, or that it was not told, or one of these."""
    return st.one_of(st.just(NOT_TOLD), *map(st.just, others), strategy)


@cache
def statuses(kind: Kind) -> st.SearchStrategy[Status]:
    """A status word (known, unheard of or none at all), with reasons where it is the word for an exception."""

    def with_reasons(raw: str | None) -> st.SearchStrategy[Status]:
        if raw not in ("exception", "rejected"):
            return st.just(Status(raw))
        codes = st.lists(st.sampled_from(kind.codes), max_size=2, unique=True)
        return codes.map(lambda given: Status(raw, tuple(ReasonSaid(code, "as told") for code in given)))

    troubled = [word for word in kind.words if word in ("exception", "rejected")] * 4
    return st.sampled_from((*troubled, *kind.words, None)).flatmap(with_reasons)


@cache
def side_words(kind: Kind, vocabulary: Vocabulary) -> st.SearchStrategy[Word]:
    """A word of a side vocabulary."""
    return st.sampled_from((*kind.side.get(vocabulary, (UNHEARD_OF,)), None)).map(Word)


@cache
def _numbers(kind: Kind, raw: str) -> st.SearchStrategy[NumberSaid]:
    return st.builds(
        NumberSaid,
        st.just(raw),
        status=_or_not(statuses(kind)) if kind.own_statuses else st.just(NOT_TOLD),
        activation=_or_not(side_words(kind, Vocabulary.ACTIVATION)),
        requirement=_or_not(side_words(kind, Vocabulary.REQUIREMENT)),
        portability=_or_not(side_words(kind, Vocabulary.PORTABILITY)),
        carrier_status=_or_not(side_words(kind, Vocabulary.CARRIER_STATUS)),
    )


@st.composite
def number_lists(draw: st.DrawFn, kind: Kind, whole: bool | None = None) -> Partial | Whole:
    """Some of an order's numbers, or all of them as the provider lists them at that moment."""
    said = [draw(_numbers(kind, raw)) for raw in kind.numbers if draw(st.booleans())]
    return (Whole if (draw(st.booleans()) if whole is None else whole) else Partial)(tuple(said))


@cache
def tasks(kind: Kind, task: Vocabulary) -> st.SearchStrategy[Task]:
    """An activation job or an action requirement."""
    moments = st.one_of(st.none(), _HOURS.map(hour))
    ids, words = st.sampled_from(("t1", "t2")), side_words(kind, task)
    return st.builds(
        Task,
        ids,
        st.just(task),
        words,
        _texts,
        moments,
        moments,
        is_ours=st.booleans(),
        made_at=moments,
    )


@cache
def snapshots(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """What one look at an order may tell: everything, parts of it, or that it is not there any more."""
    there = st.fixed_dictionaries(
        {
            "status": st.just(Status(None)) if kind.silent else statuses(kind),
            "deleted": st.just(False),
            "numbers": st.one_of(number_lists(kind), number_lists(kind), st.none()),
            "messaging": st.one_of(side_words(kind, Vocabulary.MESSAGING), st.none()),
            "steps": st.sampled_from((("sign_the_loa",), (), None)),
        },
        optional={
            "dates": st.builds(Dates, _or_not(_days, None), _or_not(_days, None), _or_not(_HOURS.map(hour))),
            "carriers": st.builds(
                Carriers,
                _or_not(st.builds(Carrier, _texts, _texts), None),
                _or_not(st.builds(Carrier, _texts)),
            ),
            "references": st.builds(References, customer=_or_not(_texts, None)),
            "activation": side_words(kind, Vocabulary.ACTIVATION),
            "numbers_total": st.integers(0, 60),
            "requirements_met": st.booleans(),
            "task": st.sampled_from(TASKS).flatmap(lambda kinds: tasks(kind, kinds)),
        },
    )
    return _mostly(there, {"deleted": True})


@cache
def events(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """What one event may tell; a history entry speaks of one number."""
    entry = st.builds(
        lambda raw, status: {"numbers": Partial((NumberSaid(raw, status=status),))},
        st.sampled_from(kind.numbers),
        _or_not(statuses(kind)),
    )
    moved = entry if kind.silent else st.fixed_dictionaries({"status": statuses(kind)})
    return _mostly(
        st.one_of(
            entry if kind.own_statuses else moved,
            st.fixed_dictionaries({"messaging": side_words(kind, Vocabulary.MESSAGING)}),
            st.fixed_dictionaries({"dates": st.builds(Dates, confirmed=_days)}),
            st.sampled_from(("c1", "c2")).map(lambda id: {"comment": Comment(id, "provider", "as told")}),
            entry if kind.own_statuses else moved,
            moved,
        ),
        {"deleted": True},
        {"documents_changed": True},
        {},
    )


def _mostly(
    usual: st.SearchStrategy[dict[str, Any]], *rare: dict[str, Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """The usual, and one time in ten one of the rare."""
    return st.integers(0, 9).flatmap(lambda die: st.sampled_from(rare) if die == 9 else usual)


@st.composite
def facts(draw: st.DrawFn, kind: Kind, source_id: str, source: Source | None = None) -> Fact:
    """One normalised fact; its time is the provider's, or that of the look."""
    source = source or draw(st.sampled_from(Source))
    as_of = draw(_HOURS)
    later = draw(st.sampled_from((0, 0, 1, 5)))
    said = draw(snapshots(kind) if source is Source.SNAPSHOT else events(kind))
    fact = Fact(
        OrderRef(kind.direction, "order-1"),
        source,
        source_id,
        hour(as_of),
        hour(as_of) + timedelta(hours=later),
        announced=Announced("events", source_id, "kind") if source is Source.EVENT else None,
        **said,
    )
    return normalise(fact, _WORDS[kind.provider])


@st.composite
def lives(draw: st.DrawFn, smallest: int = 1, kinds: tuple[Kind, ...] = KINDS) -> tuple[Fact, ...]:
    """Everything that was ever told about one order, in the one order of facts."""
    kind = draw(st.sampled_from(kinds))
    count = draw(st.integers(smallest, 7))
    return tuple(sorted((draw(facts(kind, f"fact-{place}")) for place in range(count)), key=stamp))


@st.composite
def arrivals(draw: st.DrawFn, smallest: int = 1) -> tuple[Fact, ...]:
    """A life in the order in which it came to us."""
    return tuple(draw(st.permutations(draw(lives(smallest)))))


# --- a reader of the feed -------------------------------------------------------------------------------


class Copy:
    """An order rebuilt from change rows alone, as a reader of the feed would: rows that tell of the past are
    left out, every other is written over what is there."""

    def __init__(self) -> None:
        self.order: dict[str, str | None] = {}
        self.numbers: dict[str, dict[str, str | None]] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in the rows of one commit; each must say truly what was there before it."""
        for change in changes:
            if change.late or change.kind in ("comment_added", "document_changed"):
                continue
            if change.kind == "order_seen":
                self.order = _texts_of(change.new)
            elif not change.field:
                continue  # what a row beside it means: a number that moved, an order that was asked to end
            elif change.field == "number_key":
                self.numbers[change.number_key] = _texts_of(change.new)
            else:
                row = self.numbers[change.number_key] if change.number_key else self.order
                assert row[change.field] == change.old, change
                row[change.field] = change.new

    def number(self, key: str) -> dict[str, str | None]:
        """A number's columns; those it has not of its own are its order's."""
        row = self.numbers[key]
        if row["state"] is not None:
            return row
        return {name: self.order[name] if name in COPIED else value for name, value in row.items()}


def _texts_of(columns: str | None) -> dict[str, str | None]:
    said: dict[str, Any] = json.loads(columns or "{}")
    return {name: _text(value) for name, value in said.items()}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def columns_of(standing: Standing) -> tuple[dict[str, str | None], dict[str, dict[str, str | None]]]:
    """The order's columns and its numbers' as text, without those that depend on the clock."""
    order = {name: as_text(getattr(standing.order, name)) for name in ORDER_FIELDS}
    numbers = {
        key: {name: as_text(getattr(number, name)) for name in NUMBER_FIELDS}
        for key, number in standing.numbers.items()
    }
    return order, numbers
