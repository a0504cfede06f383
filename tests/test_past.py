"""As of a moment: what was known then, with the words of today, and what cannot be answered."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import filled
import psycopg
import pytest
from filled import ACME, BLUE, GONE, ODD
from made import account, hour
from sqlalchemy import text
from stored import NUMBER, desk, event, look

from aggregator.core.model import Meaning, State, Vocabulary
from aggregator.store import open_store
from aggregator.store.grants import grant_reader
from aggregator.store.past import Past, Then

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(database_url: str, tmp_path: Path) -> Path:
    """The configuration of a filled database."""
    filled.fill(database_url)
    return filled.configuration(tmp_path, database_url)


def rows(run: Run, path: Path, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run(f"--config={path}", *arguments, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def then(url: str, at: float, *facts: Any, **operator: Meaning) -> list[Then]:
    """The orders known at that hour, after these facts were recorded one by one as they were read."""
    with desk(url) as acme:
        for fact in sorted(facts, key=lambda fact: fact.read_at):
            acme.record(fact)
        knowing = account(name="acme", operator={Vocabulary.PORT_IN: operator})
        reader = acme.reader()
        past = Past(reader, {"acme": knowing}, hour(at), timedelta(days=14))
        found = list(past.orders(reader.select("orders")))
        assert past.unanswered == []
        reader.close()
        return found


def test_only_what_had_been_read_by_then_counts(database_url: str) -> None:
    late = event(-9, "exception", "PASSCODE_PIN_INVALID", read=3)  # happened before, heard of after
    facts = (event(-10, "submitted"), late, look(5, "foc-date-confirmed", NUMBER))
    assert then(database_url, -11, *facts) == []
    (known,) = then(database_url, 2, *facts)
    assert (known.order["state"], known.order["reasons"], known.order["numbers_total"]) == (
        "with_carrier",
        [],
        0,
    )
    (known,) = then(database_url, 3, *facts)
    assert (known.order["state"], known.order["reasons"]) == ("exception", ["pin_invalid"])
    assert [row["code"] for row in known.reasons()] == ["pin_invalid"]
    (known,) = then(database_url, 5, *facts)
    assert (known.order["state"], known.order["numbers_total"]) == ("scheduled", 1)


def test_the_words_are_those_of_today(database_url: str) -> None:
    meaning = {"almost-there": Meaning(State.SCHEDULED)}
    (known,) = then(database_url, 0, event(-1, "almost-there"), event(1, "ported"), **meaning)
    assert (known.order["state"], known.order["raw_status"]) == ("scheduled", "almost-there")


def test_a_content_that_came_later_was_not_known_yet(database_url: str) -> None:
    facts = (event(-2, "in-process"), event(-1, read=-1), event(-1, "submitted", read=4))
    (known,) = then(database_url, 3, *facts)
    assert (known.order["state"], known.owed) == ("with_provider", frozenset({"order-1@-1"}))
    (known,) = then(database_url, 4, *facts)
    assert (known.order["state"], known.owed) == ("with_carrier", frozenset())


def test_as_of_now_is_what_the_views_show(run: Run, path: Path) -> None:
    now, shown = rows(run, path, "orders", "--all", "--as-of", "0s"), rows(run, path, "orders", "--all")
    assert len(now) == len(shown) > 6
    by_clock = {"last_read_ok_at"}  # a complete listing counts too
    for mine, view in zip(now, shown, strict=True):
        assert list(mine) == list(view)
        assert {k: v for k, v in mine.items() if k not in by_clock} == {
            k: v for k, v in view.items() if k not in by_clock
        }
    assert rows(run, path, "orders", "--as-of", "0s") == [row for row in now if row["is_open"]]
    for order in (ACME, ODD, GONE):
        (mine,), (view,) = rows(run, path, "show", order, "--as-of", "0s"), rows(run, path, "show", order)
        for part in ("reasons_held", "comments", "timeline"):
            assert mine[part] == view[part]
        for line in (*mine["numbers"], *view["numbers"]):
            del line["last_seq"]
        assert mine["numbers"] == view["numbers"]


def test_filters_speak_of_what_was_known_then(run: Run, path: Path) -> None:
    at = ("--as-of", "2026-06-02T12:30Z")
    assert [row["state"] for row in rows(run, path, "orders", *at)] == ["exception", "with_provider"]
    (order,) = rows(run, path, "orders", *at, "--state", "exception", "--provider", "telnyx")
    assert order["provider_order_id"] == ACME and order["needs_us"] and order["urgency"] == 2
    assert rows(run, path, "orders", *at, "--state", "scheduled") == []
    assert len(rows(run, path, "orders", *at, "--limit", "1")) == 1
    code, out, _ = run(f"--config={path}", "orders", *at)
    assert code == 0 and "Acme Dental" in out and "Blue Harbor" not in out


def test_show_tells_the_life_up_to_then(run: Run, path: Path) -> None:
    code, out, _ = run(f"--config={path}", "show", ACME, "--as-of", "2026-06-04T12:00Z")
    assert code == 0
    assert "PHONE_NUMBER_MISMATCH" not in out and "12025550130" in out
    (told,) = rows(run, path, "show", ACME, "--as-of", "2026-06-04T12:00Z")
    assert told["state"] == "scheduled" and len(told["comments"]) == 1
    assert {entry["observed_at"] <= "2026-06-04T12:00" for entry in told["timeline"]} == {True}
    code, out, err = run(f"--config={path}", "show", BLUE, "--as-of", "2026-06-02T00:00Z")
    assert (code, out) == (1, "") and f"no order {BLUE} was known then" in err


@pytest.mark.parametrize("at", ["2026-06-01T00:00", "2026-06-01", "2999-01-01T00:00Z", "soon"])
@pytest.mark.parametrize("verb", [("orders",), ("show", "x")])
def test_a_time_that_is_naive_or_still_to_come_is_refused(
    run: Run, tmp_path: Path, verb: tuple[str, ...], at: str
) -> None:
    code, out, err = run(f"--config={tmp_path}/none.toml", *verb, "--as-of", at)
    assert (code, out) == (2, "") and "as-of" in err


def test_since_and_until_do_not_go_with_it(run: Run, path: Path) -> None:
    assert run(f"--config={path}", "orders", "--as-of", "1d", "--since", "2d")[0] == 2


def test_what_cannot_be_answered_is_named(run: Run, path: Path, database_url: str) -> None:
    store = open_store(database_url)
    try:
        with store.engine.begin() as tx:
            query = (
                "delete from fact where order_pk in (select id from port_order where provider_order_id = :id)"
            )
            tx.execute(text(query), {"id": BLUE})
    finally:
        store.close()
    text_ = path.read_text("utf-8")
    path.write_text(text_[: text_.index("[accounts.fone-au]")], encoding="utf-8")
    code, out, err = run(f"--config={path}", "orders", "--all", "--as-of", "1s")
    assert code == 1 and "Acme Dental" in out and "Blue Harbor" not in out
    assert sorted(err.splitlines()) == [
        "fone-au: not configured any more, so its words are not known",
        f"telnyx-main/port_in/{BLUE}: its facts of that time were pruned",
    ]
    code, out, err = run(f"--config={path}", "show", BLUE, "--as-of", "1s")
    assert (code, out) == (1, "") and "pruned" in err


def test_a_role_that_may_read_the_views_only_is_told_so(run: Run, tmp_path: Path, postgres_url: str) -> None:
    filled.fill(postgres_url)
    store = open_store(postgres_url)
    name = "reader_of_the_past"
    grant_reader(store.engine, name)
    store.close()
    url = postgres_url.replace("//postgres:@", f"//{name}:@")
    assert url != postgres_url
    path = filled.configuration(tmp_path, url)
    try:
        assert run(f"--config={path}", "orders")[0] == 0
        code, out, err = run(f"--config={path}", "orders", "--as-of", "1s")
        assert (code, out) == (78, "") and "may not read" in err
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"drop owned by {name}")
            connection.execute(f"drop role {name}")
