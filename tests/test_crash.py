"""Killed at any statement, commit or page, a process leaves nothing half, and the next one loses and doubles
nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crashing import FILE, Instants, World, eager, lived, violations
from standin import Faults
from standin_lives import DAY, HOUR, MINUTE, FoneDynamics, Knobs, Telnyx
from unwired import SID, Unwired, setting

from aggregator import poll
from aggregator.core.account import Account, Feed, FeedDefaults
from aggregator.core.findings import Findings, Progress, Recorded
from aggregator.core.model import Request, Window
from aggregator.errors import Fenced
from aggregator.poll import Outcome, Polling
from aggregator.providers.telnyx import requests
from aggregator.store.store import Lease, Store
from aggregator.sweep import Fetch, Part, Sweep, sweep


def telnyx(orders: int, **knobs: float) -> Telnyx:
    world = Telnyx(3, Knobs(**{"many_numbers": 0, "split": 0.5, **knobs}))
    world.fill(orders, 2, 6 * DAY)
    return world


def fone(requests: int) -> FoneDynamics:
    world = FoneDynamics(3, SID)
    world.fill(requests, 6 * DAY)
    return world


def hours(count: float) -> Callable[[World], None]:
    return lambda world: world.run(world.now + count * HOUR)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages and transactions for each sweep, though the lives are short."""
    monkeypatch.setattr(poll, "SLICE", 15)
    monkeypatch.setattr(requests, "PAGE_SIZE", 10)


@pytest.mark.parametrize("provider", ["telnyx", "fonedynamics"])
def test_a_first_poll_may_die_anywhere(provider: str, tmp_path: Path) -> None:
    world = telnyx(6) if provider == "telnyx" else fone(8)
    instants, ours = lived(provider, world, Faults(), tmp_path, 1, hours(0))
    assert instants.points > 200
    assert [*violations(instants, ours, Faults())] == []


DRIFTING = Faults(stir=1, order="unsorted", repeated=0.1)


@pytest.mark.parametrize("page", [2, 4])
def test_a_takeover_may_end_anywhere(tmp_path: Path, page: int) -> None:
    """A second process takes the account while the first reads, and either may die at any point of it."""
    world = telnyx(5)
    instants, ours = taken_over(world, tmp_path, page)
    assert instants.points > 250
    assert [*violations(instants, ours, Faults())] == []


def taken_over(world: Telnyx, folder: Path, page: int) -> tuple[Instants, Account]:
    """A poll in whose midst, before its n-th page, another process takes the account and polls to the end."""
    ours = eager("telnyx")
    (folder / "life").mkdir()
    with (
        setting(Unwired(world), ours, folder / "life") as one,
        setting(Unwired(world), ours, folder / "life") as other,
    ):
        instants = Instants(folder / "life" / FILE, world, folder / "deaths")
        asked = iter(range(1, page + 1))

        def meanwhile(request: Request) -> None:
            instants.page(request)
            if next(asked, None) == page:
                other.wire.ahead += MINUTE
                other.poll()

        for here in (one, other):
            instants.watch_calls(here.store.store)
            instants.watch(here.store.store.engine)
        one.wire.trouble, other.wire.trouble = meanwhile, instants.page
        with pytest.raises(Fenced):
            one.poll()
        instants.note()
    return instants, ours


def test_a_life_of_late_and_drifting_events_may_end_anywhere(tmp_path: Path) -> None:
    world = telnyx(4, late=0.3, empty=0.3)
    instants, ours = lived("telnyx", world, DRIFTING, tmp_path, 3, hours(9))
    assert instants.points > 400
    assert [*violations(instants, ours, DRIFTING)] == []


# --- planted bugs: mistakes of the commit that this suite must find -------------------------------------


def cursor_first(patch: pytest.MonkeyPatch) -> None:
    """The run record and the cursor are written before the rows."""
    record = Polling.record

    def planted(polling: Polling, feed: Feed, found: Sweep, progress: Progress | None) -> Outcome:
        if progress is not None:
            at = found.at or polling.clock()
            polling.store.record(polling.account, polling.held, Findings(feed.name, at), progress)
        return record(polling, feed, found, None)

    patch.setattr(Polling, "record", planted)


def cursor_per_page(patch: pytest.MonkeyPatch) -> None:
    """Each page moves the cursor to its newest event, though an older page is still to come."""

    def planted(account: Account, feed: FeedDefaults, window: Window, fetch: Fetch) -> Iterator[Part]:
        pages: list[Sweep] = []

        def keep(found: Sweep) -> None:
            pages.append(replace(found, facts=found.facts[:], wants=found.wants[:], skipped=[]))
            found.facts.clear()
            found.wants.clear()

        sweep(account, window, fetch, each_page=keep)
        for page in pages:
            yield Part(window, page, last=page is pages[-1])

    patch.setattr(poll, "in_parts", planted)


def two_transactions(patch: pytest.MonkeyPatch) -> None:
    """The rows are committed, and then the cursor."""
    record = Store.record

    def planted(
        store: Store, account: Account, held: Lease, findings: Findings, *more: Any, **_: Any
    ) -> Recorded:
        done = record(store, account, held, findings)
        if more and more[0] is not None:
            record(store, account, held, Findings(findings.feed, findings.at), more[0])
        return done

    patch.setattr(Store, "record", planted)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (cursor_first, "events lost"),
        (cursor_per_page, "events lost"),
        (two_transactions, "a transaction in two"),
    ],
)
def test_a_planted_mistake_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    instants, ours = lived("telnyx", telnyx(4), Faults(), tmp_path, 1, hours(0))
    assert [wrong for wrong in violations(instants, ours, Faults()) if found in wrong]
