"""Every recording once more, with canaries in it: a text of its own in every field that may not be kept, and
fields nobody ever heard of in every object. `Recorded` answers with them, as the providers would.
"""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import urlsplit

from recordings import Recording, recordings

from aggregator import providers
from aggregator.core.account import KeepTree
from aggregator.core.documents import FREE

Path = tuple[str, ...]
LISTS = ("/porting/events", "/portouts/events", "/porting_orders", "/portouts", "/porting_phone_numbers")
WAY_ON = frozenset(
    {"meta", "links", "NextPageToken"}
)  # what leads to the next page: ours to follow, not to keep
READ_NOT_KEPT = frozenset({"event_type", "payload_status", "record_type", "user_type", "code"})
"""Fields that tell how to read the rest."""
RECORDINGS = tuple(one for one in recordings() if one.keeps or one.status == 404)


def told(body: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every plain value of a document with the names that lead to it; lists are passed through."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from told(value, (*at, name))
    elif isinstance(body, list):
        for value in body:
            yield from told(value, at)
    else:
        yield at, body


def changed(body: Any, change: Callable[[Path, str], Any], more: Callable[[Path], dict[str, Any]]) -> Any:
    """A document with other texts in it, and with more fields in every object."""

    def inner(value: Any, at: Path) -> Any:
        if isinstance(value, dict):
            inside = {name: inner(one, (*at, name)) for name, one in value.items()}
            return inside | more(at) if inside else inside  # an empty object means something
        if isinstance(value, list):
            return [inner(one, at) for one in value]
        return change(at, value) if isinstance(value, str) else value

    return inner(body, ())


def is_kept(recording: Recording, path: Path) -> bool:
    """Whether the adapter says that this field may be stored."""
    return kept_as(recording, path) is not None


def kept_as(recording: Recording, path: Path) -> KeepTree | None:
    """The branch of the keep tree for this field, or None where it may not be stored."""
    keep = providers.load(recording.provider).keep
    parts = [(tuple(part.split(".")), tree) for part, tree in recording.keeps.items()]
    parts = [(part, tree) for part, tree in parts if path[: len(part)] == part]
    if not parts:
        return None
    part, name = max(parts, key=lambda one: len(one[0]))
    tree: Any = keep[name]
    for step in path[len(part) :]:
        if step not in tree:
            return None
        tree = tree[step]
    return tree  # type: ignore[no-any-return]


def fields(tree: KeepTree, at: Path = ()) -> Iterator[str]:
    """The dotted names of all fields of a keep tree."""
    for name, branch in tree.items():
        yield ".".join((*at, name))
        yield from fields(branch, (*at, name))


class Planter:
    """Plants canaries, and remembers which stands where."""

    def __init__(self, recording: Recording, number: int, broken: bool = False) -> None:
        self.recording, self.number, self.broken = recording, number, broken
        self.where: dict[str, str] = {}
        self.comments: list[str] = []
        self.body = changed(recording.body, self._change, self._more)

    def _mark(self, kind: str, at: Path) -> str:
        mark = f"{kind}-{self.number}x{len(self.where)}z"
        self.where[mark] = f"{self.recording}: {'.'.join(at)}"
        return mark

    def _secrets(self, where: str) -> str:
        """A PIN and an account number as people write them."""
        pin, account = f"77{self.number:02}55", f"88-{self.number:02}-66"
        self.where |= {pin: f"a PIN {where}", account: f"an account number {where}"}
        return f"the PIN is {pin}, account no. {account}"

    def _change(self, at: Path, value: str) -> str:
        if WAY_ON.intersection(at) or at[-1] in READ_NOT_KEPT:
            return value
        if at[-1] in ("body", "comment"):
            self.comments.append(f"remark-{self.number}x{len(self.comments)}z")
            return f"{self.comments[-1]}: {self._secrets('in a comment')}"
        if kept_as(self.recording, at) is FREE:
            return f"{value}: {self._secrets('in free text')}"
        if is_kept(self.recording, at):
            return self._mark("broken", at) if self.broken else value
        return self._mark("hidden", at)

    def _more(self, at: Path) -> dict[str, Any]:
        if WAY_ON.intersection(at):
            return {}
        return {
            "unheard_of": self._mark("hidden", (*at, "unheard_of")),
            "pin_code_2": self._mark("hidden", (*at, "pin_code_2")),
            "contact_2": {"e_mails": [self._mark("hidden", (*at, "contact_2.e_mails"))]},
            self._mark("hidden", (*at, "a name")): "…",
        }


class Recorded:
    """Serves each recording to an account of its own, whose address begins with the recording's number: at its
    own path, and its items on the list they belong to, so that a poll comes to it."""

    def __init__(self, planted: Mapping[int, Planter]) -> None:
        self.planted, self.served = planted, Counter[int]()
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                status, body = recorded.answer(urlsplit(self.path).path)
                sent = json.dumps(body).encode()
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/r{number}/v2"

    def answer(self, path: str) -> tuple[int, Any]:
        found = re.fullmatch(r"/r(\d+)/v2(/.*)", path)
        assert found is not None
        number, asked = int(found[1]), found[2]
        planter = self.planted[number]
        own = planter.recording.request.path
        if asked == own or (asked.endswith("/Porting/Status") and own.endswith("/Porting/Status")):
            self.served[number] += 1
            return planter.recording.status, {**planter.body, **one_page(planter.body)}
        if asked.endswith("/Porting/Status"):
            return 200, {"PortingRequests": [], "TotalCount": 0}
        on, items = leading_to(planter)
        if asked == on:
            self.served[number] += planter.body.get("data") in items
            return 200, {"data": items, **one_page({"data": items})}
        if asked in LISTS and planter.recording.name == "order-not-found":
            return 200, {}  # a whole list without the order would answer the want for it
        if asked in LISTS:
            return 200, {"data": [], **one_page({"data": []})}
        return 404, {"errors": [{"code": "10005", "title": "Resource not found"}]}


def one_page(body: Any) -> dict[str, Any]:
    """What says that a list is all on this page."""
    if "PortingRequests" in body:
        return {"TotalCount": len(body["PortingRequests"])}
    if not isinstance(body.get("data"), list):
        return {}
    size = len(body["data"])
    return {"meta": {"page_number": 1, "page_size": 250, "total_pages": 1, "total_results": size}}


def leading_to(planter: Planter) -> tuple[str, list[Any]]:
    """The list that makes a poll ask for the path of a recording, and what it must hold for that."""
    body, status = planter.body, planter.recording.status
    path = planter.recording.request.path
    if path in LISTS[:4]:
        return path, []
    match path.strip("/").split("/"):
        case ["porting" | "portouts" as feed, "events", id]:
            return f"/{feed}/events", [body["data"] if status == 200 else _bare("status_changed", id, "0001")]
        case ["porting_orders", id]:
            if status == 404:
                payload = {"id": id, "status": {"value": "submitted"}}
                return "/porting/events", [{**_bare("status_changed", "0002", id), "payload": payload}]
            return "/porting_orders", [body["data"]]
        case ["portouts", id]:
            return "/portouts", [body["data"]]
        case ["porting_orders", id, "comments" | "action_requirements"]:
            return "/porting_orders", [{"id": id, "status": {"value": "exception"}}]
        case ["porting_orders", id, "activation_jobs"]:
            settings = {"fast_port_eligible": True, "foc_datetime_actual": "2026-06-20T15:00:00Z"}
            fast = {"id": id, "status": {"value": "foc-date-confirmed"}, "activation_settings": settings}
            return "/porting_orders", [fast]
        case ["portouts", id, "comments"]:
            return "/portouts/events", [{**_bare("new_comment", "0003", ""), "portout_id": id}]
        case ["porting_phone_numbers"]:
            (id,) = (value for name, value in planter.recording.request.params if "order_id" in name)
            order = {"id": id, "status": {"value": "submitted"}, "porting_phone_numbers_count": 60}
            return "/porting_orders", [order]
    return "", []


def _bare(kind: str, id: str, order: str) -> dict[str, Any]:
    """An event whose payload is still owed."""
    owner = "portout" if kind == "new_comment" else "porting_order"
    said = {"id": id, "event_type": f"{owner}.{kind}", f"{owner}_id": order, "payload": {}}
    return said | {"payload_status": "created", "created_at": "2026-06-14T08:00:00Z"}


def cells(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Every value of every table, with the name of its column."""
    tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    for (table,) in tables:
        rows = connection.execute(f'select * from "{table}"')
        columns = [f"{table}.{column[0]}" for column in rows.description]
        for row in rows:
            yield from zip(columns, map(str, row), strict=True)
