"""What a page of porting requests means: orders, their numbers, and the history of each number."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from aggregator.adapter import (
    NOT_TOLD,
    Announced,
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    Moment,
    NotTold,
    NumberSaid,
    Options,
    OrderRef,
    Page,
    PageChanged,
    Partial,
    Reading,
    References,
    Skipped,
    Source,
    Status,
    Whole,
    Word,
    day,
    document,
    each,
    entries,
    get,
    in_listed_order,
    inner,
    instant,
    is_overlong,
    json_object,
    keep,
    masked,
    named,
    refused,
    sift,
    snapshot,
    text,
    whole,
)
from aggregator.providers.fonedynamics.requests import (
    DEFAULT_PAGE_SIZE,
    asked,
    following,
    key,
    ours,
    page_size,
)

Item = dict[str, Any]

# Left out on purpose: contact name, e-mail and phone, the carrier's account number, addresses, WebHookURL.
ORDER = keep(
    "PortingNo",
    "AccountSid",
    "PropertySid",
    "CurrentCarrier",
    "PreferredPortSchedule",
    "PreferredPortDate",
    "Created",
    "PortDate",
    "Status",
    "PortingNumbers.Number",
    "PortingNumbers.PortType",
    "PortingNumbers.Status",
    free=["CustomerDescription"],
)
LINE = keep("Number", "PortType", "Status")
FIRST = "received"
BEGINNING = frozenset({FIRST, "queued"})
"""The published statuses, with our provider both: what a request may be in from its making on."""
HISTORY = keep(
    "FdxStatusFrom", "FdxStatusTo", "CarrierPortingStatusFrom", "CarrierPortingStatusTo", "Created"
)


def read(page: Page, options: Options) -> Reading:
    """A page of porting requests. It is over when it is empty, or when the total is reached by a page short
    enough to be the last; the token alone never decides (the published last page carries one). A first page that
    is as short, without a token, is the only one of a server that knows no offset, unless its total (which may
    count numbers) speaks of more."""
    own, body = ours(options), json_object(page)
    if inner(body, "ResponseStatus").get("ErrorCode"):
        raise PageChanged("ResponseStatus.ErrorCode in a good reply")
    total, token = whole(body, "TotalCount"), _token(body)
    # A field without a value is left out; with a total of nothing that may be so of the list.
    items = [] if total == 0 and body.get("PortingRequests") is None else get(body, "PortingRequests", list)
    wanted = asked(page.request)
    said, skipped = each(
        _latest(items), lambda item: _said(item, page, options, wanted), "PortingNo", ORDER, key
    )
    received = page.request.received + len(items)
    contradicted = not items and page.request.received == 0 and bool(total)
    short = len(items) < min(DEFAULT_PAGE_SIZE, page_size(page.request))
    reached = total is not None and received >= total and short
    by_token = own.paging == "token" or page.request.param(own.page_token_param) is not None
    numbers = sum(len(entries(item, "PortingNumbers")) for item in items if isinstance(item, dict))
    alone = bool(items) and short and total in (None, numbers)
    return Reading(
        facts=said,
        next=following(page.request, received, token, own) if items else (),
        total=total,
        ids=frozenset(wanted.get(key(no), key(no)) for no in named(items, "PortingNo")),
        items=len(items),
        done=reached if items else not contradicted,
        last=token is None and (by_token or alone),
        more=bool(items) and not reached,
        skipped=skipped,
    )


def _token(body: Item) -> str | None:
    token = text(body, "NextPageToken")
    return None if token is None or is_overlong(token) else token


def _latest(items: list[Any]) -> list[Any]:
    """The items without earlier copies of a request that the same page shows again."""
    nos = [frozenset(map(key, named([item], "PortingNo"))) for item in items]
    last = {no: place for place, no in enumerate(nos) if no}
    return [item for place, item in enumerate(items) if last.get(nos[place], place) == place]


# --- an order -----------------------------------------------------------------------------------------


def _said(item: Item, page: Page, options: Options, wanted: Mapping[str, str]) -> Iterator[Fact | Skipped]:
    id = get(item, "PortingNo", str)
    if wanted and key(id) not in wanted:
        return  # the filter was ignored; what was not asked for is left to the windows
    ref = OrderRef(Direction.PORT_IN, key(id), id)
    lines = entries(item, "PortingNumbers")
    made_at = instant(item, "Created")
    numbers, unread = sift(lines, lambda line: (_number(line),), "Number", LINE, ref.id)
    history, lost = sift(lines, lambda line: _history(line, ref, page, made_at), "Number", LINE, ref.id)
    yield snapshot(
        page,
        ref,
        kept=document({**item, "PortingNo": ref.id}, ORDER),
        status=Status(text(item, "Status")),
        dates=Dates(
            requested=_preferred(item, options.time_zone),
            confirmed=day(item, "PortDate", options.time_zone),
            created=instant(item, "Created"),
        ),
        carriers=Carriers(
            losing=Carrier(text(item, "CurrentCarrier")) if text(item, "CurrentCarrier") else None,
            gaining=Carrier("Fone Dynamics"),
        ),
        references=References(customer=_description(item), sub_account=text(item, "PropertySid")),
        # An order has a number at least; a list without any, or with one that cannot be read, is not whole.
        numbers=None if not numbers else Partial(numbers) if unread else Whole(numbers),
    )
    yield from history
    yield from dict.fromkeys((*unread, *lost))


def _preferred(item: Item, time_zone: str) -> Moment | NotTold | None:
    """`PreferredPortDate` counts only beside the schedule `Date`."""
    if text(item, "PreferredPortSchedule") != "Date":
        return None
    return day(item, "PreferredPortDate", time_zone)


def _description(item: Item) -> str | None:
    """The customer's own words, which serve as the reference."""
    said = text(item, "CustomerDescription")
    return said and masked(said)


