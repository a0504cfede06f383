"""Faults of lists and of single items, drawn from the seed: equal requests in equal order meet equal faults."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aggregator.simulator.things import chance, stale
from aggregator.simulator.world import World

Item = dict[str, Any]
ITEM_FAULTS = ("unreadable_item", "wrong_type", "nulls", "new_fields", "odd_text")
TEXTS = ("customer_reference", "description", "CustomerDescription", "body")
ODD = "\x00Acme \ud83d Dental \x1b[31m\u202e\n=1+1"


@dataclass(frozen=True, slots=True)
class Copy:
    """A thing that a list shows once more, because of this knob."""

    thing: Any
    knob: str


class Spoiled:
    """Plays the knobs of the group of lists."""

    def __init__(self, world: World) -> None:
        self.world, self.faults = world, world.faults
        self._draws = random.Random(f"{world.settings.seed}/items")

    def hit(self, knob: str) -> bool:
        """Whether this knob strikes now; counted if so."""
        share: float = getattr(self.faults, knob)
        if not share or self._draws.random() >= share:
            return False
        self.world.injected[knob] += 1
        return True

    def drift(self, kind: str, later: bool) -> None:
        """Before a later page, let time pass until the next row of the list is born or changes."""
        faults = self.faults
        if later and faults.drift and self._draws.random() < faults.drift and self.world.leap(kind):
            self.world.injected["drift"] += 1

    def arranged(self, things: list[Any]) -> list[Any]:
        """A list that has no stated order, in the order of the knob."""
        if self.faults.list_order == "newest":
            return things[::-1]
        if self.faults.list_order == "shuffled":
            return sorted(things, key=lambda thing: chance(thing.id, "order"))
        return things

    def listed(self, things: Sequence[Any], later: bool) -> tuple[Sequence[Any], int]:
        """A list with its copies, and what a page tells as its total."""
        if self.faults.duplicate or self.faults.twin:
            things = [copy for thing in things for copy in self._copies(thing)]
        total = len(things)
        if later and total and self.hit("leave"):
            things = things[1:]
            total -= self.faults.leave_style == "counted"
        return things, total

    def _copies(self, thing: Any) -> list[Any]:
        id = _id(thing)
        found = [thing]
        if chance(id, "twin") < self.faults.twin:
            found.insert(_newer_first(thing), Copy(stale(thing), "twin"))
        if chance(id, "duplicate") < self.faults.duplicate:
            found.append(Copy(thing, "duplicate"))
        return found

    def unwrapped(self, things: Sequence[Any]) -> list[Any]:
        """The things of one page; copies are counted."""
        found = []
        for thing in things:
            if isinstance(thing, Copy):
                self.world.injected[thing.knob] += 1
                thing = thing.thing
            found.append(thing)
        return found

    @property
    def touches_items(self) -> bool:
        """Whether any knob changes single items."""
        return any(getattr(self.faults, knob) for knob in ITEM_FAULTS)

    def items(self, shown: list[Item], name: str) -> list[Any]:
        """Items as they leave us; `name` is the field of their id."""
        return [self._spoiled(item, name) for item in shown] if self.touches_items else list(shown)

    def _spoiled(self, item: Item, name: str) -> Any:
        item = json.loads(json.dumps(item))  # a copy, so that what is cached stays whole
        if self.faults.odd_text and chance(str(item.get(name)), "odd_text") < self.faults.odd_text:
            odd = {text: ODD for text in TEXTS if isinstance(item.get(text), str)}
            self.world.injected["odd_text"] += bool(odd)
            item.update(odd)
        if self.hit("new_fields"):
            item.update({"moon_phase": {"name": "full", "share": 0.99}, "x-trace": [1, None, "a"]})
        others = sorted(set(item) - {name, "status", "Status", "id"})
        if self.hit("nulls"):
            item[self._draws.choice(others)] = None
        if self.hit("wrong_type"):
            field = self._draws.choice(others)
            item[field] = _other_type(item[field])
        return self._unreadable(item, name) if self.hit("unreadable_item") else item

    def _unreadable(self, item: Item, name: str) -> Any:
        fault = self._draws.choice(("no id", "mistyped time", "no object"))
        if fault == "no id":
            return {key: value for key, value in item.items() if key != name}
        if fault == "mistyped time":
            return {**item, "created_at": ["yesterday"], "Created": ["yesterday"]}
        return "unreadable"


def _id(thing: Any) -> str:
    """What tells one thing of a list from another."""
    if isinstance(thing, tuple):
        return f"{thing[0].id}/{thing[1]}"
    return str(thing["id"] if isinstance(thing, dict) else thing.id)


def _newer_first(thing: Any) -> bool:
    """Telnyx says which copy is newer, so either may come first; of Fone Dynamics' the last one counts."""
    return getattr(thing, "kind", "") != "fone" and chance(_id(thing), "side") < 0.5


def _other_type(value: Any) -> Any:
    if isinstance(value, str):
        return {"odd": value}
    return "odd" if isinstance(value, (dict, list)) else ["odd"]
