"""After the commit: wake whoever listens. A hint that may be lost without harm; readers look by themselves too."""

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

CHANNEL = "porting_changes"
log = structlog.get_logger()


def published(engine: Engine, newest_seq: int) -> None:
    """Tell listeners on Postgres how far the change feed reaches now; 0 means that nothing was written."""
    if not newest_seq or engine.dialect.name != "postgresql":
        return
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(
                text("select pg_notify(:channel, :seq)"), {"channel": CHANNEL, "seq": str(newest_seq)}
            )
    except SQLAlchemyError as error:
        log.info("notify.lost", error=type(error).__name__)
