"""`changes`: the change feed, once or as a tail: from a kept position on, and with --follow for as long as
somebody reads.

A tail reads rows first and the feed's identity after them, so that rows are only printed while the position is
known to be good: below `floor`, above `newest_seq` or in another feed it ends with 65, and the reader starts
again from the tables.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aggregator.cli import output, telling
from aggregator.cli.app import OK, POSITION, READ, TRY_LATER, app, say
from aggregator.cli.filters import Filters, completed, filtered, one_of
from aggregator.cli.opening import opened
from aggregator.cli.reading import DEFAULT_LIMIT, show_rows
from aggregator.core.diff import EVERY_KIND
from aggregator.errors import StoreError, Unusable

if TYPE_CHECKING:
    from aggregator.store.queries import Reader

Row = dict[str, Any]
COLUMNS = "seq observed_at customer_reference provider what number_key order_id"
CHANNEL = "porting_changes"
EVERY_S = 1.0
PORTION = 1_000
LAST = 20
"""How many rows a person sees before the new ones."""
PATIENCE = 30
"""How often in a row the database may fail before a follower gives up; a restart takes less."""


@app.command(rich_help_panel=READ)
@filtered()
def changes(
    asked: Filters,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Only rows with a greater seq.", metavar="SEQ")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing rows as they come.")] = False,
    feed_id: Annotated[
        str | None,
        typer.Option("--feed-id", help="The feed in which SEQ was kept: 65 if it is another.", metavar="ID"),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help=f"Only this kind of change; can be repeated: {', '.join(EVERY_KIND)}.",
            metavar="KIND",
            parser=one_of("kind", EVERY_KIND),
            autocompletion=completed(EVERY_KIND),
        ),
    ] = None,
    all: Annotated[
        bool, typer.Option("--all", help="Columns that only follow from others too (--json always has them).")
    ] = False,
) -> int:
    """What changed, in the order in which we learned it; late rows tell history, and initial ones a first look.

    --limit leaves the last rows; the first ones after --after, with --json also from --since on.

    With --after, the exit status is 65 when the position is not one of this feed any more: start again from the tables then. With --follow, --json prints the feed's identity first.

    Examples: [bold]porting-aggregator changes --since 1d --kind state_changed[/] · [bold]porting-aggregator changes --json --follow --after 1200[/]
    """
    if follow and asked.until is not None:
        raise typer.BadParameter("what is followed has no end: leave one of them out", param_hint="--until")
    if feed_id is not None and after is None:
        raise typer.BadParameter("belongs to a position: give --after too", param_hint="--feed-id")
    without = frozenset() if asked.json or all or kind else telling.FOLLOWING
    if after is None and not follow:
        more = {"kind": kind} if kind else {}
        show_rows(
            asked,
            "changes",
            COLUMNS,
            "no changes",
            more,
            newest=True,
            warn=True,
            without=without,
            told=_worded,
        )
        return OK
    with opened(asked, warn=True) as (reader, _):
        try:
            tail = Tail(reader, asked, after, feed_id, kind, without)
            return _follow(tail, asked, after is None) if follow else _once(tail, asked)
        except Lost as error:
            say(f"{error}; start again from the tables (docs/consumers.md)")
            return POSITION


def _worded(row: Row) -> Row:
    return {**row, "what": telling.change(row) + " [initial]" * row["initial"]}


class Lost(Exception):
    """The kept position is not one of this feed any more; the message says why."""


class Tail:
    """A position in the change feed, and the rows behind it."""

    def __init__(
        self,
        reader: "Reader",
        asked: Filters,
        after: int | None,
        feed_id: str | None,
        kinds: list[str] | None,
        without: Collection[str],
    ) -> None:
        self.reader = reader
        self.filters = {**asked.columns(), **({"kind": kinds} if kinds else {})}
        self.without = without
        self.since, self.until = asked.since, asked.until
        self.identity = reader.identity()
        self.feed_id = feed_id or self.identity["feed_id"]
        self.whole = after is None
        self.position = self.identity["floor"] - 1 if after is None else after
        self.sure: int = self.identity["newest_seq"]
        self._check(self.identity)

    def _check(self, identity: Row) -> None:
        """Raise Lost unless the position is one of this feed."""
        floor, newest = identity["floor"] - self.whole, identity["newest_seq"]
        if identity["feed_id"] != self.feed_id:
            raise Lost(f"the feed is another one now: {identity['feed_id']}, not {self.feed_id}")
        if not floor <= self.position <= newest:
            raise Lost(f"seq {self.position} lies outside this feed ({identity['floor']} to {newest})")

    def rows(self) -> Iterator[Row]:
        """Every row that is there behind the position, which moves with them."""
        while True:
            found = self.reader.select(
                "changes",
                self.filters,
                since=self.since,
                until=self.until,
                after=self.position,
                limit=PORTION,
                without=self.without,
            )
            identity = self.reader.identity()
            self._check(identity)
            for row in found:
                self.position, self.whole = row["seq"], False
                yield row
            if len(found) < PORTION:
                # What the look before this one called newest was committed before these rows were read.
                self.position, self.sure = max(self.position, self.sure), identity["newest_seq"]
                return


def _once(tail: Tail, asked: Filters) -> int:
    if asked.json:
        output.lines(islice(tail.rows(), asked.limit))
        return OK
    rows = [_worded(row) for row in islice(tail.rows(), asked.limit or DEFAULT_LIMIT + 1)]
    more = not asked.limit and len(rows) > DEFAULT_LIMIT
    output.table(rows[:-1] if more else rows, COLUMNS.split(), "no changes")
    if more:
        say(f"the first {DEFAULT_LIMIT} rows; --limit N shows more, --json all")
    return OK


# --- for as long as somebody reads ----------------------------------------------------------------------


def _follow(tail: Tail, asked: Filters, from_start: bool) -> int:
    """Print rows as they come, until a signal, the end of our reader, or `--limit`."""
    left = asked.limit
    failures = 0
    with _stopping() as stop, closing(_Waiting(tail.reader, stop)) as wait:
        if asked.json:
            output.lines([{name: tail.identity[name] for name in ("feed_id", "floor", "newest_seq")}])
        elif from_start and asked.since is None:
            last = tail.reader.select("changes", tail.filters, limit=LAST, newest=True, without=tail.without)
            tail.position = last[0]["seq"] - 1 if last else tail.sure
        while True:
            try:
                for row in tail.rows():
                    output.lines([row]) if asked.json else sys.stdout.write(f"{_line(row)}\n")
                    left = None if left is None else left - 1
                    if left == 0:
                        return OK
                failures = 0
            except Unusable:
                raise
            except StoreError as error:
                failures += 1
                if failures > PATIENCE:
                    say(f"{error}; go on later with --after {tail.position}")
                    return TRY_LATER
                if failures == 1:
                    say(f"{error}; trying again")
            sys.stdout.flush()
            if wait():
                return OK


def _line(row: Row) -> str:
    """A change for people, in one line; on a terminal, an order without a customer by its id's beginning."""
    short = sys.stdout.isatty() and row["order_id"].split("/", 2)[-1][:8]
    order = row["customer_reference"] or short or row["order_id"]
    parts = (
        row["seq"],
        output.when(row["observed_at"]),
        row["provider"],
        order,
        row["number_key"],
        _worded(row)["what"],
    )
    return "  ".join(output.printable(str(part)) for part in parts if part is not None)


