"""Every word of a provider's tables goes the whole way from a page to the views; every other word is unknown,
counted, and made known by the line that is offered for it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from filled import Filler
from made import NOW, account
from stored import Desk, desk, event, look

from aggregator import providers
from aggregator.accounts import account_of
from aggregator.cli.remedy import remedy
from aggregator.config import load
from aggregator.core.account import Account
from aggregator.core.model import (
    Basis,
    Direction,
    Fact,
    Meaning,
    NumberSaid,
    Part,
    ReasonSaid,
    Status,
    Task,
    Vocabulary,
    Whole,
    Word,
)
from aggregator.core.normalise import meaning, reason
from aggregator.store import open_store
from aggregator.store.queries import Reader, Row

NUMBER = "+13035550123"
ODD = {
    Vocabulary.PORT_IN: "almost-there",
    Vocabulary.PORT_OUT: "half-gone",
    Vocabulary.REASON: "MOON_IN_CANCER",
    Vocabulary.MESSAGING: "on-strike",
    Vocabulary.ACTIVATION: "Half Active",
    Vocabulary.CARRIER_STATUS: "held-up",  # a bare code has no line
    Vocabulary.REQUIREMENT: "lost-in-the-post",
    Vocabulary.PORTABILITY: "perhaps",
    Vocabulary.ACTIVATION_JOB: "asleep",
    Vocabulary.ACTION_REQUIREMENT: "dawdling",
}
TASKS = (Vocabulary.ACTIVATION_JOB, Vocabulary.ACTION_REQUIREMENT)
SHOWN: dict[Vocabulary, tuple[str, str, object]] = {
    Vocabulary.PORT_IN: ("v1_orders", "state", "with_carrier"),
    Vocabulary.PORT_OUT: ("v1_orders", "state", "action_needed"),
    Vocabulary.REASON: ("v1_orders", "reasons", ["other"]),
    Vocabulary.MESSAGING: ("v1_orders", "messaging_state", "pending"),
    Vocabulary.ACTIVATION: ("v1_numbers", "activation_state", "pending"),
    Vocabulary.CARRIER_STATUS: ("v1_numbers", "carrier_status", "pending"),
    Vocabulary.REQUIREMENT: ("v1_orders", "waiting_on", "us"),
    Vocabulary.ACTION_REQUIREMENT: ("v1_orders", "waiting_on", "us"),
}
"""Where the meaning shows that the offered line proposes; the other lists move nothing by that alone."""
TELNYX, FONE = providers.load("telnyx"), providers.load("fonedynamics")


@pytest.fixture
def filler(database_url: str) -> Iterator[Filler]:
    """One account at each provider, on a database of the test's own."""
    store = open_store(database_url)
    yield Filler(store)
    store.close()


COUNTS = {
    ("telnyx", Vocabulary.PORT_IN): (8, 0),
    ("telnyx", Vocabulary.PORT_OUT): (6, 0),
    ("telnyx", Vocabulary.ACTIVATION): (13, 0),
    ("telnyx", Vocabulary.MESSAGING): (7, 0),
    ("telnyx", Vocabulary.REQUIREMENT): (4, 0),
    ("telnyx", Vocabulary.PORTABILITY): (3, 0),
    ("telnyx", Vocabulary.ACTIVATION_JOB): (4, 0),
    ("telnyx", Vocabulary.ACTION_REQUIREMENT): (5, 0),
    ("fonedynamics", Vocabulary.PORT_IN): (2, 0),
    ("fonedynamics", Vocabulary.CARRIER_STATUS): (0, 1),
}
"""How many published words of each list have a meaning, and how many are published without one."""
SEEN_ELSEWHERE = {
    "LOA_ILLEGIBLE", "ILLEGIBLE_LOA", "ACCOUNT_NUMBER_REQUIRED", "AUTH_NAME_MISMATCH", "BUSINESS_NAME_MISMATCH",
    "DIFFERENT_ACCOUNTS", "DIFFERENT_RATE_CENTERS", "INVALID_RESELLER",
}  # fmt: skip
PORT_OUT_CODES = {"1001", "1002"}


def test_as_many_words_of_each_list_are_mapped_as_are_published() -> None:
    found = {
        (name, vocabulary): (
            sum(said.basis in (Basis.DOCUMENTED, Basis.INFERRED) for said in table.values()),
            sum(said.basis is Basis.NONE for said in table.values()),
        )
        for name in providers.names()
        for vocabulary, table in providers.load(name).words.items()
    }
    assert found == COUNTS


def test_the_published_reasons_and_those_seen_elsewhere_are_mapped() -> None:
    published = TELNYX.reasons.keys() - SEEN_ELSEWHERE - PORT_OUT_CODES
    assert (len(published), len(SEEN_ELSEWHERE & TELNYX.reasons.keys())) == (21, 8)
    guessed = {code for code, said in TELNYX.reasons.items() if said.basis is not Basis.DOCUMENTED}
    assert guessed == SEEN_ELSEWHERE | {"LSR_PENDING"}  # a code without a published meaning
    assert TELNYX.reasons.keys() >= PORT_OUT_CODES


