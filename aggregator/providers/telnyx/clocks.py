"""What Telnyx does by itself, and when.

- A port-out that nobody answers is authorised after 24 to 48 hours; the earlier one counts.
  https://developers.telnyx.com/docs/numbers/porting/port-out-quickstart
- A draft is deleted 30 days after its creation.
  https://support.telnyx.com/en/articles/3284588-port-request-statuses
- An order can no longer be cancelled through the API within 48 hours of its FOC date.
  https://developers.telnyx.com/docs/numbers/porting/cancel-port-order
- A port-out may complete on any of the ten days after its FOC date; only then it is late.
  https://developers.telnyx.com/docs/numbers/porting/port-out-quickstart
- An exception that nobody answers for 14 days is cancelled: inferred, from a reseller's copy of the policy.
"""

from collections.abc import Mapping
from datetime import timedelta

from aggregator.adapter import Basis, Clock, CountedFrom, Direction, State, Usual, WaitingOn

_IN, _OUT = Direction.PORT_IN, Direction.PORT_OUT

CLOCKS = (
    Clock(
        "port_out_authorised_by_silence",
        _OUT,
        frozenset({State.ACTION_NEEDED}),
        CountedFrom.STATE,
        timedelta(hours=24),
        presses=True,
    ),
    Clock(
        "draft_deleted", _IN, frozenset({State.DRAFT}), CountedFrom.CREATED, timedelta(days=30), presses=True
    ),
    Clock("cancel_locked", _IN, frozenset({State.SCHEDULED}), CountedFrom.FOC, timedelta(hours=-48)),
    Clock("port_out_late", _OUT, frozenset({State.SCHEDULED}), CountedFrom.FOC, timedelta(days=10)),
    Clock(
        "exception_cancelled",
        _IN,
        frozenset({State.EXCEPTION}),
        CountedFrom.STATE,
        timedelta(days=14),
        Basis.INFERRED,
        presses=True,
        waiting_on=WaitingOn.US,
    ),
)

# https://support.telnyx.com/en/articles/3284588-port-request-statuses
USUAL: Mapping[tuple[Direction, State], Usual] = {
    (_IN, State.WITH_PROVIDER): Usual(timedelta(hours=6)),  # "a few hours"
    (_IN, State.WITH_CARRIER): Usual(timedelta(hours=48), business=True),  # 36 to 48 business hours
    (_OUT, State.ACTION_NEEDED): Usual(timedelta(hours=48)),  # by then silence has authorised it
}
