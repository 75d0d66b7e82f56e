"""What one EVSE is to do, frozen: the output of `session.step`.

The first group takes effect at once and in order; the second is work for the EVSE's queue (it touches meter and disk)
and is answered by an event of `events.py`. Carried out by `evse_runner.py`; nothing here knows a port or a loop.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from agent.charging.ids import ChargingState, ConnectorId, IdToken, StopReason, TriggerReason


class Timer(StrEnum):
    CONNECTION = "connection"
    """ConnectionTimeOut: the driver may plug in."""
    SETTLE = "settle"
    """An EV needs some seconds to react to an offer; until then nobody says that it does not want to charge."""
    BOARD_LOST = "board_lost"
    """The I/O board is silent; after this the transaction is given up."""


class Purpose(StrEnum):
    """What a token is checked for."""

    START = "start"
    STOP = "stop"
    RELEASE = "release"
    """To get a cable back that is held locked."""


# --- at once ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PermitCharging:
    """The board may close the contactor when the EV asks."""


@dataclass(frozen=True, slots=True)
class ForbidCharging:
    """The board stops offering and opens."""


@dataclass(frozen=True, slots=True)
class OfferCurrent:
    """Current per phase in A that is offered while charging is permitted; less than 6 A pauses."""

    limit_a: float


@dataclass(frozen=True, slots=True)
class HoldLock:
    """Keep the cable locked whatever the pilot says."""


@dataclass(frozen=True, slots=True)
class FreeLock:
    """Lock only while charging is permitted."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    timer: Timer
    after_s: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    timer: Timer


@dataclass(frozen=True, slots=True)
class CheckToken:
    """Find out whether the token is valid; answered by TokenVerified or TokenRejected."""

    id_token: IdToken
    purpose: Purpose
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class SignalAccepted:
    """Show the driver that the token was taken."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Show the driver that the token was not taken, and say why in the log."""

    id_token: IdToken
    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Something that a connector status may depend on changed."""

    detail: str = ""


# --- work for the queue ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """Read the meter and commit the start; answered by TransactionOpened or OpeningFailed."""

    id_token: IdToken | None
    connector_id: ConnectorId
    trigger: TriggerReason
    remote_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class UpdateTransaction:
    trigger: TriggerReason
    charging_state: ChargingState


@dataclass(frozen=True, slots=True)
class CloseTransaction:
    """Read the meter and commit the end; answered by TransactionClosed."""

    reason: StopReason
    trigger: TriggerReason
    id_token: IdToken | None


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
