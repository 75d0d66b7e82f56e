"""The values of a session: what it knows, what it obeys, and what a transaction needs. Frozen; no rules.

`session.py` is the only one that makes new ones; `evse_runner.py` holds the present one. The start and stop points
of transactions are data, because OCPP 2.x lets the CSMS choose them and 1.6 is one fixed case (`conventions.py`).
OCPP 1.6 3.6; 2.0.1 E01, E06 (TxStartPoint, TxStopPoint).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from agent.charging.ids import ChargingState, ConnectorId, IdToken, Reservation, StopReason, TriggerReason
from agent.charging.snapshot import SessionState

LEAST_OFFER_A = 6.0
"""IEC 61851-1 A.3: less cannot be offered; it is a pause."""


class Phase(Enum):
    """The transaction within the session."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"


class Condition(Enum):
    """What a transaction may need to start, and to go on."""

    EV_CONNECTED = "ev_connected"
    AUTHORIZED = "authorized"
    ENERGY = "energy"
    """It flows."""


_BOTH = frozenset({Condition.EV_CONNECTED, Condition.AUTHORIZED})

POINT_NEEDS: Mapping[str, frozenset[Condition]] = {
    "EVConnected": frozenset({Condition.EV_CONNECTED}),
    "Authorized": frozenset({Condition.AUTHORIZED}),
    "DataSigned": _BOTH,
    "PowerPathClosed": _BOTH,
    "EnergyTransfer": _BOTH | {Condition.ENERGY},
}
"""TxStartPoint and TxStopPoint (2.0.1 E01, E06; 2.6.6). DataSigned is a start point only, and needs a signed reading
beside; ParkingBayOccupancy would need a sensor. 1.6 is the fixed case PowerPathClosed (R16-109)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that a session obeys, as they are at this step."""

    connection_timeout_s: float = 60
    stop_on_ev_disconnect: bool = True
    unlock_on_ev_disconnect: bool = True
    stop_on_invalid_id: bool = True
    max_energy_on_invalid_id_wh: int = 0
    grants_energy_first: bool = True
    """`max_energy_on_invalid_id_wh` is granted also where the transaction then ends."""
    awaits_lost_ev: bool = False
    """With a fixed cable, an EV that was unplugged has the connection timeout to come back."""
    start_points: tuple[str, ...] = ("PowerPathClosed",)
    stop_points: tuple[str, ...] = ("Authorized",)
    forgets_plugged: bool = False
    """A cable for which nobody identifies within the timeout is not what the next token means (R16-065)."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a transaction is to end."""

    reason: StopReason
    trigger: TriggerReason
    id_token: IdToken | None = None
    lost: frozenset[Condition] | None = None
    """Ends the transaction only if a stop point needs one of these; None: ends it in any case."""


@dataclass(frozen=True, slots=True)
class Session:
    stage: SessionState = SessionState.IDLE
    phase: Phase = Phase.NONE
    connector_id: ConnectorId = 1
    # what the hardware says
    plugged: bool = False
    power_wanted: bool = False
    power_path_closed: bool = False
    locked: bool | None = None
    stopping_faults: frozenset[str] = frozenset()
    # what was decided elsewhere
    limit_a: float = 32.0
    operative: bool = True
    # who it is
    id_token: IdToken | None = None
    group: IdToken | None = None
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    remote_start_id: int | None = None
    asked_connector: ConnectorId | None = None
    """The only connector that a remote start is for; None: whichever gets the cable."""
    cause: TriggerReason = TriggerReason.CABLE_PLUGGED_IN
    """What came last, cable or driver."""
    reservation: Reservation | None = None
    """Claimed by the driver; over when the transaction begins, and given back when none does."""
    checking: IdToken | None = None
    """A token on its way to the CSMS and back; a second one waits for nothing."""
    # how it goes
    permitted: bool = False
    """What the board was told."""
    settled: bool = False
    charging_state: ChargingState = ChargingState.EV_CONNECTED
    deauthorized: bool = False
    energy_stopped: bool = False
    """Refused after the start, and the transaction stays open (R16-113)."""
    ev_disconnected: bool = False
    resumed: bool = False
    """The transaction goes on after a power cut, or after its EV was away."""
    restored: bool = False
    """Its EV was connected before a power cut, and has not been seen since."""
    pending_stop: Stop | None = None
    ended_by: StopReason | None = None
    """Why the authorization ended, while the transaction goes on."""
    barred: bool = False
    """The last start failed; the next attempt waits for a driver, a cable or `Timer.OPENING`."""
    finished: bool = False
    """A transaction ended and the cable is still in."""
    lock_held: bool = False
    """The cable stays locked until its driver identifies (R16-112, R16-127)."""
    remark: str = ""

    @property
    def is_offering(self) -> bool:
        return self.permitted and self.limit_a >= LEAST_OFFER_A

    @property
    def is_asked_connector(self) -> bool:
        """The cable is where a remote start wants it."""
        return self.asked_connector in (None, self.connector_id)

    @property
    def has_transaction(self) -> bool:
        return self.phase is not Phase.NONE

    @property
    def is_running(self) -> bool:
        """A transaction begins or goes on."""
        return self.phase in (Phase.OPENING, Phase.OPEN)

    @property
    def takes_driver(self) -> bool:
        """No transaction, or one that nobody has identified for yet (2.0.1 F01.FR.24)."""
        return self.phase is Phase.NONE or (self.is_running and self.id_token is None)

    @property
    def is_joined(self) -> bool:
        """The cable is where the driver wants it, and locked as far as it can be."""
        return self.plugged and self.is_asked_connector and self.locked is not False

    @property
    def holds_lock(self) -> bool:
        """From the moment both driver and cable are there, until both may part."""
        waits = (
            self.stage is SessionState.AUTHORIZED
            and self.plugged
            and self.is_asked_connector
            and not self.stopping_faults
        )
        was_pulled = self.ev_disconnected or (
            self.pending_stop is not None and self.pending_stop.reason is StopReason.EV_DISCONNECTED
        )
        begins = self.phase is Phase.OPENING and self.stage is SessionState.AUTHORIZED
        is_begun = begins and (self.plugged or was_pulled)
        return self.lock_held or waits or is_begun or self.stage is SessionState.CHARGING

    def has(self, condition: Condition) -> bool:
        match condition:
            case Condition.EV_CONNECTED:
                return self.plugged
            case Condition.AUTHORIZED:
                return self.stage in (SessionState.AUTHORIZED, SessionState.CHARGING)
            case Condition.ENERGY:
                is_charging = self.charging_state is ChargingState.CHARGING
                return self.stage is SessionState.CHARGING and is_charging
