"""Health and metrics: real HTTP on loopback, both databases, and what happens when a database does not answer."""

import asyncio
import http.client
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import filled
import psycopg
import pytest
import structlog
from made import NOW, account, hour
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from starlette.applications import Starlette
from stored import desk, event, look
from structlog.testing import capture_logs

from aggregator import __version__, health, providers
from aggregator.cli import figures, output
from aggregator.cli.checking import exposed
from aggregator.cli.page import orders_page
from aggregator.config import load
from aggregator.core.figures import Figures
from aggregator.core.findings import Recorded
from aggregator.core.model import Direction, References, Skipped, State, Vocabulary
from aggregator.errors import StoreError
from aggregator.metrics import CONTENT_TYPE, Meter, exposition
from aggregator.once import Polled, Verdict
from aggregator.slices import Outcome
from aggregator.store.figures import figures as known
from aggregator.store.queries import open_reader

Run = Callable[..., tuple[int, str, str]]
Samples = dict[tuple[str, ...], float]
LABELS = {
    "feed_last_complete_timestamp_seconds": {"account", "provider", "feed"},
    "feed_stale": {"account", "provider", "feed"},
    "orders": {"provider", "account", "direction", "state"},
    "waiting_orders": set(),
    "feed_quiet": {"account", "provider", "feed"},
    "next_deadline_timestamp_seconds": {"account", "direction", "kind"},
    "unknown_words": {"account", "vocabulary", "moves_state"},
    "events_without_payload": {"account", "longer_than"},
    "quarantined": set(),
    "orders_without_numbers": set(),
    "polls_total": {"account", "feed", "outcome"},
    "poll_seconds_bucket": {"le"},
    "poll_seconds_count": set(),
    "poll_seconds_sum": set(),
    "changes_total": set(),
    "build_info": {"version"},
}
"""The names and labels of the contract; a histogram has three series for its one name."""


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Verbs set logging up for a process that ends with them; here it goes on."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def samples(text: str) -> dict[str, Samples]:
    """Each series by its name without our prefix and its values by label, as Prometheus' own parser reads it."""
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("porting_aggregator_")
            assert name != sample.name
            assert set(sample.labels) == LABELS[name], name
            key = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(name, {})[key] = sample.value
    return found


def families(text: str) -> set[str]:
    """The names that are announced, with or without samples."""
    return {
        one.removeprefix("porting_aggregator_") for one in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    }


