"""Is there room for the next driver? The AvailabilityState of connector, EVSE and station, as a projection of pictures.

Pure; nothing is kept. Faults and availability lie over the state of the session. Used by the device model and by front
ends of 2.x. OCPP 2.0.1 part 2, G01, G03, G04 and ConnectorStatusEnumType; appendix 3, variable AvailabilityState.
"""

from collections.abc import Iterable
from enum import StrEnum

from agent.charging.ids import ConnectorId
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from hal.ports import EvseCapabilities, FaultCode


class AvailabilityState(StrEnum):
    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


def connector_type(can: EvseCapabilities | None) -> str:
    """As 2.x calls it (ConnectorEnumType): a socket has a lock, a fixed cable needs none."""
    return "sType2" if can is not None and can.has_lock else "cType2"


_BEST_FIRST = (
    AvailabilityState.AVAILABLE,
    AvailabilityState.RESERVED,
    AvailabilityState.OCCUPIED,
    AvailabilityState.FAULTED,
    AvailabilityState.UNAVAILABLE,
)


_OF_THE_EV = frozenset({FaultCode.CP_DIODE, FaultCode.CP_RANGE})
"""What is wrong on the other side of the plug: the connector works, and is occupied as long as it is plugged."""


def connector_state(evse: EvseSnapshot, connector_id: ConnectorId) -> AvailabilityState:
    """The cable makes it Occupied, not the transaction, which may begin before its cable is in and go on without its EV
    (G01.FR.03, G01.FR.04, E02.FR.05; TC_E_26, TC_E_27).

    A transaction goes on to its end before its connector is Unavailable (G03.FR.05). The other connectors of an EVSE in
    use stay as they are, although nobody can use them (G01.FR.08)."""
    is_here = evse.connector_id == connector_id
    has_transaction = is_here and evse.transaction is not None
    is_resuming = has_transaction and not evse.is_known  # after a power cut: as it was (B01, scenario step 5)
    is_in_use = is_resuming or (is_here and evse.is_plugged)
    if _is_faulted(evse, is_in_use):
        return AvailabilityState.FAULTED
    if connector_id in evse.inoperative_connectors and not has_transaction:
        return AvailabilityState.UNAVAILABLE
    if evse.reserved_connectors:  # also with a cable in, until its driver identifies (G03.FR.09)
        return AvailabilityState.RESERVED
    if not evse.is_known and not has_transaction:
        return AvailabilityState.UNAVAILABLE  # told only if it is asked for
    return AvailabilityState.OCCUPIED if is_in_use else AvailabilityState.AVAILABLE


def _is_faulted(evse: EvseSnapshot, is_in_use: bool) -> bool:
    stopping = [fault.code for fault in evse.faults if fault.stops_charging]
    return any(not (is_in_use and code in _OF_THE_EV) for code in stopping)


def evse_state(evse: EvseSnapshot) -> AvailabilityState:
    """Of the connector in use; otherwise the best of its connectors."""
    states = {each: connector_state(evse, each) for each in range(1, evse.connectors + 1)}
    if states.get(evse.connector_id) is AvailabilityState.OCCUPIED:
        return AvailabilityState.OCCUPIED
    return _best(states.values())


def station_state(snapshot: StationSnapshot) -> AvailabilityState:
    """Of the station as a whole: the best that one of its EVSEs has to offer."""
    if any(fault.stops_charging for fault in snapshot.faults):
        return AvailabilityState.FAULTED
    if not snapshot.is_operative:
        return AvailabilityState.UNAVAILABLE
    return _best(evse_state(evse) for evse in snapshot.evses.values())


def _best(states: Iterable[AvailabilityState]) -> AvailabilityState:
    present = set(states)
    return next((state for state in _BEST_FIRST if state in present), AvailabilityState.UNAVAILABLE)
