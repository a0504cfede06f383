"""What the demo's screen shows: whose numbers leave and where to, and news coloured by where an order went."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import filled
import pytest
from rich.console import Console

from aggregator.cli import picture as pictures
from aggregator.cli.picture import Picture, told
from aggregator.cli.screen import drawn
from aggregator.store import open_store
from aggregator.store.queries import Reader, open_reader

NOW = filled.at("06-06 09:00")
LEAVING = "12025550170"


@pytest.fixture(params=["sqlite", "postgres"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    """A filled database in which one of the numbers that leave had ported in for a customer."""
    url = f"sqlite:///{tmp_path}/aggregator.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    filled.fill(url)
    store = open_store(url)
    filler = filled.Filler(store)
    for n, (customer, when) in enumerate((("Dora Dental", "06-02"), ("Elm Street Cafe", "06-03"))):
        order = f"{n}{n}{n}{n}{n}{n}{n}{n}-0000-4000-8000-00000000dada"
        filler.look(order, f"{when} 10:00", "ported", [LEAVING], customer_reference=customer)
    store.close()
    opened = open_reader(url)
    yield opened
    opened.close()


def shown(picture: Picture, width: int = 118, height: int = 0) -> list[str]:
    """The screen as lines of text, without frames' colours."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(drawn(picture))
    return out.getvalue().splitlines()


def test_a_port_out_is_told_by_its_number_from_whom_to_whom_and_whose_it_was(reader: Reader) -> None:
    picture = pictures.picture(reader, NOW, 3, "none yet", 0)
    (row,) = [row for row in picture.portouts if row["number_key"] == f"+{LEAVING}"]
    assert (row["gaining_carrier"], row["earlier_customer"]) == ("Imaginary Wireless", "Elm Street Cafe")
    lines = shown(replace(picture, portouts=[row]))
    head = next(number for number, line in enumerate(lines) if "authorises itself" in line)
    assert lines[head].strip("│ ").split("  ")[0] == "number"
    assert [*filter(None, lines[head + 1].strip("│ ").split("  "))][:4] == [
        f"+{LEAVING}",
        "Telnyx",
        "Imaginary Wireless",
        "Elm Street Cafe",
    ]


def test_a_port_out_of_several_numbers_says_how_many_more(reader: Reader) -> None:
    picture = pictures.picture(reader, NOW, 3, "none yet", 0)
    row = {**picture.portouts[0], "numbers_total": 3, "number_key": "+12025550170"}
    assert any("+12025550170 (+2 more)" in line for line in shown(replace(picture, portouts=[row])))


def step(old: str, new: str, **said: Any) -> dict[str, Any]:
    row = {"kind": "state_changed", "field": "state", "old_value": old, "new_value": new, "number_key": None}
    more = {"order_id": "acme/port_in/1", "batch": 1, "late": False, "occurred_at": None}
    return {**row, **more, "customer_reference": "Ann", "direction": "port_in", **said}


@pytest.mark.parametrize(
    ("old", "new", "tone"),
    [
        ("exception", "with_carrier", "good"),
        ("exception", "scheduled", "good"),
        ("action_needed", "scheduled", "good"),
        ("with_carrier", "exception", "bad"),
        ("exception", "rejected", "bad"),
        ("with_carrier", "unknown", "bad"),
        ("ported", "reverted", "bad"),
        ("scheduled", "ported", "good"),
        ("exception", "ported", "good"),
        ("exception", "cancelled", ""),
        ("exception", "action_needed", ""),
        ("scheduled", "with_carrier", ""),
        ("draft", "with_provider", ""),
    ],
)
def test_a_step_is_coloured_by_where_it_went(old: str, new: str, tone: str) -> None:
    (one,) = told([step(old, new)])
    assert one.what == f"{old} → {new}".replace("_", " ")
    assert one.tone == tone


def test_a_reason_is_red_only_where_the_order_was_refused() -> None:
    why = {"kind": "attribute_changed", "field": "why", "old_value": None, "new_value": "PIN wrong (about X)"}
    assert [one.tone for one in told([step("with_carrier", "exception"), step("", "", **why)])] == [
        "bad",
        "bad",
    ]
    assert [one.tone for one in told([step("exception", "with_carrier"), step("", "", **why)])] == [
        "good",
        "",
    ]
    assert [one.tone for one in told([step("", "", **why)])] == [""]
