"""OCPP 2.0.1 (edition 3 with errata 2025-09) as one front end, merged from its rooms.

Greppable: every action is in exactly one room's `ROUTES`, or in `unsupported.UNSUPPORTED` with the reason. Pure data;
`agent/ocpp/conversation.py` runs it. Registration gates: part 2, B01 to B03 (B01.FR.08, B02.FR.02, B02.FR.05,
B03.FR.02, B03.FR.08).
"""

from collections.abc import Mapping

from agent.ocpp.codec import Category
from agent.ocpp.frontend import FrontEnd, Gate, OwnCalls, Registration, merged
from agent.ocpp.rpc import ERROR_CODES_201
from agent.ocpp.v201 import (
    authorization,
    availability,
    certificates,
    charging_reports,
    data_transfer,
    device_model,
    diagnostics,
    display,
    firmware,
    local_list,
    metering,
    monitoring,
    monitoring_reports,
    provisioning,
    remote_control,
    reports,
    reservation,
    security,
    smart_charging,
    transactions,
    unsupported,
)

_NO_CHARGING_YET = {
    "RequestStartTransaction": remote_control.START_REJECTED,
    "RequestStopTransaction": remote_control.STOP_REJECTED,
}

GATES: Mapping[Registration, Gate] = {
    Registration.UNKNOWN: Gate(OwnCalls.BOOT_ONLY, fixed_replies=_NO_CHARGING_YET),
    Registration.PENDING: Gate(OwnCalls.TRIGGERED, fixed_replies=_NO_CHARGING_YET),
    Registration.REJECTED: Gate(OwnCalls.BOOT_ONLY, answers_calls=False, refusal=Category.SECURITY),
    Registration.ACCEPTED: Gate(OwnCalls.ALL),
}
"""Before the first answer to BootNotification calls are answered too: central systems send them (field notes 1.1)."""

FRONT_END = FrontEnd(
    subprotocol="ocpp2.0.1",
    routes=merged(
        [
            authorization.ROUTES,
            availability.ROUTES,
            certificates.ROUTES,
            charging_reports.ROUTES,
            data_transfer.ROUTES,
            device_model.ROUTES,
            diagnostics.ROUTES,
            display.ROUTES,
            firmware.ROUTES,
            local_list.ROUTES,
            monitoring.ROUTES,
            monitoring_reports.ROUTES,
            provisioning.ROUTES,
            reports.ROUTES,
            remote_control.ROUTES,
            reservation.ROUTES,
            security.ROUTES,
            smart_charging.ROUTES,
            transactions.ROUTES,
        ]
    ),
    unsupported=unsupported.UNSUPPORTED,
    encoders=merged(
        [
            authorization.ENCODERS,
            availability.ENCODERS,
            certificates.ENCODERS,
            charging_reports.ENCODERS,
            data_transfer.ENCODERS,
            diagnostics.ENCODERS,
            display.ENCODERS,
            firmware.ENCODERS,
            metering.ENCODERS,
            monitoring.ENCODERS,
            monitoring_reports.ENCODERS,
            provisioning.ENCODERS,
            reports.ENCODERS,
            reservation.ENCODERS,
            security.ENCODERS,
            transactions.ENCODERS,
        ]
    ),
    results=merged(
        [
            authorization.RESULTS,
            availability.RESULTS,
            certificates.RESULTS,
            charging_reports.RESULTS,
            data_transfer.RESULTS,
            diagnostics.RESULTS,
            display.RESULTS,
            firmware.RESULTS,
            metering.RESULTS,
            monitoring.RESULTS,
            monitoring_reports.RESULTS,
            provisioning.RESULTS,
            reports.RESULTS,
            reservation.RESULTS,
            security.RESULTS,
            transactions.RESULTS,
        ]
    ),
    error_codes=ERROR_CODES_201,
    gates=GATES,
    connector_statuses=availability.connector_statuses,
    status_between=availability.status_between,
    least_status_s=availability.least_status_s,
    offline_threshold="offline_threshold_s",
)
