"""One reply may hold the same id twice, with older content beside the present one: the newer wins, whichever comes
first, and a second look at the same two tells nothing."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from made import hour
from stored import Desk, desk, event, look, wants

from aggregator.core.model import Part


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    with desk(database_url) as acme:
        yield acme


@pytest.mark.parametrize("newer_first", [True, False])
def test_an_event_with_its_payload_beats_its_empty_copy(acme: Desk, newer_first: bool) -> None:
    whole, bare = event(1, "submitted", key="e"), event(1, key="e")
    copies = (whole, bare) if newer_first else (bare, whole)
    acme.record(*copies, wants=(wants(bare, Part.EVENT),))
    row = acme.one("select payload_complete, raw_to from v1_events")
    assert row == {"payload_complete": True, "raw_to": "submitted"}
    assert acme.everything()["wanted"] == []
    before = acme.everything()
    acme.record(*copies, wants=(wants(bare, Part.EVENT),))
    assert acme.everything() == before


def test_a_look_that_was_placed_by_a_clock_ahead_loses_to_the_next_change(acme: Desk) -> None:
    """The provider's replies are dated two hours ahead of what it says of its orders."""
    acme.record(event(1, "submitted"))
    acme.record(replace(look(2, "exception", "2025550101", as_of=0.9), looked_at=hour(4)))
    after = replace(look(3, "foc-date-confirmed", "2025550101", as_of=2.5), looked_at=hour(5))
    acme.record(after)
    assert acme.one("select state from v1_orders") == "scheduled"
    before = acme.everything()
    acme.record(replace(after, source_id="again", read_at=hour(3.5), looked_at=hour(5.5)))
    assert acme.everything() == before


@pytest.mark.parametrize("newer_first", [True, False])
def test_an_order_as_it_is_beats_the_copy_of_how_it_was(acme: Desk, newer_first: bool) -> None:
    acme.record(event(3, "submitted"))
    for hours in (5.0, 6.0):
        was = replace(look(hours, "in-process", as_of=1), source_id=f"was@{hours}-{newer_first}")
        now = replace(look(hours, "exception", as_of=2), source_id=f"now@{hours}")
        acme.record(*((now, was) if newer_first else (was, now)))
        assert acme.one("select state from v1_orders") == "exception"
        if hours == 5.0:
            facts, changes = (len(acme.everything()[table]) for table in ("fact", "change"))
    after = acme.everything()
    assert (len(after["fact"]), len(after["change"])) == (facts, changes)
