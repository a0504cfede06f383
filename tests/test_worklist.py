"""A port-out that waits for our decision says most: its number, where it goes, whose it was."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import filled
import pytest
from made import NOW, account, hour
from stored import Desk, desk, look

from aggregator import providers
from aggregator.cli.page import orders_page
from aggregator.config import load
from aggregator.core.model import (
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    Moment,
    References,
)

OUT = Direction.PORT_OUT
FIRST, SECOND, THIRD = "+12025550130", "+12025550131", "+12025550132"


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


def came(
    hours: float, customer: str | None, *numbers: str, status: str = "ported", order: str = "in"
) -> Fact:
    """A port-in of a customer's numbers."""
    said = References(customer=customer)
    return look(hours, status, *numbers, order=order, references=said, dates=Dates(created=hour(hours - 1)))


def leaves(hours: float, *numbers: str, status: str = "pending", **said: Any) -> Fact:
    """A port-out of numbers."""
    carriers = Carriers(Carrier("Telnyx", "073H"), Carrier("Imaginary Wireless", "987H"))
    return look(
        hours,
        status,
        *numbers,
        order="out",
        direction=OUT,
        carriers=carriers,
        dates=Dates(created=hour(hours)),
        references=References(pon="PON-4711"),
        **said,
    )


def waiting(acme: Desk) -> dict[str, Any]:
    """The one port-out that waits."""
    (row,) = acme.rows("select * from v1_waiting where direction = 'port_out'")
    return row


def test_it_shows_its_numbers_carriers_reference_and_whose_they_were(acme: Desk) -> None:
    acme.record(came(-50, "Acme Dental", FIRST, SECOND))
    acme.record(leaves(-1, SECOND, FIRST, THIRD))
    row = waiting(acme)
    names = (
        "first_number",
        "numbers_text",
        "gaining_carrier",
        "losing_carrier",
        "losing_carrier_spid",
        "pon",
    )
    assert [row[name] for name in (*names, "customer_before", "foc_is_firm", "foc_state")] == [
        FIRST,
        f"{FIRST} (+2 more)",
        "Imaginary Wireless",
        "Telnyx",
        "073H",
        "PON-4711",
        "Acme Dental",
        False,
        "none",
    ]


def test_a_single_number_stands_alone_and_an_unknown_one_nowhere(acme: Desk) -> None:
    acme.record(leaves(-2, FIRST))
    assert (waiting(acme)["numbers_text"], waiting(acme)["customer_before"]) == (FIRST, None)
    acme.record(look(-1, "pending", order="out", direction=OUT, numbers_total=None))
    assert waiting(acme)["numbers_text"] == FIRST


def test_a_number_that_left_the_order_is_not_its_first(acme: Desk) -> None:
    acme.record(leaves(-3, FIRST, SECOND), leaves(-2, SECOND))
    assert (waiting(acme)["first_number"], waiting(acme)["numbers_text"]) == (SECOND, SECOND)


def test_the_last_earlier_port_in_of_any_account_says_whose_it_was(acme: Desk) -> None:
    """Of several the last that ported; one of later says nothing, nor does one without a customer."""
    beta = account("fonedynamics", "beta")
    acme.store.sync([acme.account, beta], timedelta(days=14), NOW)
    lease = acme.store.take("beta", NOW)
    assert lease is not None
    other = replace(acme, account=beta, lease=lease)
    acme.record(
        came(-90, "Long ago", FIRST, order="one"),
        came(-80, None, FIRST, order="two"),
        came(-60, "Never came", FIRST, status="cancelled", order="three"),
        leaves(-1, FIRST),
        came(+2, "Comes later", FIRST, order="four"),
    )
    assert waiting(acme)["customer_before"] == "Long ago"
    other.record(came(-70, "At the other one", FIRST, status="Completed", order="five"))
    assert waiting(acme)["customer_before"] == "At the other one"


def test_a_port_in_has_no_customer_before(acme: Desk) -> None:
    acme.record(
        came(-90, "Somebody", FIRST, order="one"), came(-2, "Us", FIRST, status="exception", order="two")
    )
    assert acme.one("select customer_before from v1_waiting where provider_order_id = 'two'") is None


def test_a_firm_date_is_told_apart_from_a_proposed_one(acme: Desk) -> None:
    dates = Dates(requested=Moment(date(2026, 7, 1)), confirmed=Moment(date(2026, 7, 2)))
    proposed = replace(leaves(-2, FIRST), dates=dates)
    acme.record(proposed)
    assert (waiting(acme)["foc_is_firm"], waiting(acme)["foc_state"]) == (False, "proposed")


# --- for people -----------------------------------------------------------------------------------------


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """A configuration, and a database with a port-out that waits and the port-in of its number before it."""
    url = f"sqlite:///{tmp_path / 'aggregator.db'}"
    with desk(url, account("telnyx", "telnyx-main")) as acme:
        acme.record(came(-50, "Acme Dental", FIRST, SECOND))
        acme.record(came(-40, "Blue Harbor Books", THIRD, status="exception", order="blue"))
        acme.record(leaves(-1, SECOND, FIRST))
    return filled.configuration(tmp_path, url)


def test_the_table_the_page_and_show_tell_it(run: Callable[..., tuple[int, str, str]], shown: Path) -> None:
    _, out, _ = run("--config", str(shown), "waiting", "--direction", "port_out")
    (line,) = out.splitlines()[1:]
    for words in ("Acme Dental", f"{FIRST} (+1 more)", "Imaginary Wireless", "PON-4711"):
        assert words in line
    _, story, _ = run("--config", str(shown), "show", "out")
    for words in (
        "whose numbers  Acme Dental",
        "PON-4711",
        FIRST,
        "Telnyx (SPID 073H) → Imaginary Wireless",
    ):
        assert words in re.sub(r"  +", "  ", story)
    page = orders_page(load(shown, providers.load, {})).decode()
    for words in ("Acme Dental", f"{FIRST} (+1 more)", "Imaginary Wireless", "PON-4711"):
        assert words in page
    assert THIRD not in page, "of a port-in the count alone"


def test_the_table_of_port_ins_has_no_columns_for_carriers(
    run: Callable[..., tuple[int, str, str]], shown: Path
) -> None:
    _, out, _ = run("--config", str(shown), "waiting", "--direction", "port_in")
    assert "Blue Harbor Books" in out and THIRD in out and "Telnyx" not in out
    (row,) = [line for line in out.splitlines() if "Blue" in line]
    assert "PON" not in row
