"""The read verbs: the views with filters, the life stories, the tail; exact exit codes, for people and programs."""

import json
import logging
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import IO, Any

import filled
import psycopg
import pytest
import structlog
from filled import ACME, BLUE, NUMBER, ODD_WORDS, Filler, at, stamp

from aggregator import providers
from aggregator.accounts import account_of
from aggregator.cli import following, main, output, reading, remedy, telling
from aggregator.config import load
from aggregator.store import open_store
from aggregator.store.queries import VIEWS

Run = Callable[..., tuple[int, str, str]]
VERBS = ("waiting", "orders", "changes", "events", "feeds", "accounts", "unknown", "quarantine")
EVERY_FILTER = (
    *("--account", "telnyx-main", "--provider", "telnyx", "--direction", "port_in", "--state", "exception"),
    *("--customer", "Acme Dental", "--since", "2026-06-01T00:00Z", "--until", "2026-06-30T00:00+10:00"),
    *("--limit", "5"),
)
FEW_FILTERS = {
    "feeds": {"--account", "--provider"},
    "accounts": {"--account", "--provider", "--limit"},
    "unknown": {"--account", "--provider", "--since", "--until", "--limit"},
    "quarantine": {"--account", "--provider", "--since", "--until", "--limit"},
}
"""The filters of the verbs whose rows belong to no order."""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a filled SQLite file that only readers may touch."""
    folder = tmp_path_factory.mktemp("filled")
    filled.fill(f"sqlite:///{folder}/aggregator.db")
    filled.settle(f"sqlite:///{folder}/aggregator.db")
    path = filled.configuration(folder, "sqlite:///aggregator.db")
    (folder / "aggregator.db").chmod(0o444)
    folder.chmod(0o555)
    return path


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """A fault of ours sets logging up for a process that ends with it; here it goes on."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.fixture
def own(config: Path, tmp_path: Path) -> Path:
    """The same for a test that changes something."""
    for name in ("aggregator.db", "aggregator.toml"):
        shutil.copyfile(config.parent / name, tmp_path / name)
    return tmp_path / "aggregator.toml"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in this process: exit status, standard output, standard error."""

    def run(config: Path, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--config", str(config), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def filters_of(verb: str) -> tuple[str, ...]:
    """A value for every filter that a verb has."""
    pairs = zip(EVERY_FILTER[::2], EVERY_FILTER[1::2], strict=True)
    return tuple(part for pair in pairs for part in pair if pair[0] in FEW_FILTERS.get(verb, EVERY_FILTER))


def rows(run: Run, config: Path, *arguments: str) -> list[dict[str, Any]]:
    """The JSON lines of a verb that has to end well."""
    code, out, err = run(config, *arguments, "--json")
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.split("\n")[:-1]]


# --- views and filters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_json_lines_have_exactly_the_columns_of_the_view_in_their_order(
    run: Run, config: Path, verb: str
) -> None:
    more = ("--all",) if verb == "orders" else ()
    _, out, _ = run(config, verb, *more, "--json")
    with sqlite3.connect(f"file:{config.parent}/aggregator.db?mode=ro", uri=True) as database:
        found = database.execute(f"select * from {VIEWS[verb].name}")
        columns, count = [column[0] for column in found.description], len(found.fetchall())
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines
    assert len(lines) == count
    assert [list(line) for line in lines] == [columns] * count


def test_json_values_are_what_they_say_they_are(run: Run, config: Path) -> None:
    (acme,) = rows(run, config, "orders", "--customer", "Acme Dental")
    assert acme["reasons"] == ["number_mismatch"]
    assert (acme["is_open"], acme["foc_is_firm"], acme["numbers_total"]) == (True, False, 2)
    assert (acme["confirmed_foc_on"], acme["confirmed_foc_at"]) == (
        "2026-06-12",
        "2026-06-12T15:00:00.000000Z",
    )
    assert all(MOMENT.fullmatch(acme[name]) for name in acme if name.endswith("_at") and acme[name])
    (odd,) = [event for event in rows(run, config, "events") if event["raw_to"] == ODD_WORDS["port_out"]]
    assert odd["payload"]["carrier_name"] == "Imaginary Wireless"


def test_both_databases_say_the_same_to_every_read_verb(
    run: Run, config: Path, postgres_url: str, tmp_path: Path
) -> None:
    filled.fill(postgres_url)
    filled.settle(postgres_url)
    other = filled.configuration(tmp_path, postgres_url)
    asked = [(verb, *form) for verb in VERBS for form in ((), ("--json",), filters_of(verb))]
    asked += [("orders", "--all"), ("changes", "--after", "7"), ("changes", "--after", "3", "--json")]
    asked += [(verb, *form) for verb in ("show",) for form in ((ACME,), ("P-000417", "--json"))]
    asked += [("number", NUMBER), ("number", NUMBER, "--json"), ("show", "sr_b1"), ("show", "nothing")]
    for arguments in asked:
        ours, theirs = run(config, *arguments), run(other, *arguments)
        read = json.loads if "--json" in arguments else str
        assert [*map(read, ours[1].splitlines())] == [*map(read, theirs[1].splitlines())], arguments
        assert (ours[0], ours[2]) == (theirs[0], theirs[2].replace(str(tmp_path), str(config.parent)))


def test_filters_leave_what_they_say(run: Run, config: Path) -> None:
    def customers(*arguments: str) -> set[str | None]:
        return {row["customer_reference"] for row in rows(run, config, "orders", "--all", *arguments)}

    assert customers("--provider", "fonedynamics") == customers("--account", "fone-au") == {"Cedar Lane Vets"}
    assert customers("--direction", "port_out") == {None}
    assert customers("--state", "scheduled") == {"Blue Harbor Books"}
    assert customers("--since", "2026-06-08T00:00Z") == {"Acme Dental"}
    assert customers("--until", "2026-06-04T00:00Z") == {"Blue Harbor Books"}
    assert customers("--customer", "nobody") == set()
    assert len(rows(run, config, "orders", "--limit", "2")) == 2


def test_filters_on_orders_reach_the_views_that_have_no_such_column(run: Run, config: Path) -> None:
    scheduled = rows(run, config, "events", "--state", "exception")
    assert {row["order_id"] for row in scheduled} == {f"telnyx-main/port_in/{ACME}"}
    moved = rows(run, config, "changes", "--state", "scheduled")
    assert {row["customer_reference"] for row in moved} == {"Blue Harbor Books"}


def test_the_default_lists_open_orders_and_a_state_or_all_lists_more(run: Run, config: Path) -> None:
    assert all(row["is_open"] for row in rows(run, config, "orders"))
    gone = [row for row in rows(run, config, "orders", "--all") if not row["is_open"]]
    assert [row["deletion_basis"] for row in gone] == ["event"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("2026-01-31", "write 2026-01-31T00:00:00Z"),
        ("2026-01-31 10:00", "write 2026-01-31T10:00:00Z"),
        ("yesterday", "not a time: yesterday"),
        ("99999999999d", "not a time"),
        ("0001-01-01T00:00:00+10:00", "not a time"),
    ],
)
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_times_without_a_zone_or_sense_are_refused(
    run: Run, config: Path, option: str, said: str, hint: str
) -> None:
    code, out, err = run(config, "orders", option, said)
    assert (code, out) == (2, "")
    assert option in err
    assert hint in " ".join(err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("wating",),
        ("orders", "--state", "nope"),
        ("orders", "--limit", "0"),
        ("orders", "--colour"),
        ("show",),
        ("changes", "--follow", "--until", "1d"),
        ("changes", "--feed-id", "abc"),
        ("changes", "--after", "-1"),
        ("waiting", "--customer", "\udcff"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(run: Run, config: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = run(config, *arguments)
    assert (code, out) == (2, "")
    assert err


def test_a_misspelt_verb_gets_a_hint(run: Run, config: Path) -> None:
    assert "Did you mean 'waiting'?" in run(config, "wating")[2]


# --- for people -----------------------------------------------------------------------------------------


def test_waiting_says_why_in_words_with_the_most_urgent_first(run: Run, config: Path) -> None:
    code, out, _ = run(config, "waiting")
    assert code == 0
    assert "number does not belong to the account (about PHONE_NUMBER_MISMATCH)" in out
    assert "decide: authorise or refuse; silence authorises it" in out
    urgencies = [int(line.split()[0]) for line in out.splitlines()[1:]]
    assert urgencies == sorted(urgencies)


def test_nothing_is_cut_off_where_there_is_no_terminal(run: Run, config: Path) -> None:
    _, out, _ = run(config, "orders", "--all")
    assert f"{ACME}" in out
    assert "2026-06-08T16:45:00.000000Z" in out
    assert not any(line.endswith(" ") for line in out.splitlines())
    _, out, _ = run(config, "changes", "--limit", "1000")
    assert "“foc-date-confirmed” → “exception”" in out
    assert "state: scheduled → exception (a step back)" in out


def test_a_table_that_is_cut_says_so_and_how_to_see_more(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [row for row in rows(run, config, "changes") if row["field"] not in telling.FOLLOWING]
    monkeypatch.setattr(reading, "DEFAULT_LIMIT", 4)
    _, out, err = run(config, "changes")
    assert [int(line.split()[0]) for line in out.splitlines()[1:]] == [row["seq"] for row in everything[-4:]]
    assert "the last 4 rows" in err
    _, out, err = run(config, "orders")
    assert len(out.splitlines()) == 5
    assert "the first 4 rows" in err
    _, out, err = run(config, "changes", "--limit", "6")
    assert [int(line.split()[0]) for line in out.splitlines()[1:]] == [row["seq"] for row in everything[-6:]]
    assert err == ""


@pytest.mark.parametrize("verb", ["changes", "events"])
def test_a_limit_leaves_the_last_rows_of_a_history_and_the_first_from_a_point_on(
    run: Run, config: Path, verb: str
) -> None:
    everything = rows(run, config, verb)
    assert rows(run, config, verb, "--limit", "3") == everything[-3:]
    assert rows(run, config, verb, "--limit", "3", "--since", "2026-01-01T00:00Z") == everything[:3]
    whole = run(config, verb, "--limit", "1000")[1].splitlines()
    told = run(config, verb, "--limit", "3", "--since", "2026-01-01T00:00Z")[1].splitlines()
    assert [line.split() for line in told[1:]] == [line.split() for line in whole[-3:]]


def seqs(out: str) -> list[int]:
    """The first column of a table of changes, or of what a follower prints."""
    return [int(word) for line in out.splitlines() if (word := line.split()[0]).isdigit()]


@pytest.mark.parametrize("form", [(), ("--after", "0"), ("--follow", "--after", "0")])
def test_people_are_spared_changes_of_columns_that_follow_from_others(
    run: Run, config: Path, form: tuple[str, ...]
) -> None:
    everything = rows(run, config, "changes")
    derived = {"waiting_since", "state_since", "mapping_basis", "numbers_open", "messaging_open", "why"}
    hidden = [row for row in everything if row["kind"] == "attribute_changed" and row["field"] in derived]
    assert hidden

    shown = [row["seq"] for row in everything if row["field"] not in derived or row not in hidden]
    following = ("--limit", "5") if "--follow" in form else ("--limit", "1000")
    told = seqs(run(config, "changes", *form, *following)[1])
    assert {*told} <= {*shown}
    assert {row["seq"] for row in everything if row["kind"] == "state_changed"} <= {
        *told
    } or "--follow" in form
    told = seqs(run(config, "changes", *form, *following, "--all")[1])
    assert told == [row["seq"] for row in everything][: len(told)]
    assert {*told} - {*shown}


def test_a_limit_counts_what_people_see(run: Run, config: Path) -> None:
    everything = seqs(run(config, "changes", "--limit", "1000")[1])
    assert seqs(run(config, "changes", "--limit", "7")[1]) == everything[-7:]
    assert seqs(run(config, "changes", "--limit", "7", "--after", "0")[1]) == everything[:7]


@pytest.mark.parametrize("form", [(), ("--after", "0"), ("--follow", "--limit", "2")])
def test_only_the_kinds_that_were_asked_for_are_shown(run: Run, config: Path, form: tuple[str, ...]) -> None:
    kinds = ("--kind", "order_seen", "--kind", "comment_added")
    known = [row for row in rows(run, config, "changes") if row["kind"] in ("order_seen", "comment_added")]
    found = [
        row
        for row in map(json.loads, run(config, "changes", *form, *kinds, "--json")[1].splitlines())
        if "seq" in row
    ]
    assert found == (known[:2] if "--follow" in form else known)
    assert set(seqs(run(config, "changes", *form, *kinds)[1])) <= {row["seq"] for row in known}
    derived = run(config, "changes", "--kind", "attribute_changed", "--limit", "1000")[1]
    assert "waiting since" in derived


def test_rows_of_a_first_look_are_marked_for_people(run: Run, own: Path) -> None:
    with sqlite3.connect(own.parent / "aggregator.db") as database:
        database.execute("update change set initial = (seq = 1)")
    database.close()
    for form in ((), ("--after", "0")):
        lines = [line for line in run(own, "changes", *form)[1].splitlines() if "[initial]" in line]
        assert [int(line.split()[0]) for line in lines] == [1]
    assert "[initial]" in run(own, "changes", "--follow", "--after", "0", "--limit", "1")[1]


@pytest.fixture
def stale(own: Path) -> Path:
    """The same where the last poll is long ago, and some feeds have never been read whole."""
    with sqlite3.connect(own.parent / "aggregator.db") as database:
        database.execute("update feed set stale_after_s = 300")
        database.execute(
            "update feed set last_complete_at = null where feed in ('portouts', 'porting_status')"
        )
        database.execute("update feed set last_complete_at = null where feed = 'porting_reconcile'")
    database.close()
    return own


def test_stale_feeds_are_bad_news(run: Run, config: Path, stale: Path) -> None:
    assert run(stale, "feeds")[0] == 1
    assert run(stale, "feeds", "--json")[0] == 1
    assert run(config, "feeds")[0] == 0


@pytest.mark.parametrize(
    "verb", ["waiting", "orders", "changes", "changes --after 3", "changes -f --limit 1"]
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_may_be_out_of_date_says_so_in_one_line_and_ends_as_it_would(
    run: Run, config: Path, stale: Path, verb: str, form: tuple[str, ...]
) -> None:
    known = run(config, *verb.split(), *form)
    code, out, err = run(stale, *verb.split(), *form)
    assert (code, out) == known[:2]
    assert err.splitlines()[0] == (
        "telnyx-main not asked since Mon 08 Jun 2026 17:00 UTC; is the daemon running?; "
        "fone-au has never answered in full (type: porting-aggregator feeds)"
    )
    assert err.splitlines()[1:] == known[2].splitlines()


def test_only_what_was_asked_for_is_called_out_of_date_feed_by_feed(run: Run, own: Path) -> None:
    with sqlite3.connect(own.parent / "aggregator.db") as database:
        database.execute("update feed set stale_after_s = 300 where feed = 'porting_orders'")
    database.close()
    said = "telnyx-main: porting_orders not asked since Mon 08 Jun 2026 17:00 UTC; is the daemon running?"
    assert said in run(own, "orders", "--provider", "telnyx")[2]
    assert run(own, "orders", "--account", "fone-au")[2] == ""
    more = own.read_text("utf-8") + "[accounts.telnyx-main.feeds.porting_orders]\nenabled = false\n"
    own.write_text(more, encoding="utf-8")
    assert run(own, "orders")[2] == ""


def test_an_account_that_was_never_polled_is_told(run: Run, own: Path) -> None:
    more = '[accounts.new]\nprovider = "telnyx"\nsecret = "file:none"\n'
    own.write_text(own.read_text("utf-8") + more, encoding="utf-8")
    assert run(own, "waiting")[2].startswith("new not asked yet; is the daemon running? (")


def test_with_many_accounts_a_warning_and_a_hint_stay_one_line(run: Run, own: Path) -> None:
    more = "".join(f'[accounts.a{i}]\nprovider = "telnyx"\nsecret = "file:none"\n' for i in range(100, 300))
    own.write_text(own.read_text("utf-8") + more, encoding="utf-8")
    assert run(own, "waiting")[2].splitlines()[0] == (
        "a100 not asked yet; is the daemon running?; a101 not asked yet; is the daemon running?; "
        "a102 not asked yet; is the daemon running?"
        " and 197 more (type: porting-aggregator feeds)"
    )
    said = " ".join(run(own, "waiting", "--account", "nobody")[2].replace("│", "").split())
    assert "no such account: nobody (there is a100, a101," in said and "a111 and 190 more)" in said
    assert "a108, a109 and 190 more)" in " ".join(run(own, "poll", "nobody")[2].replace("│", "").split())


@pytest.mark.parametrize("verb", [*VERBS, "show x", "number 1", "changes --after 1"])
@pytest.mark.parametrize(
    ("option", "said", "hint"),
    [
        ("--account", "telnyx-mian", "no such account: telnyx-mian (did you mean telnyx-main?)"),
        ("--account", "x", "no such account: x (there is fone-au, telnyx-main)"),
        ("--provider", "telnix", "no such provider: telnix (did you mean telnyx?)"),
        ("--state", "schduled", "no such state: schduled (did you mean scheduled?)"),
        ("--direction", "port-in", "no such direction: port-in (did you mean port_in?)"),
    ],
)
def test_a_misspelt_filter_is_refused_with_what_may_have_been_meant(
    run: Run, config: Path, verb: str, option: str, said: str, hint: str
) -> None:
    if option not in FEW_FILTERS.get(verb, EVERY_FILTER):
        hint = f"No such option: {option}"
    code, out, err = run(config, *verb.split(), option, said)
    assert (code, out) == (2, "")
    assert hint in " ".join(err.split())
    assert "Value error" not in err


def test_an_account_that_is_known_or_configured_alone_may_be_asked_for(run: Run, own: Path) -> None:
    text = own.read_text("utf-8").replace("accounts.fone-au", "accounts.fone-nz")
    own.write_text(text, encoding="utf-8")
    assert {row["account"] for row in rows(run, own, "events", "--account", "fone-au")} == {"fone-au"}
    assert rows(run, own, "events", "--account", "fone-nz") == []


def test_empty_lists_are_no_bad_news(run: Run, config: Path) -> None:
    assert run(config, "quarantine", "--account", "telnyx-main")[:2] == (0, "nothing was set aside\n")
    assert run(config, "waiting", "--customer", "nobody")[:2] == (0, "nothing waits for us\n")


# --- one order, one number ------------------------------------------------------------------------------

STORY = """\
Acme Dental: port-in of 2 numbers at Telnyx
  order          telnyx-main/port_in/aaaaaaaa-0000-4000-8000-000000000000
  support key    sr_ac3e00
  stands         exception since Mon 08 Jun 2026 16:45 UTC (Telnyx says “exception”)
  waits          for us since Mon 08 Jun 2026 16:45 UTC: number does not belong to the account \
