"""What retention takes away: all of it at once, or a little after a poll; and what there is to take."""

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from aggregator.cli import setup
from aggregator.cli.app import OK, TRY_LATER, say
from aggregator.cli.bar import interruptible, shown
from aggregator.config import Config
from aggregator.config.values import written
from aggregator.errors import StoreError

if TYPE_CHECKING:
    from aggregator.store import Store
    from aggregator.store.queries import Reader

AFTER_A_POLL = 10
"""So many small steps are made after a poll, where a walk is due; the next poll goes on from there."""


def prune_all() -> int:
    """One walk over all orders, from the first to the last. Others write meanwhile: after each step they get as
    long as it took."""
    config = setup.configuration()
    setup.logging(config, quiet=True)
    if not any(vars(config.retention).values()):
        say("[retention] is not set: everything is kept")
        return OK
    with setup.reader(config):
        pass  # a database is not made for want of one
    stop = threading.Event()
    with setup.store(config) as store, interruptible(stop), shown("pruning") as bar:
        began = time.monotonic()
        pruned = step = store.prune(config.retention, setup.now(), 0)
        while not step.done and not stop.wait(max(0.01, time.monotonic() - began)):
            bar(step.share, str(pruned))
            began = time.monotonic()
            step = store.prune(config.retention, setup.now(), step.until)
            pruned += step
        bar(step.share, str(pruned))
    if not step.done:
        say("stopped; what is gone is gone, the rest goes next time")
        return TRY_LATER
    typer.echo(f"removed {pruned}")
    return OK


def prune_a_little(config: Config, store: "Store") -> None:
    """Some steps of the walk that is due, for hosts without a daemon. Its failure is none of the poll's."""
    if not any(vars(config.retention).values()):
        return
    try:
        for _ in range(AFTER_A_POLL):
            if store.prune_if_due(config.retention, setup.now()) is None:
                return
    except StoreError as error:
        say(f"retention: {error}")


def sizes(reader: "Reader", config: Config) -> Iterator[str]:
    """What the database takes on disk, and of each kind that ages how much there is and can go."""
    from aggregator.store.sizes import disk, stocks

    on_disk = disk(reader.engine)
    more = f", {_bytes(on_disk.free)} of it free to be used again" if on_disk.free else ""
    more += f"; -wal: {_bytes(on_disk.wal)}" if on_disk.wal else ""
    yield f"on disk: {_bytes(on_disk.total)}{more}"
    for stock in stocks(reader.engine, config.retention, setup.now()):
        oldest = f", the oldest of {stock.oldest:%Y-%m-%d}" if stock.oldest else ""
        kept = (
            f"kept for {written(stock.kept_for)}, {stock.ripe} can go" if stock.kept_for else "kept for ever"
        )
        yield f"{stock.kind}: {stock.rows}{oldest}; {kept}"


def _bytes(count: int) -> str:
    """
    >>> _bytes(512), _bytes(4096), _bytes(123_456_789)
    ('512 B', '4.0 KiB', '117.7 MiB')
    """
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
