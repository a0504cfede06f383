"""What a Telnyx page means: the dispatch by path, and the pages of numbers and comments."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aggregator.adapter import (
    Comment,
    Direction,
    Fact,
    Options,
    OrderRef,
    Page,
    PageChanged,
    Part,
    Partial,
    Reading,
    Request,
    get,
    instant,
    joined,
    json_object,
    keep,
    masked,
    snapshot,
    text,
)
from aggregator.providers.telnyx import envelope, events, orders, tasks
from aggregator.providers.telnyx.requests import CANCEL, EVENT_PATHS, key

Item = dict[str, Any]
LONGEST_CODE, LONGEST_TEXT = 200, 500  # characters of a reason and of what it means

COMMENT = keep("id", "porting_order_id", "portout_id", "user_type", "created_at")
KEEP = {
    "event": events.EVENT,
    "porting_event.payload": events.PORT_IN,
    "portout_event.payload": events.PORT_OUT,
    "order": orders.PORT_IN,
    "portout": orders.PORT_OUT,
    "number": orders.NUMBER,
    "comment": COMMENT,
    "activation_job": tasks.JOB,
    "action_requirement": tasks.REQUIREMENT,
}
DIRECTIONS = {"porting_orders": Direction.PORT_IN, "portouts": Direction.PORT_OUT}
FEEDS = {path: feed for feed, path in EVENT_PATHS.items()}


def read(page: Page, options: Options) -> Reading:
    """What a page says. Raises PageChanged for a page of another kind than its path promises. What was asked goes
    by the place of each part of the path, never by how it ends: an order may have any id, `comments` too."""
    path = page.request.path
    match path.split("/")[1:]:
        case ["porting", "events"]:
            return events.listed(page, "porting_events", options)
        case ["portouts", "events"] if page.request.param("page[number]"):  # else the port-out of that id
            return events.listed(page, "portout_events", options)
        case [("porting" | "portouts") as kind, "events", _]:
            return events.single(page, FEEDS[f"/{kind}/events"], options)
        case ["porting_orders", "exception_types"] if not page.request.params:  # else the order of that id
            return Reading(done=True, texts=tuple(_texts(get(json_object(page), "data", list))))
        case ["porting_phone_numbers"]:
            return _numbers(page)
        case ["porting_orders" | "portouts", _, "comments"]:
            return _comments(page, options)
        case ["porting_orders", _, "activation_jobs"]:
            return tasks.jobs(page)
        case ["porting_orders", _, "action_requirements"]:
            return tasks.requirements(page)
        case ["porting_orders", _, "actions", "cancel"]:
            if page.status == 404:
                raise PageChanged(f"{path}: the provider does not know the order")
            page = replace(page, request=Request(path.removesuffix(CANCEL)))
            return orders.single(page, Direction.PORT_IN, options)
        case [("porting_orders" | "portouts") as kind]:
            return orders.listed(page, DIRECTIONS[kind], options)
        case [("porting_orders" | "portouts") as kind, _]:
            return orders.single(page, DIRECTIONS[kind], options)
    raise PageChanged(f"{path}: not a path of ours")


def _texts(items: list[Any]) -> Iterator[tuple[str, str]]:
    """What each reason's code means; an entry that is none is left out."""
    for item in items:
        code, said = (item.get("code"), item.get("description")) if isinstance(item, dict) else (None, None)
        if isinstance(code, str) and isinstance(said, str) and code and said.strip():
            yield code[:LONGEST_CODE], masked(said.strip()[:LONGEST_TEXT])


def _numbers(page: Page) -> Reading:
    """A page of one order's numbers. The filter is not declared, so what belongs to others is left alone."""
    asked = key(page.request.param("filter[porting_order_id]") or "")
    ref = OrderRef(Direction.PORT_IN, asked)

    def said(line: Item) -> tuple[envelope.Said, ...]:
        number = orders.number(line)
        if key(text(line, "porting_order_id") or asked) != asked:
            return ()
        fact = snapshot(
            page, ref, Part.NUMBERS, kept=orders.numbers_document([line]), numbers=Partial((number,))
        )
        return ((fact, ()),)

    reading = envelope.listed(page, said, orders.NUMBER, "phone_number", "porting_order_id")
    return replace(reading, facts=_joined(reading.facts))


def _joined(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """The lines of one page as one fact."""
    if not facts:
        return ()
    numbers = tuple(said for fact in facts if fact.numbers for said in fact.numbers.numbers)
    kept = joined(fact.document or "[]" for fact in facts)
    return (replace(facts[0], numbers=Partial(numbers), document=kept),)


def _comments(page: Page, options: Options) -> Reading:
    """A page of an order's comments; each is a fact of its own time."""
    if envelope.is_absent(page):
        return Reading(done=True)
    _, kind, id, _ = page.request.path.split("/")
    ref = OrderRef(DIRECTIONS[kind], key(unquote(id)))

    def said(item: Item) -> tuple[envelope.Said, ...]:
        body, who = text(item, "body"), text(item, "user_type")
        if who is None:
            who = "user" if text(item, "user_id") else "admin"
        at = instant(item, "created_at")
        comment = Comment(
            key(get(item, "id", str)),
            events.AUTHORS.get(who, who),
            masked(body) if body and options.keep_comments else None,
            at,
        )
        fact = snapshot(page, ref, Part.COMMENTS, updated_at=at, comment=comment)
        return ((replace(fact, source_id=f"comment:{comment.id}", deleted=None), ()),)

    return envelope.listed(page, said, COMMENT)
