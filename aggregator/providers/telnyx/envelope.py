"""Telnyx's envelopes: lists with `meta`, single objects, and the 404 that says an object is not there."""

from collections.abc import Callable, Iterable
from typing import Any

from aggregator.adapter import (
    Fact,
    Page,
    PageChanged,
    Reading,
    Request,
    Want,
    each,
    get,
    inner,
    json_object,
    text,
    whole,
)
from aggregator.providers.telnyx.requests import following

Item = dict[str, Any]
Said = tuple[Fact, tuple[Want, ...]]
"""What one item says: a fact, and what must still be asked because of it."""


def listed(page: Page, read: Callable[[Item], Iterable[Said]], keep: Any, name: str = "id") -> Reading:
    """A page of a list. It is over when `page_number` reaches `total_pages` or nothing came at all."""
    body = json_object(page)
    items = get(body, "data", list)
    meta = inner(body, "meta")
    said, skipped = each(items, read, name, keep)
    here = whole(meta, "page_number") or int(page.request.param("page[number]") or 1)
    last = whole(meta, "total_pages")
    total = whole(meta, "total_results")
    ids = frozenset(ref for item in items if isinstance(item, dict) and (ref := text(item, name)))
    over = (last is not None and here >= last and bool(items)) or not items
    contradicted = not items and here == 1 and bool(total)
    return Reading(
        facts=tuple(fact for fact, _ in said),
        wants=tuple(want for _, wants in said for want in wants),
        next=() if over else (following(page.request, here + 1),),
        total=total,
        ids=ids,
        items=len(items),
        done=over and not contradicted,
        skipped=skipped,
        more=not over,
    )


def single(page: Page, read: Callable[[Item], Iterable[Said]]) -> Reading:
    """A page with one object under `data`."""
    said = tuple(read(get(json_object(page), "data", dict)))
    return Reading(
        facts=tuple(fact for fact, _ in said),
        wants=tuple(want for _, wants in said for want in wants),
        done=True,
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
