"""What Prometheus reads: what the database knows, and what this process has counted. The names are a contract.

Labels name accounts, feeds, directions, states and outcomes, of which there are few; never an order or a number.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from aggregator import __version__
from aggregator.core.figures import Figures

if TYPE_CHECKING:
    from aggregator.once import Polled

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "porting_aggregator_"
BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would add a series for each of ours, under a name that is no contract


class Meter:
    """What this process counts as it polls. It can be told from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._polls = Counter(
            f"{PREFIX}polls",
            "Polls of a feed since the process started, by how they ended.",
            ("account", "feed", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}poll_seconds",
            "How long polls of an account took.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._changes = Counter(
            f"{PREFIX}changes",
            "Changes recorded since the process started.",
            registry=self.registry,
        )

    def polled(self, polled: "Polled", seconds: float) -> None:
        """Count one poll of an account."""
        for outcome in polled.outcomes:
            self._polls.labels(polled.account, outcome.feed, outcome.outcome).inc()
        self._seconds.observe(seconds)
        self._changes.inc(polled.recorded.changes)


def exposition(figures: Figures, meter: Meter | None = None) -> bytes:
    """Everything as text: what the database knows, and what the process counted, where there is one."""
    registry = CollectorRegistry()
    registry.register(_Known(figures))
    text = generate_latest(registry)
    return text if meter is None else text + generate_latest(meter.registry)


class _Known(Collector):
    """The database's figures as families."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing else bears these names, so nothing need be compared."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family, those without a sample too."""
        figures = self.figures
        names = ("account", "provider", "feed")
        complete = _family(
            "feed_last_complete_timestamp_seconds",
            "When a feed was last polled completely; 0 is never.",
            names,
        )
        stale = _family("feed_stale", "Whether nothing was complete for too long.", names)
        quiet = _family(
            "feed_quiet", "Whether it brings nothing for longer than its history explains.", names
        )
        for feed in figures.feeds:
            quiet.add_metric((feed.account, feed.provider, feed.feed), float(feed.quiet))
            complete.add_metric((feed.account, feed.provider, feed.feed), feed.last_complete)
            stale.add_metric((feed.account, feed.provider, feed.feed), float(feed.stale))
        orders = _family(
            "orders", "Orders that are not deleted, by state.", ("provider", "account", "direction", "state")
        )
        for one in figures.orders:
            orders.add_metric((one.provider, one.account, one.direction, one.state), one.orders)
        deadline = _family(
            "next_deadline_timestamp_seconds",
            "The first deadline of an order that waits for us, one that has passed too.",
            ("account", "direction", "kind"),
        )
        for due in figures.deadlines:
            deadline.add_metric((due.account, due.direction, due.kind), due.at)
        words = _family(
            "unknown_words",
            "Words of providers that nobody knows; whether a word of that list moves a state.",
            ("account", "vocabulary", "moves_state"),
        )
        for them in figures.unknown_words:
            words.add_metric((them.account, them.vocabulary, str(them.moves_state).lower()), them.words)
        owed = _family(
            "events_without_payload",
            "Events whose payload has not come for longer than this.",
            ("account", "longer_than"),
        )
        for whose in figures.owed:
            owed.add_metric((whose.account, "1h"), whose.hour)
            owed.add_metric((whose.account, "1d"), whose.day)
        build = _family("build_info", "The program that tells this.", ("version",))
        build.add_metric((__version__,), 1)
        yield from (complete, stale, quiet, orders, deadline, words, owed, build)
        yield _single("waiting_orders", "Orders that wait for us.", figures.waiting)
        yield _single("quarantined", "Records that could not be read yet.", figures.quarantined)
        yield _single(
            "orders_without_numbers",
            "Orders that have numbers by their provider's count, and none here after a complete poll.",
            figures.numberless,
        )


def _family(name: str, help: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, help, labels=[*labels])


def _single(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, help, value=value)
