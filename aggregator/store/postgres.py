"""Postgres as we use it: what each connection asks for at its start, and what it must have got.

Everything that changes how a value is written or read is set here, whatever the database or the role has by default.
Poolers in between may refuse these options, or drop them without a word: then our tables would be made, or looked for,
in somebody else's schema.
"""

import re
from typing import Any

from sqlalchemy.exc import DBAPIError

from aggregator.errors import Unusable

UNANSWERED: dict[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
"""A Postgres whose host is gone without a word is given up after so long; by itself TCP waits for hours."""
ENCODINGS = ("UTF8", "SQL_ASCII")
"""A database of another encoding lacks letters that customers have; SQL_ASCII keeps bytes as they come."""
GONE = ("25", "57P0")
"""SQLSTATE: a session that may not write (a standby, as a rule) or that is being ended. What shares the address is
no better, so every connection is made anew."""

_ASKED = "select current_schema(), current_setting('search_path'), current_setting('DateStyle')"
_REFUSED = re.compile(
    r"startup parameter|command-line options|unrecognized configuration parameter", re.IGNORECASE
)
_PAST_IT = (
    "connect to Postgres itself (or let the pooler ignore them, and give the role what they say: "
    "alter role ROLE set search_path = SCHEMA)"
)


def arguments(schema: str, read_only: bool) -> dict[str, Any]:
    """What a connection is opened with."""
    options = {
        "search_path": schema,
        "timezone": "UTC",
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "standard_conforming_strings": "on",
        "extra_float_digits": "1",
        **({"default_transaction_read_only": "on"} if read_only else {}),
    }
    said = " ".join(f"-c {name}={value}" for name, value in options.items())
    return {"options": said, "client_encoding": "utf8", **UNANSWERED}


def checked(connection: Any, schema: str) -> None:
    """Close a connection (psycopg's) that is not what we asked for, and raise Unusable."""
    try:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in (None, *ENCODINGS):
            raise Unusable(
                f"database: its encoding is {encoding}, which lacks letters that names have; make one that is UTF8: "
                "create database … encoding 'UTF8' template template0"
            )
        found, path, style = connection.execute(_ASKED).fetchone()
        connection.rollback()
        if not is_ours(found, path, schema):
            raise Unusable(elsewhere(found or path, schema))
        if not style.startswith("ISO"):
            raise Unusable(
                f"database: dates come as {style}: a connection pooler in between ignores options; {_PAST_IT}"
            )
    except BaseException:
        connection.close()
        raise


def is_ours(found: str | None, path: str, schema: str) -> bool:
    """Whether tables are looked for in our schema; where there is none yet, whether they will be."""
    return found == schema or (found is None and path.strip().strip('"') == schema)


def elsewhere(found: str, schema: str) -> str:
    """What is wrong where they are looked for in another one."""
    return (
        f"database: the schema in use is {found}, not {schema}: a connection pooler in between ignores options; "
        f"{_PAST_IT}"
    )


def refused(error: DBAPIError) -> str | None:
    """What to do where a server, or a pooler before it, refuses to begin a connection because of its options."""
    said = _REFUSED.search(str(error.orig))
    return f"a connection pooler in between refuses options; {_PAST_IT}" if said else None
