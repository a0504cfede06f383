"""How much of a list one page shows, and where it begins: the arithmetic of asking for less."""

from dataclasses import replace

from aggregator.core.account import Paging
from aggregator.core.model import Request


def size(request: Request, paging: Paging | None) -> int:
    """How many rows a request asks for; 0 where it does not say.

    >>> size(Request("/list", (("page[size]", "250"),)), Paging("page[size]", number="page[number]"))
    250
    """
    said = request.param(paging.size) if paging else None
    return int(said) if said and said.isascii() and said.isdigit() else 0


def begin(request: Request, paging: Paging) -> int:
    """How many rows of the list come before the page that is asked for."""
    if paging.number is None:
        return request.received
    return (int(request.param(paging.number) or 1) - 1) * size(request, paging)


def narrower(request: Request, paging: Paging | None) -> Request | None:
    """The same request for at most half as many rows from the same place on; None when it cannot be smaller."""
    most = size(request, paging) // 2
    return _from(request, paging, begin(request, paging), most) if paging and most else None


def wider(request: Request, paging: Paging | None, most: int) -> Request:
    """The same request for up to twice as many rows from the same place on, but not more than `most`."""
    now = size(request, paging)
    if paging is None or not now or now >= most:
        return request
    return _from(request, paging, begin(request, paging), min(2 * now, most))


def beyond(request: Request, paging: Paging) -> Request | None:
    """What follows a page of one row; None when its place is only known to a token."""
    at = begin(request, paging) + 1
    if paging.number is not None:
        return _from(request, paging, at, 1)
    if paging.skip is None or (at > 1 and request.param(paging.skip) is None):
        return None
    return _with(request, {paging.skip: str(at)}, at)


def _from(request: Request, paging: Paging, at: int, most: int) -> Request:
    """A page of at most `most` rows that begins exactly there: with page numbers its size must divide the place.

    >>> _from(Request("/list"), Paging("size", number="page"), 38, 25).params
    (('size', '19'), ('page', '3'))
    """
    if paging.number is None:
        return _with(request, {paging.size: str(most)}, request.received)
    rows = next(rows for rows in range(most, 0, -1) if at % rows == 0)
    return _with(request, {paging.size: str(rows), paging.number: str(at // rows + 1)}, request.received)


def _with(request: Request, changed: dict[str, str], received: int) -> Request:
    params = dict(request.params) | changed
    return replace(request, params=tuple(params.items()), received=received)
