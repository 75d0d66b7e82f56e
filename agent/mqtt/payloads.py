"""What is published of the station: snapshots in, JSON out. Pure.

Field names are the contract of docs/mqtt.md. Units stand at the end of the names; what is not known is null. No token
and no identity of a driver leaves by MQTT.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.charging.fault_advice import words_of
from agent.charging.ids import ChargingState, EvseId
from agent.charging.present import present_reading, session_energy_wh
from agent.charging.profiles import LimitOrigin, Purpose
from agent.charging.snapshot import ActiveFault, EvseSnapshot, SessionState, StationSnapshot
from hal.ports import ContactorState

Json = dict[str, Any]
ONLINE, OFFLINE = "online", "offline"
STATES = (
    "available",
    "authorized",
    "plugged",
    "authorizing",
    "starting",
    "charging",
    "paused_by_ev",
    "paused_by_station",
    "finishing",
    "out_of_service",
    "faulted",
    "unknown",
)
"""Every value of `state`."""


def encode(payload: Json) -> bytes:
    return msgspec.json.encode(payload)


def state_of(evse: EvseSnapshot) -> str:
    """One word for everything, as it would be said to somebody in front of it."""
    if not evse.is_known or not evse.hardware.link_ok:
        return "faulted" if evse.is_faulted else "unknown"
    if evse.is_faulted:
        return "faulted"
    if evse.transaction is not None:
        match evse.transaction.charging_state:
            case ChargingState.CHARGING:
                return "charging"
            case ChargingState.SUSPENDED_EV:
                return "paused_by_ev"
            case ChargingState.SUSPENDED_EVSE:
                return "paused_by_station"
            case _:  # nobody has been authorized yet, or the EV does not draw yet
                return "plugged" if evse.session is SessionState.PLUGGED else "starting"
    if not evse.is_operative:
        return "out_of_service"
    return {
        SessionState.IDLE: "available",
        SessionState.AUTHORIZED: "authorized",
        SessionState.PLUGGED: "plugged",
        SessionState.AUTHORIZING: "authorizing",
        SessionState.CHARGING: "starting",
        SessionState.FINISHING: "finishing",
    }[evse.session]


def evse_json(evse: EvseSnapshot, station: StationSnapshot, origin: LimitOrigin) -> Json:
    """`origin`: as whom we limit the current."""
    transaction = evse.transaction
    contactor = evse.hardware.contactor
    return {
        "state": state_of(evse),
        "is_operative": evse.is_operative,
        "is_plugged": evse.is_plugged,
        "is_charging": state_of(evse) == "charging",
        "is_faulted": evse.is_faulted,
        "faults": [_fault(each) for each in evse.faults],
        "fault": "; ".join(words_of(each.code).meaning for each in evse.faults) or "none",
        "contactor": None if contactor is ContactorState.UNKNOWN else str(contactor),
        "offered_current_a": evse.offered_current_a,
        "limit_a": None if evse.limit is None else evse.limit.current_a,
        "commanded_limit_a": limit_of(station, origin, evse.evse_id),
        "is_link_ok": evse.hardware.link_ok,
        "temperature_c": evse.hardware.temperature_c,
        "session_started_at": None if transaction is None else transaction.started_at,
    }


def limit_of(station: StationSnapshot, origin: LimitOrigin, evse_id: EvseId) -> float | None:
    """The limit in A that stands in the name of `origin` there; None: there is none, or none in A."""
    for each in station.profiles:
        profile = each.profile
        if profile.purpose is Purpose.EXTERNAL and each.origin is origin and each.evse_id == evse_id:
            period = profile.schedule.periods[0]
            return period.limit if profile.schedule.unit == "A" else None
    return None


def meter_json(evse: EvseSnapshot, now_time: float) -> Json | None:
    """None: there was no reading yet. `now_time` is loop time."""
    reading = present_reading(evse, now_time)
    if reading is None:
        return None
    return {
        "power_w": _rounded(reading.power_w, 0),
        "energy_import_wh": _rounded(reading.energy_import_wh, 1),
        "energy_export_wh": _rounded(reading.energy_export_wh, 1),
        "session_energy_wh": _rounded(session_energy_wh(evse), 1),
        "current_a": [_rounded(each, 2) for each in reading.current_a],
        "voltage_v": [_rounded(each, 1) for each in reading.voltage_v],
    }


def station_json(
    station: StationSnapshot,
    *,
    is_connected: bool,
    registration: str | None,
    outputs: Mapping[str, bool],
) -> Json:
    return {
        "is_operative": station.is_operative,
        "is_csms_connected": is_connected,
        "registration": registration,
        "faults": [_fault(each) for each in station.faults],
        "outputs": dict(outputs),
        "booted_at": station.booted_at,
    }


def _fault(fault: ActiveFault) -> Json:
    words = words_of(fault.code)
    return {
        "code": fault.code,
        "since": fault.since,
        "meaning": words.meaning,
        "advice": words.advice,
        "stops_charging": fault.stops_charging,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """A digit that flickers would be a message each time."""
    return None if value is None else round(value, digits)
