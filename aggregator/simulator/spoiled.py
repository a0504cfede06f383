"""Faults of single items and of lists, drawn from the seed and the number of the list."""

import random
from typing import Any

from aggregator.simulator.settings import Faults

_draws = random.Random("items")


def seed(value: int) -> None:
    """Begin the draws anew, so that equal requests meet equal faults."""
    _draws.seed(f"items/{value}")


def listed(faults: Faults, items: list[Any], frozen: bool, page: int = 1) -> list[Any]:
    """A list with some of its items twice in a row (always the same ones), and, unless its window is frozen,
    shifted by one born while it was paged."""
    if faults.duplicate:
        items = [item for one in items for item in ([one, one] if _chosen(one, faults.duplicate) else [one])]
    if faults.drift and not frozen and page > 1 and items and _draws.random() < faults.drift:
        items = [items[0], *items]
    return items


def _chosen(item: Any, share: float) -> bool:
    id = getattr(item, "id", None) or str(item)
    return random.Random(f"duplicate/{id}").random() < share


def items(faults: Faults, shown: list[dict[str, Any]], name: str) -> list[Any]:
    """The items with some that cannot be read: the id is missing, or a time is a list."""
    if not faults.unreadable_item:
        return shown
    return [_broken(item, name) if _draws.random() < faults.unreadable_item else item for item in shown]


def _broken(item: dict[str, Any], name: str) -> Any:
    fault = _draws.choice(("no id", "wrong type", "not an object"))
    if fault == "no id":
        return {key: value for key, value in item.items() if key != name}
    if fault == "wrong type":
        return {**item, "created_at": ["yesterday"], "Created": ["yesterday"]}
    return "unreadable"
