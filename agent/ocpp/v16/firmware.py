"""Firmware of OCPP 1.6 as far as a trigger goes: no update is ever under way, so the status is Idle.

UpdateFirmware itself stands in `unsupported.py`. Encoders only; pure. OCPP 1.6 4.5, 5.17 (R16-289, R16-299).
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from agent.ocpp.frontend import Acknowledged, Call, Encoder, FirmwareNotice, ResultReader, View


class FirmwareStatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal[
        "Downloaded",
        "DownloadFailed",
        "Downloading",
        "Idle",
        "InstallationFailed",
        "Installing",
        "Installed",
    ]


class FirmwareStatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


def firmware_status_notification(_notice: FirmwareNotice, _view: View, _reference: str | None) -> Call:
    """Idle is only ever sent on a trigger (R16-299)."""
    return Call("FirmwareStatusNotification", FirmwareStatusNotificationRequest(status="Idle"))


ENCODERS: Mapping[type, Encoder] = {FirmwareNotice: firmware_status_notification}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "FirmwareStatusNotification": ResultReader(
        FirmwareStatusNotificationResponse, lambda _: Acknowledged(), Acknowledged()
    )
}
