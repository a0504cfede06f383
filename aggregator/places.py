"""Where a list ended that is too long for one poll, kept as text in its feed's run record."""

import json
from dataclasses import dataclass
from datetime import datetime

from aggregator.core.model import Request


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
        return Place(request, frozenset(said["ids"]), said["rows"], said["total"], started_at)
    except (ValueError, TypeError, KeyError):
        return None
