"""Availability and faults as rules: who is in service, what a fault does to a transaction.

Pure. A change of availability is kept at once, also when it has to wait for a transaction, so that it survives a
power cut (R16-186, R16-189 to R16-191). OCPP 1.6 4.9, 5.2, 7.36; severities are those of `hal.ports`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.charging.ids import ConnectorId, EvseId, StopReason
from hal.ports import FAULT_SEVERITY, FaultCode, Severity

Place = tuple[EvseId, ConnectorId]
STATION: Place = (0, 0)

STORE_FAULT = "store"
RESET_FAULT = "reset_failure"
LOCAL_LIST_CONFLICT = "local_list_conflict"
"""A warning of the station: its list and the CSMS say different things of a token (R16-086)."""

_ENDS_WITH: Mapping[FaultCode, StopReason] = MappingProxyType(
    {
        FaultCode.EMERGENCY_STOP: StopReason.EMERGENCY_STOP,
        FaultCode.RCD_DC: StopReason.GROUND_FAULT,
        FaultCode.RCD_AC: StopReason.GROUND_FAULT,
        FaultCode.OVER_CURRENT: StopReason.OVERCURRENT_FAULT,
    }
)


def stops_charging(code: FaultCode, stop_on_meter_failure: bool) -> bool:
    """Faults below STOP are warnings; of the meter's silence the operator decides."""
    if code is FaultCode.METER_COMM:
        return stop_on_meter_failure
    if code is FaultCode.METER_IMPLAUSIBLE:
        return False  # the register that is reported never goes back (R16-159); the energy itself is not in danger
    return FAULT_SEVERITY[code] in (Severity.STOP, Severity.LATCHED)


def stop_reason_of(code: FaultCode) -> StopReason | None:
    """Why a transaction ends with this fault (R16-123). None: it goes on when the fault has cleared itself.

    A latched fault needs an unplug or service, so nothing could go on."""
    if code in _ENDS_WITH:
        return _ENDS_WITH[code]
    return StopReason.OTHER if FAULT_SEVERITY[code] is Severity.LATCHED else None


def places_of(target: Place, connectors: Mapping[EvseId, int]) -> tuple[Place, ...] | None:
    """Every place that a change at `target` sets; None when there is no such place.

    The station stands for all its EVSEs, an EVSE for all its connectors (OCPP 1.6 5.2)."""
    evse_id, connector_id = target
    if target == STATION:
        places = [STATION]
        for evse, count in connectors.items():
            places += [(evse, connector) for connector in range(count + 1)]
        return tuple(places)
    if evse_id not in connectors or not 0 <= connector_id <= connectors[evse_id]:
        return None
    if connector_id == 0:
        return tuple((evse_id, connector) for connector in range(connectors[evse_id] + 1))
    return ((evse_id, connector_id),)


@dataclass(frozen=True, slots=True)
class Change:
    """What a word about a place comes to."""

    states: Mapping[Place, bool]
    """What is to hold at the place and at everything that it stands for."""
    own: Mapping[Place, bool]
    """What is remembered as said of these very places."""


def change_of(
    target: Place,
    is_operative: bool,
    connectors: Mapping[EvseId, int],
    own: Mapping[Place, bool],
    *,
    has_layers: bool,
) -> Change | None:
    """None when there is no such place. `own`: what was said of each place before.

    Without layers the last word counts for all that the place stands for (1.6). With layers a place is in service when
    it, its EVSE and the station are: what comes back comes back as it was (2.0.1 G03.FR.07, G04.FR.08)."""
    places = places_of(target, connectors)
    if places is None:
        return None
    if not has_layers:
        states = dict.fromkeys(places, is_operative)
        return Change(states, {**dict.fromkeys(places, True), target: is_operative})
    said = {**own, target: is_operative}
    states = {
        (evse_id, connector_id): all(
            said.get(place, True) for place in (STATION, (evse_id, 0), (evse_id, connector_id))
        )
        for evse_id, connector_id in places
    }
    return Change(states, {target: is_operative})


def is_operative(states: Mapping[Place, bool], evse_id: EvseId, connector_id: ConnectorId) -> bool:
    """May this connector be used? The last word about it counts; what was never named is in service.

    A change of the station or an EVSE is a word about each of its connectors (`places_of`), so a connector can be put
    back into service alone after the whole station was taken out of it: Accepted has to mean that it happens."""
    return states.get((evse_id, connector_id), True)
