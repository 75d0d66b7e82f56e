"""The words of a script: what a step does, and what the board must then show. Data only; `player.py` gives it meaning.

A `Scenario` is a row of steps; a step does at most one thing, and everything it expects is measured from there, on
the board's clock. `needs` are what the rig must be able to move (`board_rigs.Rig.can`), `caps` what the board must
say of itself in HELLO. Times in ms unless a name says s; currents in A.
"""

from dataclasses import dataclass, field
from typing import Literal

Start = Literal["do", "pilot", "no_offer"]
"""From where a time counts: the step's deed, the change of the pilot that the board saw, or the end of PWM."""

# ---- what a step does --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Car:
    """Plug, unplug or switch the car: a pilot state A to E."""

    state: str


@dataclass(frozen=True, slots=True)
class Put:
    """`Rig.set`: the diode, the cable's rating, a leak."""

    name: str
    value: object


@dataclass(frozen=True, slots=True)
class Permit:
    """The host permits a current from now on, and renews it."""

    limit_a: float
    lease_ms: int = 5000
    fallback_a: float = 0.0


@dataclass(frozen=True, slots=True)
class Forbid:
    """The host takes the permission back, and stays."""


@dataclass(frozen=True, slots=True)
class FallSilent:
    """The host gives a last lease and then says nothing of charging any more."""

    lease_ms: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """The host closes the line for a while, with this much lease left on the board."""

    seconds: float
    lease_ms: int


@dataclass(frozen=True, slots=True)
class CallAgain:
    """The host opens the line again, says HELLO and wants what it wanted before."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Random bytes, halves of frames and runs of frame marks on the line to the board."""

    octets: int


@dataclass(frozen=True, slots=True)
class SelfTest:
    """RCD_TEST: must be answered `passed`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An action of the board, and the code it must answer."""

    action: str
    code: str


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Deed = Car | Put | Permit | Forbid | FallSilent | HangUp | CallAgain | Noise | SelfTest | Ask | Wait

# ---- what must then be seen --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sees:
    """The board sees this pilot state, and its plateaus are in the state's window."""

    state: str


@dataclass(frozen=True, slots=True)
class Offers:
    """PWM offers just this current (or what board and cable allow of it): duty to 0.01 %."""

    limit_a: float
    within_ms: int = 10000


@dataclass(frozen=True, slots=True)
class OffersNothing:
    """PWM stops."""

    within_ms: int = 10000


@dataclass(frozen=True, slots=True)
class Closes:
    within_ms: int
    since: Start = "pilot"


@dataclass(frozen=True, slots=True)
class Opens:
    """The contactor's contacts open, by feedback (and by the electricity itself, where it takes notes)."""

    within_ms: int
    not_before_ms: int = 0
    since: Start = "pilot"


@dataclass(frozen=True, slots=True)
class Holds:
    """The contactor stays as it is for so long."""

    closed: bool
    seconds: float = 1.5


@dataclass(frozen=True, slots=True)
class Locks:
    """The socket's lock, where there is one."""

    locked: bool
    within_ms: int = 5000


@dataclass(frozen=True, slots=True)
class Faults:
    """This fault, and no other that stops."""

    name: str
    within_ms: int
    not_before_ms: int = 0
    since: Start = "do"


@dataclass(frozen=True, slots=True)
class NoFaults:
    """No fault stands, or none any more."""

    within_ms: int = 2000


@dataclass(frozen=True, slots=True)
class Cable:
    rating_a: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease ends (or comes back); an end is timed from the deed."""

    valid: bool
    not_before_ms: int = 0
    within_ms: int = 10000


@dataclass(frozen=True, slots=True)
class SelfTestPasses:
    """The residual current sensor's self-test, timed from the request to its event."""

    within_ms: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """The board holds the pilot at 0 V for so long."""

    length_ms: int
    tolerance_ms: int


@dataclass(frozen=True, slots=True)
class Answers:
    """PING is answered; the round trip is told, not judged."""

    times: int = 20


@dataclass(frozen=True, slots=True)
class Reports:
    """STATUS comes by itself in this rhythm."""

    every_ms: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NothingLost:
    """Every event of the board has been heard: no gap in the sequence."""


Expectation = (
    Sees
    | Offers
    | OffersNothing
    | Closes
    | Opens
    | Holds
    | Locks
    | Faults
    | NoFaults
    | Cable
    | Lease
    | SelfTestPasses
    | Pulse
    | Answers
    | Reports
    | NothingLost
)


@dataclass(frozen=True, slots=True)
class Step:
    text: str
    """What a reader is told: "S2 opens under load"."""
    deed: Deed | None = None
    expect: tuple[Expectation, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    steps: tuple[Step, ...]
    needs: frozenset[str] = frozenset({"car"})
    caps: dict[str, object] = field(default_factory=dict)
    is_short: bool = False
    """Part of the short script, which CI plays in real time."""
    is_slow: bool = False
    """Takes minutes in real time: played only if asked for, or on virtual time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the account: what was measured against which limit."""

    step: str
    """Number in the scenario: "3"."""
    text: str
    measured: str
    limit: str
    passed: bool
