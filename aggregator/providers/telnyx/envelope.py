"""Telnyx's envelopes: lists with `meta`, single objects, and the 404 that says an object is not there."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aggregator.adapter import (
    Fact,
    Page,
    PageChanged,
    Reading,
    Request,
    Skipped,
    Want,
    each,
    get,
    inner,
    json_object,
    named,
    one,
    refused,
    whole,
)
from aggregator.providers.telnyx.requests import following, key

Item = dict[str, Any]
IDS = ("id", "porting_order_id")
Said = tuple[Fact, tuple[Want, ...]]
"""A fact, and what must still be asked because of it."""


def listed(
    page: Page, read: Callable[[Item], Iterable[Said | Skipped]], keep: Any, name: str = "id", *within: str
) -> Reading:
    """A page of a list. It is over when its last page is reached or nothing came at all; an empty page
    while the provider counts more than came is no end."""
    body = json_object(page)
    items = get(body, "data", list)
    meta = inner(body, "meta")
    said, skipped = each(items, read, name, keep, key)
    here = int(page.request.param("page[number]") or whole(meta, "page_number") or 1)
    last, total = whole(meta, "total_pages"), whole(meta, "total_results")
    over = not items or (bool(last) and here >= (last or 0))  # "0 pages" above items means nothing
    received = page.request.received + len(items)
    contradicted = not items and total is not None and received < total
    return replace(
        _reading(said, skipped),
        next=() if over else (following(page.request, here + 1, received),),
        total=total,
        ids=frozenset(map(key, named(items, name, *within))),
        items=len(items),
        done=over and not contradicted,
        more=not over,
    )


def single(page: Page, read: Callable[[Item], Iterable[Said | Skipped]]) -> Reading:
    """A page with one object under `data`, which must be the one that was asked for."""
    item = get(json_object(page), "data", dict)
    if key(get(item, "id", str)) != asked(page):
        raise PageChanged(f"{page.request.path}: another id than the one asked for")
    return replace(_reading(*one(item, read, "id", key)), done=True)


def keyed(item: Item) -> Item:
    """An item with its ids in the form in which they are compared: in another case it says nothing else."""
    ids = {name: key(id) for name in IDS if isinstance(id := item.get(name), str)}
    return {**item, **ids}


def asked(page: Page) -> str:
    """The id at the end of the path that was asked for."""
    return key(unquote(page.request.path.rsplit("/", 1)[1]))


def _reading(said: Iterable[Said], skipped: tuple[Skipped, ...]) -> Reading:
    said = tuple(said)
    return Reading(
        facts=tuple(fact for fact, _ in said),
        wants=tuple(want for _, wants in said for want in wants),
        skipped=skipped,
    )


def is_absent(page: Page) -> bool:
    """Whether this is the provider's own "not found": a 404 with its error envelope, or with no body at all
    (the spec gives these operations a status line without a body). A foreign page with a 404 is neither."""
    if page.status != 404:
        return False
    if not page.body.strip():
        return True
    body = json_object(Page(Request(page.request.path), 200, page.body, page.fetched_at, None))
    if not isinstance(body.get("errors"), list):
        raise PageChanged(f"{page.request.path}: a 404 without the error envelope")
    return True


TOO_MANY = frozenset({"10011"})
"""Codes of "too many requests", which come with other statuses than 429 too."""


def refusal(page: Page) -> tuple[str, str] | None:
    """Code and title of the first of the `errors` of a refusal; None where a reply has none."""
    errors = refused(page).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return (str(first.get("code") or ""), str(first.get("title") or "")) if isinstance(first, dict) else None
