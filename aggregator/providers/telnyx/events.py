"""The two event feeds. Dispatch is on the `event_type` string; a type nobody knows is kept and wakes a read.

https://developers.telnyx.com/docs/numbers/porting/port-in-events and .../port-out-events
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from aggregator.adapter import (
    Announced,
    Carriers,
    Comment,
    Dates,
    Direction,
    Fact,
    KeepTree,
    Link,
    Options,
    OrderRef,
    Page,
    PageChanged,
    Part,
    Partial,
    Reading,
    References,
    Source,
    Status,
    Want,
    Word,
    document,
    get,
    in_listed_order,
    inner,
    instant,
    keep,
    local_date,
    masked,
    text,
    texts,
    told,
)
from aggregator.providers.telnyx import envelope
from aggregator.providers.telnyx.orders import gaining, international, reasons, refusal
from aggregator.providers.telnyx.requests import key

Item = dict[str, Any]
Said = dict[str, Any]

# What of a payload may be stored. Left out on purpose: comment bodies, attempted_pin, subscriber_name, user ids, webhook_url, tokens.
EVENT = keep("id", "event_type", "porting_order_id", "portout_id", "created_at", "updated_at")
_COMMON = ("id", "porting_order_id", "portout_id", "customer_reference", "support_key")
PORT_IN = keep(
    *_COMMON,
    "status.value",
    "status.details.code",
    "created_at",
    "updated_at",
    "deleted_at",
    "messaging.messaging_capable",
    "messaging.enable_messaging",
    "messaging.messaging_port_status",
    "messaging.messaging_port_completed",
    "comment.id",
    "comment.user_type",
    "comment.inserted_at",
    "from.id",
    "to.id",
    "porting_phone_numbers.id",
    free=["status.details.description"],
)
PORT_OUT = keep(
    *_COMMON, "status", "phone_numbers", "carrier_name", "spid", "foc_date", free=["rejection_reason"]
)

PAYLOADLESS = frozenset({"porting_order.loa_updated", "porting_order.sharing_token_expired"})
NEEDS = {
    "porting_order.status_changed": ("status.value",),
    "porting_order.messaging_changed": ("messaging.messaging_port_status",),
    "porting_order.new_comment": ("comment.id", "comment.body"),
    "porting_order.split": ("from.id", "to.id"),
    "porting_order.deleted": ("deleted_at",),
    "portout.status_changed": ("status",),
    "portout.new_comment": ("id", "comment"),
    "portout.foc_date_changed": ("foc_date",),
}
"""What of its payload each type is there for."""
UNNAMED = "unknown"  # the type of an event whose own cannot be read
QUIET = frozenset({"porting_order.sharing_token_expired", "porting_order.deleted"})
"""Types after which the order itself need not be read again."""


def listed(page: Page, feed: str, options: Options) -> Reading:
    """A page of an event feed."""
    found = envelope.listed(page, lambda item: _said(item, page, feed, options), keep_of(feed))
    return replace(found, facts=in_listed_order(found.facts, page.request.received))


def single(page: Page, feed: str, options: Options) -> Reading:
    """One event by id; a 404 says that there is none (any more)."""
    if envelope.is_absent(page):
        return Reading(done=True)
    return envelope.single(page, lambda item: _said(item, page, feed, options))


def keep_of(feed: str) -> KeepTree:
    """What of an event's payload may be stored."""
    return PORT_IN if feed == "porting_events" else PORT_OUT


def _said(item: Item, page: Page, feed: str, options: Options) -> tuple[envelope.Said, ...]:
    id, kind = key(get(item, "id", str)), text(item, "event_type") or UNNAMED
    payload = inner(item, "payload")
    ref, at = _order(item, payload, kind, feed), _created_at(item, payload)
    complete = _is_complete(item, kind, payload)
    # What was said at a time that cannot be read is not known to hold: the order itself tells.
    said = _facets(kind, payload, options) if complete and at else PAYLOADLESS_SAID.get(kind, {})
    status: Status | None = said.get("status")
    fact = Fact(
        order=ref,
        source=Source.EVENT,
        source_id=f"{feed}/{id}",
        as_of=at or page.at,
        looked_at=None if at else page.at,  # a time of ours moves no cursor
        read_at=page.fetched_at,
        announced=Announced(
            feed,
            id,
            kind,
            document(payload, keep_of(feed)) if payload and complete else None,
            complete,
            raw_to=status.raw if status else None,
        ),
        **said,
    )
    return ((fact, _wants(fact, kind, feed)), *((linked, ()) for linked in _linked(fact)))


def _linked(fact: Fact) -> Iterator[Fact]:
    """Whose event a split is, is not documented. It speaks of the order that came out of the other and of that one,
    so it is a fact of both in any case."""
    if fact.link is None:
        return
    for name, id in (("to", fact.link.child), ("from", fact.link.parent)):
        if id is not None and id != fact.order.id:
            other = OrderRef(fact.order.direction, id)
            yield Fact(
                other, Source.EVENT, f"{fact.source_id}/{name}", fact.as_of, fact.read_at, link=fact.link
            )


def _order(item: Item, payload: Item, kind: str, feed: str) -> OrderRef:
    """The order an event belongs to: named on the event, else in its payload."""
    outwards = feed == "portout_events"
    name = "portout_id" if outwards else "porting_order_id"
    own = text(item, name) or text(payload, name)
    if own is None and kind == "porting_order.split":
        own = text(inner(payload, "from"), "id")
    elif own is None and not kind.endswith(".new_comment"):  # there it is the comment's
        own = text(payload, "id")
    if own is None:
        raise PageChanged(f"{name}: missing")
    return OrderRef(Direction.PORT_OUT if outwards else Direction.PORT_IN, key(own), own)


