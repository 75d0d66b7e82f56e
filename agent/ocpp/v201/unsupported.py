"""Every OCPP 2.0.1 action that this station knows and does not offer, with the reason.

A known action that is not offered gets CALLERROR NotSupported. OCPP 2.0.1 part 4, 4.3.
"""

from collections.abc import Mapping

_OURS = "sent by a charging station, not to one"
_LOCAL_CONTROLLER = "only a local controller publishes firmware"

UNSUPPORTED: Mapping[str, str] = {
    "Authorize": _OURS,
    "BootNotification": _OURS,
    "ClearedChargingLimit": _OURS,
    "FirmwareStatusNotification": _OURS,
    "Get15118EVCertificate": _OURS,
    "GetCertificateStatus": _OURS,
    "Heartbeat": _OURS,
    "LogStatusNotification": _OURS,
    "MeterValues": _OURS,
    "NotifyChargingLimit": _OURS,
    "NotifyCustomerInformation": _OURS,
    "NotifyDisplayMessages": _OURS,
    "NotifyEVChargingNeeds": _OURS,
    "NotifyEVChargingSchedule": _OURS,
    "NotifyEvent": _OURS,
    "NotifyMonitoringReport": _OURS,
    "NotifyReport": _OURS,
    "PublishFirmware": _LOCAL_CONTROLLER,
    "PublishFirmwareStatusNotification": _OURS,
    "ReportChargingProfiles": _OURS,
    "ReservationStatusUpdate": _OURS,
    "SecurityEventNotification": _OURS,
    "SignCertificate": _OURS,
    "StatusNotification": _OURS,
    "TransactionEvent": _OURS,
    "UnpublishFirmware": _LOCAL_CONTROLLER,
}
"""Action -> why it is not served. With the routes this is every action of OCPP 2.0.1."""