(about PHONE_NUMBER_MISMATCH); required documents are missing
  deadline       Mon 22 Jun 2026 16:45 UTC, then the provider is said to cancel it, if nobody answers
  stuck          since Thu 11 Jun 2026 16:45 UTC: longer exception than is usual
  FOC date       Fri 12 Jun 2026 15:00 UTC, proposed, moved 1 ×
  carriers       Unreal Communications → Telnyx
  messaging      not applicable
  port           “full”, the numbers that stay: “disconnect”, numbers: “local”, may port fast
  numbers        2 in all (2 open)
  resubmitted    1 ×
  group          Group-456
  description    FP Telnyx
  created        Mon 01 Jun 2026 08:00 UTC
  first seen     Mon 01 Jun 2026 09:00 UTC
  last read      Mon 08 Jun 2026 17:00 UTC

Numbers
  exception (“exception”): +12025550130, +12025550131

Reasons given
  Tue 02 Jun 2026 11:00 UTC to Wed 03 Jun 2026 09:30 UTC: name does not match (ENTITY_NAME_MISMATCH: \
about ENTITY_NAME_MISMATCH); waits for us
  Tue 02 Jun 2026 11:00 UTC to Wed 03 Jun 2026 09:30 UTC: PIN wrong (PASSCODE_PIN_INVALID: \
about PASSCODE_PIN_INVALID); waits for us
  Mon 08 Jun 2026 16:45 UTC to now: number does not belong to the account (PHONE_NUMBER_MISMATCH: \
about PHONE_NUMBER_MISMATCH); waits for us

