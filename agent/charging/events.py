"""What one EVSE's session hears, frozen: the input of `session.step`.

Facts tell the outside what happened; these tell the session what it needs to know of it. Made by `evse_runner.py`
(hardware, timers, finished work), `identification.py` (tokens) and `execution.py` (requests).
"""

from typing import TypeAlias

from msgspec import Struct

from agent.charging.actions import Timer
from agent.charging.ids import ConnectorId, IdToken, Reservation, StopReason, TriggerReason


class CableConnected(Struct, frozen=True):
    """The pilot says that an EV is there."""


class CableDisconnected(Struct, frozen=True):
    """The pilot says that no EV is there."""


class PowerWanted(Struct, frozen=True):
    """The EV asks for energy (pilot C or D), or no longer."""

    wanted: bool


class PowerPathChanged(Struct, frozen=True):
    closed: bool


class LockChanged(Struct, frozen=True):
    """None: there is no lock."""

    locked: bool | None


class FaultStarted(Struct, frozen=True):
    code: str
    stops_charging: bool
    ends_with: StopReason | None = None
    """The transaction does not survive this fault."""


class FaultEnded(Struct, frozen=True):
    code: str


class LimitChanged(Struct, frozen=True):
    """A per phase."""

    limit_a: float


class OperativeChanged(Struct, frozen=True):
    is_operative: bool


class TimerExpired(Struct, frozen=True):
    timer: Timer


class TokenOffered(Struct, frozen=True):
    """Somebody presents a token here, or a remote start that has to be authorized came."""

    id_token: IdToken
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None
    group: IdToken | None = None
    """Of the token, as far as it is known already: a remote start may name it."""


class TokenVerified(Struct, frozen=True):
    """The token is valid, and may do here what it came for. `group`: see `authorization.is_same_driver`."""

    id_token: IdToken
    group: IdToken | None = None
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None
    reservation: Reservation | None = None
    """What the driver claims by starting here."""


class TokenRejected(Struct, frozen=True):
    id_token: IdToken
    reason: str


class AuthorizationDropped(Struct, frozen=True):
    """The authorization that waits for a cable is withdrawn (used at another EVSE, availability changed)."""


class GroupLearned(Struct, frozen=True):
    """The CSMS named the group of the token that runs the transaction."""

    group: IdToken | None


class TokenRevoked(Struct, frozen=True):
    """The CSMS refused the token of the running transaction; `used_wh` is what it took so far."""

    used_wh: int


class EnergyUsed(Struct, frozen=True):
    """What the running transaction took so far."""

    used_wh: int


class StopRequested(Struct, frozen=True):
    """End the transaction (or the authorization that waits for a cable)."""

    reason: StopReason
    trigger: TriggerReason
    id_token: IdToken | None = None
    is_final: bool = True
    """False: only the authorization ends, and with it the transaction if its stop points say so (2.0.1 F03.FR.02)."""


class TransactionNoted(Struct, frozen=True):
    """Something that changes nothing, but has to be told of the running transaction."""

    trigger: TriggerReason


class CableReleased(Struct, frozen=True):
    """The cable was unlocked by command; nobody holds it any more."""


class TransactionOpened(Struct, frozen=True):
    """The start is on disk."""


class OpeningFailed(Struct, frozen=True):
    reason: str


class TransactionClosed(Struct, frozen=True):
    """The end is on disk."""


class TransactionRestored(Struct, frozen=True):
    """A transaction that was open when the power went goes on."""

    id_token: IdToken | None
    connector_id: ConnectorId
    is_authorized: bool = True
    is_placed: bool = True
    """An EV was connected; otherwise its driver may still plug in."""


class TransactionTaken(Struct, frozen=True):
    """The transaction that waited here for its cable goes on at another EVSE, where the driver plugged in."""


class TransactionBrought(Struct, frozen=True):
    """The other side of `TransactionTaken`: the transaction of a driver whose cable comes in here."""

    id_token: IdToken
    group: IdToken | None
    trigger: TriggerReason


Event: TypeAlias = (
    CableConnected
    | CableDisconnected
    | PowerWanted
    | PowerPathChanged
    | LockChanged
    | FaultStarted
    | FaultEnded
    | LimitChanged
    | OperativeChanged
    | TimerExpired
    | TokenOffered
    | TokenVerified
    | TokenRejected
    | AuthorizationDropped
    | GroupLearned
    | TokenRevoked
    | EnergyUsed
    | StopRequested
    | TransactionNoted
    | CableReleased
    | TransactionOpened
    | OpeningFailed
    | TransactionClosed
    | TransactionRestored
    | TransactionTaken
    | TransactionBrought
)