@contextmanager
def _stopping() -> Iterator[int]:
    """A file descriptor that becomes readable when SIGINT or SIGTERM asks us to end; a second one insists."""
    read, write = os.pipe()
    numbers = (signal.SIGINT, signal.SIGTERM)
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if main}

    def end(number: int, _: object) -> None:
        os.write(write, b".")
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, end)
    try:
        yield read
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


class _Waiting:
    """A wait of about a second, which a signal, the end of our reader, or a change on Postgres cuts short.

    Changes are announced as a hint only: without a connection that hears of them, every second is enough.
    """

    def __init__(self, reader: "Reader", stop: int) -> None:
        self.poll = select.poll()
        self.poll.register(stop, select.POLLIN)
        with suppress(OSError, ValueError):  # standard output may be no file at all
            self.poll.register(sys.stdout.fileno(), 0)
        self.connection: Any = None
        self.socket: int | None = None
        if reader.engine.dialect.name == "postgresql":
            self._listen(reader)

    def _listen(self, reader: "Reader") -> None:
        from aggregator.store.engine import translated

        with suppress(StoreError), translated():
            held = reader.engine.raw_connection()
            self.connection = held.driver_connection
            held.detach()
            self.connection.rollback()
            self.connection.autocommit = True
            self.connection.execute(f"listen {CHANNEL}")
            self.socket = self.connection.fileno()
            self.poll.register(self.socket, select.POLLIN)

    def __call__(self) -> bool:
        """Wait; True when it is time to end: a signal came, or whoever read our output has gone."""
        heard = {descriptor for descriptor, _ in self.poll.poll(EVERY_S * 1_000)}
        if self.socket in heard:
            heard.discard(self.socket)
            self._hear()
        return bool(heard)

    def _hear(self) -> None:
        import psycopg

        try:
            self.connection.pgconn.consume_input()
            while self.connection.pgconn.notifies():
                pass
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Let the connection go; waiting goes on without it."""
        if self.socket is not None:
            self.poll.unregister(self.socket)
        if self.connection is not None:
            self.connection.close()
        self.connection = self.socket = None