What happened, oldest first
  Mon 01 Jun 2026 08:00 UTC  Telnyx: created
  Mon 01 Jun 2026 09:00 UTC  Telnyx: “in-process” = with provider [the first we heard of it]
  Mon 01 Jun 2026 10:00 UTC  Telnyx: “in-process” → “submitted” = with provider → with carrier \
[late: learned on Fri 05 Jun 2026 09:00 UTC]
  Tue 02 Jun 2026 11:00 UTC  Telnyx: “in-process” → “exception” = with provider → exception; \
now waits for us: name does not match (about ENTITY_NAME_MISMATCH); PIN wrong (about PASSCODE_PIN_INVALID)
  Tue 02 Jun 2026 12:00 UTC  Telnyx wrote: “Please send the *** again.”
  Wed 03 Jun 2026 09:30 UTC  Telnyx: “exception” → “submitted” = exception → with carrier; \
now waits for the losing carrier
  Thu 04 Jun 2026 08:00 UTC  seen at Telnyx: “submitted” → “foc-date-confirmed” = with carrier → scheduled; \
now waits for nobody; FOC date confirmed: Wed 10 Jun 2026 15:00 UTC; customer's group: Group-456; \
group at the provider: pr_123abc; losing carrier: Unreal Communications; gaining carrier: Telnyx; \
messaging: not applicable; numbers in all: 0 → 2; required documents: missing; \
full or partial port: “full”; numbers that stay: “disconnect”; \
+12025550130, +12025550131: added
  Fri 05 Jun 2026 08:00 UTC  seen at Telnyx: FOC date confirmed: Wed 10 Jun 2026 15:00 UTC → \
