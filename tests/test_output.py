"""How rows are shown: JSON lines, tables for people and for pipes, values without anything that could do harm."""

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aggregator.cli import output, telling

Shown = Callable[..., str]
YEAR = datetime.now().astimezone().year


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """Shows a table on a terminal of so many columns, in the zone of Sydney."""
    output.tell_times_in(ZoneInfo("Australia/Sydney"))
    monkeypatch.setenv("NO_COLOR", "1")

    def show(rows: list[dict[str, object]], columns: str, width: int = 100) -> str:
        out = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setenv("COLUMNS", str(width))
            patch.setenv("TERM", "xterm")
            output.table(rows, columns.split(), "nothing")
        return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).replace("\u00a0", " ")

    yield show
    output.tell_times_in(UTC)


def piped(rows: list[dict[str, object]], columns: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    output.table(rows, columns.split(), "nothing")
    return capsys.readouterr().out.splitlines()


# --- without a terminal ---------------------------------------------------------------------------------


def test_a_piped_table_is_aligned_and_whole_whatever_its_width(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 3_000
    rows: list[dict[str, object]] = [
        {"customer_reference": "Ann", "why": long, "order_id": "a/port_in/1"},
        {"customer_reference": "東京", "why": "y", "order_id": "a/port_in/2"},
    ]
    head, first, second = piped(rows, "customer_reference why order_id", capsys)
    assert head.split() == ["customer", "why", "order"]
    assert first == f"Ann       {long}  a/port_in/1"
    assert second == f"東京      y{' ' * 2_999}  a/port_in/2"


def test_a_piped_table_keeps_its_columns_and_its_instants_as_stored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[dict[str, object]] = [
        {
            "state_since": "2026-06-08T16:45:00.000000Z",
            "confirmed_foc_on": "2026-06-12",
            "why": None,
            "late": False,
        }
    ]
    head, line = piped(rows, "state_since confirmed_foc_on why late", capsys)
    assert head.split() == ["since", "FOC", "why", "late"]
    assert line.split() == ["2026-06-08T16:45:00.000000Z", "2026-06-12", "no"]


def test_an_empty_table_says_what_there_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert piped([], "why", capsys) == ["nothing"]


def test_in_a_sentence_an_instant_has_its_zone(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.when("2026-06-08T16:45:59.000000Z") == "Mon 08 Jun 2026 16:45 UTC"


# --- on a terminal --------------------------------------------------------------------------------------


def test_a_zone_that_all_share_stands_in_the_heading(screen: Shown) -> None:
    shown = screen([{"waiting_since": f"{YEAR}-06-08T16:45:00.000000Z"}], "waiting_since")
    assert shown.split() == ["since", "(AEST)", "09", "Jun", "02:45"]


def test_zones_that_differ_stand_beside_each_time(screen: Shown) -> None:
    rows = [{"waiting_since": f"{YEAR}-0{month}-08T16:45:00.000000Z"} for month in (1, 6)]
    shown = screen(rows, "waiting_since")
    assert "09 Jan 03:45 AEDT" in shown
    assert "09 Jun 02:45 AEST" in shown


def test_another_year_is_named(screen: Shown) -> None:
    row = {"waiting_since": "2019-06-08T16:45:00.000000Z", "confirmed_foc_on": "2019-06-12"}
    assert "09 Jun 2019 02:45" in screen([row], "waiting_since confirmed_foc_on")
    assert "12 Jun 2019" in screen([row], "waiting_since confirmed_foc_on")


def test_a_column_without_any_value_is_left_out_on_a_terminal(screen: Shown) -> None:
    assert "deadline" not in screen([{"why": "so", "deadline_at": None}], "why deadline_at")


def test_ids_are_shortened_as_far_as_they_stay_apart(screen: Shown) -> None:
    rows = [{"order_id": f"acct/port_in/abcdefgh-1{last}-rest"} for last in "23"]
    assert screen(rows, "order_id").split() == ["order", "abcdefgh-12", "abcdefgh-13"]
    assert screen(rows[:1], "order_id").split() == ["order", "abcdefgh"]
    assert screen([rows[0], rows[0]], "order_id").split() == ["order", "abcdefgh", "abcdefgh"]


def test_long_texts_are_folded_between_words_and_other_columns_never(screen: Shown) -> None:
    row = {"raw_status": "the account-number does not match", "provider_order_id": "P-000043"}
    shown = screen([row], "raw_status provider_order_id", 32)
    assert max(map(len, shown.splitlines())) <= 32
    assert " ".join(shown.split()) == "provider's word order the account-number P-000043 does not match"


def test_a_word_is_never_broken_however_narrow_its_column(screen: Shown) -> None:
    row = {"raw_status": "foc-date-confirmed", "provider_order_id": "P-000043", "late": True}
    assert "foc-date-confirmed" in screen([row], "raw_status provider_order_id late", 28)
    assert "foc-date-confirmed" in screen([row], "raw_status provider_order_id late", 20)
    endless = {"customer_reference": "x" * 60, "provider_order_id": "P-000043"}
    shown = screen([endless], "customer_reference provider_order_id", 50).splitlines()
    assert shown[1].split() == ["x" * 23 + "…", "P-000043"]
    shown = screen(
        [endless | {"raw_status": "foc-date-confirmed"}], "customer_reference raw_status", 34
    ).splitlines()
    assert shown[1].split() == ["x" * 10 + "…", "foc-date-confirmed"]
    wide = {"customer_reference": "東" * 30, "provider_order_id": "P-000043"}
    assert "東" * 11 + "…" in screen([wide], "customer_reference provider_order_id", 50)


def test_a_long_reason_stands_beneath_its_row_where_it_does_not_fit(screen: Shown) -> None:
    why = "the account number does not match what the losing carrier has"
    rows: list[dict[str, object]] = [
        {"customer_reference": "Ann", "why": why, "provider_order_id": "P-1"},
        {"customer_reference": "Bob", "why": None, "provider_order_id": "P-2"},
        {"customer_reference": "Cem", "why": "PIN wrong", "provider_order_id": "P-3"},
    ]
    lines = screen(rows, "customer_reference why provider_order_id", 60).splitlines()
    assert [line.split() for line in lines[:2]] == [["customer", "order"], ["Ann", "P-1"]]
    assert " ".join(" ".join(lines[2:4]).split()) == why
    assert all(line.startswith("    ") for line in (*lines[2:4], lines[6]))
    assert [line.strip() for line in lines[4:]] == ["Bob       P-2", "Cem       P-3", "PIN wrong"]
    assert screen(rows, "customer_reference why provider_order_id", 100).splitlines()[1].split()[-1] == "P-1"


def test_times_are_told_from_now_before_anything_is_left_out(screen: Shown) -> None:
    def hence(**away: int) -> str:
        return (datetime.now(UTC) + timedelta(**away)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    row = {
        "account": "acme",
        "waiting_since": hence(days=-3, hours=-1),
        "deadline_at": hence(hours=5, minutes=1),
    }
    shown = screen([row], "account waiting_since deadline_at", 30)
    assert " ".join(shown.splitlines()[1].split()) == "acme 3d ago in 5h"


def test_a_narrow_table_merges_failures_and_leaves_out_the_least_needed_columns(screen: Shown) -> None:
    row = {"feed": "porting_orders", "last_outcome": "incomplete", "consecutive_failures": 3, "late": False}
    shown = screen([row], "feed last_outcome consecutive_failures late", 40)
    assert [line.split() for line in shown.splitlines()] == [
        ["feed", "outcome", "late"],
        ["porting_orders", "incomplete", "×3", "no"],
    ]
    assert "late" not in screen([row], "feed last_outcome consecutive_failures late", 30)


def test_what_does_not_fit_is_told_in_paragraphs_that_keep_every_value(screen: Shown) -> None:
    row = {
        "provider": "fonedynamics",
        "direction": "port_in",
        "state": "with_carrier",
        "feed": "porting_status",
    }
    shown = screen([row, row], "provider direction state feed", 26)
    assert max(map(len, shown.splitlines())) <= 26
    assert shown.split() == 2 * [
        part for name, value in row.items() for part in (output.heading(name), value)
    ]


def test_without_no_color_a_state_has_its_colour(screen: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    row = {"state": "exception"}
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    output.table([row], ["state"], "")
    assert "\x1b[1;31mexception" in out.getvalue()


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ([], ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (["pin_invalid", "other"], "pin_invalid, other"),
        ({"a": 1}, '{"a": 1}'),
        ("two\nlines\tand\x1b[2J more", "two lines and[2J more"),
    ],
)
def test_values_are_shown_in_one_line(value: object, text: str) -> None:
    assert output.shown(value) == text


def test_json_lines_stay_lines_and_stay_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"word": 'é “"\n\x1b\x9b\u2028\u202e', "none": None, "list": ["a"]}
    output.lines([row, row])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "é “" in out
    assert json.loads(out.splitlines()[0]) == row


def test_a_year_one_of_a_provider_is_shown_and_breaks_nothing(screen: Shown) -> None:
    for zone in ("Australia/Sydney", "America/New_York"):
        output.tell_times_in(ZoneInfo(zone))
        assert "Jan 0001" in screen([{"created_at": "0001-01-01T00:00:00.000000Z"}], "created_at").replace(
            "Jan 1 ", "Jan 0001 "
        )


@pytest.mark.parametrize(
    ("configured", "environ", "name"),
    [
        (None, {}, "UTC"),
        (None, {"TZ": ""}, "UTC"),
        (None, {"TZ": "UTC"}, "UTC"),
        (None, {"TZ": "America/New_York"}, "America/New_York"),
        (None, {"TZ": ":America/New_York"}, "America/New_York"),
        (None, {"TZ": "no such zone"}, "UTC"),
        (None, {"TZ": "/etc/passwd"}, "UTC"),
        ("Australia/Sydney", {"TZ": "America/New_York"}, "Australia/Sydney"),
        ("UTC", {"TZ": "America/New_York"}, "UTC"),
    ],
)
def test_the_zone_of_texts_is_the_one_configured_else_the_environments_else_utc(
    configured: str | None, environ: dict[str, str], name: str
) -> None:
    assert str(output.zone_of(configured, environ)) == name


# --- changes in words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "field", "old", "new", "words"),
    [
        ("order_seen", None, None, '{"state":"with_carrier"}', "first seen: with carrier"),
        ("number_added", "number_key", None, '{"state":"draft"}', "number added"),
        ("number_removed", "is_current", "true", "false", "is current: true → false"),
        ("number_removed", None, None, None, "number removed"),
        ("number_moved", None, "x/port_in/a-1", "x/port_in/b-2", "moved from order a-1 to order b-2"),
        ("attribute_changed", "number_key", None, '{"state":"draft"}', "number stands here"),
        ("comment_added", "comment", None, "c-1", "a new comment"),
        ("document_changed", "documents", None, None, "a document was changed"),
        ("cancel_asked", None, None, None, "we asked to cancel it"),
        ("state_changed", "state", "draft", "with_provider", "state: draft → with provider"),
        ("raw_status_changed", "raw_status", "a", "b_c", "raw status: “a” → “b_c”"),
        ("reasons_changed", "reasons", "[]", '["pin_invalid","new_one"]', "reasons: PIN wrong, new one"),
        ("reasons_changed", "reasons", '["pin_invalid"]', "[]", "reasons: PIN wrong → none"),
        ("date_changed", "confirmed_foc_on", None, "2026-06-12", "FOC date: Fri 12 Jun 2026"),
        ("waiting_on_changed", "waiting_on", "us", "losing_carrier", "waiting on: us → losing carrier"),
        ("a_kind_of_tomorrow", "new_column", "1", "2", "new column: 1 → 2"),
        ("a_kind_of_tomorrow", None, None, None, "a kind of tomorrow"),
    ],
)
def test_a_change_is_told_in_words(
    kind: str, field: str | None, old: str | None, new: str | None, words: str
) -> None:
    row = {"kind": kind, "field": field, "old_value": old, "new_value": new}
    assert telling.change(row) == words
    assert telling.change({**row, "late": True}) == f"{words} (learned late)"


def test_two_instants_of_one_minute_are_told_apart() -> None:
    said = telling.step("ported_at", "2026-06-12T10:00:00.500000Z", "2026-06-12T10:00:00.000000Z")
    assert said == "2026-06-12T10:00:00.500000Z → 2026-06-12T10:00:00.000000Z"
