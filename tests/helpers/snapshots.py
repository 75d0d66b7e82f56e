"""Pictures of a station for tests of what only reads them: one EVSE, idle, unless told otherwise."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent.charging.ids import ChargingState, IdToken
from agent.charging.snapshot import (
    ActiveFault,
    EvseSnapshot,
    SessionState,
    StationSnapshot,
    TransactionSnapshot,
)
from hal.ports import ContactorState, EvseState, PilotState

T0 = datetime(2026, 1, 1, tzinfo=UTC)

HARDWARE = EvseState(
    at_time=1000.0,
    pilot=PilotState.A,
    pilot_high_mv=12_000,
    pilot_low_mv=12_000,
    duty_percent=100.0,
    contactor=ContactorState.OPEN,
    locked=False,
    cable_a=None,
    residual_current_a=0.0,
    temperature_c=25.0,
)


def evse(evse_id: int = 1, **changes: Any) -> EvseSnapshot:
    """An idle EVSE with `changes`; those of the hardware (pilot, contactor ...) go into `hardware`."""
    in_hardware = {
        name: changes.pop(name) for name in ("pilot", "contactor", "duty_percent") if name in changes
    }
    idle = EvseSnapshot(
        evse_id=evse_id,
        connectors=1,
        connector_id=1,
        session=SessionState.IDLE,
        changed_at=T0,
        is_operative=True,
        inoperative_connectors=frozenset(),
        is_plugged=False,
        transaction=None,
        id_token=None,
        faults=(),
        offered_current_a=0.0,
        hardware=replace(HARDWARE, **in_hardware),
        has_meter=True,
        reading=None,
    )
    return msgspec.structs.replace(idle, **changes)


def plugged(evse_id: int = 1, **changes: Any) -> EvseSnapshot:
    return evse(
        evse_id, **{"session": SessionState.PLUGGED, "is_plugged": True, "pilot": PilotState.B, **changes}
    )


def paused(evse_id: int = 1, **changes: Any) -> EvseSnapshot:
    running = TransactionSnapshot(
        "t-1", IdToken("TAG1"), T0, 1000, ChargingState.SUSPENDED_EV, reference="42"
    )
    return plugged(evse_id, **{"session": SessionState.CHARGING, "transaction": running, **changes})


def charging(evse_id: int = 1, **changes: Any) -> EvseSnapshot:
    return paused(
        evse_id,
        **{"pilot": PilotState.C, "contactor": ContactorState.CLOSED, "offered_current_a": 16.0, **changes},
    )


FAULTY = ActiveFault("rcd_dc", T0)


def station(*evses: EvseSnapshot, **changes: Any) -> StationSnapshot:
    standing = StationSnapshot(
        is_operative=True,
        faults=(),
        evses={one.evse_id: one for one in evses or (evse(),)},
        has_main_meter=False,
        changed_at=T0,
        booted_at=T0,
    )
    return msgspec.structs.replace(standing, **changes)
