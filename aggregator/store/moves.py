"""Numbers that go from one order to another, told as one move, in whatever order we learn of it.

A move is known when three things are: the number has left one order, it stands in another, and the two belong
together (a split names them, or they have one group key). Whichever of the three comes last tells it. Until then
what the tables show is told at once, but not yet what it means: see `docs/decisions/moved-numbers.md`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from aggregator.core.account import Account, FeedKind
from aggregator.core.findings import CERTAIN
from aggregator.core.model import NOT_TOLD, Change, Direction, Fact, OrderRef, Part, Whole
from aggregator.core.standing import Standing
from aggregator.store.statements import alter, several, table_of
from aggregator.store.tables import FactRow, FeedRow, NumberRow, OrderRow, WantRow

WITHHELD = "attribute_changed"
KEY = ("order_pk", "number_key")
NOTES = ("unsettled_at", "moved_to")
PATIENCE = timedelta(days=1)
"""How long number lists that are still to be read may keep an open question open."""

_NUMBER, _ORDER, _FACT = table_of(NumberRow), table_of(OrderRow), table_of(FactRow)
_WANT, _FEED = table_of(WantRow), table_of(FeedRow)
_RELATED = ("id", "account_id", "direction", "order_id", "parent_order_id", "group_key", "is_open")
_ORDERS = select(*(_ORDER.c[name] for name in _RELATED))
_PLACES = select(*(_NUMBER.c[name] for name in (*KEY, "is_current", *NOTES)))
_UNSETTLED = _PLACES.where(
    _NUMBER.c.unsettled_at.is_not(None), _NUMBER.c.unsettled_at <= bindparam("until")
).order_by(_NUMBER.c.order_pk, _NUMBER.c.number_key)
_NEWEST_FACT = select(func.max(_FACT.c.id)).where(_FACT.c.order_pk == bindparam("order_pk"))
_OWED = {
    direction: select(_WANT.c.ref)
    .where(_WANT.c.account_id == bindparam("account_id"), _WANT.c.kind == Part.NUMBERS)
    .where(_WANT.c.answers < CERTAIN)
    .where(_WANT.c.ref.startswith(f"{direction}/", autoescape=True))
    .limit(1)
    for direction in Direction
}
# The few numbers first: as a join, SQLite would begin with every order of the account, at each poll.
_DIRECTION = (
    select(_ORDER.c.direction)
    .where(_ORDER.c.id == _NUMBER.c.order_pk, _ORDER.c.account_id == bindparam("account_id"))
    .scalar_subquery()
    .label("direction")
)
_NEWEST_OPEN = (
    select(_DIRECTION, func.max(_NUMBER.c.unsettled_at).label("newest"))
    .where(_NUMBER.c.unsettled_at.is_not(None))
    .group_by("direction")
)
_LISTED_AT = select(func.max(_FEED.c.last_complete_at)).where(
    _FEED.c.account_id == bindparam("account_id"), _FEED.c.covers == bindparam("direction")
)


@dataclass(slots=True)
class Place:
    """A number's place in one order: whether it stands there, and what is still to be said about that.
    `unsettled_at`: since when its coming (or going) waits to be told; `moved_to`: the order it went to."""

    order_pk: int
    order_id: str
    number_key: str
    parent: str | None
    group: str | None
    is_open: bool
    is_current: bool
    unsettled_at: datetime | None = None
    moved_to: int | None = None
    touched: bool = False

    def related(self, other: "Place") -> bool:
        """Whether numbers may have gone from one of these orders to the other."""
        parents = {self.parent, other.parent} - {None}
        return (
            (self.group is not None and self.group == other.group)
            or self.order_id in parents
            or other.order_id in parents
            or (len(parents) == 1 and self.parent == other.parent)
        )

    def settle(self, unsettled_at: datetime | None = None) -> None:
        """Note since when there is something to tell, or that nothing is left to tell."""
        self.unsettled_at, self.touched = unsettled_at, True


@dataclass(frozen=True, slots=True)
class Move:
    """A number that went from one order to another."""

    left: Place
    here: Place


@dataclass(frozen=True, slots=True)
class Settled:
    """A number that did not move: it was added or removed after all. `fact_id`: its order's newest fact."""

    ref: OrderRef
    place: Place
    kind: str
    fact_id: int


