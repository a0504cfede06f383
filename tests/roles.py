"""A role of the daemon's own on a Postgres of the tests, with the rights that `db upgrade` gives it."""

import os

from aggregator.store import engine as engines
from aggregator.store import schema

NAME = f"daemon_{os.getpid()}"  # roles are the whole server's


def made(url: str) -> str:
    """Make the role anew in the owner's database; its URL."""
    engine = engines.connect(url)
    with engine.begin() as tx:
        tx.exec_driver_sql(f"drop role if exists {NAME}")
        tx.exec_driver_sql(f"create role {NAME} login")
    schema.upgrade(engine, writer=NAME)
    engine.dispose()
    return url.replace("//postgres:@", f"//{NAME}@")
