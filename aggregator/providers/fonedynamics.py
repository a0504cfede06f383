"""Fone Dynamics: port-in status pages of an Australian provider, by From/To window, offset or token.

Reference pages *get-porting-status* and *post-porting-request* of fonedynamics.com. Two status words and one
carrier code are published, so most of what comes is mapped by guess or not at all, and stays open.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from aggregator.adapter import (
    NOT_TOLD,
    Adapter,
    Announced,
    Ask,
    Auth,
    Basis,
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    FeedDefaults,
    FeedKind,
    Meaning,
    NumberSaid,
    Options,
    OrderRef,
    Orders,
    Pacing,
    Page,
    PageChanged,
    Partial,
    Reading,
    References,
    Request,
    Skipped,
    Source,
    State,
    Status,
    Vocabulary,
    Whole,
    Window,
    document,
    each,
    get,
    inner,
    instant,
    json_object,
    keep,
    local_date,
    several,
    snapshot,
    text,
    whole,
)

Item = dict[str, Any]

_GUESS = {
    State.DRAFT: ("draft",),
    State.WITH_PROVIDER: ("new", "pending", "processing", "inprogress"),
    State.WITH_CARRIER: ("submitted", "senttocarrier"),
    State.SCHEDULED: ("accepted", "approved", "scheduled", "confirmed"),
    State.EXCEPTION: ("rejected", "failed", "error"),  # a rejected Cat-A port is normally sent again
    State.PORTED: ("completed", "complete", "ported"),
    State.CANCELLED: ("cancelled", "canceled", "withdrawn"),
}
# get-porting-status publishes these two, without a meaning; the rest is what the field usually says.
WORDS = {
    "Received": Meaning(State.WITH_PROVIDER, Basis.INFERRED),
    "Queued": Meaning(State.WITH_PROVIDER, Basis.INFERRED),
    **{word: Meaning(state, Basis.GUESS) for state, words in _GUESS.items() for word in words},
}

# Left out on purpose: contact name, e-mail and phone, the carrier's account number, addresses, WebHookURL.
ORDER = keep(
    "PortingNo",
    "AccountSid",
    "PropertySid",
    "CustomerDescription",
    "CurrentCarrier",
    "PreferredPortSchedule",
    "PreferredPortDate",
    "Created",
    "PortDate",
    "Status",
    "PortingNumbers.Number",
    "PortingNumbers.PortType",
    "PortingNumbers.Status",
)
HISTORY = keep(
    "FdxStatusFrom", "FdxStatusTo", "CarrierPortingStatusFrom", "CarrierPortingStatusTo", "Created"
)

PAGE_SIZE = 50
DEFAULT_PAGE_SIZE = 20  # what the server gives when nothing is asked for, and may clamp to
BATCH = 50  # order numbers in one request: keeps the query string below the 2,048 bytes of IIS


@dataclass(frozen=True, kw_only=True)
class FoneDynamics(Options):
    """The account keys of Fone Dynamics. `property_sid` polls one property in place of the account."""

    account_sid: str
    property_sid: str | None = None
    paging: Literal["auto", "token", "offset"] = "auto"
    page_token_param: str = "NextPageToken"
    guess_statuses: bool = True


def plan(ask: Ask, options: Options) -> tuple[Request, ...]:
    """The first request of each chain: one for a window, one for each fifty orders asked for by number."""
    own = _own(options)
    scope = (
        f"/Properties/{quote(own.property_sid)}"
        if own.property_sid
        else f"/Accounts/{quote(own.account_sid)}"
    )
    path = f"{scope}/Porting/Status"
    if isinstance(ask, Window):
        if ask.until is None:
            raise ValueError("a Fone Dynamics window needs both ends")
        return (Request(path, _span(ask.since, ask.until)),)
    if isinstance(ask, Orders):
        if ask.until is None:
            raise ValueError("Fone Dynamics orders are asked for within a window")
        since = (ask.since or datetime.fromtimestamp(86_400, UTC)) - timedelta(days=1)
        batches = (ask.ids[at : at + BATCH] for at in range(0, len(ask.ids), BATCH))
        return tuple(
            Request(path, (*_span(since, ask.until), ("PortingRequestNumbers", ",".join(batch))))
            for batch in batches
        )
    raise ValueError(f"Fone Dynamics cannot be asked for {type(ask).__name__}")


def milder(request: Request) -> Request | None:
    """The same request without a page size, should the server refuse ours; None when it had none."""
    params = tuple(param for param in request.params if param[0] != "Results_Count")
    return Request(request.path, params, request.received) if params != request.params else None


def _own(options: Options) -> FoneDynamics:
    if not isinstance(options, FoneDynamics):
        raise TypeError("not the options of Fone Dynamics")
    return options


def _span(since: datetime, until: datetime) -> tuple[tuple[str, str], ...]:
    count = ("Results_Count", str(PAGE_SIZE))
    return (("From", str(int(since.timestamp()))), ("To", str(int(until.timestamp()))), count)


# --- a page ---------------------------------------------------------------------------------------------


def read(page: Page, options: Options) -> Reading:
    """A page of porting requests. It is over when it is empty, or when the total is reached by a page short
    enough to be the last; the token alone never decides (the published last page carries one)."""
    body = json_object(page)
    if inner(body, "ResponseStatus").get("ErrorCode"):
        raise PageChanged("ResponseStatus.ErrorCode in a good reply")
    items = get(body, "PortingRequests", list)
    asked = _asked(page.request)
    lost: list[Skipped] = []
    said, skipped = each(items, lambda item: _facts(item, page, options, asked, lost), "PortingNo", ORDER)
    total = whole(body, "TotalCount")
    token = text(body, "NextPageToken")
    own = _own(options)
    received = page.request.received + len(items)
    contradicted = not items and page.request.received == 0 and bool(total)
    reached = total is not None and received >= total and len(items) < DEFAULT_PAGE_SIZE
    return Reading(
        facts=said,
        next=_next(page.request, received, token, own) if items else (),
        total=total,
        ids=frozenset(no for item in items if isinstance(item, dict) and (no := text(item, "PortingNo"))),
        items=len(items),
        done=reached if items else not contradicted,
        last=token is None and page.request.param(own.page_token_param) is not None,
        more=bool(items) and not reached,
        skipped=(*skipped, *lost),
    )


def _asked(request: Request) -> frozenset[str]:
    return frozenset((request.param("PortingRequestNumbers") or "").split(",")) - {""}


def _next(request: Request, received: int, token: str | None, own: FoneDynamics) -> tuple[Request, ...]:
    """The ways on, best first. A token that equals the next offset goes out as the offset; the way that led
    here is tried first again. How a token is sent back is not documented, hence `page_token_param`."""
    window = tuple(p for p in request.params if p[0] not in ("Results_Skip", own.page_token_param))
    offset = Request(request.path, (*window, ("Results_Skip", str(received))), received)
    if token is None:
        return () if own.paging == "token" else (offset,)
    by_token = Request(request.path, (*window, (own.page_token_param, token)), received)
    if own.paging != "auto":
        return (by_token,) if own.paging == "token" else (offset,)
    came_by_token = request.param(own.page_token_param) is not None
    came_by_offset = request.param("Results_Skip") is not None
    offset_first = came_by_offset or (token == str(received) and not came_by_token)
    return (offset, by_token) if offset_first else (by_token, offset)


# --- an order -------------------------------------------------------------------------------------------


def _facts(
    item: Item, page: Page, options: Options, asked: frozenset[str], lost: list[Skipped]
) -> tuple[Fact, ...]:
    id = get(item, "PortingNo", str)
    if asked and id not in asked:
        return ()  # the filter was ignored; what was not asked for is left to the windows
    ref = OrderRef(Direction.PORT_IN, id)
    lines = [line for line in several(item, "PortingNumbers") if isinstance(line, dict)]
    order = snapshot(
        page,
        ref,
        kept=document(
            {**item, "PortingNumbers": sorted(lines, key=lambda line: str(line.get("Number")))}, ORDER
        ),
        status=Status(text(item, "Status")),
        dates=Dates(
            requested=_preferred(item, options.time_zone),
            confirmed=local_date(item, "PortDate", options.time_zone),
            created=instant(item, "Created"),
        ),
        carriers=Carriers(
            losing=Carrier(text(item, "CurrentCarrier")) if text(item, "CurrentCarrier") else None,
            gaining=Carrier("Fone Dynamics"),
        ),
        references=References(
            customer=text(item, "CustomerDescription"), sub_account=text(item, "PropertySid")
        ),
        numbers=Whole(tuple(_number(line) for line in lines if line.get("Number"))),
    )
    return (order, *(event for line in lines for event in _history(line, ref, page, lost)))


def _preferred(item: Item, time_zone: str) -> Any:
    """`PreferredPortDate` counts only beside the schedule `Date`."""
    if text(item, "PreferredPortSchedule") != "Date":
        return None
    return local_date(item, "PreferredPortDate", time_zone)


def _number(line: Item) -> NumberSaid:
    return NumberSaid(
        get(line, "Number", str),
        status=Status(text(line, "Status")) if text(line, "Status") else NOT_TOLD,
    )


def _history(line: Item, ref: OrderRef, page: Page, lost: list[Skipped]) -> tuple[Fact, ...]:
    """`StatusHistory`: entries have no id, so their natural key names them; exact twins get an ordinal.
    An entry that cannot be read is set aside; the order and the other entries are kept."""
    number = get(line, "Number", str)
    seen: dict[str, int] = {}

    def entry(said: Item) -> tuple[Fact]:
        at = instant(said, "Created")
        if at is None:
            raise PageChanged("Created: missing")
        fdx, carrier = _pair(said, "FdxStatus"), _pair(said, "CarrierPortingStatus")
        key = "|".join((ref.id, number, str(int(at.timestamp())), *(word or "" for word in (*fdx, *carrier))))
        seen[key] = seen.get(key, 0) + 1
        return (_entry(ref, number, at, page, f"{key}|{seen[key]}", fdx, carrier, document(said, HISTORY)),)

    facts: list[Fact] = []
    for said in several(line, "StatusHistory"):
        try:
            facts.extend(entry(said if isinstance(said, dict) else {}))
        except PageChanged as error:
            lost.append(Skipped(f"{ref.id}/{number}/history/{document(said, HISTORY)[:120]}", str(error)))
    return tuple(facts)


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
        carrier_status=carrier[1] if carrier[1] is not None else NOT_TOLD,
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


ADAPTER = Adapter(
    label="Fone Dynamics",
    base_url="https://api.fonedynamics.com/v2",
    auth=Auth.BASIC,
    region="AU",
    time_zone="Australia/Sydney",
    feeds={
        "porting_status": FeedDefaults(
            FeedKind.EVENTS,
            Direction.PORT_IN,
            timedelta(minutes=2),
            lookback=timedelta(minutes=15),
            start=timedelta(days=30),
            resweeps=2,
            trust_totals=False,
            frozen_by_date=False,
        ),
        "porting_reconcile": FeedDefaults(
            FeedKind.OPEN_ORDERS,
            Direction.PORT_IN,
            timedelta(hours=1),
            start=timedelta(days=30),
            resweeps=2,
            trust_totals=False,
            frozen_by_date=False,
        ),
    },
    words={Vocabulary.PORT_IN: WORDS},
    reasons={},
    keep={"order": ORDER, "history": HISTORY},
    plan=plan,
    read=read,
    pacing=Pacing(min_interval_s=1.0),
    options=FoneDynamics,
    milder=milder,
    auth_user=lambda options: _own(options).account_sid,
)
