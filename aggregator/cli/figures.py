"""What the database knows, for health and metrics: opened anew for each question, as a reader, and let go."""

import sys

from aggregator.cli import setup
from aggregator.cli.app import OK
from aggregator.config import Config
from aggregator.core.figures import Figures


def ready(config: Config) -> None:
    """Raise what is wrong with the database or its schema."""
    from aggregator.store import schema

    with setup.reader(config) as reader:
        schema.require(reader.engine)


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