# --- over HTTP ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pages:
    """What is served, as a client sees it."""

    port: int

    def __call__(self, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
        """Status and text of a page."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, headers={} if host is None else {"Host": host})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()


@contextmanager
def served(app: Starlette) -> Iterator[Pages]:
    """An application on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = health.Served(app, f"127.0.0.1:{port}")
    serving.start()
    try:
        _until_it_listens(port)
        yield Pages(port)
    finally:
        serving.stop()
        assert not serving.thread.is_alive()


def answering(ready: Callable[[], None], metrics: Callable[[], bytes]) -> AbstractContextManager[Pages]:
    """Health on a port of its own."""
    return served(health.application(ready, metrics, CONTENT_TYPE))


def _until_it_listens(port: int) -> None:
    for _ in range(3_000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.01).close()
            return
        except OSError:
            threading.Event().wait(0.01)
    raise AssertionError("it never listened")


def nothing() -> None:
    """Everything is well."""


def test_all_three_answer_from_a_database_in_use(tmp_path: Path, database_url: str) -> None:
    filled.fill(database_url)
    config = load(filled.configuration(tmp_path, database_url), providers.load, os.environ)
    meter = Meter()
    with answering(lambda: figures.ready(config), lambda: exposition(figures.known(config), meter)) as ask:
        assert ask("/healthz") == ask("/readyz") == (200, "ok\n")
        code, text = ask("/metrics")
        assert code == 200
        found = samples(text)
        assert families(text) == {
            name.removesuffix("_bucket") for name in LABELS if not name.endswith(("_count", "_sum"))
        } | {"polls_total", "changes_total"}
        assert found["waiting_orders"][()] > 0
        assert sum(found["unknown_words"].values()) > 0 and found["quarantined"][()] == 1
        assert found["build_info"] == {(__version__,): 1.0}
        assert ask("/orders")[0] == 404 and ask("/readyz", "POST")[0] == 405


def test_what_is_wrong_with_schema_or_database_is_said(tmp_path: Path, empty_postgres_url: str) -> None:
    path = filled.configuration(tmp_path, empty_postgres_url)
    config = load(path, providers.load, os.environ)
    with answering(lambda: figures.ready(config), lambda: exposition(figures.known(config))) as ask:
        for page in ("/readyz", "/metrics"):
            code, text = ask(page)
            assert (code, text) == (
                503,
                "the database has no schema yet; type: porting-aggregator db upgrade\n",
            ), page
        assert ask("/healthz") == (200, "ok\n")
    path.write_text(
        path.read_text("utf-8").replace(empty_postgres_url, f"postgresql://me@/x?host={tmp_path}")
    )
    config = load(path, providers.load, os.environ)
    with answering(lambda: figures.ready(config), lambda: exposition(figures.known(config))) as ask:
        assert ask("/readyz")[0] == ask("/metrics")[0] == 503
        assert "database: " in ask("/readyz")[1]
        assert ask("/healthz") == (200, "ok\n")


def test_a_database_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.1)
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    hanging, asked = threading.Event(), list[int]()

    def ready() -> None:
        asked.append(1)
        if len(asked) == 1:
            assert hanging.wait(60)

    with answering(ready, lambda: b"") as ask:
        assert ask("/readyz") == (503, "database: no answer for 0 s\n")
        assert ask("/readyz")[0] == 503 and len(asked) == 1, "nobody else hangs on it"
        assert ask("/healthz") == (200, "ok\n") and ask("/metrics") == (200, "")
        hanging.set()
        answers = [ask("/readyz")[0] for _ in range(5)]
        assert answers[-1] == 200


def test_an_outage_ends_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    away = [True]

    def metrics() -> bytes:
        if away[0]:
            raise StoreError("database: gone")
        return b"x 1\n"

    with answering(nothing, metrics) as ask:
        assert ask("/metrics") == (503, "database: gone\n")
        away[0] = False
        assert ask("/metrics") == (200, "x 1\n")


def test_a_fault_of_ours_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a secret stands here")

    monkeypatch.setattr(health, "FRESH_S", 0.0)
    with answering(broken, lambda: b"") as ask, capture_logs() as said:
        for _ in range(30):
            assert ask("/readyz") == (503, "internal error: RuntimeError\n")
    assert [line["event"] for line in said] == ["http.failed"], "whoever asks does not fill the log"


def test_many_who_ask_at_once_cost_one_answer() -> None:
    asked, together = list[int](), threading.Barrier(20)

    def metrics() -> bytes:
        asked.append(1)
        return b"x 1\n"

    answers: list[tuple[int, str]] = []
    with answering(nothing, metrics) as ask:

        def one() -> None:
            together.wait(30)
            answers.append(ask("/metrics"))

        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [(200, "x 1\n")] * 20
    assert len(asked) < 20


def test_clients_that_say_nothing_or_nonsense_hold_nobody_up() -> None:
    with answering(nothing, lambda: b"") as ask, ExitStack() as clients:
        for said in (b"", b"GET", b"\x16\x03\x01 nonsense\r\n\r\n", b"GET /" + 70_000 * b"x"):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", ask.port), timeout=30))
            client.sendall(said)
        assert ask("/healthz") == (200, "ok\n")


def test_an_address_that_is_taken_is_tried_again_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "RETRY_S", 0.02)
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    serving = health.Served(health.application(nothing, lambda: b"", CONTENT_TYPE), f"localhost:{port}")
    with capture_logs() as said:
        serving.start()
        threading.Event().wait(0.2)
        taken.close()
        try:
            _until_it_listens(port)
        finally:
            serving.stop()
    assert [line["event"] for line in said] == ["http.failing", "http.listening"]


# --- the figures ----------------------------------------------------------------------------------------


