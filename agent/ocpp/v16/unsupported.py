"""Every OCPP 1.6 action that this station knows and does not offer, with the reason.

A known action that is not offered gets CALLERROR NotSupported (R16-026). OCPP-J 1.6 4.2.3 table 7.
"""

from collections.abc import Mapping

_OURS = "sent by a charge point, not to one"

UNSUPPORTED: Mapping[str, str] = {
    "Authorize": _OURS,
    "BootNotification": _OURS,
    "DiagnosticsStatusNotification": _OURS,
    "FirmwareStatusNotification": _OURS,
    "Heartbeat": _OURS,
    "LogStatusNotification": _OURS,
    "MeterValues": _OURS,
    "SecurityEventNotification": _OURS,
    "SignCertificate": _OURS,
    "SignedFirmwareStatusNotification": _OURS,
    "StartTransaction": _OURS,
    "StatusNotification": _OURS,
    "StopTransaction": _OURS,
}
"""Action -> why it is not served. With the routes this is every action of OCPP 1.6 and its security extension."""
