"""Asking a provider to cancel an order: who may, what is said first, one request, and what comes of it."""

import json
import os
import pty
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filled
import pytest
from made import NOW, account, hour
from simulated import DAY
from stored import NUMBER, Desk, desk, event, look

from aggregator import providers
from aggregator.cancel import Answer, cancel
from aggregator.cli import cancelling, main
from aggregator.core.findings import Recorded
from aggregator.core.model import Direction, OrderRef, Page, Request
from aggregator.errors import FetchError, PageChanged, ProviderError, Refused
from aggregator.fetch import Fetcher
from aggregator.simulator import Running, start
from aggregator.store import open_store
from aggregator.store.replay import compare

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the program in this process: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([f"--config={tmp_path}/aggregator.toml", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def world(tmp_path: Path, run: Run) -> Iterator[Running]:
    """A stand-in in the middle of its lives, polled once, whose account may act."""
    began = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    with start("--seed", "5", "--orders", "60", "--speed", "0", "--start", began) as running:
        running.advance(20 * DAY)
        configure(tmp_path, running)
        assert run("poll")[0] == 0
        yield running


def configure(folder: Path, running: Running, allowed: bool = True) -> None:
    (folder / "key").write_text(running.telnyx_key, encoding="utf-8")
    (folder / "key").chmod(0o600)
    (folder / "aggregator.toml").write_text(
        f'[accounts.telnyx-main]\nprovider = "telnyx"\nsecret = "file:key"\nbase_url = "{running.telnyx}"\n'
        f"allow_actions = {str(allowed).lower()}\n",
        encoding="utf-8",
    )


def one(running: Running, status: str) -> str:
    """The id of an order that stands so at the provider."""
    orders = running.truth()["telnyx"]["porting_orders"]
    return str(next(id for id, order in orders.items() if order["status"] == status))


def posts(running: Running) -> int:
    """How many orders the provider was asked to cancel, as its own states tell."""
    orders = running.truth()["telnyx"]["porting_orders"]
    return sum(order["status"] == "cancel-pending" for order in orders.values())


def rows(run: Run, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


# --- the whole way --------------------------------------------------------------------------------------


def test_an_order_is_cancelled_and_followed_to_its_end(world: Running, run: Run) -> None:
    id = one(world, "submitted")
    code, out, err = run("cancel", id, "--yes")
    assert (code, out) == (0, f"asked: telnyx-main/port_in/{id} is cancel pending\n")
    assert f"telnyx-main/port_in/{id}" in err and "numbers" in err and "submitted" in err
    assert "no FOC date is confirmed" in err
    told = rows(run, "changes", "--since", "1h")
    here = [row for row in told if row["order_id"].endswith(id) and not row["initial"]]
    kinds = {row["kind"] for row in here}
    assert {"cancel_asked", "state_changed"} <= kinds and len({row["batch"] for row in here}) == 1
    assert "we asked to cancel it" in run("show", id)[1]
    code, out, err = run("cancel", id, "--yes")
    assert (code, out) == (0, "") and "nothing was asked" in err
    world.advance(3 * DAY)
    assert run("poll")[0] == 0
    (order,) = rows(run, "show", id)

    assert (order["state"], order["end_cause"], order["is_open"]) == ("cancelled", "us", False)
    assert run("replay", "--dry-run")[:2] == (0, "nothing would differ\n")
    code, _, err = run("cancel", id, "--yes")
    assert code == 1 and "it has ended" in err


def test_within_the_lock_the_provider_refuses_and_that_is_said_before(world: Running, run: Run) -> None:
    for _ in range(40):
        now = datetime.fromisoformat(world.truth()["now"])
        orders = world.truth()["telnyx"]["porting_orders"]
        near = [
            id
            for id, order in orders.items()
            if order["status"] == "foc-date-confirmed"
            and timedelta(0)
            < datetime.fromisoformat(order["foc_datetime_actual"]) - now
            < timedelta(hours=40)
        ]
        if near:
            break
        world.advance(DAY / 2)
    run("poll")
    before = rows(run, "show", near[0])
    code, out, err = run("cancel", near[0], "--yes")
    assert (code, out) == (1, "") and "the provider refused, and nothing was cancelled" in err
    assert "will most likely do so now" in err
    assert rows(run, "show", near[0]) == before


def test_nothing_is_asked_without_leave(world: Running, run: Run, tmp_path: Path) -> None:
    id = one(world, "submitted")
    before = posts(world)
    code, out, err = run("cancel", id)
    assert (code, out) == (2, "") and "add --yes" in err
    configure(tmp_path, world, allowed=False)
    code, out, err = run("cancel", id, "--yes")
    assert (code, out) == (78, "") and "telnyx-main.allow_actions is not true" in err
    configure(tmp_path, world)
    store = open_store(f"sqlite:///{tmp_path}/aggregator.db")
    try:
        store.me = "another-boot/pid:[4026531836]/1/7"
        assert store.take("telnyx-main", datetime.now(UTC)) is not None
        code, out, err = run("cancel", id, "--yes")
        assert (code, out) == (75, "") and "held by another process, so nothing was asked" in err
    finally:
        store.close()
    assert posts(world) == before


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_on_a_terminal_it_asks(
    world: Running, run: Run, monkeypatch: pytest.MonkeyPatch, answer: bytes, code: int
) -> None:
    id, before = one(world, "submitted"), posts(world)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r", encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        os.write(ours, answer)
        assert run("cancel", id)[0] == code
    os.close(ours)
    assert posts(world) == before + (code == 0)


# --- one request, whatever comes of it ------------------------------------------------------------------


class Wire:
    """The way to a stand-in on which the answer to a POST gets lost, or the POST itself."""

    def __init__(self, running: Running, before: bool = False, reads: bool = True) -> None:
        auth = account().adapter.auth
        self.fetch = Fetcher(running.telnyx, auth, None, lambda: running.telnyx_key)
        self.before, self.reads = before, reads
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Page:
        self.asked.append(request.method)
        if request.method == "GET" and not self.reads:
            raise FetchError("GET: out of reach")
        if request.method == "POST" and self.before:
            raise FetchError("POST: ConnectError")
        page = self.fetch(request)
        if request.method == "POST":
            raise FetchError("POST: ReadTimeout")
        return page


def ask(acme: Desk, id: str, fetch: Callable[[Request], Page]) -> Answer:
    ref = OrderRef(Direction.PORT_IN, id)
    how = acme.account.adapter.cancel
    assert how is not None
    request = how.request(ref)
    assert request is not None
    return cancel(acme.account, ref, request, acme.store, acme.lease, fetch, lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def lost() -> Iterator[Running]:
    with start("--seed", "5", "--orders", "300", "--speed", "0") as running:
        running.advance(20 * DAY)
        yield running


def test_after_a_lost_answer_the_order_is_read_and_shows_that_it_was_taken(
    lost: Running, database_url: str
) -> None:
    id = one(lost, "submitted")
    with desk(database_url) as acme:
        wire = Wire(lost)
        answer = ask(acme, id, wire)
        assert (answer.taken, answer.unread, wire.asked) == (True, None, ["POST", "GET"])
        assert isinstance(answer.trouble, FetchError)
        assert acme.one("select state from v1_orders") == "cancel_pending"
        assert acme.one("select count(*) from v1_changes where kind = 'cancel_asked'") == 1
        wire.fetch.close()


def test_a_request_that_did_not_arrive_is_not_repeated(lost: Running, database_url: str) -> None:
    id = one(lost, "submitted")
    with desk(database_url) as acme:
        wire = Wire(lost, before=True)
        answer = ask(acme, id, wire)
        assert (answer.taken, answer.unread, wire.asked) == (False, None, ["POST", "GET"])
        assert acme.one("select state from v1_orders") == "with_carrier"
        assert acme.rows("select * from v1_changes where kind = 'cancel_asked'") == []
        wire.fetch.close()


def test_an_order_that_cannot_be_read_afterwards_stays_wanted(lost: Running, database_url: str) -> None:
    id = one(lost, "submitted")
    with desk(database_url) as acme:
        acme.record(event(0, "submitted", order=id))
        wire = Wire(lost, before=True, reads=False)
        answer = ask(acme, id, wire)
        assert (answer.taken, isinstance(answer.unread, FetchError)) == (False, True)
        assert [(want.part, want.id) for want in acme.store.wants(acme.lease, None)] == [("order", id)]
        wire.fetch.close()


TROUBLE, UNREAD = FetchError("POST: ReadTimeout"), FetchError("GET: out of reach")


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (Answer(True, Recorded()), 0, "asked: a/port_in/x is cancel pending"),
        (Answer(False, Recorded()), 1, "does not show the order as being cancelled"),
        (Answer(True, Recorded(), TROUBLE), 0, "it was taken: a/port_in/x"),
        (Answer(False, Recorded(), TROUBLE), 75, "look again before you ask again"),
        (Answer(False, Recorded(), TROUBLE, UNREAD), 75, "the next poll reads it"),
    ],
)
def test_what_came_of_it_is_said(
    capsys: pytest.CaptureFixture[str], answer: Answer, code: int, said: str
) -> None:
    assert cancelling.told(answer, {"order_id": "a/port_in/x", "state": "cancel_pending"}) == code
    out, err = capsys.readouterr()
    assert said in out + err
    assert ("it is not known whether" in err) is (answer.trouble is not None)


def test_an_unknown_order_is_refused(lost: Running, database_url: str) -> None:
    with desk(database_url) as acme:
        auth = acme.account.adapter.auth
        with (
            Fetcher(lost.telnyx, auth, None, lambda: lost.telnyx_key) as fetch,
            pytest.raises(Refused, match="does not know the order"),
        ):
            ask(acme, "11111111-0000-4000-8000-000000000000", fetch)


# --- what is recorded -----------------------------------------------------------------------------------


def test_the_fact_of_our_asking_is_kept_and_explains_the_end(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(look(0, "submitted", NUMBER))
        asked = replace(look(1, "cancelled", NUMBER), asked=True)  # at once, without a cancel-pending between
        acme.record(asked)
        acme.record(replace(asked, asked=False))
        acme.record(look(2, "cancelled", NUMBER))
        assert acme.one("select end_cause from v1_orders") == "us"
        (change,) = acme.rows("select * from v1_changes where kind = 'cancel_asked'")
        assert (change["field"], change["old_value"], change["source"]) == (None, None, "snapshot")
        assert acme.one("select what from v1_timeline where what = 'cancel_asked' and number_key is null")
        slices = compare(acme.store.engine, acme.account, NOW)
        assert [one for found in slices for one in found.differences] == []


def test_our_asking_is_recorded_though_the_order_reads_as_before(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(look(0, "cancel-pending"))
        acme.record(replace(look(1, "cancel-pending", as_of=0), asked=True))
        assert acme.one("select count(*) from v1_changes where kind = 'cancel_asked'") == 1


def test_without_our_asking_nobody_knows_who_cancelled(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(look(0, "submitted"), look(1, "cancelled"))
        assert acme.one("select end_cause from v1_orders") == "unknown"


# --- what is declared, and said -------------------------------------------------------------------------


def test_only_port_ins_at_telnyx_can_be_cancelled(run: Run, tmp_path: Path) -> None:
    how = providers.load("telnyx").cancel
    assert how is not None
    request = how.request(OrderRef(Direction.PORT_IN, "a/b"))
    assert request == Request("/porting_orders/a%2Fb/actions/cancel", method="POST")
    assert how.request(OrderRef(Direction.PORT_OUT, "x")) is None
    url = f"sqlite:///{tmp_path}/filled.db"
    filled.fill(url)
    filled.configuration(tmp_path, url)
    code, _, err = run("cancel", "P-000417", "--yes")
    assert code == 78 and "Fone Dynamics has no call to cancel an order" in err
    code, _, err = run("cancel", filled.OUT, "--yes")
    assert code == 78 and "Telnyx has no call to cancel such an order" in err
    code, _, err = run("cancel", "nothing-like-it", "--yes")
    assert code == 2 and "no such order: nothing-like-it" in err


@pytest.mark.parametrize(
    ("foc_at", "foc_on", "said"),
    [
        (None, None, "does not apply yet"),
        (hour(49), hour(49).date(), "takes a cancellation until Mon 15 Jun 2026 13:00 UTC, 48 hours before"),
        (hour(47), hour(47).date(), "will most likely do so now"),
        (hour(-1), hour(-1).date(), "will most likely do so now"),
        (None, hour(72).date(), "takes a cancellation until Tue 16 Jun 2026 04:00 UTC"),
        (None, hour(48).date(), "will most likely do so now"),
    ],
)
def test_the_lock_is_told_for_this_order(foc_at: datetime | None, foc_on: object, said: str) -> None:
    order = {
        "provider": "telnyx",
        "confirmed_foc_on": foc_on and str(foc_on),
        "confirmed_foc_at": foc_at and f"{foc_at:%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    assert said in cancelling.locked(order, timedelta(hours=48), "America/New_York", NOW)


def test_a_foreign_answer_is_no_cancellation() -> None:
    adapter = account().adapter
    request = Request("/porting_orders/x/actions/cancel", method="POST")
    for body in (b"", b"{}", b"[]", b"<html>", b'{"data": {"id": "y"}}'):
        with pytest.raises(PageChanged):
            adapter.read(Page(request, 200, body, NOW, NOW), account().options)
    with pytest.raises(ProviderError):
        adapter.read(Page(request, 404, b"", NOW, NOW), account().options)
