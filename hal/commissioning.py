"""Meters without a running agent: find them on a line, and read them. Builds drivers, as the factory does.

For `evse-agent meter`, which needs neither board nor EVSEs. A port is opened exclusively: not beside an agent that
uses it. Called by agent.cli_meter.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hal.bus.byte_stream import ByteStream
from hal.bus.modbus import ModbusBus
from hal.bus.serial_port import LineSettings, SerialPort
from hal.drivers.meter_scan import FoundUnit, Progress, line_settings_to_try, scan_line
from hal.drivers.modbus_meter import ModbusMeter, load_profile, profile_names
from hal.factory import PARITIES, MeterConfig
from hal.ports import EnergyMeter

SCAN_TIMEOUT_S = 0.25
"""Meters answer within some tens of milliseconds; a scan asks many that are not there."""
SCAN_QUIET_S = 0.05

OpenStream = Callable[[LineSettings], ByteStream]


def common_units() -> tuple[int, ...]:
    """1 to 10, and whatever else meters have from the factory."""
    return tuple(sorted({*range(1, 11), *(load_profile(name).unit for name in profile_names())}))


def lines_to_try(
    baud_rate: int | None = None, parity: str | None = None, stop_bits: int | None = None
) -> tuple[LineSettings, ...]:
    """The factory settings of all models; what is given is taken instead of theirs."""
    lines = line_settings_to_try(load_profile(name) for name in profile_names())
    wanted = [
        LineSettings(
            baud_rate or line.baudrate,
            line.parity if parity is None else PARITIES[parity],
            line.stopbits if stop_bits is None else (1 if stop_bits == 1 else 2),
        )
        for line in lines
    ]
    return tuple(dict.fromkeys(wanted))


async def scan(
    port: str,
    units: Sequence[int],
    lines: Sequence[LineSettings],
    on_progress: Progress = lambda line, unit: None,
    open_stream: OpenStream | None = None,
) -> list[FoundUnit]:
    """Every meter that answers on `port`. Raises DeviceMissing without the port.

    On a network port the line settings are the server's own: only the first are tried there."""
    profiles = {name: load_profile(name) for name in profile_names()}
    found: list[FoundUnit] = []
    left = list(units)
    for line in lines[:1] if port.startswith("socket:") else lines:
        stream = open_stream(line) if open_stream is not None else SerialPort(port, line)
        bus = ModbusBus(stream, line, timeout_s=SCAN_TIMEOUT_S, quiet_s=SCAN_QUIET_S)
        try:
            found += await scan_line(bus, line, left, profiles, on_progress)
        finally:
            bus.close()
        left = [unit for unit in left if unit not in {one.unit for one in found}]
    return found


class MeterBench:
    """Meters that are read by hand, on as many lines as they need."""

    def __init__(self, configs: Sequence[MeterConfig]) -> None:
        """Raises OutOfRange for an unknown model."""
        self._buses: dict[str, ModbusBus] = {}
        self.meters: list[tuple[MeterConfig, EnergyMeter]] = []
        """Each with what it was configured to be, its unit included."""
        for config in configs:
            profile = load_profile(config.model)
            line = LineSettings(
                config.baud_rate or profile.line.baudrate,
                PARITIES[config.parity] if config.parity else profile.line.parity,
                config.stop_bits or profile.line.stopbits,
            )
            if config.port not in self._buses:
                self._buses[config.port] = ModbusBus(SerialPort(config.port, line), line)
            unit = profile.unit if config.unit is None else config.unit
            meter = ModbusMeter(self._buses[config.port], profile, unit)
            self.meters.append((replace(config, unit=unit), meter))

    def close(self) -> None:
        for bus in self._buses.values():
            bus.close()