def _created_at(item: Item, payload: Item) -> datetime | None:
    """`created_at`; one schema puts it inside the payload, so it is looked for there too. None where there is no
    time that can be read."""
    return (
        instant(item, "created_at")
        or instant(payload, "created_at")
        or instant(payload, "deleted_at")
        or instant(item, "updated_at")
    )


def _is_complete(item: Item, kind: str, payload: Item) -> bool:
    """Whether the payload is whole: the provider says so, or all that its type needs is there. While it is still
    being made, an event is only a signal."""
    if kind in PAYLOADLESS:
        return True
    if not payload or item.get("payload_status") == "completed":
        return bool(payload)
    if kind not in NEEDS:
        return item.get("payload_status") != "created"
    there = all(_is_there(payload, path) for path in NEEDS[kind])
    if there and kind == "porting_order.status_changed" and payload["status"].get("value") == "exception":
        return "details" in payload["status"]  # which say why
    return there


def _is_there(payload: Item, path: str) -> bool:
    value: object = payload
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value not in (None, "")


def _facets(kind: str, payload: Item, options: Options) -> Said:
    """What the payload tells."""
    reader = READERS.get(kind)
    return reader(payload, options) if reader and payload else PAYLOADLESS_SAID.get(kind, {})


def _wants(fact: Fact, kind: str, feed: str) -> tuple[Want, ...]:
    orders = [] if kind in QUIET else [fact.order.id]
    if fact.link is not None:
        orders += [id for id in (fact.link.parent, fact.link.child) if id and id not in orders]
    wanted = [(Part.ORDER, id) for id in orders]
    complete = fact.announced is not None and fact.announced.complete
    if fact.comment is None and kind.endswith(".new_comment"):
        wanted.append((Part.COMMENTS, fact.order.id))
    at, cause = fact.as_of, fact.source_id
    wants = [Want(part, id, fact.order.direction, since=at, because=cause) for part, id in wanted]
    if not complete and fact.announced is not None:
        wants.append(Want(Part.EVENT, fact.announced.key, feed=feed, since=at, because=cause))
    return tuple(wants)


# --- payloads by type -----------------------------------------------------------------------------------


AUTHORS = {"user": "us", "admin": "provider", "system": "system"}


def _references(payload: Item) -> References:
    return References(customer=told(payload, "customer_reference"), support_key=told(payload, "support_key"))


def _status_changed(payload: Item, options: Options) -> Said:
    status = inner(payload, "status")
    said: Said = {"references": _references(payload)}
    if (raw := text(status, "value")) is not None:
        said["status"] = Status(raw, reasons(status))
    return said


def _messaging_changed(payload: Item, options: Options) -> Said:
    raw = text(inner(payload, "messaging"), "messaging_port_status")
    return {"references": _references(payload), **({"messaging": Word(raw)} if raw else {})}


def _new_comment(payload: Item, options: Options) -> Said:
    comment = inner(payload, "comment")
    body = text(comment, "body")
    kept = masked(body) if body and options.keep_comments else None
    id, who = text(comment, "id"), text(comment, "user_type") or "unknown"
    at = instant(comment, "inserted_at")
    return {"comment": Comment(key(id), AUTHORS.get(who, who), kept, at)} if id else {}


def _split(payload: Item, options: Options) -> Said:
    ids = text(inner(payload, "from"), "id"), text(inner(payload, "to"), "id")
    parent, child = (key(id or "") for id in ids)
    return {"link": Link(parent, child)} if parent and child and parent != child else {}


def _deleted(payload: Item, options: Options) -> Said:
    return {
        "deleted": True,
        "deleted_at": instant(payload, "deleted_at"),
        "references": _references(payload),
    }


def _portout_status(payload: Item, options: Options) -> Said:
    numbers = tuple(map(international, texts(payload, "phone_numbers")))
    said: Said = {
        "carriers": Carriers(gaining=gaining(payload)),
        **({"numbers": Partial(numbers)} if numbers else {}),
    }
    if (raw := text(payload, "status")) is not None:
        said["status"] = Status(raw, refusal(payload, "rejection_reason"))
    return said


def _portout_comment(payload: Item, options: Options) -> Said:
    body = text(payload, "comment")
    kept = masked(body) if body and options.keep_comments else None
    id, author = text(payload, "id"), "us" if text(payload, "user_id") else "provider"
    return {"comment": Comment(key(id), author, kept)} if id else {}


def _foc_date(payload: Item, options: Options) -> Said:
    if "foc_date" not in payload:
        return {}
    return {"dates": Dates(confirmed=local_date(payload, "foc_date", options.time_zone))}


READERS: dict[str, Callable[[Item, Options], Said]] = {
    "porting_order.status_changed": _status_changed,
    "porting_order.messaging_changed": _messaging_changed,
    "porting_order.new_comment": _new_comment,
    "porting_order.split": _split,
    "porting_order.deleted": _deleted,
    "portout.status_changed": _portout_status,
    "portout.new_comment": _portout_comment,
    "portout.foc_date_changed": _foc_date,
}
PAYLOADLESS_SAID: dict[str, Said] = {
    "porting_order.loa_updated": {"documents_changed": True},
    "porting_order.deleted": {"deleted": True},
}
