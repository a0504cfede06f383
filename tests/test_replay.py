"""Derived rows again from the stored facts: what differs, what is never touched, and how it is stopped."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filled
import pytest
from made import NOW, account
from sqlalchemy import text
from stored import NUMBER, Desk, desk, event, look

from aggregator.cli import bar
from aggregator.core.account import Account
from aggregator.core.differing import Difference
from aggregator.core.findings import Replayed
from aggregator.core.model import Meaning, ReasonSaid, State, Status, Vocabulary
from aggregator.errors import Fenced
from aggregator.store import open_store
from aggregator.store import replay as replaying
from aggregator.store.replay import compare

LATER = NOW + timedelta(hours=3)
EVER = ("fact", "document", "event", "comment", "wanted", "quarantine", "feed", "backfill")
"""Tables that a replay has no business in."""
Run = Callable[..., tuple[int, str, str]]


def knowing(**words: State) -> Account:
    """The account after its operator explained (or bent) some words for orders."""
    said = {word.replace("_", "-"): Meaning(state) for word, state in words.items()}
    return account(name="acme", operator={Vocabulary.PORT_IN: said})


def told(acme: Desk) -> None:
    """Two orders: one with reasons and numbers, one in a word that nobody knows."""
    acme.record(event(-50, "in-process"), event(-40, "submitted"))
    reasons = Status("exception", (ReasonSaid("PASSCODE_PIN_INVALID", "PIN"), ReasonSaid("MOON_IN_CANCER")))
    acme.record(replace(look(-30, "exception", NUMBER), status=reasons))
    acme.record(look(-20, "almost-there", "+13035550124", order="order-2"))


def whole(acme: Desk, limit: int = 100) -> Replayed:
    """A replay to its end; every slice's differences together."""
    found, differences = Replayed(), list[Difference]()
    for _ in range(limit):
        found = acme.store.replay(acme.account, acme.lease, LATER)
        differences += found.differences
        if found.done:
            break
    return replace(found, differences=tuple(differences))


def dry(acme: Desk) -> list[str]:
    """What a dry run prints."""
    slices = compare(acme.store.engine, acme.account, LATER)
    return [str(one) for found in slices for one in found.differences]


def test_with_the_same_words_nothing_differs_and_nothing_is_written(database_url: str) -> None:
    with desk(database_url) as acme:
        told(acme)
        before = acme.everything()
        assert dry(acme) == []
        found = whole(acme)
        assert (found.orders, found.differing, found.changes, found.sealed) == (2, 0, 0, 0)
        assert acme.everything() == before


def test_other_words_make_changes_of_their_own_and_touch_no_older_row(database_url: str) -> None:
    with desk(database_url) as acme:
        told(acme)
        before = acme.everything()
        acme = replace(acme, account=knowing(almost_there=State.SCHEDULED, submitted=State.WITH_PROVIDER))
        expected = dry(acme)
        assert acme.everything() == before, "a dry run writes nothing"
        assert "acme/port_in/order-2: state: unknown → scheduled" in expected
        assert not any("unknown status" in line for line in expected), "the word itself is no difference"
        found = whole(acme)
        assert [str(one) for one in found.differences] == expected
        assert dry(acme) == [] and whole(acme).differing == 0
        after = acme.everything()
        assert {name: after[name] for name in EVER} == {name: before[name] for name in EVER}
        assert set(before["change"]) <= set(after["change"])
        new = acme.rows("select * from v1_changes where source = 'replay' order by seq")
        assert len(new) == found.changes == len(after["change"]) - len(before["change"])
        (state,) = (row for row in new if row["field"] == "state" and row["order_id"].endswith("order-2"))
        assert (state["old_value"], state["new_value"]) == ("unknown", "scheduled")
        assert state["observed_at"] == "2026-06-15T15:00:00.000000Z" and not state["initial"]
        order = acme.one("select * from v1_orders where provider_order_id = 'order-2'")
        assert (order["state"], order["last_seq"]) == ("scheduled", max(row["seq"] for row in new))
        assert order["map_version"] == acme.account.words.version
        assert acme.one("select state from v1_numbers where order_id = 'acme/port_in/order-2'") == "scheduled"
        assert acme.rows("select * from v1_unknown_words where vocabulary = 'status'") == []


def test_a_word_that_is_not_explained_any_more_is_unknown_again(database_url: str) -> None:
    with desk(database_url, knowing(almost_there=State.SCHEDULED)) as acme:
        told(acme)
        assert acme.rows("select * from v1_unknown_words where vocabulary = 'status'") == []
        acme = replace(acme, account=account(name="acme"))
        assert "acme/port_in/order-2: unknown status: (none) → almost-there" in dry(acme)
        whole(acme)
        assert acme.one("select word from v1_unknown_words where vocabulary = 'status'") == "almost-there"
        assert dry(acme) == []


