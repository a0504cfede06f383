"""What the demo's screen shows: whose numbers leave and where to, and news coloured by where an order went."""

import html
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import filled
import pytest
from rich.console import Console

from aggregator.cli import demo, svg
from aggregator.cli import picture as pictures
from aggregator.cli.panels import drawn, fitted
from aggregator.cli.picture import Picture, told
from aggregator.store import open_store
from aggregator.store.queries import Reader, open_reader

NOW = filled.at("06-06 09:00")
DOCS = Path(__file__).parents[1] / "docs"
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


def shown(picture: Picture, width: int = 160) -> list[str]:
    """The screen as lines of text, without frames' colours."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(drawn(picture, width))
    return out.getvalue().splitlines()


def test_a_port_out_is_told_by_its_number_from_whom_to_whom_and_whose_it_was(reader: Reader) -> None:
    picture = pictures.picture(reader, NOW, 3, "none yet", 0)
    (row,) = [row for row in picture.portouts if row["first_number"] == f"+{LEAVING}"]
    assert (row["gaining_carrier"], row["customer_before"]) == ("Imaginary Wireless", "Elm Street Cafe")
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
    row = {**picture.portouts[0], "numbers_text": "+12025550170 (+2 more)"}
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


# --- drawn ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the program has just drawn its screen."""
    folder = tmp_path_factory.mktemp("drawn")
    assert demo.draw(folder / "demo.svg") == 0
    return folder


@pytest.mark.parametrize("end", demo.SIZES)
def test_the_pictures_of_the_documentation_are_what_the_program_draws(drawings: Path, end: str) -> None:
    name = f"demo{end}.svg"
    assert (DOCS / name).read_bytes() == (drawings / name).read_bytes(), "type: make picture"


@pytest.mark.parametrize("end", demo.SIZES)
def test_a_picture_needs_nothing_from_elsewhere_and_no_word_leaves_its_cells(end: str) -> None:
    text = (DOCS / f"demo{end}.svg").read_text("utf-8")
    columns, rows = demo.SIZES[end]
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "@font-face" not in text and "clip" not in text
    words = re.findall(r'<text x="([\d.]+)" y="(\d+)" textLength="([\d.]+)"[^>]*>([^<]+)</text>', text)
    lines: dict[int, list[tuple[float, float]]] = {}
    for x, y, length, word in words:
        start, width = float(x) - svg.EDGE, float(length)
        assert width == pytest.approx(len(html.unescape(word)) * svg.ADVANCE, abs=0.1)
        assert start + width <= columns * svg.ADVANCE + 0.2
        lines.setdefault(int(y), []).append((start, width))
    assert len(lines) <= rows
    for line in lines.values():
        for (left, width), (right, _) in pairwise(sorted(line)):
            assert right - left - width > svg.ADVANCE * 0.9, "two words are never glued"


def crowded(reader: Reader) -> Picture:
    """More of everything than a small terminal can show, with long names."""
    picture = pictures.picture(
        reader, NOW, 3, "both providers answer 503 since Sat 06 Jun 09:00: nothing is lost", 0
    )
    out = picture.portouts[0] | {"gaining_carrier": "Unreal Communications"}
    out |= {"customer_before": "Maple Street Bakery", "numbers_text": "+16565550129 (+2 more)"}
    why = (
        "number has a special feature (Phone number has a special feature); name does not match (Entity name)"
    )
    row = next(row for row in picture.waiting) | {"customer_reference": "Maple Street Bakery", "why": why}
    news = pictures.Told("2026-06-06T08:00:00.000000Z", "Maple Street Bakery", why, "bad")
    return replace(picture, portouts=[out] * 3, waiting=[row] * 20, changes=[news] * 20)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (100, 30), (120, 50), (200, 60)])
def test_the_screen_fits_its_terminal_and_breaks_no_word(reader: Reader, width: int, height: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(fitted(crowded(reader), console))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    said = {word for line in lines for word in re.split(r"[\s│]+", line)}
    assert {"+16565550129", "Unreal", "Communications", "Maple", "Street", "Bakery", "Telnyx"} <= said
    assert any("number has a special feature" in " ".join(line.split()) for line in lines) or width < 100
    assert not any("…" in word for word in said)
