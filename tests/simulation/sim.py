"""Many lives over all cores: `make sim SEEDS=n`. A line for each seed that fails, and how to live it again."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime

from lives import CHUNK, Outcome, lived


def main() -> int:
    """Live so many seeds; 0 when every promise was kept."""
    options = argparse.ArgumentParser(prog="make sim", description=__doc__)
    options.add_argument("--seeds", type=int, default=300, help="how many lives")
    options.add_argument("--first", type=int, default=1, help="the first seed")
    options.add_argument("--days", type=float, default=5.0, help="days of each life")
    options.add_argument("--minutes", type=float, default=0.0, help="begin no more lives after so long")
    said = options.parse_args()
    began, outcomes, commit = time.monotonic(), list[Outcome](), _commit()
    ends = began + said.minutes * 60 if said.minutes else None
    for outcome in _all(said.first, said.seeds, said.days, ends):
        outcomes.append(outcome)
        if outcome.wrong:
            _clear()
            more = f" (and {len(outcome.wrong) - 1} more)" if len(outcome.wrong) > 1 else ""
            again = f"make sim FIRST={outcome.seed} SEEDS=1 DAYS={said.days:g}"
            _say(f"seed {outcome.seed}: {outcome.wrong[0]}{more}; again: {again}")
            if said.seeds == 1:
                _say(*outcome.wrong[1:])
        _progress(len(outcomes), said.seeds)
    _clear()
    failing = sum(bool(outcome.wrong) for outcome in outcomes)
    polls, kills = sum(one.polls for one in outcomes), sum(one.kills for one in outcomes)
    _say(
        f"| {datetime.now(UTC):%Y-%m-%d} | {commit} | {len(outcomes)} seeds from {said.first} | {said.days:g} days"
        f" | {polls} polls, {kills} kills, {sum(one.meddled for one in outcomes)} second processes,"
        f" {sum(one.fenced for one in outcomes)} fenced, {sum(one.changes for one in outcomes)} changes"
        f" | {failing} violations | {time.monotonic() - began:.0f} s |"
    )
    return int(failing > 0)


def _all(first: int, seeds: int, days: float, ends: float | None) -> Iterator[Outcome]:
    """The lives, in the order in which they end."""
    if seeds == 1:
        yield from lived([first], days, None)
        return
    chunks = [list(range(at, min(at + CHUNK, first + seeds))) for at in range(first, first + seeds, CHUNK)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done in as_completed([pool.submit(lived, chunk, days, ends) for chunk in chunks]):
            yield from done.result()


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _progress(done: int, seeds: int) -> None:
    if sys.stderr.isatty():
        width = 40 * done // seeds
        sys.stderr.write(f"\r{'█' * width}{'░' * (40 - width)} {done}/{seeds}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "no commit"


if __name__ == "__main__":
    sys.exit(main())
