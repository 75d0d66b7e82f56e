"""Does the import register count what the power says? Pure; one per meter, beside `RegisterWatch`.

Finds a register that stands still under load, and one that counts in another unit than its profile says (a wrong
transformer ratio, kWh for Wh). It compares over a stretch of readings that follow each other closely, and leaves much
room: power moves between two readings. It corrects nothing. Used by hal.drivers.modbus_meter.
"""

from dataclasses import dataclass
from typing import Final

from hal.ports import MeterReading

CLOSE_S: Final = 30.0
"""Readings further apart say nothing of the power between them: the stretch begins anew."""
STRETCH_WH: Final = 200.0
STRETCH_STEPS: Final = 20
"""A stretch ends when either side has counted this much: the larger of the two."""
TOLERANCE: Final = 2.0
"""How many times more one side may have counted than the other."""


@dataclass(slots=True)
class EnergyBalance:
    """Judges stretch by stretch; `is_doubtful` is the verdict on the last whole one."""

    step_wh: float
    """Smallest step of the register."""
    is_doubtful: bool = False
    detail: str = ""
    _before: MeterReading | None = None
    _counted_wh: float = 0.0
    _reckoned_wh: float = 0.0

    def add(self, reading: MeterReading) -> None:
        """The next reading. One without register or power ends the stretch without a verdict."""
        before, self._before = self._before, reading
        register_wh, power_w = reading.energy_import_wh, reading.power_w
        if register_wh is None or power_w is None:
            self.restart()
            return
        if before is None or before.energy_import_wh is None or before.power_w is None:
            return
        elapsed_s = reading.at_time - before.at_time
        if not 0 <= elapsed_s <= CLOSE_S:
            self._clear()
            return
        self._counted_wh += register_wh - before.energy_import_wh
        # Only what is taken from the grid counts; power that goes back has a register of its own.
        self._reckoned_wh += (max(0.0, before.power_w) + max(0.0, power_w)) / 2 * elapsed_s / 3600
        if max(self._counted_wh, self._reckoned_wh) >= max(STRETCH_WH, STRETCH_STEPS * self.step_wh):
            self._judge()
            self._clear()

    def restart(self) -> None:
        """Forget the stretch: what comes next does not belong to it."""
        self._before = None
        self._clear()

    def _judge(self) -> None:
        counted, reckoned = self._counted_wh, self._reckoned_wh
        self.is_doubtful = not (counted <= TOLERANCE * reckoned and reckoned <= TOLERANCE * counted)
        self.detail = f"the register counted {counted:.0f} Wh while the power made {reckoned:.0f} Wh"

    def _clear(self) -> None:
        self._counted_wh = self._reckoned_wh = 0.0
