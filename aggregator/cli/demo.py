"""The demo: stand-ins of both providers, polled for real, and a screen that shows what a coordinator sees."""

import fcntl
import logging
import os
import shutil
import sqlite3
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
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
LENGTH_S = DAYS * 86_400 - 3_600  # so that what comes late has come at the end
BEGAN = "2025-09-01T00:00Z"
"""When the world of the pictures begins, and in how many steps its days pass."""
STEPS = 24
SIZES = {"": (100, 44), "-80": (80, 24), "-200": (200, 50)}
"""The pictures: how their names end, and the columns and rows of their terminals."""
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

    polls: int = 0
    seq: int = 0
    outage: str = "none yet"
    surprises: int = 0
    failed: set[str] = field(default_factory=set)


def run(seconds: int, keep: Path) -> int:
    """Run the demo for about so long; its database and configuration stay in `keep`."""
    keep.mkdir(parents=True, exist_ok=True)
    with _alone(keep) as alone:
        folder = _fresh(keep) if alone else None
        return BAD_NEWS if folder is None else _run(seconds, folder)


@contextmanager
def _alone(keep: Path) -> Iterator[bool]:
    """Whether no other demo runs in the folder; none begins there meanwhile."""
    descriptor = os.open(keep, os.O_RDONLY)
    alone = True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"a demo is running in {keep}; name another folder with --keep")
        alone = False
    except OSError:
        pass  # a file system without locks
    try:
        yield alone
    finally:
        os.close(descriptor)


def _run(seconds: int, folder: Path) -> int:
    with _world() as sim:
        config = _configured(folder, sim)
        story = Story()
        with setup.store(config) as store, _reading(config) as reader, Screen() as screen:
            for shown in _told(config, store, reader, sim, story, _passing(seconds)):
                screen.show(shown)
                time.sleep(0.2 if screen.live else 1.0)
            screen.show(shown, last=True)
        lost, doubled = _counted(folder, sim)
        _summary(folder, sim, story, lost, doubled)
    return OK if not lost and not doubled else BAD_NEWS


def draw(file: Path) -> int:
    """Write what the demo's last screen shows as SVG pictures: `file` at 100 columns, and beside it a terminal of
    80 by 24 and one of 200 columns. The world, its clock and ours are the same each time, and so is each byte."""
    with TemporaryDirectory() as folder, _world("--start", BEGAN) as sim:
        config = _configured(Path(folder), sim)
        with setup.store(config) as store, _reading(config) as reader:
            steps = (n / STEPS for n in range(STEPS))
            *_, last = _told(config, store, reader, sim, Story(), steps)
    for end, (columns, rows) in SIZES.items():
        save(last, file.with_name(f"{file.stem}{end}{file.suffix}"), columns, rows)
    return OK


def _world(*more: str) -> AbstractContextManager[Running]:
    said = ("--seed", SEED, "--days", str(DAYS + HISTORY), "--speed", "0", "--orders", "160")
    faults = ("--fault", "empty_payload=0.15", "--fault", "late=0.05")
    return start(*said, "--require-auth", *faults, *more)


def _passing(seconds: int) -> Iterator[float]:
    """How much of the time is over, as it passes."""
    began = time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        yield share


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


def _told(
    config: Config, store: "Store", reader: "Reader", sim: Running, story: Story, shares: Iterable[float]
) -> Iterator[Picture]:
    """The story, a picture after each poll: the stand-ins' clock goes on between two polls to the next of these
    shares of the demo's days. There is a port-out nobody expected, and an outage that is survived."""
    setup.logging(config, quiet=True)
    logging.getLogger().setLevel(logging.ERROR)  # the screen tells of outages itself
    sim.advance(HISTORY * 86_400)
    _poll(config, store, sim, story)
    story.seq = reader.identity()["newest_seq"]
    story.surprises += bool(sim.surprise())
    passed = 0.0
    for share in shares:
        broken = 0.45 < share < 0.6
        sim.set_faults(outage=broken)
        sim.advance(share * LENGTH_S - passed)
        passed = share * LENGTH_S
        if share > 0.93 and story.surprises < 2:
            story.surprises += bool(sim.surprise())
        if broken and story.outage == "none yet":
            story.outage = f"both providers answer 503 since {_now(sim):%a %d %b %H:%M}: nothing is lost"
        _poll(config, store, sim, story, quick=broken)
        if not broken and story.outage.endswith("lost") and not story.failed:
            story.outage = f"both providers were away; all caught up at {_now(sim):%a %d %b %H:%M}"
        yield picture(reader, _now(sim), story.polls, story.outage, story.seq)
    sim.set_faults(outage=False, empty_payload=0)
    sim.advance(1_900)
    for _ in range(2):
        _poll(config, store, sim, story)
    yield picture(reader, _now(sim), story.polls, story.outage, story.seq)


def _poll(config: Config, store: "Store", sim: Running, story: Story, quick: bool = False) -> None:
    """Poll every account at the stand-ins' present, which is ours, too."""
    now = _now(sim)
    story.polls += 1
    story.failed.clear()
    for account in config.accounts.values():
        with accounts.fetcher(config, account, tries=1 if quick else 4, clock=lambda: now) as fetch:
            if poll_one(account, store, fetch, clock=lambda: now).verdict is not Verdict.COMPLETE:
                story.failed.add(account.name)


def _now(sim: Running) -> datetime:
    return datetime.fromisoformat(sim.clock()["now"].replace("Z", "+00:00"))


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
    out.print(f"  {program} --config {config} waiting", markup=False, soft_wrap=True)
    out.print(
        f"  {program} --config {config} number {number[0] if number else ''}", markup=False, soft_wrap=True
    )
    query = "select state, count(*) from v1_orders group by state"
    path = os.path.relpath(folder / "aggregator.db")
    if shutil.which("sqlite3"):
        out.print(f'  sqlite3 {path} "{query}"', markup=False, soft_wrap=True)
    else:
        code = f"import sqlite3; print(*sqlite3.connect('{path}').execute('{query}'), sep='\\n')"
        out.print(f'  {_python()} -c "{code}"', markup=False, soft_wrap=True)


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