def test_the_process_counts_polls_by_how_they_ended() -> None:
    meter = Meter()
    outcomes = (
        Outcome("porting_events", "complete", True, Recorded(events=2, changes=5)),
        Outcome("porting_orders", "incomplete", False),
    )
    polled = Polled("acme", Verdict.LATER, outcomes)

    def count() -> None:
        for _ in range(50):
            meter.polled(polled, 3.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(exposition(Figures(), meter).decode())
    assert found["polls_total"] == {
        ("acme", "porting_events", "complete"): 200.0,
        ("acme", "porting_orders", "incomplete"): 200.0,
    }
    assert found["changes_total"][()] == 1_000 and found["poll_seconds_count"][()] == 200
    assert found["poll_seconds_bucket"]["2.5",] == 0 and found["poll_seconds_bucket"]["5.0",] == 200


def test_orders_whose_numbers_never_came_are_counted_once_a_poll_was_complete(database_url: str) -> None:
    with desk(database_url) as acme:
        numberless = look(-9, order="a", numbers_total=5), look(-9, order="none", numbers_total=0)
        acme.record(
            *numberless, look(-9, "submitted", "+13035550123", order="b", numbers_total=5), at=hour(-9)
        )
        acme.record(look(-9, order="gone", numbers_total=2), look(-8, order="gone", deleted=True))
        reader = acme.reader()
        assert known(reader).numberless == 0, "the poll is not at its end"
        acme.record(cursor=hour(-8), at=hour(-8))
        assert known(reader).numberless == 1
        assert samples(exposition(known(reader)).decode())["orders_without_numbers"][()] == 1
        acme.record(look(-7, "submitted", "+13035550124", order="a", numbers_total=5))
        assert known(reader).numberless == 0
        reader.close()


def test_the_figures_are_those_of_the_views_and_leave_out_who_is_no_longer_configured(
    database_url: str,
) -> None:
    with desk(database_url) as acme:
        acme.record(event(-9, "exception", order="a"), cursor=hour(-9), at=hour(-9))
        for number in range(3):
            acme.record(look(-8, "submitted", order=f"b-{number}"))
        acme.record(look(-8, "cancelled", order="c"), look(-8, "almost-there", order="d"))
        acme.record(look(-7, order="b-2", deleted=True))
        acme.record(skipped=(Skipped("order-7", "x"),))
        acme.record(look(-6, "pending", order="out", direction=Direction.PORT_OUT))
        reader = acme.reader()
        found = known(reader)
        by_state = {(one.direction, one.state): one.orders for one in found.orders}
        assert len(by_state) == 2 * len(State), "a state without orders is 0"
        assert {whose: count for whose, count in by_state.items() if count} == {
            ("port_in", "exception"): 1,
            ("port_in", "with_carrier"): 2,
            ("port_in", "cancelled"): 1,
            ("port_in", "unknown"): 1,
            ("port_out", "action_needed"): 1,
        }
        feeds = {one.feed: one for one in found.feeds}
        assert len(feeds) == 4
        assert feeds["porting_events"].last_complete == hour(-9).timestamp() and feeds["porting_events"].stale
        assert feeds["porting_orders"].last_complete == 0.0
        waiting = acme.rows("select * from v1_waiting")
        assert (found.waiting, found.quarantined) == (len(waiting), 1)
        words = {one.vocabulary: (one.moves_state, one.words) for one in found.unknown_words}
        assert words.keys() == set(Vocabulary)
        assert {name: count for name, (_, count) in words.items() if count} == {"status": 1}
        assert {name for name, (moves, _) in words.items() if moves} == {
            *("status", "port_out", "messaging", "activation", "activation_job")
        }
        acme.store.sync([account(name="other")], timedelta(days=14), NOW)
        gone = known(reader)
        reader.close()
    assert not gone.orders and {one.account for one in gone.feeds} == {"other"}
    assert (gone.waiting, gone.quarantined) == (0, 0)
    assert {(one.account, one.words) for one in gone.unknown_words} == {("other", 0)}


def test_a_deadline_that_has_passed_stays_with_its_account_direction_and_kind(database_url: str) -> None:
    with desk(database_url) as acme:
        for number, order in enumerate(("past", "next", "later")):
            acme.record(look(-8 - number, "pending", order=order, direction=Direction.PORT_OUT))
        acme.record(look(-8, "exception", order="in"))
        with acme.store.engine.begin() as tx:
            for order, at in (
                *(("past", "2020-01-01"), ("next", "2100-01-01"), ("later", "2200-01-01")),
                ("in", "2150-01-01"),
            ):
                deadline = f"{at}T00:00:00.000000Z"
                tx.execute(
                    text(
                        "update port_order set deadline_at = :at, deadline_kind = 'x' where provider_order_id = :order"
                    ),
                    {"at": deadline, "order": order},
                )
        reader = acme.reader()
        found = samples(exposition(known(reader)).decode())["next_deadline_timestamp_seconds"]
        reader.close()
        assert found == {
            (acme.account.name, "port_out", "x"): datetime(2020, 1, 1, tzinfo=UTC).timestamp(),
            (acme.account.name, "port_in", "x"): datetime(2150, 1, 1, tzinfo=UTC).timestamp(),
        }


def test_events_whose_payload_has_not_come_for_long_are_counted(database_url: str) -> None:
    with desk(database_url) as acme:
        for hours in (-40, -30, -3):
            acme.record(event(hours, order="a"), at=hour(hours))
        acme.record(event(-2, "exception", order="a"), at=hour(-2))
        reader = acme.reader()
        found = samples(exposition(known(reader)).decode())["events_without_payload"]
        reader.close()
        with acme.store.engine.begin() as tx:
            tx.execute(text("update event set first_seen_at = :at"), {"at": _ago(2)})
            tx.execute(
                text("update event set first_seen_at = :at where provider_event_id like '%-40'"),
                {"at": _ago(30)},
            )
            tx.execute(
                text("update event set first_seen_at = :at where provider_event_id like '%-3'"),
                {"at": _ago(0)},
            )
        reader = acme.reader()
        assert [(one.hour, one.day) for one in known(reader).owed] == [(2, 1)]
        reader.close()
    assert found == {("acme", "1h"): 3.0, ("acme", "1d"): 3.0}, "as long ago as the test's times are"


def _ago(hours: float) -> str:
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.000000Z}"


