"""What one EVSE's session hears, frozen: the input of `session.step`.

Facts tell the outside what happened; these tell the session what it needs to know of it. Made by `evse_runner.py`
(hardware, timers, finished work), `identification.py` (tokens) and `execution.py` (requests).
"""

from dataclasses import dataclass
from typing import TypeAlias

from agent.charging.actions import Timer
from agent.charging.ids import ConnectorId, IdToken, StopReason, TriggerReason


@dataclass(frozen=True, slots=True)
class CableConnected:
    """The pilot says that an EV is there."""


@dataclass(frozen=True, slots=True)
class CableDisconnected:
    """The pilot says that no EV is there."""


@dataclass(frozen=True, slots=True)
class PowerWanted:
    """The EV asks for energy (pilot C or D), or no longer."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class PowerPathChanged:
    closed: bool


@dataclass(frozen=True, slots=True)
class LockChanged:
    """None: there is no lock."""

    locked: bool | None


@dataclass(frozen=True, slots=True)
class FaultStarted:
    code: str
    stops_charging: bool
    ends_with: StopReason | None = None
    """The transaction does not survive this fault."""


@dataclass(frozen=True, slots=True)
class FaultEnded:
    code: str


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """A per phase."""

    limit_a: float


@dataclass(frozen=True, slots=True)
class OperativeChanged:
    is_operative: bool


@dataclass(frozen=True, slots=True)
class TimerExpired:
    timer: Timer


@dataclass(frozen=True, slots=True)
class TokenOffered:
    """Somebody presents a token here, or a remote start that has to be authorized came."""

    id_token: IdToken
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class TokenVerified:
    """The token is valid, and may do here what it came for. `group`: see `authorization.is_same_driver`."""

    id_token: IdToken
    group: IdToken | None = None
    trigger: TriggerReason = TriggerReason.AUTHORIZED
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class TokenRejected:
    id_token: IdToken
    reason: str


@dataclass(frozen=True, slots=True)
class AuthorizationDropped:
    """The authorization that waits for a cable is withdrawn (used at another EVSE, availability changed)."""


@dataclass(frozen=True, slots=True)
class GroupLearned:
    """The CSMS named the group of the token that runs the transaction."""

    group: IdToken | None


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """The CSMS refused the token of the running transaction; `used_wh` is what it took so far."""

    used_wh: int


@dataclass(frozen=True, slots=True)
class EnergyUsed:
    """What the running transaction took so far."""

    used_wh: int


@dataclass(frozen=True, slots=True)
class StopRequested:
    """End the transaction (or the authorization that waits for a cable)."""

    reason: StopReason
    trigger: TriggerReason
    id_token: IdToken | None = None


@dataclass(frozen=True, slots=True)
class CableReleased:
    """The cable was unlocked by command; nobody holds it any more."""


@dataclass(frozen=True, slots=True)
class TransactionOpened:
    """The start is on disk."""


@dataclass(frozen=True, slots=True)
class OpeningFailed:
    reason: str


@dataclass(frozen=True, slots=True)
class TransactionClosed:
    """The end is on disk."""


@dataclass(frozen=True, slots=True)
class TransactionRestored:
    """A transaction that was open when the power went goes on."""

    id_token: IdToken | None
    connector_id: ConnectorId


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
    | CableReleased
    | TransactionOpened
    | OpeningFailed
    | TransactionClosed
    | TransactionRestored
)
