"""Telnyx's words and ours.

Statuses: https://support.telnyx.com/en/articles/3284588-port-request-statuses and
https://developers.telnyx.com/docs/numbers/porting/port-out-quickstart
"""

from aggregator.adapter import Basis, Meaning, Reason, State, Vocabulary, WaitingOn

# https://support.telnyx.com/en/articles/3284588-port-request-statuses
PORT_IN = {
    "draft": Meaning(State.DRAFT),
    "in-process": Meaning(State.WITH_PROVIDER),  # "waiting to be submitted to the losing provider"
    "submitted": Meaning(State.WITH_CARRIER),  # also the way back from a resolved exception
    "exception": Meaning(State.EXCEPTION),
    "foc-date-confirmed": Meaning(State.SCHEDULED),
    "ported": Meaning(State.PORTED),  # voice only; messaging is told apart
    "cancel-pending": Meaning(State.CANCEL_PENDING),
    "cancelled": Meaning(State.CANCELLED),
}

# https://developers.telnyx.com/docs/numbers/porting/port-out-quickstart ("canceled" with one l)
PORT_OUT = {
    "pending": Meaning(State.ACTION_NEEDED),  # our decision; silence authorises it
    "authorized": Meaning(State.SCHEDULED),
    "rejected-pending": Meaning(State.WITH_PROVIDER),  # our refusal is reviewed
    "rejected": Meaning(State.REJECTED),
    "canceled": Meaning(State.CANCELLED),
    "ported": Meaning(State.PORTED),
}

# https://developers.telnyx.com/docs/numbers/porting/messaging-porting
MESSAGING = {
    "not_applicable": Meaning("not_applicable"),
    "pending": Meaning("pending"),
    "activating": Meaning("activating"),
    "exception": Meaning("exception"),
    "ported": Meaning("ported"),
    "canceled": Meaning("cancelled", Basis.INFERRED),  # in the enum without a description
    "partial_port_complete": Meaning("partially_ported", Basis.INFERRED),
}

# The enum of activation_status has no published definitions; read as clearing-house states.
ACTIVATION = {
    "New": Meaning("pending", Basis.INFERRED),
    "Pending": Meaning("pending", Basis.INFERRED),
    "Concurrence Sent": Meaning("pending", Basis.INFERRED),
    "Concurred": Meaning("agreed", Basis.INFERRED),
    "Activate RDY": Meaning("ready", Basis.INFERRED),
    "Conflict": Meaning("conflict", Basis.INFERRED),
    "Sending": Meaning("sending", Basis.INFERRED),
    "Active": Meaning("active", Basis.INFERRED),
    "Failed": Meaning("failed", Basis.INFERRED),
    "Cancel Pending": Meaning("cancel_pending", Basis.INFERRED),
    "Cancelled": Meaning("cancelled", Basis.INFERRED),
    "Disconnect Pending": Meaning("disconnect_pending", Basis.INFERRED),
    "Old": Meaning("old", Basis.INFERRED),
}

_CARRIER, _PROVIDER, _INFERRED = WaitingOn.LOSING_CARRIER, WaitingOn.PROVIDER, Basis.INFERRED

# requirements_status of a number: https://developers.telnyx.com/api-reference (list porting phone numbers)
REQUIREMENT = {
    "requirement-info-pending": Meaning(WaitingOn.US),
    "requirement-info-exception": Meaning(WaitingOn.US),
    "requirement-info-under-review": Meaning(WaitingOn.PROVIDER),
    "approved": Meaning(WaitingOn.NOBODY),
}

# portability_status of a number: https://developers.telnyx.com/api-reference (list porting phone numbers)
PORTABILITY = {
    "pending": Meaning("pending"),
    "confirmed": Meaning("confirmed"),
    "provisional": Meaning("provisional"),
}

# https://developers.telnyx.com/docs/numbers/porting/on-demand-activations, which leaves `failed` out, and
# https://developers.telnyx.com/api-reference (list porting activation jobs), which has it
ACTIVATION_JOB = {
    "created": Meaning("created"),
    "in-process": Meaning("in_process"),
    "completed": Meaning("completed"),
    "failed": Meaning("failed"),
}

