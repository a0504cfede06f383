"""Where a list ended that is too long for one poll, kept as text in its feed's run record."""

import json
from collections.abc import Container, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from aggregator.core.model import Request

DIGITS = 12  # of an id's digest: two of a million orders have the same one in one of five hundred lists


def digests(ids: Iterable[str]) -> frozenset[str]:
    """A few characters for each id."""
    return frozenset(blake2b(id.encode(), digest_size=DIGITS // 2).hexdigest() for id in ids)


class Shown(Container[str]):
    """The ids that a list showed over several polls. One that it did not show may be taken for one that it did (so
    that its absence is found by the next list), never the other way round."""

    def __init__(self, before: frozenset[str], ids: Set[str]) -> None:
        self.before, self.ids = before, ids

    def __contains__(self, id: object) -> bool:
        return id in self.ids or not digests([str(id)]).isdisjoint(self.before)


@dataclass(frozen=True, slots=True)
class Place:
    """The last page that was read, which is read again when the list goes on: `ids` are what it held, so that rows
    which moved meanwhile show. `rows` came up to and with it, of the `total` that the provider counted when the list
    began, at `started_at` (the provider's time)."""

    request: Request
    ids: frozenset[str]
    rows: int
    total: int | None
    started_at: datetime | None
    #: The ids that came up to here, each as a short digest; and how many open orders were asked for by id meanwhile.
    shown: frozenset[str] = frozenset()
    reread: int = 0

    def written(self) -> str:
        """As JSON text."""
        said = {
            "path": self.request.path,
            "params": self.request.params,
            "received": self.request.received,
            "ids": sorted(self.ids),
            "rows": self.rows,
            "total": self.total,
            "started_at": self.started_at and self.started_at.isoformat(),
            "shown": "".join(sorted(self.shown)),
            "reread": self.reread,
        }
        return json.dumps(said)


def place_of(text: str | None) -> Place | None:
    """A place as it was written; None where there is none, or one of another version."""
    try:
        said = json.loads(text or "null")
        request = Request(
            said["path"], tuple((name, value) for name, value in said["params"]), said["received"]
        )
        started_at = said["started_at"] and datetime.fromisoformat(said["started_at"])
        text = said["shown"]
        shown = frozenset(text[at : at + DIGITS] for at in range(0, len(text), DIGITS))
        return Place(
            request, frozenset(said["ids"]), said["rows"], said["total"], started_at, shown, said["reread"]
        )
    except (ValueError, TypeError, KeyError):
        return None