SPOILED = {
    "update port_order set numbers_total = 7, deadline_at = null, customer_reference = 'x' "
    "where provider_order_id = 'order-1'": "customer_reference: x → (none)",
    "update port_number set activation_state = 'active'": f"{NUMBER}: activation_state: active → (none)",
    "update port_number set state = 'ported'": f"{NUMBER}: state: ported → exception",
    "delete from port_number": f"{NUMBER}: number_key: (none) → {NUMBER}",
    "delete from reason where code = 'unknown'": "reason: (none) → unknown (MOON_IN_CANCER, us)",
    "insert into reason select order_pk, number_key, 'other', raw_code, from_at, null, null, 'us' "
    "from reason where code = 'pin_invalid'": "reason: other (PASSCODE_PIN_INVALID, us)",
    "delete from unknown_word": "unknown reason: (none) → MOON_IN_CANCER",
}


@pytest.mark.parametrize("statement", SPOILED)
def test_every_derived_row_is_compared_and_rebuilt(database_url: str, statement: str) -> None:
    with desk(database_url) as acme:
        told(acme)
        before = derived(acme)
        schema = "" if acme.store.engine.dialect.name == "sqlite" else "set search_path to porting"
        with acme.store.engine.begin() as tx:
            if schema:
                tx.execute(text(schema))
            tx.execute(text(statement))
        assert any(SPOILED[statement] in line for line in dry(acme))
        assert whole(acme).differing
        assert dry(acme) == []
        assert derived(acme) == before


def derived(acme: Desk) -> list[tuple[str, list[tuple[str, str]]]]:
    """The rows that follow from the facts, without when they were last written."""
    views = ("v1_orders", "v1_numbers", "v1_reasons", "v1_unknown_words")
    rows = [(view, row) for view in views for row in acme.rows(f"select * from {view}")]
    when = ("last_seq", "last_changed_at", "first_seen_at", "last_seen_at")
    return sorted(
        (view, [(name, str(value)) for name, value in row.items() if name not in when]) for view, row in rows
    )


def test_a_stopped_replay_goes_on_where_it_was(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "SLICE", 2)
    with desk(database_url) as acme:
        acme.record(*(event(n, "submitted", order=f"order-{n}") for n in range(5)))
        acme = replace(acme, account=knowing(submitted=State.WITH_PROVIDER))
        first = acme.store.replay(acme.account, acme.lease, LATER)
        assert (first.orders, first.done) == (2, False)
        acme = replace(acme.again(), account=acme.account)  # another process
        second = acme.store.replay(acme.account, acme.lease, LATER)
        assert (second.orders, second.differing, second.done) == (4, 4, False)
        assert {one.order_id[-1] for one in second.differences} == {"2", "3"}
        last = acme.store.replay(acme.account, acme.lease, LATER)
        assert (last.orders, last.differing, last.done, last.share) == (5, 5, True, 1.0)
        assert acme.one("select count(*) from v1_changes where source = 'replay' and field = 'state'") == 5
        assert acme.store.replay(acme.account, acme.lease, LATER).orders == 2, "a new one begins anew"
        acme.store.close()


def test_other_words_meanwhile_begin_it_anew(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "SLICE", 2)
    with desk(database_url) as acme:
        acme.record(*(event(n, "submitted", order=f"order-{n}") for n in range(3)))
        acme.store.replay(acme.account, acme.lease, LATER)
        acme = replace(acme, account=knowing(submitted=State.WITH_PROVIDER))
        assert whole(acme).differing == 3


def test_an_account_that_was_taken_over_is_not_replayed(database_url: str) -> None:
    with desk(database_url) as acme:
        told(acme)
        acme = replace(acme, account=knowing(submitted=State.WITH_PROVIDER))
        acme.again().store.close()
        before = acme.everything()
        with pytest.raises(Fenced):
            whole(acme)
        assert acme.everything() == before


def test_an_order_whose_facts_are_gone_is_left_alone_and_counted(database_url: str) -> None:
    with desk(database_url) as acme:
        told(acme)
        with acme.store.engine.begin() as tx:
            tx.execute(text("delete from fact where order_pk = 1"))
        before = acme.everything("replay")
        acme = replace(acme, account=knowing(exception=State.REJECTED))
        found = whole(acme)
        assert (found.orders, found.sealed, found.differing) == (2, 1, 0)
        state = "select state from v1_orders where provider_order_id = 'order-1'"
        assert acme.one(state) == "exception"
        assert acme.everything("replay")["change"] == before["change"]


# --- the verb -------------------------------------------------------------------------------------------


WORD = '\n[accounts.telnyx-main.statuses]\n"almost-there" = "scheduled"\n'


