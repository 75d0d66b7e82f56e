"""What converter levels mean: pilot plateaus, proximity resistance, temperatures; pure, integers, no allocation.

Pilot levels have 12 bits (0 to 4095 = -15 to +15 V, the divider of docs/board-reference-design.md), all others the 16
of `read_u16`. `board/hw_rp2.py` has a compiled twin of `plateaus`; the same tests hold for both. Called by `hw.py`.
"""

from board.wire import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

APART = const(273)
"""2 V: plateaus that are closer than this are one level with noise on it."""
NEAR = const(27)
"""0.2 V: what is so far below the mean of its plateau is an edge, not the plateau."""
FEWEST = const(3)
"""So few samples are a spike, not a plateau: 5 % duty has 12 at 250 kS/s, and 5 at one in 10 us."""

CHIP_SENSOR = const(4)
"""Number of the converter's input behind which the RP2040's own thermometer is."""
BROKEN_DC = const(1500)
"""150 C: a thermistor with a broken wire counts as too hot."""
_NTC_OPEN = const(64800)
_NTC_FIRST_DC = const(-300)
_NTC_STEP_DC = const(100)
_NTC_LEVELS = (
    62417, 59855, 55932, 50511, 43816, 36454, 29202, 22706, 17306, 13049, 9807, 7387, 5596, 4273, 3293, 2563, 2015,
)  # fmt: skip
"""10 kOhm at 25 C, B = 3950, against 10 kOhm to the reference: level at -30, -20 ... 130 C."""


def plateaus(samples: "Sequence[int]", first: int, step: int, found: "MutableSequence[int]") -> None:
    """The high and the low plateau of every `step`-th sample from `first` on, as levels, into found[0] and found[1].

    The mean of what lies on each plateau, without its edges; both the same if the line stands still."""
    end = len(samples)
    high = 0
    low = 4095
    total = 0
    count = 0
    i = first
    while i < end:
        level = samples[i]
        if level > high:
            high = level
        if level < low:
            low = level
        total += level
        count += 1
        i += step
    found[0] = found[1] = total // count
    if high - low < APART:
        return
    middle = (high + low) >> 1
    above = 0
    above_total = 0
    i = first
    while i < end:
        level = samples[i]
        if level > middle:
            above += 1
            above_total += level
        i += step
    below = count - above
    below_total = total - above_total
    if below < FEWEST:
        found[0] = found[1] = above_total // above
        return
    if above < FEWEST:
        found[0] = found[1] = below_total // below
        return
    least = above_total // above - NEAR
    most = below_total // below + NEAR
    above = above_total = below = below_total = 0
    i = first
    while i < end:
        level = samples[i]
        if level > least:
            above += 1
            above_total += level
        elif level < most:
            below += 1
            below_total += level
        i += step
    found[0] = above_total // above
    found[1] = below_total // below


def pilot_mv(level: int) -> int:
    """Of a 12-bit level."""
    return level * 30000 // 4096 - 15000


def proximity_ohm(level: int) -> int:
    """Behind 1 kOhm to the reference; 0: nothing is in."""
    return 0 if level > 60000 else 1000 * level // (65535 - level)


def chip_dc(level: int) -> int:
    """The RP2040's own sensor in 0.1 C: 0.706 V at 27 C, 1.721 mV less per C (datasheet 4.9.5)."""
    microvolt = level * 50355 // 1000
    return 270 - (microvolt - 706000) * 10 // 1721


def ntc_dc(level: int) -> int:
    """A thermistor in 0.1 C; BROKEN_DC with a broken wire and beyond the hot end of the table."""
    if level > _NTC_OPEN:
        return BROKEN_DC
    warmer = 0
    while warmer < len(_NTC_LEVELS) and level < _NTC_LEVELS[warmer]:
        warmer += 1
    if warmer == 0:
        return _NTC_FIRST_DC
    if warmer == len(_NTC_LEVELS):
        return BROKEN_DC
    colder_level = _NTC_LEVELS[warmer - 1]
    part = (colder_level - level) * _NTC_STEP_DC // (colder_level - _NTC_LEVELS[warmer])
    return _NTC_FIRST_DC + (warmer - 1) * _NTC_STEP_DC + part
