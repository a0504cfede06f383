"""The recorded replies under `fixtures/`, and what each of them is expected to say.

A recording is one JSON file: where it comes from, the request, the status, when it was fetched, the body, and
in `keeps` which of the adapter's keep trees holds for which part of the body. Beside it stands what it says,
normalised, in `<case>.expected.json`, and what that comes to in a database (`golden.py`), in `<case>.views.json`.
After a change that is meant, write those anew and read the difference:

    python tests/recordings.py
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from made import account

from aggregator.core.account import Account
from aggregator.core.model import NOT_TOLD, Fact, OrderRef, Page, Partial, Reading, Request, Whole
from aggregator.core.normalise import normalise

FIXTURES = Path(__file__).parent / "fixtures"
BODIES = ("document", "payload")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded reply."""

    provider: str
    name: str
    request: Request
    status: int
    fetched_at: datetime
    body: Any
    keeps: Mapping[str, str]
    options: Mapping[str, Any]

    @property
    def account(self) -> Account:
        """An account whose provider sent this reply."""
        return _account(self.provider, tuple(self.options.items()))

    @property
    def expected(self) -> Path:
        """The file that holds what the reply says."""
        return FIXTURES / self.provider / f"{self.name}.expected.json"

    def page(self, body: Any = NOT_TOLD, later: timedelta = timedelta(0)) -> Page:
        """The reply as it came, or with another body."""
        said = self.body if body is NOT_TOLD else body
        raw = (
            said
            if isinstance(said, bytes)
            else json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace")
        )
        return Page(self.request, self.status, raw, self.fetched_at + later, None)

    def read(self, body: Any = NOT_TOLD, later: timedelta = timedelta(0)) -> Reading:
        """What the adapter reads from it."""
        account = self.account
        return account.adapter.read(self.page(body, later), account.options)

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


@cache
def _account(provider: str, options: tuple[tuple[str, Any], ...]) -> Account:
    return account(provider, **dict(options))


def recordings(provider: str | None = None) -> tuple[Recording, ...]:
    """Every recording, or those of one provider."""
    paths = sorted(FIXTURES.glob(f"{provider or '*'}/*.json"))
    said = (".expected.json", ".views.json")
    return tuple(_recording(path) for path in paths if not path.name.endswith(said))


def recording(provider: str, name: str) -> Recording:
    """One recording by its name."""
    return _recording(FIXTURES / provider / f"{name}.json")


def _recording(path: Path) -> Recording:
    said = json.loads(path.read_text("utf-8"))
    return Recording(
        provider=path.parent.name,
        name=path.stem,
        request=Request(said["request"]["path"], tuple(said["request"].get("params", {}).items())),
        status=said["status"],
        fetched_at=datetime.fromisoformat(said["fetched_at"]),
        body=said["body"],
        keeps=said.get("keeps", {}),
        options=said.get("options", {}),
    )


# --- what a reading says, as JSON -----------------------------------------------------------------------


def said(reading: Reading, account: Account) -> dict[str, Any]:
    """A reading with its facts normalised, as plain JSON; what is not told is left out."""
    facts = tuple(normalise(fact, account.words) for fact in reading.facts)
    plain = _plain(replace(reading, facts=facts))
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, OrderRef):
        return f"{value.direction}/{value.id}"
    if isinstance(value, Whole | Partial):
        return {type(value).__name__.lower(): [_plain(number) for number in value.numbers]}
    if isinstance(value, Request):
        return {"path": value.path, "params": dict(value.params), "received": value.received}
    if is_dataclass(value):
        return dict(_told(value))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value


def _told(value: Any) -> Iterator[tuple[str, Any]]:
    for column in fields(value):
        said = getattr(value, column.name)
        if (
            said is NOT_TOLD
            or (said is None and column.default is None)
            or (not column.compare and said == column.default)  # bookkeeping, not what was read
            or (said == () == column.default)
        ):
            continue
        yield column.name, json.loads(said) if column.name in BODIES and said else _plain(said)


def text_of(reading: Reading, account: Account) -> str:
    """The text of an expected file."""
    return json.dumps(said(reading, account), indent=1, ensure_ascii=False) + "\n"


def without_comments(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Facts without the bodies of comments, the only free text that is kept whole, in one place of its own."""
    return tuple(
        fact if fact.comment is None else replace(fact, comment=replace(fact.comment, body=None))
        for fact in facts
    )


if __name__ == "__main__":
    for each in recordings():
        each.expected.write_text(text_of(each.read(), each.account), "utf-8")
    from golden import write

    write()