def test_the_verb_prints_each_difference_and_its_exit_status_tells(
    run: Run, tmp_path: Path, database_url: str
) -> None:
    filled.fill(database_url)
    path = filled.configuration(tmp_path, database_url)
    assert run(f"--config={path}", "replay", "--dry-run")[:2] == (0, "nothing would differ\n")
    assert "words changed" not in run(f"--config={path}", "check")[2]
    path.write_text(path.read_text("utf-8") + WORD, encoding="utf-8")
    assert "telnyx-main: words changed since the last replay" in run(f"--config={path}", "check")[2]
    code, out, _ = run(f"--config={path}", "replay", "--dry-run")
    step = f"telnyx-main/port_in/{filled.ODD}: state: unknown → scheduled"
    assert code == 1 and step in out.splitlines() and out.endswith("\n1 order would differ\n")
    code, out, _ = run(f"--config={path}", "replay")
    assert code == 0 and step in out.splitlines() and out.endswith("\n1 order differed\n")
    assert run(f"--config={path}", "replay")[:2] == (0, "nothing differed\n")
    assert run(f"--config={path}", "replay", "--dry-run")[:2] == (0, "nothing would differ\n")
    assert "words changed" not in run(f"--config={path}", "check")[2]


EXPLAINED = """
[accounts.telnyx-main.statuses]
"almost-there" = "scheduled"
[accounts.telnyx-main.statuses.reason]
"MOON_IN_CANCER" = "other"
[accounts.telnyx-main.statuses.messaging]
"on-strike" = "pending"
[accounts.telnyx-main.statuses.activation]
"Half Active" = "pending"
[accounts.telnyx-main.statuses.port_out]
'say "no" twice' = "action_needed"
[accounts.fone-au.statuses]
"Awaiting Telstra" = "with_carrier"
[accounts.fone-au.statuses.carrier_status]
"2" = "pending"
"""


@pytest.mark.parametrize("explained", [EXPLAINED, WORD, EXPLAINED.partition("[accounts.fone-au.st")[0], ""])
def test_a_dry_run_and_the_run_itself_say_the_same(
    run: Run, tmp_path: Path, database_url: str, explained: str
) -> None:
    filled.fill(database_url)
    path = filled.configuration(tmp_path, database_url)
    path.write_text(path.read_text("utf-8") + explained, encoding="utf-8")
    code, out, _ = run(f"--config={path}", "replay", "--dry-run")
    assert code == bool(explained)
    assert run(f"--config={path}", "replay")[:2] == (0, out.replace("would differ", "differed"))
    assert run(f"--config={path}", "replay", "--dry-run")[:2] == (0, "nothing would differ\n")


def test_a_word_that_moves_nothing_makes_no_order_differ(run: Run, tmp_path: Path, database_url: str) -> None:
    filled.fill(database_url)
    path = filled.configuration(tmp_path, database_url)
    said = '[accounts.fone-au.statuses.carrier_status]\n"2" = "unresolved"\n'
    path.write_text(path.read_text("utf-8") + said, encoding="utf-8")
    before = run(f"--config={path}", "replay", "--dry-run")
    assert run(f"--config={path}", "replay")[1] == before[1].replace("would differ", "differed")


def test_the_verb_waits_for_whoever_holds_an_account(run: Run, tmp_path: Path, database_url: str) -> None:
    filled.fill(database_url)
    path = filled.configuration(tmp_path, database_url)
    store = open_store(database_url)
    try:
        code, out, err = run(f"--config={path}", "replay")
        assert (code, out) == (0, "nothing differed\n"), err
        store.me = "another-boot/pid:[4026531836]/1/7"
        assert store.take("telnyx-main", datetime.now(UTC)) is not None
        code, out, err = run(f"--config={path}", "replay")
        assert (code, out) == (75, "")
        assert "telnyx-main: held by another process" in err
        assert run(f"--config={path}", "replay", "--dry-run")[0] == 0, "a look needs no lease"
    finally:
        store.close()


def test_the_verb_stops_between_two_slices_and_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'aggregator.db'}"
    filled.fill(url)
    path = filled.configuration(tmp_path, url)
    path.write_text(path.read_text("utf-8") + WORD, encoding="utf-8")
    monkeypatch.setattr(replaying, "SLICE", 1)
    lines: list[str] = []

    def interrupted(name: str) -> bar.Bar:
        def line(share: float, counts: str) -> None:
            lines.append(counts)
            if len(lines) == 2:
                os.kill(os.getpid(), signal.SIGINT)

        return line

    monkeypatch.setattr(bar, "_lines", interrupted)
    code, out, err = run(f"--config={path}", "replay")
    assert (code, out) == (75, "") and "the same command goes on where it was" in err
    code, out, _ = run(f"--config={path}", "replay")
    assert code == 0 and out.endswith("\n1 order differed\n")
    assert lines[2].startswith("3 orders"), "not from the first order again"


def test_the_verb_makes_no_database(run: Run, tmp_path: Path) -> None:
    path = filled.configuration(tmp_path, f"sqlite:///{tmp_path / 'none.db'}")
    for arguments in (["replay"], ["replay", "--dry-run"]):
        code, _, err = run(f"--config={path}", *arguments)
        assert code == 78 and "no database yet" in err
    assert not (tmp_path / "none.db").exists()
