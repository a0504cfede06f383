"""Fone Dynamics: port-in status pages of an Australian provider, by From/To window, offset or token.

Reference pages *get-porting-status* and *post-porting-request* of fonedynamics.com. Two status words and one
carrier code are published, so most of what comes is mapped by guess or not at all, and stays open.
"""

from datetime import timedelta

from aggregator.adapter import (
    Adapter,
    Auth,
    Basis,
    Clock,
    CountedFrom,
    Direction,
    FeedDefaults,
    FeedKind,
    Pacing,
    Paging,
    State,
    Usual,
    Vocabulary,
)
from aggregator.providers.fonedynamics.pages import HISTORY, ORDER, read, refusal
from aggregator.providers.fonedynamics.requests import FoneDynamics, milder, ours, plan
from aggregator.providers.fonedynamics.words import CARRIER_STATUS, WORDS

__all__ = ["ADAPTER", "FoneDynamics"]

ADAPTER = Adapter(
    label="Fone Dynamics",
    base_url="https://api.fonedynamics.com/v2",
    auth=Auth.BASIC,
    region="AU",
    time_zone="Australia/Sydney",
    feeds={
        "porting_status": FeedDefaults(
            FeedKind.EVENTS,
            Direction.PORT_IN,
            timedelta(minutes=2),
            lookback=timedelta(minutes=15),
            start=timedelta(days=30),
            resweeps=2,
            trust_totals=False,
            frozen_by_date=False,
        ),
        "porting_reconcile": FeedDefaults(
            FeedKind.OPEN_ORDERS,
            Direction.PORT_IN,
            timedelta(hours=1),
            start=timedelta(days=30),
            resweeps=2,
            trust_totals=False,
            frozen_by_date=False,
        ),
    },
    words={Vocabulary.PORT_IN: WORDS, Vocabulary.CARRIER_STATUS: CARRIER_STATUS},
    reasons={},
    keep={"order": ORDER, "history": HISTORY},
    plan=plan,
    read=read,
    pacing=Pacing(min_interval_s=1.0),
    paging=Paging("Results_Count", skip="Results_Skip"),
    options=FoneDynamics,
    milder=milder,
    refusal=refusal,
    auth_user=lambda options: ours(options).account_sid,
    clocks=(
        # An Australian cutover can be given back within about four hours: the industry's emergency return, which
        # the provider's own pages do not speak of.
        Clock(
            "emergency_return_over",
            Direction.PORT_IN,
            frozenset({State.PORTED, State.PARTIALLY_PORTED}),
            CountedFrom.PORTED,
            timedelta(hours=4),
            Basis.INFERRED,
        ),
    ),
    # A Cat A port takes two to ten business days (inferred); no published word tells where in it an order is.
    usual={
        (Direction.PORT_IN, state): Usual(timedelta(days=10), business=True)
        for state in (State.WITH_PROVIDER, State.WITH_CARRIER)
    },
)