def test_there_are_as_many_series_for_many_orders_as_for_one(tmp_path: Path) -> None:
    sizes = []
    for orders in (1, 40):
        with desk(f"sqlite:///{tmp_path / str(orders)}.db") as acme:
            for number in range(orders):
                acme.record(look(-8, "submitted", f"+1303555{100 + number:04}", order=f"order-{number}"))
            reader = acme.reader()
            said = exposition(known(reader), Meter()).decode()
            reader.close()
        assert "order-0" not in said and "555" not in said
        sizes.append(len(said.splitlines()))
    assert sizes[0] == sizes[1]


# --- the verbs ------------------------------------------------------------------------------------------


def test_the_verb_prints_what_the_database_knows_and_a_mere_reader_may(
    run: Run, tmp_path: Path, database_url: str
) -> None:
    filled.fill(database_url)
    config = f"--config={filled.configuration(tmp_path, database_url)}"
    code, out, err = run(config, "metrics")
    assert (code, err) == (0, "")
    assert families(out) == {name for name in LABELS if not name.startswith(("polls", "poll_", "changes"))}
    found = samples(out)
    stale = json.loads(run(config, "feeds", "--json")[1].splitlines()[0])
    assert found["feed_stale"][stale["account"], stale["feed"], stale["provider"]] == stale["stale"]
    if not database_url.startswith("postgresql"):
        return
    assert run(config, "db", "grant-reader", "scraper")[0] == 0
    theirs = re.sub(r"//[^@]*@", "//scraper@", database_url)
    assert (
        samples(run(f"--config={filled.configuration(tmp_path, theirs)}", "metrics")[1]).keys()
        == found.keys()
    )
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("drop owned by scraper")
        owner.execute("drop role scraper")


def test_the_verb_makes_no_database_and_needs_no_key(run: Run, tmp_path: Path) -> None:
    code, out, err = run(f"--config={filled.configuration(tmp_path, 'sqlite:///none.db')}", "metrics")
    assert (code, out) == (78, "") and "no database yet" in err
    assert not (tmp_path / "none.db").exists()


