"""What happened to one order, as sentences: the changes that one read taught us make one, the provider's
announcements that taught us nothing new make their own, and so do the comments.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aggregator.cli import describing, output, telling

if TYPE_CHECKING:
    from aggregator.store.queries import Reader

Row = dict[str, Any]
Moment = tuple[str, str]
"""An instant as the views write it, and what happened then."""
Ours = Callable[[str], str | None]
"""Our word for a provider's, where one is known."""
WROTE = {"us": "we wrote", "provider": "{} wrote", "system": "{}'s system wrote"}


@dataclass(frozen=True, slots=True)
class Life:
    """All that the database holds about one order. `before`: of a port-out that waits for us, whose numbers they
    were."""

    order: Row
    numbers: list[Row]
    reasons: list[Row]
    comments: list[Row]
    changes: list[Row]
    events: list[Row]
    before: str | None = None

    @property
    def provider(self) -> str:
        """The provider as it calls itself."""
        return describing.provider_name(self.order["provider"])


def read(reader: "Reader", order: Row, whole: bool = True) -> Life:
    """An order's life; the `whole` of it has the numbers that moved on to other orders, whose rows those are."""
    here = {"order_id": order["order_id"]}
    views = ("numbers", "reasons", "comments", "changes", "events")
    numbers, reasons, comments, changes, events = (reader.select(view, here) for view in views)
    life = Life(order, numbers, reasons, comments, changes, events)
    if whole:
        query = "select * from v1_changes where kind = 'number_moved' and old_value = :order_id order by seq"
        life.changes.extend(reader.query(query, here))
    query = "select customer_before from v1_waiting where order_id = :order_id"
    waiting = list(reader.query(query, here)) if order["direction"] == "port_out" else []
    return replace(life, before=waiting[0]["customer_before"]) if waiting else life


def history(life: Life, number_key: str | None = None) -> list[Moment]:
    """An order's history, each moment with the time it happened; with a number, only what concerns it."""

    def concerns(row: Row) -> bool:
        return number_key is None or row["number_key"] in (None, number_key)

    moments = [*_learned(life, concerns), *_written(life)]
    if life.order["created_at"]:
        moments.append((life.order["created_at"], f"{life.provider}: created"))
    return moments


def _learned(life: Life, concerns: Callable[[Row], bool]) -> Iterator[Moment]:
    """The changes, and the announcements that no change tells of. What befell several numbers at one time is
    one moment."""
    reasons = {row["code"]: describing.reason(row) for row in life.reasons}
    announced = {row["provider_event_id"]: row for row in life.events}
    batches: dict[tuple[object, ...], list[Row]] = {}
    for row in filter(concerns, life.changes):
        if row["kind"] != "comment_added":
            batches.setdefault((row["batch"], row["late"], row["source"] == "replay"), []).append(row)
    pooled: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    foc: str | None = None
    for rows in batches.values():
        at, who, more = _place(rows, life.provider)
        foc = telling.agreed(rows, foc)
        told = _with_word([row for row in rows if not row["number_key"]], announced)
        said, fates = (
            telling.sentence(told, reasons, None if rows[0]["late"] else foc),
            telling.fates([row for row in rows if row["number_key"]]),
        )
        if said:
            yield at, f"{who}: {'; '.join([said, *telling.together(fates)])}{more}"
        else:
            _pool(pooled, (at, who, more), fates)
    for row in filter(concerns, _untold(life)):
        late = _late(row["first_seen_at"]) if row["late"] else ""
        what = _event(row, _meanings(life.order["account"], life.order["direction"]))
        if row["number_key"]:
            _pool(pooled, (row["occurred_at"], life.provider, late), {what: [row["number_key"]]})
        else:
            yield row["occurred_at"], f"{life.provider}: {what}{late}"
    for (at, who, more), fates in pooled.items():
        yield at, f"{who}: {'; '.join(telling.together(fates))}{more}"


def _pool(
    pooled: dict[tuple[str, str, str], dict[str, list[str]]],
    place: tuple[str, str, str],
    fates: dict[str, list[str]],
) -> None:
    for fate, keys in fates.items():
        pooled.setdefault(place, {}).setdefault(fate, []).extend(keys)


def _place(rows: list[Row], provider: str) -> tuple[str, str, str]:
    """When the rows of one read belong, who said it, and what is to be added about the time."""
    first = rows[0]
    seen = any(row["kind"] == "order_seen" for row in rows)
    if first["source"] == "replay":
        return first["observed_at"], "our words changed", ""
    if first["occurred_at"]:
        heard = " [the first we heard of it]" if seen else ""
        return first["occurred_at"], provider, _late(first["observed_at"]) if first["late"] else heard
    who = f"{'first ' * seen}seen at {provider}"
    before = first["not_before"] and output.when(first["not_before"])
    known = before and not seen and before != output.when(first["observed_at"])
    return first["observed_at"], who, f" [some time after {before}]" if known else ""


def _late(learned_at: str) -> str:
    return f" [late: learned on {output.when(learned_at)}]"


def _with_word(rows: list[Row], announced: dict[str, Row]) -> list[Row]:
    """The rows of an order. A step that was learned late comes without the provider's word: its event has it."""
    told = [{**row, "late": False} for row in rows]
    fields = {row["field"] for row in rows}
    if "state" in fields and "raw_status" not in fields:
        event = announced.get(rows[0]["provider_event_id"], {})
        if event.get("raw_to"):
            word = {"kind": "attribute_changed", "field": "raw_status", "old_value": event["raw_from"]}
            told.append({**word, "new_value": event["raw_to"]})
    return told


def _untold(life: Life) -> Iterator[Row]:
    """The provider's announcements that no change row tells of."""
    told = {row["provider_event_id"] for row in life.changes}
    return (row for row in life.events if row["provider_event_id"] not in told)


def _event(row: Row, ours: Ours) -> str:
    """An announcement in the provider's words, and in ours where they are known."""
    words = [word for word in (row["raw_from"], row["raw_to"]) if word]
    if not words:
        return telling.plain(row["event_type"].rpartition(".")[2])
    theirs = " → ".join(map(telling.quoted, words))
    states = [ours(word) for word in words]
    if None in states:
        return theirs
    if len(states) > 1 and states[0] == states[1]:
        return f"{theirs} = still {telling.plain(states[0])}"
    return f"{theirs} = {' → '.join(map(telling.plain, states))}"


def _written(life: Life) -> Iterator[Moment]:
    for row in life.comments:
        who = WROTE.get(row["author_type"], "{} wrote").format(life.provider)
        body = telling.quoted(row["body"]) if row["body"] else "a comment (its text is not kept)"
        yield row["occurred_at"] or row["observed_at"], f"{who}: {body}"


def _meanings(account: str, direction: str) -> Ours:
    """Our words for an account's, as it is configured now."""
    from aggregator.accounts import account_of
    from aggregator.cli import setup
    from aggregator.core.model import Basis, Vocabulary
    from aggregator.core.normalise import meaning

    config = setup.configuration().accounts.get(account)
    if config is None:
        return lambda raw: None
    words = account_of(config).words
    vocabulary = Vocabulary.PORT_IN if direction == "port_in" else Vocabulary.PORT_OUT

    def ours(raw: str) -> str | None:
        found = meaning(raw, vocabulary, words)
        return None if found.basis is Basis.NONE else found.value

    return ours
