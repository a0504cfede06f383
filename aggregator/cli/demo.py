"""The demo: stand-ins of both providers, polled for real, and a screen that shows what a coordinator sees."""

import os
import shutil
import sqlite3
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aggregator import accounts, providers
from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, OK, say
from aggregator.cli.asking import poll_one
from aggregator.cli.picture import Picture, picture
from aggregator.cli.screen import Screen, save
from aggregator.config import Config, load
from aggregator.config.values import is_loopback
from aggregator.once import Verdict
from aggregator.simulator import Running, start

if TYPE_CHECKING:
    from aggregator.store import Store
    from aggregator.store.queries import Reader

DAYS = 12  # of provider time, after a month that the first poll finds
HISTORY = 30
SEED = "7"
TELNYX, FONE = "telnyx-main", "fone-au"

SIGNED = "# Written by the demo."
OURS = {
    "aggregator.toml",
    "telnyx.key",
    "fonedynamics.key",
    *(f"aggregator.db{end}" for end in ("", "-wal", "-shm", "-journal")),
}
TOML = """# Written by the demo. The two accounts talk to stand-ins that ran on loopback.
[database]
url = "sqlite:///aggregator.db"

[accounts.telnyx-main]
provider = "telnyx"
secret = "file:telnyx.key"
base_url = "{telnyx}"

[accounts.fone-au]
provider = "fonedynamics"
secret = "file:fonedynamics.key"
account_sid = "{account_sid}"
base_url = "{fonedynamics}"
min_interval = "0s"

[accounts.telnyx-main.feeds]
porting_events.start = "60d"
portout_events.start = "60d"

[accounts.fone-au.feeds]
porting_status.start = "60d"
"""


@dataclass(slots=True)
class Story:
    """What the demo has to tell so far."""

    started: float
    seconds: float
    polls: int = 0
    seq: int = 0
    outage: str = "none yet"
    surprises: int = 0
    failed: set[str] = field(default_factory=set)


def run(seconds: int, keep: Path, drawing: Path | None = None) -> int:
    """Run the demo for about so long; its database and configuration stay in `keep`."""
    folder = _fresh(keep)
    if folder is None:
        return BAD_NEWS
    arguments = (
        "--seed",
        SEED,
        "--days",
        str(DAYS + HISTORY),
        "--speed",
        "0",
        "--orders",
        "160",
        "--require-auth",
    )
    with start(*arguments, "--fault", "empty_payload=0.15", "--fault", "late=0.05") as sim:
        config = _configured(folder, sim)
        setup.logging(config, quiet=True)
        _quiet()
        sim.advance(HISTORY * 86_400)
        story = Story(time.monotonic(), seconds)
        with setup.store(config) as store, _reading(config) as reader, Screen() as screen:
            last = _live(config, store, reader, sim, story, screen)
        if drawing is not None:
            save(last, drawing)
        lost, doubled = _counted(folder, sim)
        _summary(folder, sim, story, lost, doubled)
    return OK if not lost and not doubled else BAD_NEWS


def _fresh(keep: Path) -> Path | None:
    """The demo's folder, without what a demo before left there; any other file in it stops the demo."""
    keep.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in keep.iterdir()}
    if there - OURS or (there and not _left_by_a_demo(keep / "aggregator.toml")):
        say(f"{keep} holds other files; name another folder with --keep")
        return None
    for name in sorted(OURS, key="aggregator.toml".__eq__):  # what says that they are ours goes last
        (keep / name).unlink(missing_ok=True)
    return keep


def _left_by_a_demo(toml: Path) -> bool:
    """Whether a configuration is a demo's, and no account of it was given to a real provider since."""
    try:
        text = toml.read_text(encoding="utf-8")
        asked = [one.get("base_url", "") for one in tomllib.loads(text).get("accounts", {}).values()]
    except (OSError, ValueError, AttributeError):
        return False
    return text.startswith(SIGNED) and all(is_loopback(urlsplit(url).hostname or "") for url in asked)


def unfit_for_a_picture(file: Path) -> str | None:
    """Why no picture may be written to a file: only an older picture is replaced."""
    if not file.absolute().parent.is_dir():
        return f"there is no folder {file.absolute().parent}"
    if not os.path.lexists(file):
        return None
    if not file.is_file():
        return f"{file} is not a file"
    with file.open("rb") as there:
        is_picture = there.read(5).startswith((b"<svg", b"<?xml"))
    return None if is_picture else f"{file} is there and is no picture; name another file"


def _configured(folder: Path, sim: Running) -> Config:
    values = {"telnyx": sim.telnyx, "fonedynamics": sim.fonedynamics, "account_sid": sim.account_sid}
    (folder / "aggregator.toml").write_text(TOML.format(**values), encoding="utf-8")
    for name, key in (("telnyx", sim.telnyx_key), ("fonedynamics", sim.fonedynamics_token)):
        path = folder / f"{name}.key"
        path.write_text(key + "\n", encoding="utf-8")
        path.chmod(0o600)
    return load((folder / "aggregator.toml").absolute(), providers.load, {})


def _quiet() -> None:
    """The screen tells of outages itself."""
    import logging

    logging.getLogger().setLevel(logging.ERROR)


