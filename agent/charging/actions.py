"""What one EVSE is to do, frozen: the output of `session.step`.

The first group takes effect at once and in order; the second is work for the EVSE's queue (it touches meter and disk)
and is answered by an event of `events.py`. Carried out by `evse_runner.py`; nothing here knows a port or a loop.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from agent.charging.ids import ChargingState, ConnectorId, IdToken, Reservation, StopReason, TriggerReason


class Timer(StrEnum):
    CONNECTION = "connection"
    """ConnectionTimeOut: the driver may plug in."""
    IDENTIFICATION = "identification"
    """A cable is in and nobody has identified, where a token could mean another EVSE."""
    SETTLE = "settle"
    """An EV needs some seconds to react to an offer; until then nobody says that it does not want to charge."""
    BOARD_LOST = "board_lost"
    """The I/O board is silent; after this the transaction is given up."""
    OPENING = "opening"
    """A start failed for which nobody is asked to come again; after this it is tried again."""


class Purpose(StrEnum):
    """What a token is checked for."""

    START = "start"
    STOP = "stop"
    RELEASE = "release"
    """To get a cable back that is held locked."""


# --- at once ---------------------------------------------------------------------------------------------


class PermitCharging(Struct, frozen=True):
    """The board may close the contactor when the EV asks."""


class ForbidCharging(Struct, frozen=True):
    """The board stops offering and opens."""


class OfferCurrent(Struct, frozen=True):
    """Current per phase in A that is offered while charging is permitted; less than 6 A pauses."""

    limit_a: float


class HoldLock(Struct, frozen=True):
    """Keep the cable locked whatever the pilot says."""


class FreeLock(Struct, frozen=True):
    """Lock only while charging is permitted."""


class StartTimer(Struct, frozen=True):
    timer: Timer
    after_s: float


class StopTimer(Struct, frozen=True):
    timer: Timer


class CheckToken(Struct, frozen=True):
    """Find out whether the token is valid; answered by TokenVerified or TokenRejected."""

    id_token: IdToken
    purpose: Purpose
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None
    group: IdToken | None = None
    """Of the token, as who asked for the start said."""


class SignalAccepted(Struct, frozen=True):
    """Show the driver that the token was taken."""


class Refuse(Struct, frozen=True):
    """Show the driver that the token was not taken, and say why in the log."""

    id_token: IdToken
    reason: str


class Announce(Struct, frozen=True):
    """Something that a connector status may depend on changed."""

    detail: str = ""


# --- work for the queue ----------------------------------------------------------------------------------


class OpenTransaction(Struct, frozen=True):
    """Read the meter and commit the start; answered by TransactionOpened or OpeningFailed."""

    id_token: IdToken | None
    connector_id: ConnectorId
    trigger: TriggerReason
    remote_start_id: int | None = None
    reservation: Reservation | None = None
    """What the start uses, if it still holds."""
    charging_state: ChargingState = ChargingState.EV_CONNECTED
    is_plugged: bool = True
    needs_signature: bool = False
    """There is no start without a reading that the meter signed (start point DataSigned)."""


class UpdateTransaction(Struct, frozen=True):
    """Commit what happened within the transaction."""

    trigger: TriggerReason
    charging_state: ChargingState
    connector_id: ConnectorId | None = None
    """An EV was just connected there."""
    is_authorized: bool = True
    id_token: IdToken | None = None
    """Who was just authorized, or ended the authorization."""
    remote_start_id: int | None = None
    reservation: Reservation | None = None


class CloseTransaction(Struct, frozen=True):
    """Read the meter and commit the end; answered by TransactionClosed."""

    reason: StopReason
    trigger: TriggerReason
    id_token: IdToken | None
    charging_state: ChargingState = ChargingState.EV_CONNECTED


Action: TypeAlias = (
    PermitCharging
    | ForbidCharging
    | OfferCurrent
    | HoldLock
    | FreeLock
    | StartTimer
    | StopTimer
    | CheckToken
    | SignalAccepted
    | Refuse
    | Announce
    | OpenTransaction
    | UpdateTransaction
    | CloseTransaction
)