Fri 12 Jun 2026 15:00 UTC [some time after Thu 04 Jun 2026 08:00 UTC]
  Mon 08 Jun 2026 16:45 UTC  Telnyx: “foc-date-confirmed” → “exception” = scheduled → exception \
(a step back); now waits for us: number does not belong to the account (about PHONE_NUMBER_MISMATCH); \
required documents are missing; the FOC date is not firm any more
"""


def test_show_tells_an_order_as_a_story_to_paste_into_a_ticket(run: Run, config: Path) -> None:
    assert run(config, "show", "sr_ac3e00") == (0, STORY, "")


def test_number_tells_a_life_over_orders_and_providers(run: Run, config: Path) -> None:
    code, out, err = run(config, "number", NUMBER)
    assert (code, err) == (0, "")
    assert out.startswith(f"{NUMBER}: in 2 orders\n")
    assert "  number         ported (“Completed”), the carrier's status “2”\n" in out
    assert "  number         scheduled (“foc-date-confirmed”), activation pending\n" in out
    story = out.partition("What happened, oldest first\n")[2].splitlines()
    assert story[2] == (
        f"  Tue 02 Jun 2026 01:00 UTC  [Cedar Lane Vets] Fone Dynamics: {NUMBER}: "
        "“Received” → “Queued” = still with provider"
    )
    assert story[-1] == (
        f"  Sun 07 Jun 2026 03:00 UTC  [Cedar Lane Vets] Fone Dynamics: {NUMBER}: “Queued” → “Completed” = "
        f"with provider → ported; {NUMBER}: the carrier's status “1” → “2”"
    )
    assert "+61255500102" not in out


@pytest.mark.parametrize("written", ["02 5550 0101", "+61 2 5550-0101", "61255500101", "(02) 5550 0101"])
def test_a_number_is_found_in_any_written_form(run: Run, config: Path, written: str) -> None:
    assert {row["number_key"] for row in rows(run, config, "number", written)} == {NUMBER}


@pytest.mark.parametrize("name", [f"telnyx-main/port_in/{ACME}", ACME, "sr_ac3e00", ACME[:9], "sr_ac3"])
def test_an_order_is_found_by_each_of_its_names(run: Run, config: Path, name: str) -> None:
    (found,) = rows(run, config, "show", name)
    assert found["provider_order_id"] == ACME


def test_json_of_an_order_carries_all_that_belongs_to_it_once(run: Run, config: Path) -> None:
    (found,) = rows(run, config, "show", "P-000417")
    assert [number["number_key"] for number in found["numbers"]] == [NUMBER, "+61255500102"]
    entries = [moment["entry_id"] for moment in found["timeline"]]
    assert len(entries) == len(set(entries))
    own = [moment for moment in found["timeline"] if moment["what"] == "order_seen"]
    assert [moment["number_key"] for moment in own] == [None]
    (acme,) = rows(run, config, "show", ACME)
    assert [comment["body"] for comment in acme["comments"]] == ["Please send\nthe *** again."]
    assert {reason["code"] for reason in acme["reasons_held"]} >= {"pin_invalid", "number_mismatch"}


def test_json_of_a_number_carries_its_life_in_each_order(run: Run, config: Path) -> None:
    found = rows(run, config, "number", NUMBER)
    assert [row["account"] for row in found] == ["fone-au", "telnyx-main"]
    assert all({moment["number_key"] for moment in row["timeline"]} == {NUMBER} for row in found)


def test_a_story_can_be_bounded(run: Run, config: Path) -> None:
    def story(*arguments: str) -> list[str]:
        out = run(config, "show", "sr_ac3e00", *arguments)[1]
        return [line.strip()[:16] for line in out.partition("oldest first\n")[2].splitlines()]

    assert story("--since", "2026-06-03T09:30Z", "--until", "2026-06-05T08:00Z") == [
        "Wed 03 Jun 2026 ",
        "Thu 04 Jun 2026 ",
    ]
    assert story("--limit", "1") == ["Mon 08 Jun 2026 "]
    for arguments in (("show", "sr_ac3e00"), ("number", "12025550130")):
        (found,) = rows(run, config, *arguments, "--limit", "2", "--since", "2026-06-01T00:00Z")
        assert [moment["sort_at"][:10] for moment in found["timeline"]] == ["2026-06-08", "2026-06-08"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", ACME, "--account", "fone-au"),
        ("number", "+1 202 555 0199"),
        ("number", ""),
        ("number", NUMBER, "--direction", "port_out"),
    ],
)
def test_a_search_that_finds_nothing_is_bad_news(run: Run, config: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = run(config, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("no order")


def test_a_name_that_means_several_orders_lists_them(run: Run, config: Path) -> None:
    code, out, err = run(config, "show", "P-0004")
    assert (code, out) == (2, "")
    assert "P-0004 means 2 orders; name one of them:" in err
    assert "fone-au/port_in/P-000417  Cedar Lane Vets  with_provider" in err
    assert "fone-au/port_in/P-000418" in err


def test_orders_that_are_stuck_are_found_and_said_to_be(run: Run, config: Path) -> None:
    stuck = rows(run, config, "orders", "--stuck")
    assert {row["provider_order_id"] for row in stuck} >= {ACME}
    assert all(row["is_stuck"] and row["is_open"] for row in stuck)
    assert len(stuck) < len(rows(run, config, "orders", "--all"))
    assert run(config, "orders", "--stuck", "--state", "ported") == (0, "no order is stuck\n", "")
    for verb in ("waiting", "orders"):
        heading, *lines = run(config, verb)[1].splitlines()
        assert "stuck since" in heading
        assert any("2026-06-11T16:45" in line for line in lines)


# --- words nobody knows ---------------------------------------------------------------------------------


def pasted(out: str) -> str:
    """The lines that `unknown` offers, behind its table."""
    return out.partition("\n\n")[2]


def known_after(config: Path, url: str) -> list[str]:
    """The words that are still unknown once the program has started with its configuration."""
    settings = load(config, providers.load, {})
    store = open_store(url)
    try:
        accounts = [account_of(one) for one in settings.accounts.values()]
        store.sync(accounts, settings.waiting.keep_ended, at("06-09 00:00"))
    finally:
        store.close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        found = [row[0] for row in database.execute("select word from v1_unknown_words")]
    database.close()
    return found


def test_pasting_the_lines_offered_for_unknown_words_makes_each_of_them_known(run: Run, own: Path) -> None:
    code, out, err = run(own, "unknown")
    assert code == 0
    assert len(out.partition("\n\n")[0].splitlines()) == 1 + 7
    assert err == f"To explain a word, paste into {own} (with the meaning that fits):\n"
    with own.open("a", encoding="utf-8") as file:
        file.write(pasted(out))
    url = f"sqlite:///{own.parent}/aggregator.db"
    assert known_after(own, url) == ["2"], "a carrier's bare code, which moves no state"
    code, out, err = run(own, "unknown")
    assert (code, err) == (0, "") and "carrier_status" in out and "\n\n" not in out


def test_lines_for_a_table_that_is_there_already_say_below_which_they_belong(run: Run, own: Path) -> None:
    there = ("[accounts.telnyx-main.statuses]", "[accounts.telnyx-main.statuses.reason]")
    text = own.read_text("utf-8")
    before = text + f'\n{there[0]}\n"done" = "ported"\n{there[1]}\n"OLD" = "other"\n'
    own.write_text(before, encoding="utf-8")
    offered = pasted(run(own, "unknown")[1])
    first = len(text.splitlines()) + 2
    for table, line in zip(there, (first, first + 2), strict=True):
        assert f"# below the {table} that is there (line {line}):" in offered
        assert f"\n{table}\n" not in offered
        words = offered.partition(f"{table} that is there (line {line}):\n")[2].partition("\n")[0]
        before = before.replace(f"{table}\n", f"{table}\n{words}\n")
    rest = "\n".join(
        line for line in offered.splitlines() if "almost-there" not in line and "MOON" not in line
    )
    own.write_text(before + rest, encoding="utf-8")
    assert known_after(own, f"sqlite:///{own.parent}/aggregator.db") == ["2"]


def test_a_word_that_is_explained_since_the_last_poll_says_so_in_place_of_its_line(
    run: Run, own: Path
) -> None:
    more = '[accounts.telnyx-main.statuses]\n"Almost There" = "ported"\n'
    more += '[accounts.telnyx-main.statuses.reason]\nMOON_IN_CANCER = "other"\n'
    own.write_text(own.read_text("utf-8") + more, encoding="utf-8")
    code, out, err = run(own, "unknown")
    table, _, offered = out.partition("\n\n")
    assert (code, len(table.splitlines())) == (0, 1 + 7)
    explained = err.partition("To explain a word")[0]
    counts = "is explained in the configuration; counts from the next poll"
    assert set(explained.splitlines()) == {
        f"telnyx-main: “almost-there” {counts}",
        f"telnyx-main: “MOON_IN_CANCER” {counts}",
    }
    assert "almost-there" not in offered
    assert "on-strike" in offered


def test_where_every_word_is_explained_there_is_nothing_to_paste(run: Run, own: Path) -> None:
    own.write_text(own.read_text("utf-8") + pasted(run(own, "unknown")[1]), encoding="utf-8")
    _, out, err = run(own, "unknown")
    assert len(err.splitlines()) == 6, "all but a carrier's bare code"
    assert "paste" not in err and "\n\n" not in out


@pytest.mark.parametrize(
    ("more", "header"),
    [
        ('statuses = { "done" = "ported" }', "# into accounts.fone-au.statuses, which is written without"),
        ('statuses.done = "ported"', "# into accounts.fone-au.statuses, which is written without"),
        ('statuses.reason.OLD = "other"', "# into accounts.fone-au.statuses, which is written without"),
        ('[accounts.fone-au.statuses.reason]\n"OLD" = "other"', "[accounts.fone-au.statuses]"),
        (
            '[ accounts . "fone-au" . statuses ]  # ours\n"done" = "ported"',
            "# below the [accounts.fone-au.st",
        ),
    ],
)
def test_the_lines_offered_fit_however_the_table_is_written(
    run: Run, own: Path, more: str, header: str
) -> None:
    own.write_text(own.read_text("utf-8").rstrip() + f"\n{more}\n", encoding="utf-8")
    offered = pasted(run(own, "unknown", "--account", "fone-au")[1])
    assert next(
        line for line in offered.splitlines() if re.search(r"fone-au\.statuses\b(?!\.)", line)
    ).startswith(header)
    if header.startswith("["):
        own.write_text(own.read_text("utf-8") + offered, encoding="utf-8")
        assert run(own, "feeds")[0] == 0


def test_a_block_that_is_pasted_twice_is_refused_in_a_sentence(run: Run, own: Path) -> None:
    text = own.read_text("utf-8")
    offered = pasted(run(own, "unknown")[1])
    table = "[accounts.fone-au.statuses]"
    assert table in offered.splitlines()
    own.write_text(text + offered + offered, encoding="utf-8")
    for verb in ("unknown", "orders", "check", "poll", "config show"):
        code, out, err = run(own, *verb.split())
        assert (code, out) == (78, "")
        assert re.fullmatch(
            rf"{own}, line \d+: the table \[accounts\.[\w.-]+\] stands twice \(it is there from line \d+ on\); "
            r"write its lines below the first one\n",
            err,
        )


@pytest.mark.parametrize("verb", ["feeds", "unknown"])
def test_an_account_that_is_gone_is_left_out_of_tables_unless_it_is_named(
    run: Run, own: Path, verb: str
) -> None:
    everything = rows(run, own, verb)
    own.write_text(own.read_text("utf-8").partition("[accounts.fone-au]")[0], encoding="utf-8")
    code, out, err = run(own, verb)
    assert code == 0
    assert "fone-au" not in out
    assert "fone-au is no longer configured; --account fone-au shows it\n" in err
    assert "[accounts.fone-au" not in err
    assert "fone-au" in run(own, verb, "--account", "fone-au")[1]
    assert "paste" not in run(own, verb, "--account", "fone-au")[2]
    assert "[accounts.fone-au" not in run(own, verb, "--account", "fone-au")[1]
    assert rows(run, own, verb) == everything


def test_a_word_that_no_configuration_can_name_is_offered_as_a_comment_only() -> None:
    row = {"account": "a", "vocabulary": "status"}
    lines = remedy.remedy([{**row, "word": word} for word in ("--", "Not yet", "not-yet", "tab\tbed\\")])
    assert tomllib.loads("\n".join(lines)) == {
        "accounts": {"a": {"statuses": {"Not yet": "with_carrier", "tab\tbed\\": "with_carrier"}}}
    }
    assert any(line.startswith('# cannot be explained: "--"') for line in lines)


# --- no harm --------------------------------------------------------------------------------------------


def test_readers_leave_the_file_and_its_folder_as_they_are(run: Run, config: Path) -> None:
    folder = config.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for verb in VERBS:
        run(config, verb)
    run(config, "show", ACME)
    run(config, "number", NUMBER)
    run(config, "changes", "--after", "0")
    run(config, "db", "check")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("verb", [*VERBS, "show x", "number 1", "changes --after 1", "db check"])
def test_readers_never_make_a_database(run: Run, tmp_path: Path, verb: str) -> None:
    config = filled.configuration(tmp_path, "sqlite:///aggregator.db")
    code, out, err = run(config, *verb.split())
    assert (code, out) == (78, "")
    assert "porting-aggregator poll" in err
    assert not (tmp_path / "aggregator.db").exists()


def test_a_database_without_our_schema_is_refused_with_the_command_to_type(
    run: Run, tmp_path: Path, empty_postgres_url: str
) -> None:
    config = filled.configuration(tmp_path, empty_postgres_url)
    code, out, err = run(config, "waiting")
    assert (code, out) == (78, "")
    assert "type: porting-aggregator db upgrade" in err


def test_a_configuration_that_is_not_there_is_refused_with_advice(run: Run, tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none.toml", "orders")
    assert code == 78
    assert "porting-aggregator config example" in err


def test_what_a_provider_sends_cannot_steer_a_terminal(run: Run, own: Path) -> None:
    evil = "a\x1b[31m\x9b2J\u202eb\nc"
    with sqlite3.connect(own.parent / "aggregator.db") as database:
        database.execute("update port_order set customer_reference = ?, why = ?", (evil, evil))
        database.execute("update comment set body = ?", (evil,))
    database.close()
    for arguments in (
        ("orders",),
        ("waiting",),
        ("show", ACME),
        ("orders", "--json"),
        ("show", ACME, "--json"),
    ):
        _, out, _ = run(own, *arguments)
        assert "2J" in out
        assert not set(out.replace("\n", "")) & set("\x1b\x9b\u202e")
    assert rows(run, own, "orders")[0]["customer_reference"] == evil


def test_an_error_of_ours_is_told_on_standard_error(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr("aggregator.store.queries.Reader.select", broken)
    code, out, err = run(config, "orders")
    assert (code, out) == (70, "")
    assert "out of cheese" in err


# --- terminals, pipes and shells ------------------------------------------------------------------------

PROGRAM = (sys.executable, "-m", "aggregator")


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Runs the program on a terminal of so many columns, in a time zone; what it shows."""

    def run(config: Path, *arguments: str, columns: int = 200, zone: str = "UTC") -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        parent, child = pty.openpty()
        with os.fdopen(child, "w", encoding="utf-8") as screen, ThreadPoolExecutor(1) as pool:
            shown = pool.submit(_everything, parent)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", screen)
                main(["--config", str(config), *arguments])
            screen.close()
            return shown.result()

    yield run
    monkeypatch.undo()
    time.tzset()
    output.tell_times_in(UTC)


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("verb", ["orders", "waiting", "changes", "show sr_ac3e00", "number 12025550130"])
def test_texts_tell_times_in_one_zone_on_a_terminal_and_off_it(
    run: Run, own: Path, on_a_terminal: Callable[..., str], verb: str, configured: bool
) -> None:
    if configured:
        own.write_text(
            f'[display]\ntime_zone = "Australia/Sydney"\n{own.read_text("utf-8")}', encoding="utf-8"
        )
    zone = "America/New_York" if configured else "Australia/Sydney"
    shown = on_a_terminal(own, *verb.split(), columns=300, zone=zone)
    _, out, _ = run(own, *verb.split())
    _, lines, _ = run(own, *verb.split(), "--json")
    story = verb.startswith(("show", "number"))
    assert ("Tue 09 Jun 2026 02:45 AEST" if story else "AEST") in shown
    if verb != "changes":  # whose rows were learned now
        assert ("Tue 09 Jun 2026 02:45 AEST" if story else "2026-06-09T02:45:00+10:00") in out
        assert "2026-06-08T16:45:00.000000Z" in lines
    assert "+10:00" not in lines
    if story:
        assert shown.replace("\r\n", "\n") == out


