"""Hardware without a running agent: which ports there are, who answers on them, and what meters measure.

For `evse-agent meter`, `board`, `init` and `doctor`; builds drivers, as the factory does, and changes nothing but the
board's settings when asked to (`ask_board`): no setpoint, no action. A port is opened exclusively: not beside an agent
that uses it. Called by agent.cli_meter, agent.cli_board and agent.commissioning.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from typing import TypeVar

from hal.bus.byte_stream import ByteStream
from hal.bus.host_ports import gpio_chips as gpio_chips
from hal.bus.host_ports import lasting_name as lasting_name
from hal.bus.host_ports import obstacle as obstacle
from hal.bus.host_ports import serial_ports as serial_ports
from hal.bus.modbus import ModbusBus
from hal.bus.serial_port import LineSettings as LineSettings
from hal.bus.serial_port import SerialPort
from hal.drivers.board_evse import IoBoard
from hal.drivers.board_link import BoardLink
from hal.drivers.board_look import Answer as Answer
from hal.drivers.board_look import BoardLook as BoardLook
from hal.drivers.board_look import look
from hal.drivers.meter_scan import FoundUnit as FoundUnit
from hal.drivers.meter_scan import Progress, line_settings_to_try, scan_line
from hal.drivers.modbus_meter import ModbusMeter, load_profile, profile_names
from hal.errors import DeviceMissing, DeviceProtocolError, DeviceTimeout
from hal.factory import PARITIES
from hal.factory import MeterConfig as MeterConfig
from hal.ports import BoardControl, EnergyMeter

SCAN_TIMEOUT_S = 0.25
"""Meters answer within some tens of milliseconds; a scan asks many that are not there."""
SCAN_QUIET_S = 0.05

PN532_BAUD = 115_200
LINK_S = 5.0
POLL_S = 0.05

T = TypeVar("T")

OpenStream = Callable[[LineSettings], ByteStream]


async def look_at_board(
    port: str, baud_rate: int = 115_200, host_version: str = "0", open_stream: OpenStream | None = None
) -> BoardLook:
    """Who answers on `port` as an I/O board, and how it stands. Raises DeviceMissing without the port."""
    line = LineSettings(baud_rate)
    return await look(open_stream(line) if open_stream is not None else SerialPort(port, line), host_version)


async def ask_board(
    port: str,
    baud_rate: int,
    host_version: str,
    work: Callable[[BoardControl], Awaitable[T]],
    open_stream: OpenStream | None = None,
) -> T:
    """Link up with the board on `port`, do `work` with it, and let go: for its settings. Sends no setpoint.

    Raises DeviceMissing without the port or an answer, and what `work` raises."""
    line = LineSettings(baud_rate)
    link = BoardLink(open_stream(line) if open_stream is not None else SerialPort(port, line), host_version)
    task = asyncio.create_task(link.run())
    try:
        for _ in range(round(LINK_S / POLL_S)):
            if link.is_linked:
                return await work(IoBoard(link))
            await asyncio.sleep(POLL_S)
        raise DeviceMissing(f"no board of ours answers on {port}")
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def find_pn532(
    port: str, baud_rate: int = PN532_BAUD, open_stream: OpenStream | None = None
) -> str | None:
    """The firmware version of the PN532 on `port`; None: no PN532 answers. Raises DeviceMissing."""
    from hal.drivers.pn532_reader import Pn532Reader

    line = LineSettings(baud_rate)
    reader = Pn532Reader(open_stream(line) if open_stream is not None else SerialPort(port, line))
    try:
        return await reader.identify()
    except (DeviceTimeout, DeviceProtocolError):
        return None


def packaged_firmware() -> str:
    """The version of the board firmware that lies beside this program. Read as text: the host does not run it."""
    source = resources.files("board").joinpath("app.py").read_text(encoding="utf-8")
    found = re.search(r'^FIRMWARE_VERSION = "(.+)"$', source, re.MULTILINE)
    return found[1] if found else ""


def check_meter_model(model: str) -> None:
    """Raises OutOfRange for a model that is neither a profile nor a file with one."""
    load_profile(model)


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
    *,
    is_quick: bool = False,
) -> list[FoundUnit]:
    """Every meter that answers on `port`. Raises DeviceMissing without the port.

    On a network port the line settings are the server's own: only the first are tried there. `is_quick`: as soon as
    somebody answers, other settings are not tried, because all meters of a line share them."""
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
        if found and is_quick:
            break
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
