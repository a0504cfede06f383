"""One writer for each account: a lease with an epoch. Time-outs decide who may try, the epoch who may write."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, bindparam, select, update

from aggregator.store.statements import table_of
from aggregator.store.tables import LeaseRow

EXPIRES = timedelta(seconds=20)
PROC = Path("/proc")
BOOT = "PORTING_AGGREGATOR_BOOT_ID"
"""Where a unit names this boot of the host, for whom `ProcSubset=` hides it."""
HIDDEN = "hidden"

_LEASE = table_of(LeaseRow)
_OURS = (_LEASE.c.account_id == bindparam("ours"), _LEASE.c.epoch == bindparam("at_epoch"))
_TAKE = select(_LEASE).where(_OURS[0]).with_for_update()
_TAKEN = update(_LEASE).where(_OURS[0])
_RENEW = update(_LEASE).where(*_OURS)


def holder() -> str:
    """This process, named so that another one on the same host can tell whether it still lives."""
    return f"{_place()}/{os.getpid()}/{started(os.getpid())}"


def take(tx: Connection, account_id: int, me: str, now: datetime) -> int | None:
    """Take the lease; returns its new epoch, or None while a living holder keeps it."""
    lease = tx.execute(_TAKE, {"ours": account_id}).one()
    if lease.holder not in (None, me) and _may_live(lease.holder, lease.renewed_at, now):
        return None
    epoch = int(lease.epoch) + 1
    tx.execute(_TAKEN, {"ours": account_id, "epoch": epoch, "holder": me, "renewed_at": now})
    return epoch


def renew(tx: Connection, account_id: int, epoch: int, now: datetime) -> bool:
    """Say that we are still here; False when somebody has taken over."""
    return tx.execute(_RENEW, {"ours": account_id, "at_epoch": epoch, "renewed_at": now}).rowcount == 1


def release(tx: Connection, account_id: int, epoch: int) -> None:
    """Let go, if it is still ours; the epoch stays, so that nobody can use it again."""
    tx.execute(_RENEW, {"ours": account_id, "at_epoch": epoch, "holder": None, "renewed_at": None})


def _may_live(other: str, renewed_at: datetime | None, now: datetime) -> bool:
    """A dead process of this host is known to be dead; any other holder lives until it fails to renew. Its
    clock may be a little ahead of ours."""
    place, pid, since = other.rsplit("/", 2)
    if place and place == _place() and started(int(pid)) not in (since, HIDDEN):
        return False
    return renewed_at is not None and abs(now - renewed_at) < EXPIRES


def _place() -> str:
    """This boot of this host, and the space in which its process ids count; '' where nobody can tell."""
    try:
        boot = os.environ.get(BOOT) or (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")
        return f"{boot.strip().replace('-', '')}/{os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks; '' when there is none, or one that only waits to be buried;
    `HIDDEN` when there is one that we may not look at."""
    try:
        stat = (PROC / f"{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return "" if stat[0] in "ZX" else stat[19]
    except (OSError, IndexError):
        return HIDDEN if _is_there(pid) else ""


def _is_there(pid: int) -> bool:
    """Whether there is a process of that number: signals find one that `ProtectProc=` hides."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
