"""The station's state as JSON for GET /api/v1/status: a pure projection of snapshots.

Field names are the contract of docs/local-api.md. Called by `station_api.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from agent.charging.fault_advice import words_of
from agent.charging.ids import Reservation
from agent.charging.profiles import Purpose
from agent.charging.snapshot import ActiveFault, EvseSnapshot, StationSnapshot, TransactionSnapshot
from agent.web.ports import ApiPorts, CsmsPort
from agent.web.roles import Role
from agent.web.shown_tokens import shown_or_none, shown_token
from hal.ports import MeterReading

Json = dict[str, Any]


async def status_now(ports: ApiPorts, role: Role) -> Json:
    """The status as it is, for who has `role`: one question to the store, everything else is at hand."""
    return status_at_hand(ports, role, await ports.outbox_depth())


def status_at_hand(ports: ApiPorts, role: Role, outbox_depth: int) -> Json:
    """The same, for a second kind of readers."""
    return status_json(
        ports.about,
        ports.station.snapshot(),
        ports.csms,
        role=role,
        outbox_depth=outbox_depth,
        board_firmware=ports.board_firmware(),
        outputs=ports.outputs(),
        crashes=ports.crashes(),
        now_time=ports.time(),
        at=ports.now(),
        is_simulated=ports.simulation is not None,
    )


def status_json(
    about: Mapping[str, str],
    station: StationSnapshot,
    csms: CsmsPort,
    *,
    role: Role,
    outbox_depth: int,
    board_firmware: str,
    outputs: Mapping[str, bool],
    crashes: Mapping[str, int],
    now_time: float,
    at: datetime,
    is_simulated: bool,
) -> Json:
    """`now_time` is loop time, the clock of `MeterReading.at_time`; `role` says how much of a token is shown."""
    return {
        "at": at,
        "station": {
            **about,
            "board_firmware": board_firmware,
            "is_operative": station.is_operative,
            "is_resetting": station.is_resetting,
            "is_simulated": is_simulated,
            "booted_at": station.booted_at,
            "faults": faults_json(station.faults),
        },
        "link": {"is_connected": csms.is_connected, "url": about.get("csms_url", "")},
        "registration": csms.registration,
        "subprotocol": csms.subprotocol,
        "outbox_depth": outbox_depth,
        "outputs": dict(outputs),
        "crashed_tasks": dict(crashes),
        "local_list_version": station.local_list_version,
        "reservations": [reservation_json(each, role) for each in station.reservations],
        "external_limits": external_limits_json(station),
        "display_messages": len(station.messages),
        "evses": [evse_json(evse, now_time, role) for _number, evse in sorted(station.evses.items())],
    }


def evse_json(evse: EvseSnapshot, now_time: float, role: Role) -> Json:
    hardware = evse.hardware
    return {
        "evse_id": evse.evse_id,
        "connectors": evse.connectors,
        "connector_id": evse.connector_id,
        "session": evse.session,
        "changed_at": evse.changed_at,
        "is_operative": evse.is_operative,
        "inoperative_connectors": sorted(evse.inoperative_connectors),
        "reserved_connectors": sorted(evse.reserved_connectors),
        "is_plugged": evse.is_plugged,
        "pilot": hardware.pilot,
        "contactor": hardware.contactor,
        "is_locked": hardware.locked,
        "cable_a": hardware.cable_a,
        "offered_current_a": evse.offered_current_a,
        "limit": None if evse.limit is None else msgspec.to_builtins(evse.limit),
        "board_link": hardware.link_ok,
        "temperature_c": hardware.temperature_c,
        "faults": faults_json(evse.faults),
        "id_token": shown_or_none(evse.id_token, role),
        "transaction": transaction_json(evse.transaction, evse.reading, role),
        "cost": None if evse.cost is None else msgspec.to_builtins(evse.cost),
        "display": None if evse.display is None else msgspec.to_builtins(evse.display),
        "meter": meter_json(evse.reading, now_time) if evse.has_meter else None,
    }


def external_limits_json(station: StationSnapshot) -> list[Json]:
    """What others than the CSMS have limited the station to."""
    return [
        {
            "origin": each.origin,
            "evse_id": each.evse_id,
            "profile_id": each.profile.profile_id,
            "since": each.installed_at,
            "is_grid_critical": each.is_grid_critical,
            "unit": each.profile.schedule.unit,
            "starts_at": each.profile.schedule.starts_at,
            "duration_s": each.profile.schedule.duration_s,
            "periods": [
                {"start_s": period.start_s, "limit": period.limit, "phases": period.phases}
                for period in each.profile.schedule.periods
            ],
        }
        for each in station.profiles
        if each.profile.purpose is Purpose.EXTERNAL
    ]


def reservation_json(reservation: Reservation, role: Role) -> Json:
    """`evse_id` None: any EVSE; `connector_id` None: any connector of it."""
    return {
        "reservation_id": reservation.reservation_id,
        "id_token": shown_token(reservation.id_token, role),
        "group": shown_or_none(reservation.group, role),
        "expires_at": reservation.expires_at,
        "evse_id": reservation.evse_id,
        "connector_id": reservation.connector_id,
    }


def faults_json(faults: Sequence[ActiveFault]) -> list[Json]:
    """With what they mean and what to do about them, in words."""
    return [
        {
            "code": fault.code,
            "since": fault.since,
            "detail": fault.detail,
            "stops_charging": fault.stops_charging,
            "meaning": words.meaning,
            "advice": words.advice,
        }
        for fault in faults
        for words in (words_of(fault.code),)
    ]


def transaction_json(
    transaction: TransactionSnapshot | None, reading: MeterReading | None, role: Role
) -> Json | None:
    """`energy_wh` is what went into the EV so far, by the last reading; None when there is none."""
    if transaction is None:
        return None
    register_wh = reading.energy_import_wh if reading is not None else None
    return {
        "transaction_id": transaction.transaction_id,
        "reference": transaction.reference,
        "id_token": shown_or_none(transaction.id_token, role),
        "started_at": transaction.started_at,
        "charging_state": transaction.charging_state,
        "meter_start_wh": transaction.meter_start_wh,
        "energy_wh": None if register_wh is None else max(0.0, register_wh - transaction.meter_start_wh),
    }


def meter_json(reading: MeterReading | None, now_time: float) -> Json | None:
    """The last reading with its age: for display, never for a bill."""
    if reading is None:
        return None
    return {
        "age_s": round(max(0.0, now_time - reading.at_time), 3),
        "quality": reading.quality,
        "energy_import_wh": reading.energy_import_wh,
        "energy_export_wh": reading.energy_export_wh,
        "power_w": reading.power_w,
        "voltage_v": reading.voltage_v,
        "current_a": reading.current_a,
        "frequency_hz": reading.frequency_hz,
    }
