"""Frozen pictures of the station, for everyone who reads state that `station.py` owns.

A snapshot is cheap (built on demand from values that are already frozen) and never changes afterwards. Structs, because
one is made for nearly every message: a frozen dataclass of this size takes twice as long.
Front ends derive their connector status from it; the local API shows it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from agent.charging.facts import FirmwareStatusChanged, LogUploadChanged
from agent.charging.ids import ChargingState, ConnectorId, EvseId, IdToken, Reservation, TransactionId
from agent.charging.monitors import Monitor
from agent.charging.profiles import Installed
from agent.charging.tariff import CostShown, Text
from hal.ports import EvseCapabilities, EvseState, MeterReading

if TYPE_CHECKING:
    from agent.charging.display import Messages


class SessionState(StrEnum):
    """Where one EVSE stands between plug-in and plug-out. Faults and availability are overlays, not states."""

    IDLE = "idle"
    """No cable, nobody identified."""
    AUTHORIZED = "authorized"
    """Somebody identified (or a remote start came); the cable is awaited until ConnectionTimeOut."""
    PLUGGED = "plugged"
    """A cable is in; nobody has been authorized yet."""
    AUTHORIZING = "authorizing"
    """A token is being checked with the CSMS."""
    CHARGING = "charging"
    """A transaction runs (its `ChargingState` says whether energy flows)."""
    FINISHING = "finishing"
    """The transaction ended, the cable is still in."""


class TransactionSnapshot(Struct, frozen=True):
    transaction_id: TransactionId
    id_token: IdToken | None
    started_at: datetime
    meter_start_wh: int
    charging_state: ChargingState
    reference: str | None = None
    """What the CSMS calls it, once it said so."""
    deauthorized: bool = False
    ev_disconnected: bool = False
    """The EV side was unplugged and the transaction goes on (StopTransactionOnEVSideDisconnect=false)."""
    is_resumed: bool = False
    """It goes on after a power cut, or after its EV was away."""


class ActiveFault(Struct, frozen=True):
    code: str
    since: datetime
    detail: str = ""
    stops_charging: bool = True


class LimitSource(StrEnum):
    """What sets the limit that is in force."""

    HARDWARE = "hardware"
    CABLE = "cable"
    SETTING = "setting"
    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"
    EXTERNAL = "ChargingStationExternalConstraints"


class LimitInForce(Struct, frozen=True):
    """The most that an EVSE may offer now, in A per phase, and what says so; below 6 A it pauses."""

    current_a: float
    source: LimitSource
    profile_id: int | None = None


class EvseSnapshot(Struct, frozen=True):
    evse_id: EvseId
    connectors: int
    connector_id: ConnectorId
    """The connector in use (or the only one)."""
    session: SessionState
    changed_at: datetime
    is_operative: bool
    """At least one connector is in service, as ChangeAvailability left it; a scheduled change is not in it yet."""
    inoperative_connectors: frozenset[ConnectorId]
    is_plugged: bool
    transaction: TransactionSnapshot | None
    id_token: IdToken | None
    faults: tuple[ActiveFault, ...]
    offered_current_a: float
    hardware: EvseState
    has_meter: bool
    reading: MeterReading | None
    """The last reading, for display only: nothing that needs a current value may use it."""
    remark: str = ""
    is_known: bool = True
    """False from the start until the board has spoken: nobody knows yet whether a cable is in."""
    cost: CostShown | None = None
    """What the driver is told of prices; None: nothing, or the station shows none."""
    limit: LimitInForce | None = None
    """None: not known (a picture made without a station)."""

    reserved_connectors: frozenset[ConnectorId] = frozenset()
    """Kept for somebody who has not identified yet."""
    display: Text | None = None
    """What stands on its display; None: nothing, or it has none."""
    capabilities: EvseCapabilities | None = None
    """What its hardware can do; None: not known (a picture made without a station)."""

    @property
    def is_faulted(self) -> bool:
        return any(fault.stops_charging for fault in self.faults)


class StationSnapshot(Struct, frozen=True):
    is_operative: bool
    faults: tuple[ActiveFault, ...]
    evses: Mapping[EvseId, EvseSnapshot]
    has_main_meter: bool
    changed_at: datetime
    booted_at: datetime
    is_resetting: bool = False
    firmware: FirmwareStatusChanged | None = None
    """The last step of a firmware update; None: there was none since the start."""
    log_upload: LogUploadChanged | None = None
    """The last step of an upload; None: there was none since the start."""
    reservations: tuple[Reservation, ...] = ()
    """Those that have not ended, in the order in which they were made."""
    monitors: tuple[Monitor, ...] = ()
    """Those that are active, in the order of their ids."""
    profiles: Installed = ()
    """The charging profiles that are installed, in the order in which they came."""
    has_display: bool = False
    messages: "Messages" = ()
    """Those for the display, in the order in which they were set."""
    local_list_version: int | None = 0
    """0: the local authorization list is empty; None: it is switched off."""
