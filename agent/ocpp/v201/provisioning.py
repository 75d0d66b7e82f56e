"""BootNotification, Heartbeat, Reset and SetNetworkProfile of OCPP 2.0.1.

When a boot or a heartbeat is due is decided in `agent/ocpp/registration.py` and `conversation.py`, what a reset does in
`agent/charging/execution.py`. Pure. OCPP 2.0.1 part 2, B01 to B04, B09, B11, B12, G02.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from agent.charging.ids import ResetKind
from agent.charging.network import NetworkAnswer, NetworkProfile, NetworkVerdict, SetNetworkProfile
from agent.charging.requests import Answer, ResetStation, Verdict
from agent.ocpp.frontend import (
    Ask,
    BootNotice,
    Call,
    ClockTold,
    Encoder,
    HeartbeatNotice,
    Registered,
    Reply,
    Response,
    ResultReader,
    Route,
    View,
    registered_by,
    routed,
)
from agent.ocpp.v201.datatypes import (
    CsmsAnswer,
    Payload,
    ReasonCode,
    StatusInfo,
    Text6,
    Text20,
    Text25,
    Text50,
    Text255,
    Text512,
    because,
    why,
)
from agent.ocpp.values import Integer32, csms_time, optional

BootReasonName: TypeAlias = Literal[
    "ApplicationReset",
    "FirmwareUpdate",
    "LocalReset",
    "PowerUp",
    "RemoteReset",
    "ScheduledReset",
    "Triggered",
    "Unknown",
    "Watchdog",
]
OcppInterfaceName: TypeAlias = Literal[
    "Wired0", "Wired1", "Wired2", "Wired3", "Wireless0", "Wireless1", "Wireless2", "Wireless3"
]


class Modem(Payload, frozen=True, kw_only=True):
    """Datatype 2.33."""

    iccid: Text20 | UnsetType = UNSET
    imsi: Text20 | UnsetType = UNSET


class ChargingStation(Payload, frozen=True, kw_only=True):
    """Datatype 2.13."""

    model: Text20
    vendor_name: Text50
    serial_number: Text25 | UnsetType = UNSET
    modem: Modem | UnsetType = UNSET
    firmware_version: Text50 | UnsetType = UNSET


class Apn(Payload, frozen=True, kw_only=True):
    """Datatype 2.3."""

    apn: Text512
    apn_authentication: Literal["CHAP", "NONE", "PAP", "AUTO"]
    apn_user_name: Text20 | UnsetType = UNSET
    apn_password: Text20 | UnsetType = UNSET
    sim_pin: Integer32 | UnsetType = UNSET
    preferred_network: Text6 | UnsetType = UNSET
    use_only_preferred_network: bool | UnsetType = UNSET


class Vpn(Payload, frozen=True, kw_only=True):
    """Datatype 2.54."""

    server: Text512
    user: Text20
    password: Text20
    key: Text255
    type: Literal["IKEv2", "IPSec", "L2TP", "PPTP"]
    group: Text20 | UnsetType = UNSET


class NetworkConnectionProfile(Payload, frozen=True, kw_only=True):
    """Datatype 2.35."""

    ocpp_version: Literal["OCPP12", "OCPP15", "OCPP16", "OCPP20"]
    ocpp_transport: Literal["JSON", "SOAP"]
    ocpp_csms_url: Text512
    message_timeout: Integer32
    security_profile: Integer32
    ocpp_interface: OcppInterfaceName
    apn: Apn | UnsetType = UNSET
    vpn: Vpn | UnsetType = UNSET


class BootNotificationRequest(Payload, frozen=True, kw_only=True):
    charging_station: ChargingStation
    reason: BootReasonName


class BootNotificationResponse(CsmsAnswer, frozen=True, kw_only=True):
    current_time: datetime
    interval: Integer32
    status: Literal["Accepted", "Pending", "Rejected"]
    status_info: StatusInfo | UnsetType = UNSET


class HeartbeatRequest(Payload, frozen=True, kw_only=True):
    pass


class HeartbeatResponse(CsmsAnswer, frozen=True, kw_only=True):
    current_time: datetime


class ResetRequest(Payload, frozen=True, kw_only=True):
    type: Literal["Immediate", "OnIdle"]
    evse_id: Integer32 | UnsetType = UNSET


class ResetResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "Scheduled"]
    status_info: StatusInfo | UnsetType = UNSET


class SetNetworkProfileRequest(Payload, frozen=True, kw_only=True):
    configuration_slot: Integer32
    connection_data: NetworkConnectionProfile


class SetNetworkProfileResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "Failed"]
    status_info: StatusInfo | UnsetType = UNSET


class BootReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has to be known of an answer to BootNotification: a CSMS without a readable time is a CSMS all the same."""

    status: Literal["Accepted", "Pending", "Rejected"]
    interval: int = 0


