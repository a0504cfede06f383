"""How large the database is on disk, and what retention has done and has still to do, for whoever operates it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select, text

from aggregator.store import engine as engines
from aggregator.store.prune import Ages, Old, quiet
from aggregator.store.statements import table_of
from aggregator.store.tables import OrderRow

_ORDER = table_of(OrderRow)
_POSTGRES = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname = current_schema()
"""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on disk. Of SQLite: the file, what of it is free to be used again, and the -wal beside it."""

    total: int
    free: int = 0
    wal: int = 0


@dataclass(frozen=True, slots=True)
class Stock:
    """What is there of one kind that ages: how many rows, the oldest, and how many of them could go now."""

    kind: str
    rows: int
    oldest: datetime | None
    kept_for: timedelta | None
    ripe: int


def disk(engine: Engine) -> Disk:
    """What the database takes on disk: of Postgres all tables of our schema with their indexes."""
    with engines.translated(), engine.connect() as tx:
        if tx.dialect.name == "postgresql":
            return Disk(int(tx.execute(text(_POSTGRES)).scalar_one()))
        page = int(tx.exec_driver_sql("pragma page_size").scalar_one())
        free = int(tx.exec_driver_sql("pragma freelist_count").scalar_one()) * page
        path = engines.file_of(engine)
        return Disk(_size(path), free, _size(path.with_name(f"{path.name}-wal")))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def stocks(engine: Engine, ages: Ages, now: datetime) -> Iterator[Stock]:
    """What is there of each kind that retention knows."""
    with engines.translated(), engine.connect() as tx:
        old = Old(ages, now, quiet(tx, now))
        for kind in old.everything():
            rows, oldest = tx.execute(select(func.count(), func.min(kind.learned)).where(kind.there)).one()
            kept_for, ripe = old.age(kind.name), 0
            if kept_for is not None:
                whose = kind.table.join(_ORDER, _ORDER.c.id == kind.table.c.order_pk)
                query = select(func.count()).select_from(whose).where(old.settled(), kind.ripe)
                ripe = tx.execute(query).scalar_one()
            yield Stock(kind.name, rows, oldest, kept_for, ripe)
