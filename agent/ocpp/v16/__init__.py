"""OCPP 1.6-J (edition 2 with errata 4.0) as one front end, merged from its rooms.

Greppable: every action is in exactly one room's `ROUTES`, or in `unsupported.UNSUPPORTED` with the reason. Pure data;
`agent/ocpp/conversation.py` runs it. Registration gates: OCPP 1.6 4.2 (R16-043, R16-048 to R16-051, R16-291).
"""

from collections.abc import Mapping

from msgspec.structs import replace

from agent.ocpp.frontend import Encoder, FrontEnd, Gate, OwnCalls, Registration, merged
from agent.ocpp.rpc import ERROR_CODES_16
from agent.ocpp.v16 import (
    authorization,
    availability,
    data_transfer,
    diagnostics,
    firmware,
    local_list,
    metering,
    provisioning,
    remote_control,
    reservation,
    security,
    smart_charging,
    transactions,
    unsupported,
)

_NO_CHARGING_YET = {
    "RemoteStartTransaction": remote_control.START_REJECTED,
    "RemoteStopTransaction": remote_control.STOP_REJECTED,
}

GATES: Mapping[Registration, Gate] = {
    Registration.UNKNOWN: Gate(OwnCalls.BOOT_ONLY, fixed_replies=_NO_CHARGING_YET),
    Registration.PENDING: Gate(OwnCalls.TRIGGERED, fixed_replies=_NO_CHARGING_YET),
    Registration.REJECTED: Gate(OwnCalls.BOOT_ONLY, answers_calls=False),
    Registration.ACCEPTED: Gate(OwnCalls.ALL),
}
"""Before the first answer to BootNotification calls are answered too: central systems send them (field notes 1.1)."""

_ENCODERS: dict[type, Encoder] = merged(
    [
        authorization.ENCODERS,
        availability.ENCODERS,
        data_transfer.ENCODERS,
        diagnostics.ENCODERS,
        firmware.ENCODERS,
        metering.ENCODERS,
        provisioning.ENCODERS,
        transactions.ENCODERS,
        reservation.ENCODERS,
        security.ENCODERS,
        smart_charging.ENCODERS,
    ]
)

FRONT_END = FrontEnd(
    subprotocol="ocpp1.6",
    routes=merged(
        [
            authorization.ROUTES,
            availability.ROUTES,
            data_transfer.ROUTES,
            diagnostics.ROUTES,
            firmware.ROUTES,
            local_list.ROUTES,
            provisioning.ROUTES,
            remote_control.ROUTES,
            security.ROUTES,
            reservation.ROUTES,
            smart_charging.ROUTES,
        ]
    ),
    unsupported=unsupported.UNSUPPORTED,
    encoders=_ENCODERS,
    results=merged(
        [
            authorization.RESULTS,
            availability.RESULTS,
            data_transfer.RESULTS,
            diagnostics.RESULTS,
            firmware.RESULTS,
            metering.RESULTS,
            provisioning.RESULTS,
            security.RESULTS,
            transactions.RESULTS,
        ]
    ),
    error_codes=ERROR_CODES_16,
    gates=GATES,
    connector_statuses=availability.connector_statuses,
    status_between=availability.status_between,
    least_status_s=availability.least_status_s,
)

WITH_JSON_IN_DATA_TRANSFER = replace(
    FRONT_END,
    routes={**FRONT_END.routes, **data_transfer.LENIENT_ROUTES},
    results={**FRONT_END.results, **data_transfer.LENIENT_RESULTS},
)
"""For central systems that write something else than a string into `data` (csms.json_in_data_transfer)."""
