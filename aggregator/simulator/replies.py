"""Good replies made bad: cut short, foreign, unreadable, emptied."""

import json
import random

from starlette.responses import HTMLResponse, Response

from aggregator.simulator.things import compact

DEPTH, DIGITS = 100_000, 5_000
ODD_JSON = {
    "deep": b"[" * DEPTH + b"]" * DEPTH,
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "huge_int": b"9" * DIGITS,
    "not_utf8": b'"\xff\xfe\xfa"',
}
LOGIN = "<html><body>Please log in</body></html>"
ENVELOPES = {
    "telnyx": {"data": [], "meta": {"page_number": 1, "page_size": 20, "total_pages": 0, "total_results": 0}},
    "fonedynamics": {"PortingRequests": [], "TotalCount": 0},
}
ERRORS = {
    "telnyx": {"errors": [{"code": "10007", "title": "Unexpected error", "detail": "Unexpected error"}]},
    "fonedynamics": {"ResponseStatus": {"ErrorCode": "InternalError", "Message": "Something failed."}},
}
FOREIGN = ("html", "object", "null", "list", "text", "empty", "error", "other_provider")


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def cut(reply: Response) -> Response:
    """Its JSON cut short, but whole as HTTP."""
    body = bytes(reply.body)
    return _json(body[: len(body) * 2 // 3], reply.status_code)


def foreign(style: str, provider: str, draws: random.Random) -> Response:
    """Something else than what was asked for, with status 200."""
    style = draws.choice(FOREIGN) if style == "any" else style
    if style == "html":
        return HTMLResponse(LOGIN)
    other = "fonedynamics" if provider == "telnyx" else "telnyx"
    return _json(
        {
            "object": b"{}",
            "null": b"null",
            "list": b"[]",
            "text": b'"OK"',
            "empty": b"",
            "error": compact(ERRORS[provider]),
            "other_provider": compact(ENVELOPES[other]),
        }[style]
    )


def bad_json(style: str, reply: Response, draws: random.Random) -> Response:
    """The reply with one more field that a careful reader refuses, or dies of."""
    style = draws.choice(sorted(ODD_JSON)) if style == "any" else style
    body = bytes(reply.body)
    if not body.endswith(b"}"):
        return reply
    return _json(body[:-1] + b',"odd":' + ODD_JSON[style] + b"}", reply.status_code)


def emptied(reply: Response) -> Response:
    """A list without its items, and with totals to match; anything else as it is."""
    said = json.loads(bytes(reply.body) or b"null")
    if not isinstance(said, dict):
        return reply
    if isinstance(said.get("PortingRequests"), list):
        return _json(compact(ENVELOPES["fonedynamics"]))
    if isinstance(said.get("data"), list):
        meta = {**said.get("meta", {}), "total_pages": 0, "total_results": 0}
        return _json(compact({"data": [], "meta": meta}))
    return reply