OURS = ("127.0.0.1:9464", "[::1]:9464", "localhost:9464")
EVERYBODYS = ("0.0.0.0:9464", "[::]:9464", "192.0.2.7:9464", "metrics.example.com:9464")


@pytest.mark.parametrize("address", [*OURS, *EVERYBODYS])
def test_an_address_that_others_can_reach_is_warned_of(run: Run, tmp_path: Path, address: str) -> None:
    path = filled.configuration(tmp_path, "sqlite:///none.db")
    path.write_text(f'[http]\nlisten = "{address}"\n{path.read_text("utf-8")}', encoding="utf-8")
    warned = f"{address} is open to other machines" in run(f"--config={path}", "check")[2]
    assert warned == (address in EVERYBODYS)


def test_without_an_address_nothing_is_warned_of(tmp_path: Path) -> None:
    assert (
        exposed(load(filled.configuration(tmp_path, "sqlite:///none.db"), providers.load, os.environ)) == []
    )


# --- the page -------------------------------------------------------------------------------------------


class Cells(HTMLParser):
    """The texts of a page's cells and everything that is not text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")

        self.inside = tag == "td" or (self.inside and tag == "time")

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "td"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


def paged(tmp_path: Path, url: str) -> Starlette:
    """The page alone, of a database."""
    config = load(filled.configuration(tmp_path, url), providers.load, os.environ)
    return health.with_page(None, lambda: orders_page(config))


def test_the_page_shows_what_waits_for_us_and_the_feeds(tmp_path: Path, database_url: str) -> None:
    filled.fill(database_url)
    with served(paged(tmp_path, database_url)) as ask:
        code, html = ask("/")
        assert ask("/healthz")[0] == 404, "an address of its own shows nothing else"
    page = Cells(html)
    assert code == 200 and html.startswith("<!doctype html>")
    with closing(open_reader(database_url)) as reader:
        waiting, feeds = reader.select("waiting"), reader.select("feeds")
    assert len(waiting) > 3 and f"What waits for us: {len(waiting)} orders" in html
    assert {row["provider_order_id"] for row in waiting} <= set(page.cells)
    assert {output.printable(row["why"]) for row in waiting} <= set(page.cells)
    assert {row["feed"] for row in feeds} <= set(page.cells)
    assert "Out of date: fone-au" in html and "Out of date: telnyx-main not asked since" in html
    assert "+6125550" not in html, "counts of numbers, no number"


def test_what_a_provider_wrote_is_text_on_the_page_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'aggregator.db'}"
    evil = "<script>alert(1)</script><img src=x onerror=a>&amp;\u202e\x1b\"'"
    with desk(url, account(name="telnyx-main")) as acme:
        said = References(customer=evil)
        acme.record(replace(look(-1, "exception"), references=said))
    with served(paged(tmp_path, url)) as ask:
        page = Cells(ask("/")[1])
    assert page.tags.isdisjoint({"script", "img", "a", "form", "iframe", "link"})
    assert "<script>alert(1)</script><img src=x onerror=a>&amp;\"'" in page.cells


FOREIGN = (
    *("evil.example.com", "10.1.2.3:9465", "", "[::1", "localhost.evil.example.com", "x@localhost"),
    *("127.0.0.1.evil.example.com", "0.0.0.0", "localhost, evil.example.com"),
)


@pytest.mark.parametrize("host", FOREIGN)
def test_nothing_answers_to_a_name_from_elsewhere(host: str) -> None:
    app = health.with_page(health.application(nothing, lambda: b"", CONTENT_TYPE), lambda: b"orders")
    with served(app) as ask:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/nowhere"):
            assert ask(path, host=host)[0] == 421, path
        for ours in ("127.0.0.1:1", "localhost", "LOCALHOST:9464", "[::1]:9465"):
            assert ask("/", host=ours) == (200, "orders")
            assert ask("/metrics", host=ours)[0] == 200


async def _answered_as(app: health.Named, host: str) -> int:
    came = list[int]()

    async def send(message: MutableMapping[str, Any]) -> None:
        came.extend([message["status"]] if "status" in message else [])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/healthz", "headers": [(b"host", host.encode())]}
    await app(scope, receive, send)
    return came[0]


@pytest.mark.parametrize(
    ("address", "host", "code"),
    [
        ("0.0.0.0:9464", "10.1.2.3:9464", 200),
        ("[::]:9464", "[2001:db8::7]:9464", 200),
        ("metrics.example.com:9464", "metrics.example.com:9464", 200),
        ("0.0.0.0:9464", f"{socket.gethostname().upper()}:9464", 200),
        ("0.0.0.0:9464", "evil.example.com", 421),
        ("0.0.0.0:9464", "porting:9464", 200),
        ("127.0.0.1:9464", "porting", 200),
        ("127.0.0.1:9464", "10.1.2.3", 421),
    ],
)
def test_an_address_that_others_can_reach_answers_to_its_numbers_and_names(
    address: str, host: str, code: int
) -> None:
    app = health.application(nothing, lambda: b"", CONTENT_TYPE)
    assert asyncio.run(_answered_as(health.Named(app, address, ("porting",)), host)) == code


def test_a_page_without_its_database_says_so_and_asks_again_by_itself() -> None:
    away = [True]

    def page() -> bytes:
        if away[0]:
            raise StoreError("database: <gone> & away")
        return b"orders"

    with served(health.with_page(None, page)) as ask, pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "FRESH_S", 0.0)
        code, html = ask("/")
        assert code == 503 and html.startswith("<!doctype html>")
        assert '<meta http-equiv="refresh" content="30">' in html
        assert "database: &lt;gone&gt; &amp; away" in html
        patch.setattr(health, "WAITING", 0)
        assert 'content="30"' in ask("/")[1]
        patch.undo()
        away[0] = False
        patch.setattr(health, "FRESH_S", 0.0)
        assert ask("/") == (200, "orders")


def test_no_more_wait_for_an_answer_than_leave_room_for_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WAITING", 3)
    hanging, codes = threading.Event(), list[int]()

    def metrics() -> bytes:
        assert hanging.wait(60)
        return b"x 1\n"

    with answering(nothing, metrics) as ask:
        threads = [threading.Thread(target=lambda: codes.append(ask("/metrics")[0])) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(codes) < 5:
            threading.Event().wait(0.01)
        assert codes == [503] * 5 and ask("/healthz")[0] == 200
        hanging.set()
        for thread in threads:
            thread.join()
    assert sorted(codes) == [200] * 3 + [503] * 5


def test_the_page_may_not_be_framed_kept_or_scripted() -> None:
    with served(health.with_page(health.application(nothing, lambda: b"", CONTENT_TYPE), lambda: b"")) as ask:
        assert ask("/healthz") == (200, "ok\n"), "it may share an address with health"
        with closing(http.client.HTTPConnection("127.0.0.1", ask.port, timeout=30)) as connection:
            connection.request("GET", "/")
            reply = connection.getresponse()
            reply.read()
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "server" not in {name.lower() for name in reply.headers}


@pytest.mark.parametrize("where", ['listen = "0.0.0.0:9464"', 'page_listen = "192.0.2.7:9465"'])
def test_a_page_that_others_could_reach_is_refused(run: Run, tmp_path: Path, where: str) -> None:
    path = filled.configuration(tmp_path, "sqlite:///none.db")
    path.write_text(f"[http]\npage = true\n{where}\n{path.read_text('utf-8')}", encoding="utf-8")
    code, _, err = run(f"--config={path}", "check")
    assert code == 78 and "http.page: " in err and "the page has no password" in err


# --- the documentation ----------------------------------------------------------------------------------


def test_every_metric_is_documented_with_its_labels_and_the_rules_name_no_other() -> None:
    manual = (Path(__file__).parents[1] / "docs/operations.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z_, ]*)\|", manual, re.MULTILINE)
    said = {name: set(filter(None, re.split(r",? ", labels))) for name, labels in rows}
    assert said == {
        name.removesuffix("_count"): labels
        for name, labels in LABELS.items()
        if not name.endswith(("_bucket", "_sum"))
    }
    used = set(re.findall(r"\bporting_aggregator_([a-z_]+)", manual))
    assert used and used <= said.keys()