def _number(line: Item) -> NumberSaid:
    status = text(line, "Status")
    return NumberSaid(get(line, "Number", str), status=Status(status) if status else NOT_TOLD)


def _history(line: Item, ref: OrderRef, page: Page, made_at: datetime | None) -> Iterator[Fact | Skipped]:
    """`StatusHistory`: entries have no id, so their natural key names them; exact twins get an ordinal."""
    number = get(line, "Number", str)
    seen: dict[str, int] = {}

    def entry(said: Item) -> tuple[Fact]:
        at = instant(said, "Created")
        if at is None:
            raise PageChanged("Created: missing")
        fdx, carrier = _pair(said, "FdxStatus"), _pair(said, "CarrierPortingStatus")
        key = "|".join((ref.id, number, str(int(at.timestamp())), *(word or "" for word in (*fdx, *carrier))))
        if is_overlong(key):
            key = f"{key[:100]}#{blake2b(key.encode(), digest_size=12).hexdigest()}"
        seen[key] = seen.get(key, 0) + 1
        return (_entry(ref, number, at, page, f"{key}|{seen[key]}", fdx, carrier, document(said, HISTORY)),)

    facts, lost = sift(entries(line, "StatusHistory"), entry, "", HISTORY, f"{ref.id}/{number}/history")
    facts = in_listed_order(facts)
    untouched = None if entries(line, "StatusHistory") else text(line, "Status")
    yield from _begun(facts, number, made_at, ref, page, untouched)
    yield from facts
    yield from lost


def _begun(
    history: tuple[Fact, ...],
    number: str,
    made_at: datetime | None,
    ref: OrderRef,
    page: Page,
    status: str | None,
) -> Iterator[Fact]:
    """Where a number's history begins by leaving a status that requests begin in, it was in that one before: since
    the request was made. So it is where nothing was entered yet and it is in the first of all (`status`)."""
    first = min(history, key=lambda fact: (fact.as_of, fact.ordinal), default=None)
    if made_at is None or made_at > (first.as_of if first else page.at):
        return
    if first is None:
        word = status if status is not None and status.casefold() == FIRST else None
    else:
        said = first.announced
        word = said.raw_from if said and said.raw_from != said.raw_to else None
    if word is not None and word.casefold() in BEGINNING:
        numbers = Partial((NumberSaid(number, status=Status(word)),))
        id = f"history/{ref.id}|{number}|begun"
        read_at = page.fetched_at  # no entry of the history, so no cursor moves by it
        yield Fact(ref, Source.EVENT, id, made_at, read_at, looked_at=read_at, numbers=numbers)


def _pair(entry: Item, name: str) -> tuple[str | None, str | None]:
    return text(entry, f"{name}From"), text(entry, f"{name}To")


def _entry(
    ref: OrderRef,
    number: str,
    at: datetime,
    page: Page,
    natural: str,
    fdx: tuple[str | None, str | None],
    carrier: tuple[str | None, str | None],
    kept: str,
) -> Fact:
    """One history entry. From equal to To is history, not a change of state."""
    moved = fdx[1] is not None and fdx[0] != fdx[1]
    said = NumberSaid(
        number,
        status=Status(fdx[1]) if moved else NOT_TOLD,
        carrier_status=Word(carrier[1]) if carrier[1] is not None else NOT_TOLD,
    )
    return Fact(
        order=ref,
        source=Source.EVENT,
        source_id=f"history/{natural}",
        as_of=at,
        read_at=page.fetched_at,
        announced=Announced(
            "porting_status", natural, "status_history", kept, number=number, raw_from=fdx[0], raw_to=fdx[1]
        ),
        numbers=Partial((said,)),
    )


def refusal(page: Page) -> tuple[str, str] | None:
    """Code and message of the `ResponseStatus` of a refusal; None where a reply has none."""
    status = refused(page).get("ResponseStatus")
    if not isinstance(status, dict):
        return None
    return str(status.get("ErrorCode") or ""), str(status.get("Message") or "")
