"""Which requests answer an ask, and which way a page leads on: by offset or by token.

*get-porting-status* of fonedynamics.com. All paths are relative to https://api.fonedynamics.com/v2.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from aggregator.adapter import Ask, Options, Orders, Request, Window

PAGE_SIZE = 50
DEFAULT_PAGE_SIZE = 20  # what the server gives when nothing is asked for, and may clamp to
BATCH = 50  # order numbers in one request, and
LONGEST = 1_500  # bytes of them: the query string stays well below the 2,048 bytes of IIS
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class FoneDynamics(Options):
    """The account keys of Fone Dynamics. `property_sid` polls one property in place of the account."""

    account_sid: str
    property_sid: str | None = None
    paging: Literal["auto", "token", "offset"] = "auto"
    page_token_param: str = "NextPageToken"
    guess_statuses: bool = True


def plan(ask: Ask, options: Options) -> tuple[Request, ...]:
    """The first request of each chain: one for a window, one for each batch of orders asked for by number."""
    own = ours(options)
    scope = ("Properties", own.property_sid) if own.property_sid else ("Accounts", own.account_sid)
    path = f"/{scope[0]}/{quote(scope[1], safe='')}/Porting/Status"
    if not isinstance(ask, Window | Orders) or ask.until is None:
        raise ValueError(f"Fone Dynamics can be asked for orders within a window, not for {ask}")
    if isinstance(ask, Window):
        return (Request(path, _span(ask.since, ask.until)),)
    span = _span(ask.since, ask.until, back=DAY_S)
    batches = (",".join(batch) for batch in _batches(ask.ids))
    return tuple(Request(path, (*span, ("PortingRequestNumbers", batch))) for batch in batches)


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for id in ids:
        if batch and (len(batch) == BATCH or len(quote(",".join((*batch, id)), safe="")) > LONGEST):
            yield batch
            batch = []
        batch.append(id)
    if batch:
        yield batch


def milder(request: Request) -> Request | None:
    """The same request without a page size, should the server refuse ours; None when it had none."""
    params = tuple(param for param in request.params if param[0] != "Results_Count")
    return Request(request.path, params, request.received) if params != request.params else None


def ours(options: Options) -> FoneDynamics:
    """The options as this provider's own."""
    if not isinstance(options, FoneDynamics):
        raise TypeError("not the options of Fone Dynamics")
    return options


def _span(since: datetime | None, until: datetime, back: int = 0) -> tuple[tuple[str, str], ...]:
    """Whether the bounds belong to the window is not told, so each lies a second outside it. A window that ends
    before it begins (clocks that jumped) is asked for as an empty one, which no server refuses."""
    start = max(0, math.floor(since.timestamp()) - 1 - back) if since else 0
    end = max(math.ceil(until.timestamp()) + 1, start)
    return (("From", str(start)), ("To", str(end)), ("Results_Count", str(PAGE_SIZE)))


def page_size(request: Request) -> int:
    """How many requests a page was asked to hold; the server's own size where nothing was asked for."""
    return int(request.param("Results_Count") or DEFAULT_PAGE_SIZE)


def key(no: str) -> str:
    """The form in which order numbers are compared: the published `P-000002` is in upper case, and no two are taken
    to differ by case alone."""
    return no.upper()


def asked(request: Request) -> dict[str, str]:
    """The order numbers a request asked for, by their keys; none for a whole window."""
    return {key(no): no for no in (request.param("PortingRequestNumbers") or "").split(",") if no}


def following(request: Request, received: int, token: str | None, own: FoneDynamics) -> tuple[Request, ...]:
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
