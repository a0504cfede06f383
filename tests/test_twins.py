"""One reply may hold the same id twice, with older content beside the present one: the newer wins, whichever comes
first, and a second look at the same two tells nothing."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
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
