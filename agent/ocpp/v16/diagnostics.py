"""Diagnostics of OCPP 1.6 as far as a trigger goes: nothing is ever being uploaded, so the status is Idle.

GetDiagnostics itself stands in `unsupported.py`. Encoders only; pure. OCPP 1.6 4.4, 5.17 (R16-289).
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from agent.ocpp.frontend import Acknowledged, Call, DiagnosticsNotice, Encoder, ResultReader, View


class DiagnosticsStatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Idle", "Uploaded", "UploadFailed", "Uploading"]


class DiagnosticsStatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


def diagnostics_status_notification(_notice: DiagnosticsNotice, _view: View, _reference: str | None) -> Call:
    """Idle is only ever sent on a trigger (R16-289)."""
    return Call("DiagnosticsStatusNotification", DiagnosticsStatusNotificationRequest(status="Idle"))


ENCODERS: Mapping[type, Encoder] = {DiagnosticsNotice: diagnostics_status_notification}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "DiagnosticsStatusNotification": ResultReader(
        DiagnosticsStatusNotificationResponse, lambda _: Acknowledged()
    )
}
