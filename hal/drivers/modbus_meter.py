"""Energy meters on Modbus RTU: an `EnergyMeter` for every model that a TOML profile describes.

Each `read` goes to the meter; nothing is cached. Values are SI from here on. The import register is watched: it
must not run backwards nor faster than the installation could draw, and has to fit the power, else the reading is
marked "invalid".
Built by hal.factory; the registers of each model, with their sources, are in hal/drivers/meters.
"""

import asyncio
import logging
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final

from hal.bus.modbus import ModbusBus
from hal.bus.register_map import MeterProfile, parse_profile, to_reading
from hal.drivers.energy_balance import EnergyBalance
from hal.errors import HalError, OutOfRange
from hal.ports import MeterReading

log = logging.getLogger("hal.meter")

MAX_SERVICE_REGISTERS: Final = 32
DEFAULT_MAX_POWER_W: Final = 3 * 80 * 260.0
"""The largest AC outlet of IEC 61851-1 at high voltage."""
MARGIN: Final = 1.2
READINGS_TO_RETHINK: Final = 5
"""So many readings in a row that fit each other, but not the last good one: the meter was replaced."""


def profile_names() -> tuple[str, ...]:
    """The models that come with the program, as the configuration names them."""
    folder = resources.files("hal.drivers") / "meters"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_profile(model: str) -> MeterProfile:
    """The profile of a shipped model ("sdm630"), or of a TOML file by its path. Raises OutOfRange."""
    if model.endswith(".toml"):
        source = Path(model)
        try:
            text = source.read_text(encoding="utf-8")
        except OSError as error:
            raise OutOfRange(f"meter profile {model}: {error.strerror}") from error
    elif model in profile_names():
        text = (resources.files("hal.drivers") / "meters" / f"{model}.toml").read_text(encoding="utf-8")
    else:
        known = ", ".join(profile_names())
        raise OutOfRange(f"no meter model {model!r}; there are {known}, or the path of a .toml file")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OutOfRange(f"meter profile {model}: {error}") from error
    return parse_profile(table, f"meter profile {model}")


def is_plausible(before: MeterReading, after: MeterReading, max_power_w: float, step_wh: float) -> bool:
    """Whether the import register may have moved from `before` to `after`: never back, never too fast."""
    if before.energy_import_wh is None or after.energy_import_wh is None:
        return False
    moved_wh = after.energy_import_wh - before.energy_import_wh
    hours = max(0.0, after.at_time - before.at_time) / 3600
    return 0 <= moved_wh <= max_power_w * hours * MARGIN + step_wh


@dataclass(slots=True)
class RegisterWatch:
    """Marks readings whose import register cannot be true, against the last good one."""

    max_power_w: float
    step_wh: float
    _good: MeterReading | None = None
    _doubted: MeterReading | None = None
    _doubted_count: int = 0

    def judged(self, reading: MeterReading) -> MeterReading:
        """`reading` with its quality: "ok" or "invalid"."""
        if reading.energy_import_wh is None:
            return replace(reading, quality="invalid")
        if self._good is None or is_plausible(self._good, reading, self.max_power_w, self.step_wh):
            self._accept(reading)
            return reading
        fits = self._doubted and is_plausible(self._doubted, reading, self.max_power_w, self.step_wh)
        self._doubted_count = self._doubted_count + 1 if fits else 1
        self._doubted = reading
        if self._doubted_count >= READINGS_TO_RETHINK:
            log.warning("meter register starts anew at %.0f Wh: replaced?", reading.energy_import_wh)
            self._accept(reading)
            return reading
        return replace(reading, quality="invalid")

    def _accept(self, reading: MeterReading) -> None:
        self._good = reading
        self._doubted = None
        self._doubted_count = 0


class ModbusMeter:
    """One meter (`EnergyMeter`) at one unit address of a bus that it may share."""

    def __init__(
        self,
        bus: ModbusBus,
        profile: MeterProfile,
        unit: int,
        max_power_w: float = DEFAULT_MAX_POWER_W,
    ) -> None:
        self._bus = bus
        self._profile = profile
        self._unit = unit
        step_wh = max(profile.energy_step_wh, 1.0)
        self._watch = RegisterWatch(max_power_w, step_wh) if "energy_import" in profile.measurands else None
        self._balance = EnergyBalance(step_wh)
        self._serial_number: str | None = None
        self._is_serial_number_asked = profile.serial_number is None

    @property
    def name(self) -> str:
        return self._profile.name

    @property
    def serial_number(self) -> str | None:
        """Known after the first reading; None before, and for a meter that does not tell."""
        return self._serial_number

    async def read(self) -> MeterReading:
        """All blocks, one after the other; `at_time` is the time of the first, the oldest.

        Raises DeviceMissing, DeviceTimeout, DeviceProtocolError, DeviceFault(Modbus exception)."""
        loop = asyncio.get_running_loop()
        at_time = 0.0
        blocks: list[tuple[int, ...]] = []
        for block in self._profile.blocks:
            blocks.append(await self._bus.read(self._unit, block.function, block.address, block.count))
            at_time = at_time or loop.time()
        reading = to_reading(self._profile.decode(blocks), at_time)
        if self._watch is not None:
            reading = self._balanced(self._watch.judged(reading))
        if not self._is_serial_number_asked:
            await self._ask_serial_number()
        return reading

    def _balanced(self, reading: MeterReading) -> MeterReading:
        """The reading, marked "invalid" while the register does not count what the power says."""
        if reading.quality != "ok":
            self._balance.restart()
            return reading
        was_doubtful = self._balance.is_doubtful
        self._balance.add(reading)
        if not self._balance.is_doubtful:
            if was_doubtful:
                log.info("%s: unit %d: %s: believed again", self.name, self._unit, self._balance.detail)
            return reading
        if not was_doubtful:
            log.warning("%s: unit %d: %s", self.name, self._unit, self._balance.detail)
        return replace(reading, quality="invalid")

    async def read_registers(self, function: int, address: int, count: int) -> tuple[int, ...]:
        if not 1 <= count <= MAX_SERVICE_REGISTERS:
            raise OutOfRange(f"{count} registers: 1 to {MAX_SERVICE_REGISTERS} are allowed")
        return await self._bus.read(self._unit, function, address, count)

    async def _ask_serial_number(self) -> None:
        """Once, after the first good reading; a meter that is silent or refuses has none."""
        place = self._profile.serial_number
        if place is None:
            return
        self._is_serial_number_asked = True
        try:
            words = await self._bus.read(self._unit, place.function, place.address, place.count)
        except HalError as error:
            log.info("%s: no serial number: %s", self.name, error)
        else:
            self._serial_number = place.decode(words)
