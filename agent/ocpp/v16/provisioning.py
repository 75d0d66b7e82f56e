"""BootNotification, Heartbeat, Reset and the configuration keys of OCPP 1.6.

The keys are a view of `agent/charging/settings.py`: standard spelling, any case in requests, write-only ones never
shown. When a boot or heartbeat is due is decided in `agent/ocpp/registration.py` and `conversation.py`.
OCPP 1.6 4.2, 4.6, 5.3, 5.8, 5.14, chapter 9 (R16-042 to R16-060, R16-192 to R16-211).
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging.ids import ResetKind
from agent.charging.requests import Answer, ChangeSetting, ResetStation, Verdict
from agent.charging.settings import Mutability, Setting, Settings
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
from agent.ocpp.v16.datatypes import AcceptedRejected, CiString20, CiString25, CiString50, CiString500
from agent.ocpp.values import csms_time, optional

log = logging.getLogger(__name__)


class BootNotificationRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Without chargeBoxSerialNumber, which is deprecated (6.3)."""

    charge_point_vendor: CiString20
    charge_point_model: CiString20
    charge_point_serial_number: CiString25 | UnsetType = UNSET
    firmware_version: CiString50 | UnsetType = UNSET
    iccid: CiString20 | UnsetType = UNSET
    imsi: CiString20 | UnsetType = UNSET
    meter_type: CiString25 | UnsetType = UNSET
    meter_serial_number: CiString25 | UnsetType = UNSET


class BootNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    current_time: datetime
    interval: int
    status: Literal["Accepted", "Pending", "Rejected"]


class BootReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has to be known of an answer to BootNotification: a CSMS without a readable time is a CSMS all the same."""

    status: Literal["Accepted", "Pending", "Rejected"]
    interval: int = 0


class HeartbeatRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class HeartbeatResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    current_time: datetime


class ResetRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    type: Literal["Hard", "Soft"]


class ResetResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: AcceptedRejected


class GetConfigurationRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    key: list[CiString50] | UnsetType = UNSET


class KeyValue(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.29."""

    key: CiString50
    readonly: bool
    value: CiString500 | UnsetType = UNSET


class GetConfigurationResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    configuration_key: list[KeyValue] | UnsetType = UNSET
    unknown_key: list[CiString50] | UnsetType = UNSET


class ChangeConfigurationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    key: CiString50
    value: CiString500


class ChangeConfigurationResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"]


# --- from the CSMS -----------------------------------------------------------------------------------------


def reset(request: ResetRequest, _view: View) -> Ask:
    """The answer goes out before the reset (R16-192)."""
    kind = ResetKind.HARD if request.type == "Hard" else ResetKind.SOFT
    return Ask(ResetStation(kind), _reset_answered)


def _reset_answered(answer: Answer) -> Reply:
    is_accepted = answer.verdict in (Verdict.ACCEPTED, Verdict.SCHEDULED)
    return Reply(ResetResponse(status="Accepted" if is_accepted else "Rejected"))


def get_configuration(request: GetConfigurationRequest, view: View) -> Reply:
    """No list or an empty one means every key (R16-199). More keys than GetConfigurationMaxKeys: the first ones."""
    settings = view.settings
    if request.key is UNSET or not request.key:
        return Reply(GetConfigurationResponse(configuration_key=_every_key(settings)))
    wanted = _first(request.key, settings.integer("get_configuration_max_keys"))
    known: list[KeyValue] = []
    unknown: list[str] = []
    for key in wanted:
        setting = settings.by_key16(key)
        if setting is None:
            unknown.append(key)
        else:
            known.append(_key_value(setting, settings))
    return Reply(GetConfigurationResponse(configuration_key=known, unknown_key=unknown or UNSET))


def _every_key(settings: Settings) -> list[KeyValue]:
    """Write-only keys are left out (R16-203); they do show, without a value, when asked for by name."""
    return [
        _key_value(setting, settings)
        for setting in settings.rows()
        if setting.key16 is not None and setting.mutability is not Mutability.WRITE_ONLY
    ]


def _first(keys: Iterable[str], most: int) -> list[str]:
    """The first `most` of the keys, each one once (R16-200: no document says what to do with more)."""
    wanted = list({key.casefold(): key for key in keys}.values())
    if len(wanted) > most:
        log.warning("GetConfiguration asked for %d keys, answering the first %d", len(wanted), most)
    return wanted[:most]


def _key_value(setting: Setting, settings: Settings) -> KeyValue:
    value = None if setting.mutability is Mutability.WRITE_ONLY else settings.raw(setting.name)
    return KeyValue(
        key=setting.key16 or setting.name,  # the standard spelling, however it was asked for (R16-201)
        readonly=settings.mutability(setting.name) is Mutability.READ_ONLY,
        value=UNSET if value is None else value,
    )


def change_configuration(request: ChangeConfigurationRequest, view: View) -> Response:
    """Accepted means: on the disk and in force (R16-206, R16-209)."""
    setting = view.settings.by_key16(request.key)
    if setting is None:
        return Reply(ChangeConfigurationResponse(status="NotSupported"))
    if view.settings.mutability(setting.name) is Mutability.READ_ONLY:
        log.warning("ChangeConfiguration of %s is refused: read-only", setting.key16)
        return Reply(ChangeConfigurationResponse(status="Rejected"))
    if setting.most16 is not None and len(request.value.strip()) > setting.most16:
        log.warning("ChangeConfiguration of %s is refused: more than %d", setting.key16, setting.most16)
        return Reply(ChangeConfigurationResponse(status="Rejected"))
    return Ask(ChangeSetting(setting.name, request.value), _changed)


def _changed(answer: Answer) -> Reply:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return Reply(ChangeConfigurationResponse(status="Accepted"))
        case Verdict.REBOOT_REQUIRED:
            return Reply(ChangeConfigurationResponse(status="RebootRequired"))
        case Verdict.UNKNOWN:
            return Reply(ChangeConfigurationResponse(status="NotSupported"))
        case Verdict.REJECTED | Verdict.SCHEDULED:
            return Reply(ChangeConfigurationResponse(status="Rejected"))


# --- to the CSMS -------------------------------------------------------------------------------------------


def boot_notification(_notice: BootNotice, view: View, _reference: str | None) -> Call:
    """Every field within its length, nothing empty (6.3; strict peers refuse both)."""
    who = view.identity
    return Call(
        "BootNotification",
        BootNotificationRequest(
            charge_point_vendor=who.vendor[:20],
            charge_point_model=who.model[:20],
            charge_point_serial_number=optional(who.serial_number, 25),
            firmware_version=optional(who.firmware_version, 50),
            iccid=optional(who.iccid, 20),
            imsi=optional(who.imsi, 20),
            meter_type=optional(who.meter_type, 25),
            meter_serial_number=optional(who.meter_serial_number, 25),
        ),
    )


def heartbeat(_notice: HeartbeatNotice, _view: View, _reference: str | None) -> Call:
    return _HEARTBEAT


_HEARTBEAT = Call("Heartbeat", HeartbeatRequest())


def _registered(response: BootNotificationResponse) -> Registered:
    return registered_by(response.status, response.interval, csms_time(response.current_time))


def _clock_told(response: HeartbeatResponse) -> ClockTold:
    return ClockTold(csms_time(response.current_time))


ROUTES = routed(
    Route("Reset", ResetRequest, reset),
    Route("GetConfiguration", GetConfigurationRequest, get_configuration),
    Route("ChangeConfiguration", ChangeConfigurationRequest, change_configuration),
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