@contextmanager
def _reading(config: Config) -> Iterator["Reader"]:
    from aggregator.config import database_url
    from aggregator.store.queries import open_reader

    reader = open_reader(database_url(config, os.environ), config.database.schema)
    try:
        yield reader
    finally:
        reader.close()


# --- while it runs --------------------------------------------------------------------------------------


def _live(
    config: Config, store: "Store", reader: "Reader", sim: Running, story: Story, screen: Screen
) -> Picture:
    """Poll while the stand-ins' clock runs: a port-out nobody expected, and an outage that is survived.
    Returns the last picture."""
    _poll(config, store, story)
    story.seq = reader.identity()["newest_seq"]
    story.surprises += bool(sim.surprise())
    sim.set_speed(DAYS * 86_400 / max(story.seconds - 6, 4))
    while (passed := time.monotonic() - story.started) < story.seconds:
        share = passed / story.seconds
        broken = 0.45 < share < 0.6
        sim.set_faults(outage=broken)
        if share > 0.8 and story.surprises < 2:
            story.surprises += bool(sim.surprise())
        if broken and story.outage == "none yet":
            story.outage = f"{TELNYX} and {FONE} answer 503 since {_clock(sim)}: waiting, nothing is lost"
        _poll(config, store, story, quick=broken)
        if not broken and story.outage.endswith("lost") and not story.failed:
            story.outage = f"an outage of both providers, survived: all caught up at {_clock(sim)}"
        screen.show(_picture(reader, sim, story))
        time.sleep(0.2 if screen.live else 1.0)
    sim.set_speed(0)
    sim.set_faults(outage=False, empty_payload=0)
    sim.advance(1_900)
    _poll(config, store, story)
    _poll(config, store, story)
    last = _picture(reader, sim, story)
    screen.show(last, last=True)
    return last


def _poll(config: Config, store: "Store", story: Story, quick: bool = False) -> None:
    story.polls += 1
    story.failed.clear()
    for account in config.accounts.values():
        with accounts.fetcher(config, account, tries=1 if quick else 4) as fetch:
            if poll_one(account, store, fetch).verdict is not Verdict.COMPLETE:
                story.failed.add(account.name)


def _clock(sim: Running) -> str:
    at = datetime.fromisoformat(sim.clock()["now"].replace("Z", "+00:00"))
    return f"{at:%a %d %b %H:%M}"


def _picture(reader: "Reader", sim: Running, story: Story) -> Picture:
    """Everything the screen shows, as plain values."""
    now = datetime.fromisoformat(sim.clock()["now"].replace("Z", "+00:00"))
    return picture(reader, now, story.polls, story.outage, story.seq)


# --- at the end -----------------------------------------------------------------------------------------


def _counted(folder: Path, sim: Running) -> tuple[int, int]:
    """Lost and doubled events, as counted against what the stand-ins say is so."""
    truth = sim.truth()
    there = [*truth["telnyx"]["porting_events"], *truth["telnyx"]["portout_events"]]
    with sqlite3.connect(folder / "aggregator.db") as database:
        stored = [
            row[0]
            for row in database.execute("select provider_event_id from v1_events where provider = 'telnyx'")
        ]
        history = database.execute(
            "select count(*) from v1_events where provider = 'fonedynamics'"
        ).fetchone()[0]
    database.close()
    lost = len(set(there) - set(stored)) + max(0, len(truth["fonedynamics"]["history"]) - history)
    doubled = len(stored) - len(set(stored)) + max(0, history - len(truth["fonedynamics"]["history"]))
    return lost, doubled


def _summary(folder: Path, sim: Running, story: Story, lost: int, doubled: int) -> None:
    with sqlite3.connect(folder / "aggregator.db") as database:
        orders, events, changes = (
            database.execute(f"select count(*) from {view}").fetchone()[0]
            for view in ("v1_orders", "v1_events", "v1_changes")
        )
        number = database.execute(
            "select number_key from v1_numbers n join v1_orders o using (order_id) where o.submission_cycle > 0 "
            "order by o.foc_changes desc, o.order_id limit 1"
        ).fetchone()
    database.close()
    out = output.console()
    program = _program()
    config = os.path.relpath(folder / "aggregator.toml")
    out.print(
        f"\n{HISTORY + DAYS} simulated days · {orders} orders · {events} events · {changes} changes · {story.polls} polls · "
        f"[bold]lost {lost}, doubled {doubled}[/] as counted against the stand-ins"
    )
    out.print("\nThe database stays. Type:\n")
    out.print(f"  {program} --config {config} waiting", markup=False)
    out.print(f"  {program} --config {config} number {number[0] if number else ''}", markup=False)
    query = "select state, count(*) from v1_orders group by state"
    path = os.path.relpath(folder / "aggregator.db")
    if shutil.which("sqlite3"):
        out.print(f'  sqlite3 {path} "{query}"', markup=False)
    else:
        code = f"import sqlite3; print(*sqlite3.connect('{path}').execute('{query}'), sep='\\n')"
        out.print(f'  {_python()} -c "{code}"', markup=False)


def _program() -> str:
    """How this program was called, so that the printed commands work as they stand."""
    here = Path(sys.argv[0])
    if here.name == "porting-aggregator":
        return (
            "porting-aggregator" if shutil.which("porting-aggregator") == str(here) else os.path.relpath(here)
        )
    return f"{_python()} -m aggregator"


def _python() -> str:
    path = Path(sys.executable)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
