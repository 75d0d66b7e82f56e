"""EVSEs, connectors and transactions as OCPP 2.0.1 names them: nearly as the charging core does.

Used by the rooms of this version; pure. OCPP 2.0.1 part 1, chapter 7 (topology); part 2, datatype 2.23.
"""

from msgspec import UNSET, UnsetType

from agent.charging.ids import EvseId
from agent.charging.snapshot import StationSnapshot
from agent.ocpp.frontend import Place
from agent.ocpp.v201.datatypes import Evse, ReasonCode

STATION: Place = (0, 0)


def place_of(snapshot: StationSnapshot, evse: Evse | UnsetType) -> Place | ReasonCode:
    """(0, 0) without an EVSE, (n, 0) for one without a connector; a reason code where there is no such place."""
    if evse is UNSET:
        return STATION
    found = snapshot.evses.get(evse.id)
    if found is None:
        return "UnknownEvse"
    if evse.connector_id is UNSET:
        return evse.id, 0
    is_known = 1 <= evse.connector_id <= found.connectors
    return (evse.id, evse.connector_id) if is_known else "UnknownConnectorId"


def evse_of(snapshot: StationSnapshot, transaction_id: str) -> EvseId | None:
    """Where this transaction runs; None: nowhere here. In 2.x the station names transactions, the CSMS none."""
    for evse_id, evse in snapshot.evses.items():
        if evse.transaction is not None and evse.transaction.transaction_id == transaction_id:
            return evse_id
    return None