def _everything(terminal: int) -> str:
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen, suppress(OSError):  # EIO: the other side is closed
        while portion := screen.read(65_536):
            shown += portion
    return shown.decode()


def test_a_terminal_shows_local_time_with_its_zone_and_colours(config: Path) -> None:
    parent, child = pty.openpty()
    env = {**os.environ, "COLUMNS": "200", "TERM": "xterm-256color", "TZ": "Australia/Sydney"}
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [*PROGRAM, "--config", str(config), "orders"], stdout=child, stderr=child, env=env
    )
    os.close(child)
    shown = _everything(parent)
    assert process.wait() == 0
    assert "since (AEST)" in shown
    assert "09 Jun" in shown
    assert "02:45" in shown
    assert "\x1b[1;31mexception" in shown
    assert ACME[:8] in shown
    assert ACME not in shown


def test_no_color_is_honoured(config: Path, on_a_terminal: Callable[..., str]) -> None:
    shown = on_a_terminal(config, "orders")
    assert "exception" in shown
    assert "\x1b" not in shown


def test_a_narrow_terminal_gets_paragraphs_in_place_of_columns(
    config: Path, on_a_terminal: Callable[..., str]
) -> None:
    shown = on_a_terminal(config, "orders", columns=40)
    shown = re.sub(r"\x1b\[[\d;]*m", "", shown).replace("\r", "").replace("\u00a0", " ")
    assert "customer Acme Dental" in shown
    assert max(map(len, shown.split("\n"))) <= 40