class Moves:
    """The places of the numbers that one transaction may move."""

    def __init__(self, tx: Connection, account: Account, account_id: int) -> None:
        self.tx = tx
        self.account_id = account_id
        # Only a list of all orders can prove that a number which left one has come to no other.
        listed = {
            feed.defaults.direction
            for feed in account.feeds.values()
            if feed.defaults.kind is FeedKind.LISTING and feed.enabled
        }
        self.watched = Direction.PORT_IN in listed
        self.keys: set[str] = set()
        self.places: dict[str, dict[int, Place]] = {}
        self.orders: list[dict[str, Any]] = []
        self.numbers: list[dict[str, Any]] = []

    # --- what stands ------------------------------------------------------------------------------------

    def know(self, facts: Iterable[tuple[str, Fact]], standings: Mapping[str, Standing]) -> None:
        """Learn where the numbers stand that these facts may bring, take away or relate."""
        if not self.watched:
            return
        for name, fact in facts:
            if fact.order.direction is Direction.PORT_IN:
                self.keys |= _in_question(fact, standings.get(name))
        for place in self._placed(several(self.tx, _PLACES, _NUMBER.c.number_key, self.keys)):
            self.places.setdefault(place.number_key, {})[place.order_pk] = place

    def _placed(self, rows: Iterable[Row[Any]]) -> Iterator[Place]:
        """The places that these rows of numbers are, in port-ins of this account. Each table is asked by its own
        key alone: a join leads SQLite through all orders of the account."""
        rows = list(rows)
        found = several(self.tx, _ORDERS, _ORDER.c.id, {row.order_pk for row in rows})
        orders = {row.id: row for row in found}
        for row in rows:
            here = orders[row.order_pk]
            if here.account_id == self.account_id and here.direction == Direction.PORT_IN:
                yield Place(
                    row.order_pk,
                    here.order_id,
                    row.number_key,
                    here.parent_order_id,
                    here.group_key,
                    here.is_open,
                    row.is_current,
                    row.unsettled_at,
                    row.moved_to,
                )

    # --- what follows -----------------------------------------------------------------------------------

    def follow(
        self,
        order_pk: int,
        order_id: str,
        before: Standing | None,
        after: Standing,
        at: datetime,
        changes: tuple[Change, ...],
    ) -> tuple[tuple[Change, ...], list[Move]]:
        """The changes of one fact, taken in `at`, with what they may be called already, and the moves that it
        completes."""
        if not self.keys or after.ref.direction is not Direction.PORT_IN:
            return changes, []
        here = after.order
        moved = {change.number_key for change in changes if change.field in ("number_key", "is_current")}
        if before is None or _relations(before) != _relations(after):
            moved |= after.numbers.keys()
        for key in after.numbers.keys() & self.keys:
            place = self.places.setdefault(key, {}).get(order_pk)
            if place is None:
                place = Place(order_pk, order_id, key, None, None, True, is_current=False)
                self.places[key][order_pk] = place
            place.parent, place.group, place.is_open = here.parent_order_id, here.group_key, here.is_open
        weighed = tuple(self._weighed(change, order_pk, after, at) for change in changes)
        return weighed, [move for key in sorted(moved & self.keys) for move in self._pair(key)]

    def _weighed(self, change: Change, order_pk: int, after: Standing, at: datetime) -> Change:
        """A coming or going, told as such only if it cannot be one half of a move. (An old list that comes late
        may bring a number that is gone by now.)"""
        if change.kind not in ("number_added", "number_removed"):
            return change
        places = self.places[change.number_key]
        place = places[order_pk]
        place.is_current = after.numbers[change.number_key].is_current
        if place.is_current and place.moved_to is not None:
            place.moved_to, place.touched = None, True
        if place.unsettled_at is not None:
            place.settle()  # it came back, or went again, before anything was said: nothing is left to say
        elif not place.is_current or any(_leads(other, place) for other in places.values()):
            place.settle(at)
        else:
            return change
        return change._replace(kind=WITHHELD)

    def _pair(self, key: str) -> Iterator[Move]:
        """The move of a number that is complete now, if any."""
        places = self.places[key].values()
        arrived = {place.moved_to for place in places}
        for left in places:
            if left.is_current or left.moved_to is not None:
                continue
            found = [here for here in places if here.is_current and here.related(left)]
            found = [here for here in found if here.order_pk not in arrived]
            if found:
                here = max(found, key=lambda one: (one.parent == left.order_id, one.order_pk))
                left.moved_to = here.order_pk
                left.settle()
                here.settle()
                yield Move(left, here)
                return

    def touch(self, place: Place, seq: int, at: datetime) -> None:
        """The feed has a newer row about a number and its order, of which nothing else is written."""
        self.orders.append({"id": place.order_pk, "last_seq": seq, "last_changed_at": at})
        self.numbers.append({"order_pk": place.order_pk, "number_key": place.number_key, "last_seq": seq})

    def write(self) -> None:
        """What is still to be told, beside the numbers' own rows."""
        places = [place for known in self.places.values() for place in known.values() if place.touched]
        rows = [{name: getattr(place, name) for name in (*KEY, *NOTES)} for place in places]
        alter(self.tx, NumberRow, KEY, rows, only=NOTES)
        alter(self.tx, NumberRow, KEY, self.numbers, only=("last_seq",))
        alter(self.tx, OrderRow, ("id",), self.orders, only=("last_seq", "last_changed_at"))
        self.places, self.orders, self.numbers = {}, [], []

    # --- what did not move ------------------------------------------------------------------------------

    def settle(self, direction: Direction, listed_at: datetime | None) -> list[Settled]:
        """What is no move, now that a complete list has shown every order that a number could have gone to: the
        one that ends here (`listed_at` is its end) or an earlier one, where number lists were still owed."""
        if not self.watched or direction is not Direction.PORT_IN or listed_at is None:
            return []
        until = listed_at - PATIENCE if self._lists_are_owed(direction) else listed_at
        settled = []
        for place in self._placed(self.tx.execute(_UNSETTLED, {"until": until})):
            place.settle()
            self.places.setdefault(place.number_key, {})[place.order_pk] = place
            kind = "number_added" if place.is_current else "number_removed"
            newest = self.tx.execute(_NEWEST_FACT, {"order_pk": place.order_pk}).scalar_one()
            ref = OrderRef(direction, place.order_id)
            settled.append(Settled(ref, place, kind, newest))
        return settled

    def _lists_are_owed(self, direction: Direction) -> bool:
        return self.tx.execute(_OWED[direction], {"account_id": self.account_id}).first() is not None


