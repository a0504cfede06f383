"""How many polls fit into the files that this process may have open. An account holds none between its polls, so their
number is bounded by no limit of files; only how many are polled in one moment is."""

import resource

OWN = 64  # the process, its log, its database with write-ahead log, its listeners' own sockets
EACH = 4  # a poll: its connection, one that is being replaced, the key's file, the database


def open_files() -> int | None:
    """How many files may be open; None where there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def polls_at_once(limit: int | None) -> int | None:
    """The greatest number of accounts that can be polled in one moment; a quarter of the files is the listeners'."""
    return None if limit is None else max(0, (limit - limit // 4 - OWN) // EACH)


def told(limit: int | None, wanted: int) -> str:
    """The limit and what it is enough for, in words; `wanted` is how many accounts would be polled in one moment."""
    most = polls_at_once(limit)
    if most is None:
        return "no limit; between polls an account holds none"
    enough = f"{limit}, enough to poll {most} accounts at once"
    return enough if most >= wanted else f"{enough}; too few for {wanted} (raise LimitNOFILE)"
