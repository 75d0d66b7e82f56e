"""Latched faults over a restart of the chip: one word for a register that outlives it; pure.

The word holds, for two connectors, the faults of FAULTS_LATCHED and how many trips went by themselves today, with a
check: what stands in the register after the power came is no fault. It stays below 2^30, where an int is no
object. It clears and opens nothing: `board/app.py` keeps the word when a fault changes, and lets the faults
stand again at the start, from where the same rules end them as before.
"""

from board.wire import FAULT_NAMES, FAULTS_LATCHED, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTORS = 2

_LATCHED = tuple([bit for bit in range(len(FAULT_NAMES)) if FAULTS_LATCHED >> bit & 1])
_CLEARS_BITS = const(2)
_CONNECTOR_BITS = len(_LATCHED) + 2
_BITS = CONNECTORS * _CONNECTOR_BITS
_PRIME = const(4093)
"""The largest below 2^12: one wrong bit is always noticed."""


def _check(kept: int) -> int:
    """12 bits, never 0: an empty register is no word."""
    return 4095 - kept % _PRIME


def pack(kept: "Sequence[tuple[int, int]]") -> int:
    """The word for (faults that stand, trips that went by themselves today) of each connector, at most two."""
    word = 0
    shift = 0
    for standing, clears in kept:
        for bit in _LATCHED:
            word |= (standing >> bit & 1) << shift
            shift += 1
        word |= clears << shift
        shift += _CLEARS_BITS
    return _check(word) << _BITS | word


def unpack(word: int) -> "list[tuple[int, int]]":
    """What `pack` was given, with zeros for a missing connector; nothing for a word that is not one of its."""
    rest = word & ((1 << _BITS) - 1)
    if word != _check(rest) << _BITS | rest:
        return []
    kept = []
    for _ in range(CONNECTORS):
        standing = 0
        for bit in _LATCHED:
            standing |= (rest & 1) << bit
            rest >>= 1
        kept.append((standing, rest & ((1 << _CLEARS_BITS) - 1)))
        rest >>= _CLEARS_BITS
    return kept
