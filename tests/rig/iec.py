"""The figures that the rig holds a board against, with their sources; independent of the firmware's own tables.

Currents in A, duty in %, voltages in mV, times in ms. "A.x": IEC 61851-1:2017 Annex A as quoted in docs/board.md;
[mem]: from memory of the standard, to be checked against a bought copy. Used by `scenarios.py` and `player.py`.
"""

WINDOW_MV = {
    "A": (11000, 13100),
    "B": (7900, 10100),
    "C": (4900, 7100),
    "D": (1900, 4100),
    "E": (-1100, 1100),
}
"""The high plateau of each state, as an EVSE has to accept it."""
LOW_PLATEAU_MV = (-13100, -10000)
"""The low plateau with PWM and the EV's diode in place."""

DUTY_STEP = 0.01
"""A board sets and reports the duty in steps of 0.01 %."""
DUTY_TOLERANCE = 1.0
"""Of a duty that was measured on the line: +-1 % absolute [mem]."""
FREQUENCY_HZ = (995.0, 1005.0)
"""1 kHz +-0.5 % [mem]."""

OPEN_MS = 100
"""C to B, or unplugged: contactor open (table A.6, sequence 8.1)."""
BOX_MS = 40
"""The way to an EV box: USB both times and a relay's travel."""
CLOSE_MS = 3000
"""B2 to C2: contactor closed (sequence 4)."""
FORCED_OPEN_MS = (6000, 7000)
"""PWM stopped, S2 still closed: open under load, not before 6 s (sequence 10.2), nor much after."""
CHANGE_MS = 10000
"""A new limit from outside is on the pilot [mem]."""
ODD_PILOT_MS = 1000
"""How long the pilot may be E or F before that is a fault (design)."""
RCD_TRIP_MS = 20 + 30
"""Residual current to open contacts: the command within 20 ms, and the contactor's travel (design)."""
OVER_CURRENT_MS = (1900, 2500)
"""25 % above the offer for 2 s (docs/board.md), and until the host's meter has told it."""
RCD_TEST_MS = 2000
"""The sensor's self-test: trip within 0.8 s, its end within 1.2 s (docs/board.md)."""
WAKE_PULSE_MS = 4000
"""State E to wake an EV (A.5.3 [mem])."""
WAKE_AFTER_S = 60
STATUS_MS = 1000
CABLES_A = (13, 20, 32, 63)
"""Ratings by proximity pilot (Annex B)."""


def duty_percent(current_a: float) -> float:
    """The duty that offers `current_a`, 6 to 80 A (table A.7)."""
    if not 6 <= current_a <= 80:
        raise ValueError(f"{current_a} A cannot be offered by PWM")
    return current_a / 0.6 if current_a <= 51 else current_a / 2.5 + 64


def offered_a(duty: float) -> float:
    """What an EV may draw at a duty in %, as an EV tester reads it (table A.8)."""
    if 8 <= duty < 10:
        return 6.0
    if 10 <= duty <= 85:
        return duty * 0.6
    if 85 < duty <= 96:
        return (duty - 64) * 2.5
    return 80.0 if 96 < duty <= 97 else 0.0
