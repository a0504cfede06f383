"""What the database knows, for health and metrics: opened anew for each question, as a reader, and let go."""

import os
import sys

from aggregator.cli import setup
from aggregator.cli.app import OK
from aggregator.config import Config, database_url
from aggregator.core.figures import Figures


def ready(config: Config) -> None:
    """Raise what is wrong with the database or its schema, or that nothing can be written to it. Asked over a new
    connection, as a poll would get one."""
    from aggregator.store import engine as engines
    from aggregator.store import schema, writable

    with setup.reader(config) as reader:
        schema.require(reader.engine)
    engine = engines.connect(database_url(config, os.environ), config.database.schema)
    try:
        writable.require(engine)
    finally:
        engine.dispose()


def known(config: Config) -> Figures:
    """What the database knows in numbers."""
    from aggregator.store.figures import figures

    with setup.reader(config) as reader:
        return figures(reader)


def metrics_once() -> int:
    """Print them, for who has no daemon to ask."""
    from aggregator.metrics import exposition

    sys.stdout.write(exposition(known(setup.configuration())).decode())
    return OK
