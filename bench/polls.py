"""What a poll costs that brings nothing new: a known window again, and an idle poll against a bare GET.

    .venv/bin/python bench/polls.py [--orders 400]

One JSON line for each figure, CPU seconds of this process alone (the stand-in runs in another). The known window is
the first look at the event feeds over again; the idle poll asks one event feed, and httpx gets the same pages bare.
"""

import argparse
import gc
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from aggregator import providers
from aggregator.accounts import account_of, fetcher
from aggregator.config import load
from aggregator.core.account import FeedKind
from aggregator.core.model import Page, Request
from aggregator.once import held
from aggregator.poll import Polling, poll_account
from aggregator.simulator import start
from aggregator.store import open_store

TOML = """
[database]
url = "sqlite:///polls.db"
[accounts.telnyx-main]
provider = "telnyx"
secret = "file:key"
base_url = "{base}"
[accounts.telnyx-main.feeds]
porting_events.start = "90d"
portout_events.start = "90d"
"""
POLLS, ROUNDS = 50, 5
KEPT = ("event", "fact", "change", "port_order", "port_number", "wanted", "quarantine")
"""The tables of which an idle poll must not write a row."""


def main() -> None:
    """Look at a window, look again, then poll idly; print the figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--orders", type=int, default=400, help="Telnyx orders in the stand-in")
    said = options.parse_args()
    gc.set_threshold(50_000, 20, 50)  # as the program does
    folder = Path(tempfile.mkdtemp(prefix="pa-bench-", dir="/tmp"))
    try:
        with start("--orders", str(said.orders), "--days", "60", "--speed", "0", "--seed", "5") as sim:
            sim.advance(60 * 86_400)
            (folder / "key").write_text("x")
            (folder / "key").chmod(0o600)
            (folder / "aggregator.toml").write_text(TOML.format(base=sim.telnyx))
            measure(folder, sim.telnyx)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, base: str) -> None:
    """Both figures, on a fresh SQLite file."""
    config = load(folder / "aggregator.toml", providers.load, {})
    account = account_of(config.accounts["telnyx-main"])
    feeds = [feed for feed in account.feeds.values() if feed.defaults.kind is FeedKind.EVENTS]
    store = open_store(f"sqlite:///{folder / 'polls.db'}")
    store.sync([account], config.waiting.keep_ended, clock())
    asked: list[Request] = []
    with fetcher(config, config.accounts["telnyx-main"]) as fetch, held(store, account.name, clock) as lease:
        assert lease is not None

        def noted(request: Request) -> Page:
            asked.append(request)
            return fetch(request)

        def look() -> int:
            polling = Polling(account, store, lease, fetch, clock)
            polling.marks = {}  # as at the first look
            return sum(polling.feed(feed).recorded.changes for feed in feeds)

        def idle() -> None:
            for _ in range(POLLS):
                poll_account(account, feeds[:1], store, lease, noted, clock)

        new, again = cpu(look), cpu(look)
        say("known window again", cpu_s=again[0], over_new=again[0] / new[0], changes=again[1])
        cpu(idle)  # what the first look left to ask for
        del asked[:]
        before = rows(folder)
        with httpx.Client(headers={"Authorization": "Bearer x"}) as client:

            def bare() -> None:
                for request in asked:
                    client.get(f"{base}{request.path}", params=request.params)

            polled, got = [], []
            for _ in range(ROUNDS):
                del asked[:]
                polled.append(cpu(idle)[0])
                got.append(cpu(bare)[0])
        each = min(polled) / POLLS
        say("idle poll", cpu_s=each, over_get=min(polled) / min(got), gets=len(asked) / POLLS)
        assert rows(folder) == before, "an idle poll wrote rows beside its run record"
    store.close()


def cpu(of: Callable[[], Any]) -> tuple[float, Any]:
    """The CPU seconds that something takes, and what it returns."""
    began = time.process_time()
    result = of()
    return time.process_time() - began, result


def clock() -> datetime:
    """The time."""
    return datetime.now(UTC)


def rows(folder: Path) -> list[tuple[Any, ...]]:
    """What is stored beside the run records."""
    with sqlite3.connect(folder / "polls.db") as database:
        return [database.execute(f"select count(*) from {name}").fetchone() for name in KEPT] + [
            database.execute("select newest_seq, newest_fact, newest_event from feed_identity").fetchone()
        ]


def say(what: str, **figures: float) -> None:
    """One figure as a JSON line."""
    rounded = {name: round(value, 5) for name, value in figures.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)  # noqa: T201 (what a benchmark is for)


if __name__ == "__main__":
    main()