# https://developers.telnyx.com/api-reference (list action requirements); whom each waits for is inferred
ACTION_REQUIREMENT = {
    "created": Meaning(WaitingOn.US, _INFERRED),
    "pending": Meaning(WaitingOn.US, _INFERRED),
    "failed": Meaning(WaitingOn.US, _INFERRED),
    "completed": Meaning(WaitingOn.NOBODY),
    "cancelled": Meaning(WaitingOn.NOBODY),
}

WORDS = {
    Vocabulary.PORT_IN: PORT_IN,
    Vocabulary.PORT_OUT: PORT_OUT,
    Vocabulary.MESSAGING: MESSAGING,
    Vocabulary.ACTIVATION: ACTIVATION,
    Vocabulary.REQUIREMENT: REQUIREMENT,
    Vocabulary.PORTABILITY: PORTABILITY,
    Vocabulary.ACTIVATION_JOB: ACTIVATION_JOB,
    Vocabulary.ACTION_REQUIREMENT: ACTION_REQUIREMENT,
}

# GET /porting_orders/exception_types lists code and description at run time; the 21 published ones first.
REASONS = {
    "ACCOUNT_NUMBER_MISMATCH": Reason("account_number_mismatch"),
    "AUTH_PERSON_MISMATCH": Reason("authorized_person_mismatch"),
    "BTN_ATN_MISMATCH": Reason("billing_number_mismatch"),
    "ENTITY_NAME_MISMATCH": Reason("name_mismatch"),
    "FOC_EXPIRED": Reason("date_expired"),
    "FOC_REJECTED": Reason("date_rejected"),
    "LOCATION_MISMATCH": Reason("address_mismatch"),
    "LSR_PENDING": Reason("pending_order", basis=_INFERRED),  # no published meaning
    "MAIN_BTN_PORTING": Reason("main_number_porting"),
    "OSP_IRRESPONSIVE": Reason("carrier_unresponsive", _CARRIER),
    "OTHER": Reason("other"),
    "PASSCODE_PIN_INVALID": Reason("pin_invalid"),
    "PHONE_NUMBER_HAS_SPECIAL_FEATURE": Reason("number_has_feature"),
    "PHONE_NUMBER_MISMATCH": Reason("number_mismatch"),
    "PHONE_NUMBER_NOT_PORTABLE": Reason("number_not_portable"),
    "PORT_TYPE_INCORRECT": Reason("port_type_incorrect"),
    "PORTING_ORDER_SPLIT_REQUIRED": Reason("split_required"),
    "POSTAL_CODE_MISMATCH": Reason("postal_code_mismatch"),
    "RATE_CENTER_NOT_PORTABLE": Reason("rate_center_not_portable"),
    "SV_CONFLICT": Reason("clearinghouse_conflict", _PROVIDER),
    "SV_UNKNOWN_FAILURE": Reason("clearinghouse_failure", _PROVIDER),
    # Seen in Telnyx's own webhook example and in an older support list.
    "LOA_ILLEGIBLE": Reason("authorization_document", basis=_INFERRED),
    "ILLEGIBLE_LOA": Reason("authorization_document", basis=_INFERRED),
    "ACCOUNT_NUMBER_REQUIRED": Reason("account_number_mismatch", basis=_INFERRED),
    "AUTH_NAME_MISMATCH": Reason("authorized_person_mismatch", basis=_INFERRED),
    "BUSINESS_NAME_MISMATCH": Reason("name_mismatch", basis=_INFERRED),
    "DIFFERENT_ACCOUNTS": Reason("split_required", basis=_INFERRED),
    "DIFFERENT_RATE_CENTERS": Reason("split_required", basis=_INFERRED),
    "INVALID_RESELLER": Reason("other", basis=_INFERRED),
    # Port-out refusal codes are numeric and vary by order; these two have published meanings.
    "1001": Reason("other"),
    "1002": Reason("pin_invalid"),
}
