"""What only the RP2040 can: the pilots sampled without anybody waiting for it, and why the chip restarted.

The converter runs freely at 500 kS/s, round robin over the pilots, into a ring of 2 ms that DMA fills; a tick stops it,
looks at the ring, reads its other inputs, and lets it run again. Imported by `hw.py` where MicroPython runs on an
RP2040. Registers: datasheet 4.9.6 (converter), 2.5.3.1 (DREQ), 4.7.6 (watchdog); `rp2.DMA`: MicroPython 1.22 or newer.
"""

from array import array

import machine  # type: ignore[import-not-found]
import micropython  # type: ignore[import-not-found]
import uctypes  # type: ignore[import-not-found]
from rp2 import DMA  # type: ignore[import-not-found]

from board.wire import RESET_POWER, RESET_SOFT, RESET_WATCHDOG, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

    def ptr16(place: object) -> MutableSequence[int]: ...


_RING = const(1024)
_RING_BITS = const(11)
"""1024 samples of two bytes: 2 ms, two periods of the pilot."""
_FIRST_ADC = const(26)
_DREQ_ADC = const(36)
_TRANSFERS = const(100000)
"""200 ms: more than may pass between two ticks."""

# Beyond 2^30 an int is an object: these are made once, not in the tick.
_CS = 0x4004C000
_CS_SET = 0x4004E000
_CS_CLEAR = 0x4004F000
_FCS = 0x4004C008
_FIFO = 0x4004C00C
_DIV = 0x4004C010
_START_MANY = const(1 << 3)
_READY = const(1 << 8)
_INPUTS = const(0x1F7000)
"""AINSEL and RROBIN of CS."""
_FIFO_LEVEL = const(0xF << 16)
_FIFO_OVER = const(1 << 11)
_FIFO_RESET = const(3 << 10)
_FIFO_TO_DMA = const(1 << 24 | 1 << 3 | 1)

_SCRATCH = 0x40058018
"""SCRATCH3 of the watchdog outlives every reset but a power cycle."""
_LATCHES = 0x40058014
"""SCRATCH2. From 4 on they are the boot ROM's."""
_ARMED = const(0x2D061A7)

# As in board/analog.py, where they are explained.
_APART = const(273)
_NEAR = const(27)
_FEWEST = const(3)


@micropython.viper  # type: ignore[untyped-decorator]
def plateaus(samples, first, step, found):  # type: (Sequence[int], int, int, MutableSequence[int]) -> None
    """As `board.analog.plateaus`, over a whole ring, compiled: 0.3 ms instead of 15."""
    ring = ptr16(samples)
    out = ptr16(found)
    begin = int(first)
    stride = int(step)
    high = 0
    low = 4095
    total = 0
    count = 0
    i = begin
    while i < _RING:
        level = ring[i]
        if level > high:
            high = level
        if level < low:
            low = level
        total += level
        count += 1
        i += stride
    out[0] = total // count
    out[1] = total // count
    if high - low < _APART:
        return
    middle = (high + low) >> 1
    above = 0
    above_total = 0
    i = begin
    while i < _RING:
        level = ring[i]
        if level > middle:
            above += 1
            above_total += level
        i += stride
    below = count - above
    below_total = total - above_total
    if below < _FEWEST:
        out[0] = above_total // above
        out[1] = above_total // above
        return
    if above < _FEWEST:
        out[0] = below_total // below
        out[1] = below_total // below
        return
    least = above_total // above - _NEAR
    most = below_total // below + _NEAR
    above = 0
    above_total = 0
    below = 0
    below_total = 0
    i = begin
    while i < _RING:
        level = ring[i]
        if level > least:
            above += 1
            above_total += level
        elif level < most:
            below += 1
            below_total += level
        i += stride
    out[0] = above_total // above
    out[1] = below_total // below


class PilotCapture:
    """The pilots on the converter inputs `numbers` (GPIO), one or two. `hold` before any other use of the converter."""

    def __init__(self, numbers: "Sequence[int]") -> None:
        for number in numbers:
            machine.ADC(number)  # wakes the converter and gives it the pin
        channels = sorted([number - _FIRST_ADC for number in numbers])
        self._places = [channels.index(number - _FIRST_ADC) for number in numbers]
        self._step = len(channels)
        self._inputs = channels[0] << 12
        if len(channels) > 1:
            for channel in channels:
                self._inputs |= 1 << 16 + channel
        room = array("H", [0] * (2 * _RING))
        # The ring must begin where its size divides the address.
        begin = (-uctypes.addressof(room) & (2 * _RING - 1)) // 2
        self._ring = memoryview(room)[begin : begin + _RING]
        self._address = uctypes.addressof(self._ring)
        self._dma = DMA()
        self._ctrl = self._dma.pack_ctrl(
            size=1, inc_read=False, inc_write=True, ring_sel=True, ring_size=_RING_BITS, treq_sel=_DREQ_ADC
        )
        self._is_running = False
        self._is_whole = False
        self.release()

    def release(self) -> None:
        """Let it run on, from now."""
        if self._is_running:
            return
        registers = machine.mem32
        registers[_CS_CLEAR] = _INPUTS
        registers[_CS_SET] = self._inputs
        registers[_DIV] = 0
        registers[_FCS] = _FIFO_RESET | _FIFO_TO_DMA
        self._dma.config(read=_FIFO, write=self._address, count=_TRANSFERS, ctrl=self._ctrl, trigger=True)
        registers[_CS_SET] = _START_MANY
        self._is_running = True

    def hold(self) -> None:
        """Stop (2 us), so that other inputs can be read; the ring keeps the last 2 ms."""
        if not self._is_running:
            return
        self._is_running = False
        registers = machine.mem32
        registers[_CS_CLEAR] = _START_MANY
        while not registers[_CS] & _READY:
            pass
        left = self._dma.count
        self._dma.active(0)
        # A lost sample would have moved one pilot into the other's places.
        self._is_whole = 0 < left <= _TRANSFERS - _RING and not registers[_FCS] & _FIFO_OVER
        registers[_CS_CLEAR] = _INPUTS
        registers[_FCS] = _FIFO_RESET
        while registers[_FCS] & _FIFO_LEVEL:
            registers[_FIFO]

    def take(self, index: int, found: "MutableSequence[int]") -> bool:
        """The plateaus of pilot `index` of `numbers` into `found`; False: less than a whole ring since `release`."""
        self.hold()
        if self._is_whole:
            plateaus(self._ring, self._places[index], self._step, found)
        return self._is_whole


def mark_watchdog(is_running: bool) -> None:
    """Remember over a reset that the watchdog ran: the chip itself takes every reset for the watchdog's."""
    machine.mem32[_SCRATCH] = _ARMED if is_running else 0


def keep_latches(word: int) -> None:
    machine.mem32[_LATCHES] = word


def kept_latches() -> int:
    return int(machine.mem32[_LATCHES])


def reset_cause() -> int:
    """Why the chip started; to be asked once, because it forgets the watchdog."""
    was_armed = machine.mem32[_SCRATCH] == _ARMED
    mark_watchdog(False)
    if machine.reset_cause() == machine.PWRON_RESET:
        return RESET_POWER
    return RESET_WATCHDOG if was_armed else RESET_SOFT
