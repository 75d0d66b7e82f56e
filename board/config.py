"""What the installer has set on this board: limits that are narrower than its pin map's, kept over a restart.

The pin map says what the circuit can; this may only restrict it. Changes are staged with `stage` and written with
`commit`, which `board/app.py` allows on an idle board only, because writing flash stalls the chip; they hold after the
restart that follows. Storage is one JSON text with a CRC-32 in front: a torn one is as good as none, and is told.
Values and units: `board/limits.py`. Kept by `hw.FileStorage` on a board, in memory by a simulator.
"""

import json
from binascii import crc32

from board.limits import TABLE, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Storage(Protocol):
        """Holds one small file, whole: after a power cut it is the new one or the one before."""

        def read(self) -> bytes:
            """b"" when nothing was ever written."""

        def write(self, octets: bytes) -> None:
            """Raises OSError."""


ONLY_LESS = (
    "max_da",
    "temp_warn_dc",
    "temp_stop_dc",
    "has_ventilation",
    "can_switch_phases",
)
"""Limits that may be lowered, never raised above the pin map."""
FREE = ("lock_run_ms", "wake_after_s", "lost_host_unlock_s", "vent_run_on_s")
"""Limits that may be anything in their range; all others are the circuit's and cannot be set."""
_FORMAT = 1


class Config:
    """`limits` is what holds since the start, one for each connector."""

    def __init__(self, storage: "Storage", pcb: "list[Limits]") -> None:
        """`pcb`: the limits of the pin map."""
        self._storage = storage
        self._pcb = pcb
        self.is_damaged = False
        self._staged = [{} for _ in pcb]  # type: list[dict[str, int]]
        self._load()
        self._saved = self._staged
        self.limits = [_narrowed(limits, self._saved[index]) for index, limits in enumerate(pcb)]

    @property
    def hash(self) -> str:
        """Of what holds since the start: the same on boards that behave the same."""
        return _hash([values_of(limits) for limits in self.limits])

    def values(self, connector: int, of: str) -> "dict[str, int]":
        """The limits of a connector (from 1) that hold now ("now"), that the pin map allows ("pcb"), or that would hold
        after a commit ("staged")."""
        index = connector - 1
        if of == "pcb":
            return values_of(self._pcb[index])
        if of == "staged":
            return values_of(_narrowed(self._pcb[index], self._staged[index]))
        return values_of(self.limits[index])

    def stage(self, connector: int, values: "dict[str, object]") -> None:
        """Want these for a connector, beside what is staged already. Raises ValueError; then nothing is changed."""
        pcb = self._pcb[connector - 1]
        wanted = dict(self._staged[connector - 1])
        for name in values:
            wanted[name] = self._checked(pcb, name, values[name])
        result = _narrowed(pcb, wanted)
        if result.temp_warn_dc >= result.temp_stop_dc:
            raise ValueError("temp_warn_dc must be below temp_stop_dc")
        staged = list(self._staged)
        staged[connector - 1] = wanted
        self._staged = staged

    def _checked(self, pcb: Limits, name: str, value: object) -> int:
        for known, _default, least, most in TABLE:
            if known != name:
                continue
            if name in ONLY_LESS:
                most = getattr(pcb, name)
            elif name not in FREE:
                raise ValueError("%s belongs to the circuit" % name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError("%s must be %d to %d" % (name, least, most))
            return value
        raise ValueError("no limit is called %s" % name)

    def discard(self) -> None:
        """Forget what was staged and not committed."""
        self._staged = self._saved

    def stage_nothing(self) -> None:
        """Want the pin map's limits again, for every connector."""
        self._staged = [{} for _ in self._pcb]

    def commit(self) -> None:
        """Write what is staged. Raises OSError: then what was there before holds on."""
        text = json.dumps({"format": _FORMAT, "connectors": self._staged}).encode()
        self._storage.write(_checksum(text) + text)

    def _load(self) -> None:
        """Stage what was committed; nothing of a file that is not whole, or not allowed any more."""
        octets = self._storage.read()
        if not octets:
            return
        try:
            if octets[:8] != _checksum(octets[8:]):
                raise ValueError("torn")
            saved = json.loads(octets[8:])
            if saved["format"] != _FORMAT:
                raise ValueError("of another firmware")
            for index, values in enumerate(saved["connectors"]):
                self.stage(index + 1, values)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            self.is_damaged = True
            self.stage_nothing()


def _narrowed(pcb: Limits, own: "dict[str, int]") -> Limits:
    values = values_of(pcb)
    values.update(own)
    return Limits(values)


def values_of(limits: Limits) -> "dict[str, int]":
    return {row[0]: getattr(limits, row[0]) for row in TABLE}


def _hash(values: "list[dict[str, int]]") -> str:
    # In the order of TABLE: dictionaries have none in MicroPython.
    text = ";".join([",".join([str(each[row[0]]) for row in TABLE]) for each in values])
    return _checksum(text.encode()).decode()


def _checksum(octets: bytes) -> bytes:
    return ("%08X" % (crc32(octets) & 0xFFFFFFFF)).encode()
