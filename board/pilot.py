"""Control pilot and cable coding: millivolts to IEC 61851-1 states, amperes to duty and back; pure.

Units: mV, ohm, current in 0.1 A, duty in 0.01 %. Windows, debounce and diode check: research figures of
docs/board.md ("Control pilot"). It decides nothing about the contactor; `board/connector.py` calls it once
per 10 ms tick with one sample taken over at least one whole PWM period.
IEC 61851-1:2017 Annex A; cable coding Annex B.
"""

from board.wire import (
    DUTY_OFF,
    MIN_LIMIT_DA,
    PILOT_A,
    PILOT_B,
    PILOT_C,
    PILOT_D,
    PILOT_E,
    PILOT_F,
    const,
)

_A_MIN = const(11000)
_B_MIN = const(7900)
_B_MAX = const(10100)
_C_MIN = const(4900)
_C_MAX = const(7100)
_D_MIN = const(1900)
_D_MAX = const(4100)
_E_MIN = const(-1100)
_E_MAX = const(1100)
_F_MAX = const(-10900)
_LOW_MAX = const(-10000)
"""With PWM the low plateau stays at -12 V, held there by the EV's diode; above this there is none."""

_TICKS_TO_OPEN = const(2)
_TICKS_TO_CLOSE = const(3)
_DIODE_GOOD_TICKS = const(20)
_DIODE_BAD_TICKS = const(5)
ODD_MS = const(1000)
"""How long the pilot may be outside every window, or in E or F, before that is a fault."""
UNKNOWN = const(-1)


def classify(high_mv: int) -> int:
    """PILOT_* by the high plateau, UNKNOWN between the windows (the gaps are the hysteresis)."""
    if high_mv > _A_MIN:
        return PILOT_A
    if _B_MIN <= high_mv <= _B_MAX:
        return PILOT_B
    if _C_MIN <= high_mv <= _C_MAX:
        return PILOT_C
    if _D_MIN <= high_mv <= _D_MAX:
        return PILOT_D
    if _E_MIN <= high_mv <= _E_MAX:
        return PILOT_E
    if high_mv < _F_MAX:
        return PILOT_F
    return UNKNOWN


def duty_of(limit_da: int) -> int:
    """Duty in 0.01 % that offers `limit_da` (0.1 A), rounded down; DUTY_OFF below 6 A; at most 80 A."""
    if limit_da < MIN_LIMIT_DA:
        return DUTY_OFF
    if limit_da <= 510:
        return limit_da * 50 // 3
    if limit_da < 800:
        return limit_da * 4 + 6400
    return 9600


def limit_of(duty: int) -> int:
    """What an EV may draw at `duty`, in 0.1 A; 0 where it may draw nothing."""
    if duty < 800 or duty > 9700:
        return 0
    if duty < 1000:
        return 60
    if duty <= 8500:
        return duty * 3 // 50
    if duty <= 9600:
        return (duty - 6400) // 4
    return 800


def cable_rating_a(proximity_ohm: int) -> int:
    """The cable's rating in A by its resistor between PP and PE; 0 when it is none of the known ones."""
    if 80 <= proximity_ohm < 140:
        return 63
    if 140 <= proximity_ohm < 308:
        return 32
    if 308 <= proximity_ohm < 936:
        return 20
    if 936 <= proximity_ohm < 2460:
        return 13
    return 0


def _is_power(state: int) -> bool:
    return state == PILOT_C or state == PILOT_D


class Pilot:
    """The debounced state of one control pilot, and what its negative half says of the EV's diode.

    Towards A, B, E and F two samples suffice (the contactor must be open within 100 ms), and out of C or D they
    need not be equal; C and D need three. Samples between the windows count neither way. `state` is a PILOT_*
    number."""

    __slots__ = ("_bad", "_candidate", "_count", "_good", "_has_seen_a", "_odd_since", "state")

    def __init__(self) -> None:
        self.state = PILOT_A
        self._has_seen_a = False
        self._candidate = UNKNOWN
        self._count = 0
        self._good = 0
        self._bad = 0
        self._odd_since = -1

    def restart(self) -> None:
        """Forget pending samples: the board itself has driven the line."""
        self._candidate = self.state
        self._count = 0
        self._good = 0
        self._bad = 0
        self._odd_since = -1

    def sample(self, now_ms: int, high_mv: int, low_mv: int, has_pwm: bool) -> bool:
        """Take one sample; True if `state` changed."""
        seen = classify(high_mv)
        odd = seen == UNKNOWN or seen >= PILOT_E
        if not odd:
            self._odd_since = -1
        elif self._odd_since < 0:
            self._odd_since = now_ms
        if seen == PILOT_A:
            self._has_seen_a = True
        if seen == PILOT_A or seen >= PILOT_E:
            self._good = 0
            self._bad = 0
        elif not has_pwm:
            self._good = 0  # without PWM nobody sees the diode: a whole series is due before the next closing
        elif seen != UNKNOWN:
            if low_mv <= _LOW_MAX:
                self._bad = 0
                if self._good < _DIODE_GOOD_TICKS:
                    self._good += 1
            else:
                self._good = 0
                if self._bad < _DIODE_BAD_TICKS:
                    self._bad += 1
        if seen == UNKNOWN and _is_power(self.state):
            # So far from C and D it is no hysteresis any more, but a plug that is out at a weak +12 V.
            if high_mv > _B_MAX:
                seen = PILOT_B
            elif high_mv < _E_MIN:
                seen = PILOT_E
        return self._debounce(seen)

    def _debounce(self, seen: int) -> bool:
        if seen == UNKNOWN:
            return False
        if seen == self.state:
            self._candidate = seen
            self._count = 0
            return False
        if seen != self._candidate:
            # A plug that bounces between A and B leaves C all the same: what counts is that it is not C.
            if not (_is_power(self.state) and not _is_power(seen) and not _is_power(self._candidate)):
                self._count = 0
            self._candidate = seen
        self._count += 1
        need = _TICKS_TO_CLOSE if _is_power(seen) else _TICKS_TO_OPEN
        if self._count < need:
            return False
        self.state = seen
        self._count = 0
        return True

    @property
    def is_unplugged(self) -> bool:
        """State A, and not only because nothing has been seen since the start."""
        return self.state == PILOT_A and self._has_seen_a

    @property
    def is_diode_good(self) -> bool:
        """A whole series of samples has shown the diode since PWM started."""
        return self._good >= _DIODE_GOOD_TICKS

    @property
    def is_diode_bad(self) -> bool:
        return self._bad >= _DIODE_BAD_TICKS

    def is_odd(self, now_ms: int) -> bool:
        """Outside every window, or E or F without our doing, for ODD_MS."""
        return self._odd_since >= 0 and now_ms - self._odd_since >= ODD_MS

    def due_in(self, now_ms: int, has_pwm: bool, never: int) -> int:
        """In how many ms the same sample again could change something; 1: at the next tick."""
        if self._count:
            return 1
        if has_pwm and self.state in (PILOT_B, PILOT_C, PILOT_D):
            if self._bad and self._bad < _DIODE_BAD_TICKS:
                return 1
            if not self._bad and self._good < _DIODE_GOOD_TICKS:
                return 1
        if self._odd_since >= 0 and now_ms - self._odd_since < ODD_MS:
            return self._odd_since + ODD_MS - now_ms
        return never
