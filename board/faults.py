"""Which faults stand at one connector, and when each may go; pure.

A cause raises its fault at once. A fault that is not latched goes when its cause has been away for 5 s; a
latched one goes by `clear` only, which `board/connector.py` calls after an unplug with a passed self-test or
on CLEAR_FAULT. Masks are the F_* bits of `board/wire.py`. It opens nothing: `board/interlock.py` does.
"""

from board.wire import FAULT_NAMES, FAULTS_DERATE, FAULTS_LATCHED, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CLEAR_MS = const(5000)


class FaultBook:
    """`standing` is the mask to act on; `on_change(bit, is_raised)` hears of every change."""

    __slots__ = ("_gone_since", "_on_change", "causes", "standing")

    def __init__(self, on_change: "Callable[[int, bool], None]") -> None:
        self.standing = 0
        self.causes = 0
        self._on_change = on_change
        self._gone_since = [0] * len(FAULT_NAMES)

    @property
    def stops(self) -> bool:
        """A fault stands that forbids charging."""
        return self.standing & ~FAULTS_DERATE != 0

    def update(self, now_ms: int, causes: int) -> None:
        """Take the causes present in this tick."""
        went = self.causes & ~causes
        self.causes = causes
        waiting = self.standing & ~causes & ~FAULTS_LATCHED
        if not (went or waiting or causes & ~self.standing):
            return
        bit = 0
        while bit < len(FAULT_NAMES):
            mask = 1 << bit
            if causes & mask and not self.standing & mask:
                self.standing |= mask
                self._on_change(bit, True)
            elif went & mask:
                self._gone_since[bit] = now_ms
            elif waiting & mask and now_ms - self._gone_since[bit] >= CLEAR_MS:
                self._drop(bit)
            bit += 1

    def restore(self, mask: int) -> None:
        """Let the faults of `mask` stand that stood before a restart; whether their cause is there is seen anew."""
        bit = 0
        while bit < len(FAULT_NAMES):
            if mask & 1 << bit:
                self.standing |= 1 << bit
                self._on_change(bit, True)
            bit += 1

    def clear(self, mask: int) -> None:
        """Drop the faults of `mask` whose cause is gone; the others stay."""
        bit = 0
        while bit < len(FAULT_NAMES):
            if mask & self.standing & ~self.causes & 1 << bit:
                self._drop(bit)
            bit += 1

    def _drop(self, bit: int) -> None:
        self.standing &= ~(1 << bit)
        self._on_change(bit, False)

    def due_in(self, now_ms: int, never: int) -> int:
        """In how many ms a fault could go by itself."""
        waiting = self.standing & ~self.causes & ~FAULTS_LATCHED
        soonest = never
        bit = 0
        while waiting:
            if waiting & 1:
                left = self._gone_since[bit] + CLEAR_MS - now_ms
                if left < soonest:
                    soonest = left
            waiting >>= 1
            bit += 1
        return soonest if soonest > 0 else 1