def open_in(tx: Connection, account_id: int) -> set[Direction]:
    """The directions of which a number came or went since the last complete list, so that the next tells more."""
    found = set()
    for row in tx.execute(_NEWEST_OPEN, {"account_id": account_id}).all():
        listed = row.direction and listed_at(tx, account_id, row.direction)
        if row.direction and (listed is None or row.newest > listed):
            found.add(Direction(row.direction))
    return found


def listed_at(tx: Connection, account_id: int, direction: Direction) -> datetime | None:
    """When the last complete list of a direction ended."""
    here = {"account_id": account_id, "direction": direction}
    found: datetime | None = tx.execute(_LISTED_AT, here).scalar()
    return found


def _in_question(fact: Fact, standing: Standing | None) -> set[str]:
    """The numbers that a fact may bring to its order, take from it, or relate to another order's."""
    numbers = standing.numbers if standing else {}
    current = {key for key, number in numbers.items() if number.is_current}
    said = {one.key for one in fact.numbers.numbers} if fact.numbers else set()
    keys = said - current
    if isinstance(fact.numbers, Whole):
        keys |= current - said
    group = fact.references.group_key if fact.references else NOT_TOLD
    stands = standing.order.group_key if standing else None
    if fact.link is not None or (group is not NOT_TOLD and group != stands):
        keys |= numbers.keys() | said
    return keys


def _relations(standing: Standing) -> tuple[str | None, str | None]:
    return standing.order.parent_order_id, standing.order.group_key


def _leads(other: Place, here: Place) -> bool:
    """Whether a number that comes here may have come from there."""
    if other is here:
        return False
    if other.is_current:
        return other.is_open or other.related(here)
    return other.moved_to is None and (other.unsettled_at is not None or other.related(here))
