"""Fone Dynamics' words and ours. *get-porting-status* on fonedynamics.com publishes two, without a meaning."""

from aggregator.adapter import Basis, Meaning, State

_GUESS = {
    State.DRAFT: ("draft",),
    State.WITH_PROVIDER: ("new", "pending", "processing", "inprogress"),
    State.WITH_CARRIER: ("submitted", "senttocarrier"),
    State.SCHEDULED: ("accepted", "approved", "scheduled", "confirmed"),
    State.EXCEPTION: ("rejected", "failed", "error"),  # a rejected Cat-A port is normally sent again
    State.PORTED: ("completed", "complete", "ported"),
    State.CANCELLED: ("cancelled", "canceled", "withdrawn"),
}
# The one published code of the carrier below has no published meaning, so it is none of ours; it is no news.
CARRIER_STATUS = {"1": Meaning("unresolved", Basis.NONE)}

# The published two first; the rest is what the field usually says.
WORDS = {
    "Received": Meaning(State.WITH_PROVIDER, Basis.INFERRED),
    "Queued": Meaning(State.WITH_PROVIDER, Basis.INFERRED),
    **{word: Meaning(state, Basis.GUESS) for state, words in _GUESS.items() for word in words},
}