@pytest.mark.parametrize("provider", providers.names())
def test_no_row_of_a_table_is_dead(provider: str) -> None:
    own = account(provider)
    for vocabulary, table in own.adapter.words.items():
        assert {word: meaning(word, vocabulary, own.words) for word in table} == table
    assert {code: reason(code, own.words) for code in own.adapter.reasons} == own.adapter.reasons


# --- known words ----------------------------------------------------------------------------------------


def rows_of(filler: Filler, query: str) -> list[Row]:
    return list(Reader(filler.store.engine).query(query, {}))


def test_every_status_of_a_port_in_at_telnyx_comes_through(filler: Filler) -> None:
    table = TELNYX.words[Vocabulary.PORT_IN]
    for word in table:
        filler.look(word, "06-03 10:00", word, [NUMBER])
    assert _states(filler, "orders") == _meant(table)
    assert _states(filler, "numbers") == _meant(table)
    assert rows_of(filler, "select * from v1_unknown_words") == []


def test_every_status_of_a_port_out_comes_through(filler: Filler) -> None:
    table = TELNYX.words[Vocabulary.PORT_OUT]
    for word in table:
        payload = {"status": word, "phone_numbers": [NUMBER], "carrier_name": "Imaginary Wireless"}
        filler.announce("portouts", "portout.status_changed", {"portout_id": word}, payload, "06-06 07:00")
    assert _states(filler, "orders") == _meant(table)
    assert rows_of(filler, "select * from v1_unknown_words") == []


def test_every_word_for_messaging_and_activation_comes_through(filler: Filler) -> None:
    messaging, activation = TELNYX.words[Vocabulary.MESSAGING], TELNYX.words[Vocabulary.ACTIVATION]
    for word in messaging:
        filler.look(f"m:{word}", "06-03 10:00", "ported", [NUMBER], messaging=word)
    for word in activation:
        filler.look(f"a:{word}", "06-03 10:00", "foc-date-confirmed", [NUMBER], activation=word)
    asked = "select provider_order_id, messaging_state from v1_orders where provider_order_id like 'm:%'"
    found = {row["provider_order_id"]: row["messaging_state"] for row in rows_of(filler, asked)}
    assert found == {f"m:{word}": said.value for word, said in messaging.items()}
    asked = "select order_id, activation_state from v1_numbers where order_id like '%a:%'"
    found = {row["order_id"].rpartition("/")[2]: row["activation_state"] for row in rows_of(filler, asked)}
    # An order's id is compared in lower case.
    assert found == {f"a:{word}".lower(): said.value for word, said in activation.items()}
    assert rows_of(filler, "select * from v1_unknown_words") == []


def test_every_reason_comes_through_with_who_must_act(filler: Filler) -> None:
    for code in TELNYX.reasons:
        filler.look(code, "06-03 10:00", "exception", [NUMBER], details=[{"code": code, "description": "so"}])
    asked = "select o.provider_order_id, o.waiting_on, o.reasons, r.code, r.raw_code, r.raw_text "
    found = rows_of(filler, f"{asked} from v1_orders o join v1_reasons r on r.order_id = o.order_id")
    assert {row["raw_code"]: (row["code"], row["waiting_on"]) for row in found} == {
        code: (said.code, said.waiting_on) for code, said in TELNYX.reasons.items()
    }
    assert all(row["reasons"] == [row["code"]] and row["raw_text"] == "so" for row in found)
    assert all(row["raw_code"] == row["provider_order_id"] for row in found)
    assert rows_of(filler, "select * from v1_unknown_words") == []


def test_every_status_at_fone_dynamics_comes_through(filler: Filler) -> None:
    table = FONE.words[Vocabulary.PORT_IN]
    for word in table:
        filler.fone(word, "06-02 02:00", word, ("+61255500101", word, ()))
    assert _states(filler, "orders") == _meant(table)
    assert _states(filler, "numbers") == _meant(table)
    assert rows_of(filler, "select * from v1_unknown_words") == []


def _states(filler: Filler, view: str) -> dict[str, tuple[str, str]]:
    """The state and its basis by the provider's word, which every order here is named after."""
    found = rows_of(filler, f"select order_id, raw_status, state, mapping_basis from v1_{view}")
    assert all(row["order_id"].casefold().endswith(f"/{row['raw_status']}".casefold()) for row in found)
    return {row["raw_status"]: (row["state"], row["mapping_basis"]) for row in found}


def _meant(table: Any) -> dict[str, tuple[str, str]]:
    said: dict[str, Meaning] = dict(table)
    return {word: (one.value, one.basis) for word, one in said.items()}


# --- words nobody knows ---------------------------------------------------------------------------------


