"""The world's state at the simulated present, kept by applying steps as the clock moves."""

import random
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any

from aggregator.simulator.clock import Clock
from aggregator.simulator.lives import Birth, births, surprise
from aggregator.simulator.port_in_events import cancellation
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.things import Event, Line, Order, Step, chance

NEVER = timedelta(days=36_500)


class Listed:
    """Events in the order of their time, so that a window of them is found at once."""

    def __init__(self) -> None:
        self.keys: list[tuple[datetime, int]] = []
        self.events: list[Event] = []

    def add(self, key: tuple[datetime, int], event: Event) -> None:
        """Put an event at its place, which is the end unless it comes late."""
        at = len(self.keys) if not self.keys or key > self.keys[-1] else bisect_left(self.keys, key)
        self.keys.insert(at, key)
        self.events.insert(at, event)

    def window(self, since: datetime | None, until: datetime | None) -> list[Event]:
        """The events from `since` to `until`, both inclusive."""
        first = bisect_left(self.keys, (since, -1)) if since else 0
        last = bisect_right(self.keys, (until, sys.maxsize)) if until else len(self.keys)
        return self.events[first:last]


class World:
    """Every order and event of both providers."""

    def __init__(self, settings: Settings, faults: Faults, clock: Clock) -> None:
        self.settings, self.faults, self.clock = settings, faults, clock
        self.injected: Counter[str] = Counter()
        self.orders: dict[str, dict[str, Order]] = {"in": {}, "out": {}, "fone": {}}
        self.by_id: dict[str, dict[str, Event]] = {"in": {}, "out": {}}
        self._lists: dict[tuple[str, str | None, str | None], Listed] = {}
        self._ahead: list[tuple[datetime, int, Birth | Step]] = []
        self._hidden: list[tuple[datetime, int, Event]] = []
        self._number = count()
        self._surprises = 0
        for birth in sorted(births(settings, clock.start), key=lambda birth: birth.at):
            self._ahead.append((birth.at, next(self._number), birth))

    # --- the clock moves --------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The present, with everything up to it having happened."""
        now = self.clock.now()
        while self._ahead and self._ahead[0][0] <= now:
            _, _, what = heappop(self._ahead)
            if isinstance(what, Birth):
                self._expect(what.tell(self.faults))
            elif what.script == what.order.script:
                self._apply(what)
        while self._hidden and self._hidden[0][0] <= now:
            _, number, event = heappop(self._hidden)
            self._list(event, number)
        return now

    def _expect(self, steps: list[Step]) -> None:
        for step in steps:
            heappush(self._ahead, (step.at, next(self._number), step))

    def _apply(self, step: Step) -> None:
        order, changes = step.order, dict(step.changes)
        if not order.alive:
            order.alive, order.updated_at = True, step.at
            self.orders[order.kind][order.id] = order
        order.before_at, order.updated_at = order.updated_at, step.at
        order.numbers = changes.pop("numbers", order.numbers)
        order.deleted = changes.pop("deleted", order.deleted)
        if comment := changes.pop("comment", None):
            order.comments.append(comment)
        order.before = {name: order.said[name] for name in changes}
        order.said.update(changes)
        for number, word, code in step.moves:
            _move(order.lines[number], word, code, int(step.at.timestamp()))
        if step.event is not None:
            self._announce(step.event)

    def _announce(self, event: Event) -> None:
        """An event is there: listed now or late, with its payload or without."""
        faults, number = self.faults, next(self._number)
        if self._strikes(event, "very_late"):
            delay = faults.very_late_s * (1 + chance(event.id, "delay"))
            event.visible_at += timedelta(seconds=delay)
        elif self._strikes(event, "late"):
            event.visible_at += timedelta(seconds=faults.late_max_s * chance(event.id, "delay"))
        if event.payload is not None:
            if self._strikes(event, "never_filled"):
                event.filled_at += NEVER
            elif self._strikes(event, "empty_payload"):
                event.filled_at += timedelta(seconds=faults.empty_payload_s)
        self.by_id[event.feed][event.id] = event
        if event.visible_at > event.created_at:
            heappush(self._hidden, (event.visible_at, number, event))
        else:
            self._list(event, number)

    def _strikes(self, event: Event, knob: str) -> bool:
        share: float = getattr(self.faults, knob)
        if not share or chance(event.id, knob) >= share:
            return False
        self.injected[knob] += 1
        return True

    def _list(self, event: Event, number: int) -> None:
        for type, order_id in ((None, None), (event.type, None), (None, event.order_id)):
            listed = self._lists.get((event.feed, type, order_id))
            if listed is None:
                listed = self._lists[event.feed, type, order_id] = Listed()
            listed.add((event.created_at, number), event)

    # --- what is there ----------------------------------------------------------------------------------

    def window(
        self,
        feed: str,
        since: datetime | None,
        until: datetime | None,
        type: str | None = None,
        order_id: str | None = None,
    ) -> list[Event]:
        """The events listed now whose `created_at` lies in the window, oldest first."""
        self.now()
        listed = self._lists.get((feed, None if order_id else type, order_id))
        found = listed.window(since, until) if listed else []
        return [event for event in found if event.type == type] if order_id and type else found

    def there(self, kind: str) -> list[Order]:
        """The orders that exist now, oldest first."""
        self.now()
        return [order for order in self.orders[kind].values() if not order.deleted]

    def listed(self, kind: str) -> list[Order]:
        """The orders that lists show now, oldest first."""
        share = self.faults.unlisted if kind == "out" else 0
        there = self.there(kind)
        return [order for order in there if chance(order.id, "unlisted") >= share] if share else there

    def find(self, kind: str, id: str) -> Order | None:
        """One order, if it exists now."""
        self.now()
        order = self.orders[kind].get(id)
        return None if order is None or order.deleted else order

    # --- what may be asked of it ------------------------------------------------------------------------

    def surprise(self) -> str:
        """A port-out nobody expected, of numbers that once ported in, where there are any; made now. Returns its
        id."""
        now = self.now()
        self._surprises += 1
        steps = surprise(self.settings, self._surprises, now, self._ours()).tell(self.faults)
        self._expect(steps)
        self.now()
        return steps[0].order.id

    def _ours(self) -> list[str]:
        """The numbers of one order that ported in and of which none is on its way out."""
        leaving = {number for order in self.there("out") for number in order.numbers}
        ported = [
            order
            for order in self.there("in")
            if order.said["status"] == "ported" and order.numbers and not leaving & {*order.numbers}
        ]
        chosen = min(ported, key=lambda order: chance(order.id, "surprise"), default=None)
        return chosen.numbers[:3] if chosen else []

    def cancel(self, order: Order) -> None:
        """Somebody asks to cancel. What the script still held for the order is dropped."""
        now = self.now()
        order.script += 1
        self._expect(cancellation(order, random.Random(f"{order.id}/cancel"), self.faults, now))
        self.now()

    def leap(self, kind: str) -> bool:
        """Jump to the next row or change of a list; whether there was one that the real clock allows."""
        now = self.now()
        ahead = [at for at, _, what in self._ahead if _kind(what) == kind and at > now]
        ahead += [at for at, _, event in self._hidden if event.feed == kind]
        if not ahead or self.clock.advance_to(min(ahead)) < min(ahead):
            return False
        self.now()
        return True


def _kind(what: Birth | Step) -> str:
    return what.kind if isinstance(what, Birth) else what.order.kind


def _move(line: Line, word: str | None, code: str | None, at: int) -> None:
    """A number takes a word, a carrier code, or both, and its history says so."""
    to, code = word or line.status, code or line.code
    if (to, code) == (line.status, line.code):
        return
    entry: dict[str, Any] = {
        "FdxStatusFrom": line.status,
        "FdxStatusTo": to,
        "CarrierPortingStatusFrom": line.code,
        "CarrierPortingStatusTo": code,
        "Created": at,
    }
    line.history.append(entry)
    line.status, line.code = to, code
