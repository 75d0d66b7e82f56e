"""Connector numbers of OCPP 1.6: flat, 1..N in the order of EVSEs and their connectors, 0 = the station.

Used by the rooms of this version; pure. OCPP 1.6 3.8 (R16-040).
"""

from agent.charging.snapshot import StationSnapshot
from agent.ocpp.frontend import Place

STATION: Place = (0, 0)


def places(snapshot: StationSnapshot) -> list[Place]:
    """Index = connector number; the first entry is the station."""
    found = [STATION]
    for evse_id in sorted(snapshot.evses):
        found.extend((evse_id, connector) for connector in range(1, snapshot.evses[evse_id].connectors + 1))
    return found


def place_of(snapshot: StationSnapshot, number: int) -> Place | None:
    """None: there is no such connector."""
    known = places(snapshot)
    return known[number] if 0 <= number < len(known) else None


def number_of(snapshot: StationSnapshot, place: Place) -> int:
    """The number of a place; an EVSE as a whole has that of its first connector, main meter and station have 0."""
    evse_id, connector_id = place
    if evse_id == 0:
        return 0
    before = sum(evse.connectors for other, evse in snapshot.evses.items() if other < evse_id)
    return before + max(1, connector_id)