@pytest.mark.parametrize("columns", [80, 110])
@pytest.mark.parametrize("verb", ["feeds", "waiting", "orders --all", "events"])
def test_the_lists_stay_tables_on_a_terminal_of_usual_width(
    run: Run, stale: Path, on_a_terminal: Callable[..., str], verb: str, columns: int
) -> None:
    piped = run(stale, *verb.split())[1].splitlines()
    lines = on_a_terminal(stale, *verb.split(), columns=columns).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= columns
    assert "\xa0" not in "".join(lines)
    whole = {word for line in piped for word in line.split()}
    assert {word for line in lines[1:] for word in line.split() if word.count("-") > 1} <= whole
    assert len(lines) >= len(piped)


def test_a_story_on_a_terminal_is_told_in_its_time_and_never_folded(
    config: Path, on_a_terminal: Callable[..., str]
) -> None:
    shown = on_a_terminal(config, "show", ACME, columns=40, zone="Australia/Sydney")
    said = "Telnyx: “foc-date-confirmed” → “exception” = scheduled → exception (a step back)"
    assert f"Tue 09 Jun 2026 02:45 AEST  {said}" in shown


def test_what_the_outputs_encoding_lacks_is_written_as_its_code(config: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    asked = [*PROGRAM, "--config", str(config), "show", ACME]
    ended = subprocess.run(asked, capture_output=True, env=env, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"Unreal Communications \\u2192 Telnyx" in ended.stdout


def test_a_reader_that_goes_away_ends_the_program_quietly(config: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    asked = [*PROGRAM, "--config", str(config), "changes", "--json"]
    ended = subprocess.run(asked, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_output_that_cannot_be_written_is_not_called_complete(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["--config", str(config), "orders"]) == 75
        monkeypatch.undo()
    assert "No space left" in capsys.readouterr().err


def test_the_shell_completes_verbs_states_and_accounts(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def completed(words: str) -> set[str]:
        monkeypatch.setenv("_PORTING_AGGREGATOR_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        assert main([]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return set(said.out.split())

    start = f"porting-aggregator --config {config}"
    assert completed("porting-aggregator wa") == {"waiting"}
    assert completed(f"{start} orders --state with") == {"with_provider", "with_carrier"}
    assert completed(f"{start} orders --direction port_o") == {"port_out"}
    assert completed(f"{start} orders --account ") == {"telnyx-main", "fone-au"}
    assert completed("porting-aggregator --config /nowhere orders --account ") == set()


def test_reading_the_verbs_for_help_imports_nothing_heavy() -> None:
    heavy = "('pydantic', 'sqlalchemy', 'sqlmodel', 'httpx', 'starlette', 'structlog', 'alembic')"
    code = (
        "import sys; from importlib import import_module; from aggregator.cli.app import VERBS\n"
        "for verbs in VERBS: import_module(f'aggregator.cli.{verbs}')\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


# --- the tail -------------------------------------------------------------------------------------------


def test_a_position_is_read_on_from_in_portions(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = rows(run, config, "changes")
    monkeypatch.setattr(following, "PORTION", 3)
    assert rows(run, config, "changes", "--after", "0") == everything
    assert rows(run, config, "changes", "--after", "5") == everything[5:]
    assert rows(run, config, "changes", "--after", "5", "--limit", "4") == everything[5:9]
    newest = str(everything[-1]["seq"])
    assert rows(run, config, "changes", "--after", newest) == []
    here = [row for row in everything if row["account"] == "fone-au" and row["seq"] > 2]
    assert rows(run, config, "changes", "--after", "2", "--account", "fone-au") == here
    _, out, _ = run(config, "changes", "--after", newest)
    assert out == "no changes\n"


@pytest.mark.parametrize("form", [(), ("--json",), ("--follow",), ("--follow", "--json")])
def test_a_position_that_is_not_of_this_feed_ends_with_65(run: Run, own: Path, form: tuple[str, ...]) -> None:
    newest = rows(run, own, "changes")[-1]["seq"]
    code, out, err = run(own, "changes", "--after", str(newest + 1), *form)
    assert (code, out) == (65, "")
    assert "start again from the tables" in err
    assert run(own, "changes", "--after", "1", "--feed-id", "another", *form)[:2] == (65, "")
    with sqlite3.connect(own.parent / "aggregator.db") as database:
        database.execute("update feed_identity set floor = 5")
    database.close()
    assert run(own, "changes", "--after", "4", *form)[:2] == (65, "")


Scenario = Callable[[IO[str]], None]


@pytest.fixture
def follow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs `changes --follow --json` until it ends, while a scenario reads what it prints and does things;
    its exit status and standard error."""

    def run(config: Path, scenario: Scenario, *arguments: str, every: float = 0.02) -> tuple[int, str]:
        monkeypatch.setattr(following, "EVERY_S", every)
        capsys.readouterr()
        read, write = os.pipe()
        with ThreadPoolExecutor(1) as pool, os.fdopen(write, "w", encoding="utf-8") as out:
            played = pool.submit(_play, scenario, os.fdopen(read, encoding="utf-8"))
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", out)
                code = main(["--config", str(config), "changes", "--follow", "--json", *arguments])
            with suppress(OSError):
                out.close()
            played.result()
        return code, capsys.readouterr().err

    return run


def _play(scenario: Scenario, stream: IO[str]) -> None:
    """Whatever happens to the scenario, the follower's output ends with it, and so does the follower."""
    with stream:
        scenario(stream)


def line_of(stream: IO[str]) -> dict[str, Any]:
    """The next line, which has to come."""
    found: dict[str, Any] = json.loads(stream.readline())
    return found


def one_more(url: str, when: str = "06-10 08:00") -> None:
    """The daemon polls, and an order moves."""
    store = open_store(url)
    try:
        filler = Filler(store)
        filler.events = int(at(when).timestamp())
        filler.event(ACME, "submitted", when)
    finally:
        store.close()
    filled.settle(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_prints_the_identity_then_rows_as_they_come_and_ends_cleanly(
    run: Run, own: Path, follow: Callable[..., tuple[int, str]], number: signal.Signals
) -> None:
    known = rows(run, own, "changes")
    seen: list[dict[str, Any]] = []

    def scenario(stream: IO[str]) -> None:
        identity = line_of(stream)
        assert list(identity) == ["feed_id", "floor", "newest_seq"]
        assert (identity["floor"], identity["newest_seq"]) == (0, known[-1]["seq"])
        assert [line_of(stream), line_of(stream)] == known[-2:]
        one_more(f"sqlite:///{own.parent}/aggregator.db")
        seen.append(line_of(stream))
        os.kill(os.getpid(), number)
        seen.extend(map(json.loads, stream))

    before = signal.getsignal(number)
    assert follow(own, scenario, "--after", str(known[-3]["seq"])) == (0, "")
    assert signal.getsignal(number) is before
    assert (seen[0]["field"], seen[0]["old_value"], seen[0]["new_value"]) == (
        "state",
        "exception",
        "with_carrier",
    )
    assert seen == [row for row in rows(run, own, "changes") if row["seq"] > known[-1]["seq"]]


def test_the_program_itself_ends_cleanly_when_it_is_stopped_while_following(config: Path) -> None:
    asked = [*PROGRAM, "--config", str(config), "changes", "--follow", "--json"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line_of(process.stdout)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")


def test_a_follower_without_a_position_starts_with_the_oldest_row(run: Run, config: Path) -> None:
    everything = rows(run, config, "changes")
    _, out, _ = run(config, "changes", "--follow", "--json", "--limit", str(len(everything)))
    assert [json.loads(line) for line in out.split("\n")[1:-1]] == everything


def test_a_person_who_follows_sees_the_last_rows_first(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LAST", 2)
    everything = seqs(run(config, "changes", "--limit", "1000")[1])
    code, out, _ = run(config, "changes", "--follow", "--limit", "2")
    assert code == 0
    assert seqs(out) == everything[-2:]


def test_a_follower_on_a_terminal_names_an_order_without_customer_by_its_ids_beginning(
    config: Path, on_a_terminal: Callable[..., str]
) -> None:
    shown = on_a_terminal(config, "changes", "--follow", "--direction", "port_out", "--limit", "1")
    assert "  ffffffff  first seen" in shown
    assert "port_out/" not in shown


def test_a_follower_notices_that_its_reader_has_gone_without_any_new_row(
    run: Run, config: Path, follow: Callable[..., tuple[int, str]]
) -> None:
    newest = rows(run, config, "changes")[-1]["seq"]

    def scenario(stream: IO[str]) -> None:
        line_of(stream)

    assert follow(config, scenario, "--after", str(newest)) == (0, "")


def test_a_feed_that_gets_another_identity_while_it_is_followed_ends_with_65(
    run: Run, own: Path, follow: Callable[..., tuple[int, str]]
) -> None:
    newest = rows(run, own, "changes")[-1]["seq"]

    def scenario(stream: IO[str]) -> None:
        line_of(stream)
        with sqlite3.connect(own.parent / "aggregator.db") as database:
            database.execute("update feed_identity set feed_id = 'restored'")
        database.close()
        assert stream.read() == ""

    code, err = follow(own, scenario, "--after", str(newest))
    assert code == 65
    assert "restored" in err


def test_an_older_copy_put_in_the_place_of_the_file_ends_a_follower_with_65(
    run: Run, own: Path, follow: Callable[..., tuple[int, str]]
) -> None:
    database = own.parent / "aggregator.db"
    shutil.copyfile(database, own.parent / "older.db")
    one_more(f"sqlite:///{database}")
    newest = rows(run, own, "changes")[-1]["seq"]

    def scenario(stream: IO[str]) -> None:
        line_of(stream)
        (own.parent / "older.db").replace(database)
        assert stream.read() == ""

    assert follow(own, scenario, "--after", str(newest))[0] == 65


def test_a_follower_survives_a_database_that_is_away_for_a_moment(
    run: Run, own: Path, follow: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = own.parent / "aggregator.db"
    newest = rows(run, own, "changes")[-1]["seq"]
    noticed = threading.Event()
    monkeypatch.setattr(following, "say", lambda message: noticed.set())
    monkeypatch.setattr(following, "PATIENCE", 1_000_000)

    def scenario(stream: IO[str]) -> None:
        line_of(stream)
        database.rename(own.parent / "away.db")
        assert noticed.wait(60)
        one_more(f"sqlite:///{own.parent}/away.db")
        (own.parent / "away.db").rename(database)
        assert line_of(stream)["seq"] == newest + 1

    assert follow(own, scenario, "--after", str(newest)) == (0, "")


def test_a_follower_gives_up_with_75_and_tells_how_to_go_on(
    run: Run, own: Path, follow: Callable[..., tuple[int, str]]
) -> None:
    newest = rows(run, own, "changes")[-1]["seq"]

    def scenario(stream: IO[str]) -> None:
        while line_of(stream).get("seq") != newest:
            pass
        (own.parent / "aggregator.db").unlink()
        assert stream.read() == ""

    code, err = follow(own, scenario, "--after", "3", every=0.001)
    assert code == 75
    assert f"--after {newest}" in err


def test_on_postgres_a_notification_wakes_a_follower(
    run: Run, postgres_url: str, tmp_path: Path, follow: Callable[..., tuple[int, str]]
) -> None:
    filled.fill(postgres_url)
    filled.settle(postgres_url)
    config = filled.configuration(tmp_path, postgres_url)
    newest = rows(run, config, "changes")[-1]["seq"]

    def scenario(stream: IO[str]) -> None:
        line_of(stream)
        one_more(postgres_url)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            while not select.select([stream], [], [], 0.05)[0]:
                connection.execute("select pg_notify('porting_changes', '1')")
        assert line_of(stream)["seq"] == newest + 1
        os.kill(os.getpid(), signal.SIGTERM)
        stream.read()

    assert follow(config, scenario, "--after", str(newest), every=600) == (0, "")


def test_filters_hold_while_following(run: Run, own: Path, follow: Callable[..., tuple[int, str]]) -> None:
    url = f"sqlite:///{own.parent}/aggregator.db"
    newest = rows(run, own, "changes")[-1]["seq"]

    def scenario(stream: IO[str]) -> None:
        line_of(stream)
        one_more(url)
        store = open_store(url)
        Filler(store).look(
            BLUE,
            "06-11 10:00",
            "foc-date-confirmed",
            ["12025550141", NUMBER],
            customer_reference="Blue Harbor Books",
            support_key="sr_b1ue00",
            foc=stamp("06-26 15:00"),
            activation="Pending",
        )
        store.close()
        row = line_of(stream)
        assert (row["customer_reference"], row["kind"]) == ("Blue Harbor Books", "date_changed")
        assert stream.read() == ""

    arguments = ("--after", str(newest), "--customer", "Blue Harbor Books", "--limit", "1")
    assert follow(own, scenario, *arguments) == (0, "")
