"""The sweep sees the commits that are wrong: each of these is planted, and each is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenes import telnyx_alone
from sqlalchemy import update
from sqlmodel import col
from sweeping import Sweep, one_process, undisturbed

from aggregator import poll as polling
from aggregator import slices as slicing
from aggregator.core.account import Account, Feed
from aggregator.core.findings import Findings, Progress, Recorded
from aggregator.store.store import Lease, Store
from aggregator.store.tables import FeedRow
from aggregator.sweep import Sweep as Found

RECORD, RECORD_ALL = Store.record, polling.Polling.record


def _move(store: Store, held: Lease, progress: Progress | None) -> None:
    """The cursor in a transaction of its own."""
    if progress is not None and progress.cursor is not None:
        here = (col(FeedRow.account_id) == held.account_id, col(FeedRow.feed) == progress.feed)
        with store._writing() as tx:
            tx.execute(update(FeedRow).where(*here).values(cursor_at=progress.cursor))


def cursor_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(
        self: Store,
        account: Account,
        held: Lease,
        findings: Findings,
        progress_made: Progress | None = None,
        **rest: Any,
    ) -> Recorded:
        _move(self, held, progress_made)
        return RECORD(self, account, held, findings, progress_made, **rest)

    monkeypatch.setattr(Store, "record", record)


def two_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(
        self: Store,
        account: Account,
        held: Lease,
        findings: Findings,
        progress_made: Progress | None = None,
        **rest: Any,
    ) -> Recorded:
        rows_only = replace(progress_made, cursor=None) if progress_made else None
        recorded = RECORD(self, account, held, findings, rows_only, **rest)
        _move(self, held, progress_made)
        return recorded

    monkeypatch.setattr(Store, "record", record)


def cursor_per_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slice moves the cursor, not only the last one."""

    def record(self: Any, feed: Feed, found: Found, progress: Progress | None) -> slicing.Outcome:
        if progress is not None and progress.cursor is not None and found.at is not None:
            for findings in slicing.slices(feed.name, found, found.at, True)[:-1]:
                self.store.record(self.account, self.held, findings, replace(progress, partial=True))
        return RECORD_ALL(self, feed, found, progress)

    monkeypatch.setattr(slicing, "SLICE", 6)
    monkeypatch.setattr(polling.Polling, "record", record)


@pytest.mark.parametrize(
    ("plant", "seen"), [(cursor_first, "P1"), (two_transactions, "P3"), (cursor_per_page, "P1")]
)
def test_a_planted_commit_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = telnyx_alone()
    with monkeypatch.context() as planted:
        planted.setattr(slicing, "SLICE", 1_000)
        truth = undisturbed(tmp_path / "undisturbed", scene, one_process)
        plant(planted)
        sweep = Sweep(tmp_path, whole=plant is not cursor_per_page).run(telnyx_alone(), one_process)
        violations = sweep.judge(telnyx_alone(), truth, exact=False)
    assert 0 < len(violations) < sweep.points
    assert any(seen in violation for violation in violations)
