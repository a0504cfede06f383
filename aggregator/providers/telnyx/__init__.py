"""Telnyx: porting orders (port-in) and port-outs, their event feeds, numbers and comments. JSON API v2.

Read as raw JSON: the official client puts an event it does not know into the wrong class.
https://developers.telnyx.com/docs/numbers/porting/port-in-events and .../port-out-events
"""

from datetime import timedelta

from aggregator.adapter import (
    Adapter,
    Auth,
    Cancelling,
    Direction,
    FeedDefaults,
    FeedKind,
    Listing,
    Pacing,
    Paging,
)
from aggregator.providers.telnyx.clocks import CLOCKS, USUAL
from aggregator.providers.telnyx.envelope import TOO_MANY, refusal
from aggregator.providers.telnyx.pages import KEEP, read
from aggregator.providers.telnyx.requests import cancel, otherwise, plan
from aggregator.providers.telnyx.words import REASONS, WORDS


def _events(direction: Direction) -> FeedDefaults:
    return FeedDefaults(
        FeedKind.EVENTS,
        direction,
        every=timedelta(seconds=60),
        lookback=timedelta(hours=1),
        deep=timedelta(hours=24),
        start=timedelta(days=30),
    )


ADAPTER = Adapter(
    label="Telnyx",
    base_url="https://api.telnyx.com/v2",
    auth=Auth.BEARER,
    region="US",
    time_zone="UTC",
    feeds={
        "porting_events": _events(Direction.PORT_IN),
        "portout_events": _events(Direction.PORT_OUT),
        "porting_orders": FeedDefaults(FeedKind.LISTING, Direction.PORT_IN, timedelta(hours=1)),
        "portouts": FeedDefaults(FeedKind.LISTING, Direction.PORT_OUT, timedelta(hours=1)),
    },
    words=WORDS,
    reasons=REASONS,
    keep=KEEP,
    plan=plan,
    read=read,
    otherwise=otherwise,
    pacing=Pacing(),
    paging=Paging("page[size]", number="page[number]"),
    check=Listing("exception_types"),
    describe=Listing("exception_types"),
    clocks=CLOCKS,
    usual=USUAL,
    # https://developers.telnyx.com/docs/numbers/porting/cancel-port-order
    cancel=Cancelling(cancel, lock=timedelta(hours=48)),
    refusal=refusal,
    limited_by=TOO_MANY,
)