def told(task: Task, hours: float = -5, order: str = "order-1") -> Fact:
    """A task as it was read at that hour."""
    fact = look(hours, order=order, part=Part.ACTIVATION_JOBS)
    return replace(fact, source_id=f"{task.id}@{hours}", task=task, status=None, document=None, deleted=None)


def odd(order: str = "order-1") -> tuple[Any, ...]:
    """What a provider says about two orders in words nobody knows, one of each list."""
    number = NumberSaid(
        NUMBER,
        activation=Word(ODD[Vocabulary.ACTIVATION]),
        carrier_status=Word(ODD[Vocabulary.CARRIER_STATUS]),
        requirement=Word(ODD[Vocabulary.REQUIREMENT]),
        portability=Word(ODD[Vocabulary.PORTABILITY]),
    )
    status = Status(ODD[Vocabulary.PORT_IN], (ReasonSaid(ODD[Vocabulary.REASON], "the stars say no"),))
    said: dict[str, Any] = {
        "status": status,
        "messaging": Word(ODD[Vocabulary.MESSAGING]),
        "numbers": Whole((number,)),
    }
    port_out = ODD[Vocabulary.PORT_OUT]
    tasks = (Task(f"{order}/{kind}", kind, Word(ODD[kind])) for kind in TASKS)
    return (
        replace(look(-5, order=order), **said),
        *(told(task, order=order) for task in tasks),
        look(-5, port_out, NUMBER, order=order, direction=Direction.PORT_OUT),
    )


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account whose provider says much that nobody knows, twice."""
    with desk(database_url) as opened:
        opened.record(*odd(), *odd("order-2"))
        yield opened


def test_a_word_nobody_knows_is_unknown_counted_and_shown_with_an_example(acme: Desk) -> None:
    found = acme.rows("select * from v1_unknown_words")
    assert {row["vocabulary"]: row["word"] for row in found} == ODD
    for row in found:
        direction = "port_out" if row["vocabulary"] == Vocabulary.PORT_OUT else "port_in"
        assert (row["account"], row["provider"], row["orders"]) == ("acme", "telnyx", 2)
        assert row["example"] == f"acme/{direction}/order-1"
    for row in acme.rows("select * from v1_orders"):
        assert (row["state"], row["mapping_basis"], row["waiting_on"]) == ("unknown", "none", "unknown")
        assert (row["is_open"], row["needs_us"], row["display_group"]) == (True, True, "waiting_for_us")
        assert row["raw_status"] in row["why"]
    query = (
        "select messaging_state, reasons from v1_orders where direction = 'port_in' and order_id like '%1'"
    )
    assert acme.one(query) == {"messaging_state": "unknown", "reasons": ["unknown"]}
    assert acme.one("select distinct activation_state from v1_numbers where order_id like '%in/order-1'") == (
        "unknown"
    )


@pytest.mark.parametrize("vocabulary", ODD)
@pytest.mark.parametrize("place", ["account", "provider"])
def test_one_line_for_an_account_or_its_provider_explains_a_word(
    acme: Desk, tmp_path: Path, vocabulary: Vocabulary, place: str
) -> None:
    rows = acme.rows("select * from v1_unknown_words where vocabulary = :list", list=vocabulary)
    seen = acme.one("select newest_seq from v1_feed_identity")
    header, line = remedy(rows)
    if place == "provider":
        header = header.replace("accounts.acme", "providers.telnyx")
    own, other = configured(tmp_path, f"{header}\n{line}\n")
    acme.store.sync([own, other], timedelta(days=14), NOW)
    left = {row["vocabulary"] for row in acme.rows("select vocabulary from v1_unknown_words")}
    assert left == ODD.keys() - {vocabulary}
    acme.account = own
    news = [event(-1, key=way, direction=way, documents_changed=True) for way in Direction]
    acme.record(*news)
    if vocabulary not in SHOWN:
        return
    table, column, shown = SHOWN[vocabulary]
    order = f"acme/{'port_out' if vocabulary is Vocabulary.PORT_OUT else 'port_in'}/order-1"
    assert acme.one(f"select {column} from {table} where order_id = :order", order=order) == shown
    query = (
        "select distinct source from v1_changes where field = :column and order_id = :order and seq > :seen"
    )
    assert acme.one(query, column=column, order=order, seen=seen) == "replay"
    assert (own.words.version == other.words.version) is (place == "provider")


def configured(folder: Path, lines: str) -> tuple[Account, Account]:
    """The accounts of a configuration with these lines: the one that says odd words, and another beside it."""
    path = folder / "aggregator.toml"
    table = '[accounts.{0}]\nprovider = "telnyx"\nsecret = "file:none"\n'
    path.write_text(f"{table.format('acme')}{table.format('other')}{lines}", encoding="utf-8")
    found = load(path, providers.load, {}).accounts
    return account_of(found["acme"]), account_of(found["other"])