# --- from the CSMS -----------------------------------------------------------------------------------------


def reset(request: ResetRequest, view: View) -> Response:
    """B11, B12: the answer goes out before the reset of the station, or of one EVSE.

    Immediate ends transactions and tells of it before the restart (B12.FR.04, .08), so it is a graceful one of ours."""
    evse_id = None if request.evse_id is UNSET else request.evse_id
    if evse_id is not None and evse_id not in view.snapshot().evses:
        return Reply(ResetResponse(status="Rejected", status_info=why("UnknownEvse")))
    kind = ResetKind.ON_IDLE if request.type == "OnIdle" else ResetKind.SOFT
    return Ask(ResetStation(kind, evse_id), _reset_answered)


def _reset_answered(answer: Answer) -> Reply:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return Reply(ResetResponse(status="Accepted"))
        case Verdict.SCHEDULED:
            return Reply(ResetResponse(status="Scheduled"))
        case _:
            return Reply(ResetResponse(status="Rejected", status_info=because(answer.reason)))


def set_network_profile(request: SetNetworkProfileRequest, _view: View) -> Response:
    """B09: on the disk with the answer, in force from the next start on. The version is agreed in the handshake.

    The station sets up neither VPNs nor mobile networks: that is done by the operating system."""
    given = request.connection_data
    if given.ocpp_transport != "JSON":
        return _network_refused("InvalidNetworkConf", "only JSON is spoken")
    if given.vpn is not UNSET or given.apn is not UNSET:
        return _network_refused("UnsupportedParam", "VPN and APN are not set up by this station")
    profile = NetworkProfile(
        given.ocpp_csms_url, given.security_profile, given.message_timeout, given.ocpp_interface
    )
    return Ask(SetNetworkProfile(request.configuration_slot, profile), _network_set)


def _network_set(answer: NetworkAnswer) -> Reply:
    match answer.verdict:
        case NetworkVerdict.ACCEPTED:
            return Reply(SetNetworkProfileResponse(status="Accepted"))
        case NetworkVerdict.NO_SUCH_SLOT:
            return _network_refused("InvalidConfSlot", answer.reason)  # B09.FR.05
        case NetworkVerdict.INVALID:
            return _network_refused("InvalidNetworkConf", answer.reason)  # B09.FR.02
        case NetworkVerdict.DOWNGRADE:
            return _network_refused("NoSecurityDowngrade", answer.reason)  # B09.FR.04
        case NetworkVerdict.FAILED:
            return Reply(SetNetworkProfileResponse(status="Failed", status_info=because(answer.reason)))


def _network_refused(code: ReasonCode, text: str) -> Reply:
    return Reply(SetNetworkProfileResponse(status="Rejected", status_info=why(code, text)))


# --- to the CSMS -------------------------------------------------------------------------------------------


def boot_notification(notice: BootNotice, view: View, _reference: str | None) -> Call:
    """B01.FR.01, B01.FR.09. Every field within its length, nothing empty."""
    who = view.identity
    reason: Any = notice.reason.value
    iccid, imsi = optional(who.iccid, 20), optional(who.imsi, 20)
    has_modem = iccid is not UNSET or imsi is not UNSET
    station = ChargingStation(
        model=who.model[:20],
        vendor_name=who.vendor[:50],
        serial_number=optional(who.serial_number, 25),
        modem=Modem(iccid=iccid, imsi=imsi) if has_modem else UNSET,
        firmware_version=optional(who.firmware_version, 50),
    )
    return Call("BootNotification", BootNotificationRequest(charging_station=station, reason=reason))


def heartbeat(_notice: HeartbeatNotice, _view: View, _reference: str | None) -> Call:
    return _HEARTBEAT


_HEARTBEAT = Call("Heartbeat", HeartbeatRequest())


def _registered(response: BootNotificationResponse) -> Registered:
    return registered_by(response.status, response.interval, csms_time(response.current_time))


def _clock_told(response: HeartbeatResponse) -> ClockTold:
    return ClockTold(csms_time(response.current_time))


ROUTES = routed(
    Route("Reset", ResetRequest, reset),
    Route("SetNetworkProfile", SetNetworkProfileRequest, set_network_profile),
)
ENCODERS: Mapping[type, Encoder] = {BootNotice: boot_notification, HeartbeatNotice: heartbeat}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "BootNotification": ResultReader(
        BootNotificationResponse,
        _registered,
        less=ResultReader(BootReceipt, lambda answer: registered_by(answer.status, answer.interval, None)),
    ),
    "Heartbeat": ResultReader(HeartbeatResponse, _clock_told),
}
