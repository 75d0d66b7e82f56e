"""What `init` finds on the ports of a machine, and what it says of those that it cannot look at."""

import asyncio
import os
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.commissioning.detection import Detected, detect
from hal.drivers.modbus_meter import load_profile
from hal.sim.firmware import SimulatedBoard
from hal.sim.modbus_meters import ModbusMeters, PlayedMeter
from hal.sim.world import World
from tests.helpers.served_devices import IDLE, ServedDevices

pytestmark = pytest.mark.real_time


@contextmanager
def serial_line(place: Path, hear: Callable[[bytes], bytes | None]) -> Iterator[Callable[[bytes], object]]:
    """A pseudo terminal whose name is `place`; `hear(octets)` is the device on it; yields what makes it speak."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    place.symlink_to(os.ttyname(theirs))
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: os.write(ours, hear(os.read(ours, 4096)) or b""))
    try:
        yield lambda octets: os.write(ours, octets)
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
        place.unlink()


async def look(*ports: str, root: Path = Path("/nowhere")) -> tuple[Detected, list[str]]:
    said: list[str] = []
    detected = await detect(ports, said.append, lambda _text: None, root)
    return detected, said


async def test_boards_meters_and_readers_on_real_serial_lines(tmp_path: Path) -> None:
    """Through pseudo terminals, as tty devices are: opened exclusively, line settings and all."""
    world = World(evses=1, loop=asyncio.get_running_loop())
    board = SimulatedBoard(world)
    meters = ModbusMeters({1: PlayedMeter(load_profile("sdm630"), lambda: IDLE, "4711")})

    with ExitStack() as lines:
        say = lines.enter_context(serial_line(tmp_path / "ttyACM0", board.line.write))
        lines.enter_context(serial_line(tmp_path / "ttyUSB0", meters.feed))
        await board.line.open(say, lambda error: None)  # type: ignore[arg-type]
        detected, said = await look(str(tmp_path / "ttyACM0"), str(tmp_path / "ttyUSB0"))
    board.close()
    world.close()
    assert [(each.port, each.facts.hardware) for each in detected.boards] == [
        (f"{tmp_path}/ttyACM0", "simulated")
    ]
    assert [(each.meter.model, each.meter.unit) for each in detected.meters] == [("sdm630", 1)]
    assert "Eastron SDM630, no. 4711, unit 1" in said[-1]


async def test_each_device_is_told_apart(devices: ServedDevices) -> None:
    board, reader = devices.board(evses=2), devices.pn532()
    line = devices.meters({3: ("b23", IDLE)})
    prompt = devices.speaking(lambda octets: b"\r\n>>> ")
    detected, said = await look(board, reader, line, prompt)
    assert [(each.port, each.facts.connectors) for each in detected.boards] == [(board, 2)]
    assert detected.readers == [reader]
    (meter,) = detected.meters
    assert (meter.meter.model, meter.meter.port, meter.meter.unit) == ("b23", line, 3)
    assert (meter.meter.baud_rate, meter.meter.parity) == (9600, "none"), "other than from the factory"
    assert "MicroPython and without our firmware: ./deploy.sh firmware --new-board" in said[3]


async def test_what_speaks_by_itself_is_not_asked_for_meters(devices: ServedDevices) -> None:
    """A GPS receiver or a modem: a bus that never falls quiet would be asked for a quarter of an hour."""
    heard = bytearray()

    def answer(octets: bytes) -> bytes:
        heard.extend(octets)
        return b""

    port = devices.speaking(answer, b"$GPGGA,", again_s=0.02)
    detected, said = await look(port)
    assert "something speaks there by itself" in said[-1]
    assert detected == Detected()
    assert heard.startswith(b"\n~")
    assert b"\x55\x55" not in heard, "no PN532 is woken up, either"


async def test_noise_that_is_an_echo_is_still_asked(devices: ServedDevices) -> None:
    """RS-485 adapters hear themselves."""
    _, said = await look(devices.speaking(lambda octets: b"?!" * 9))
    assert "something speaks there that we do not know" in said[-1]


async def test_a_port_that_cannot_be_used_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, said = await look("socket://gateway", str(tmp_path / "missing"), str(tmp_path / "file"))
    assert "not looked at: socket://gateway: host and port number are wanted" in said[-3]
    assert said[-2] == f"{tmp_path}/missing: not looked at: No such file or directory"
    assert said[-1] == f"{tmp_path}/file: not looked at: no serial port"


async def test_a_machine_without_ports_says_so(tmp_path: Path) -> None:
    assert (await look(root=tmp_path))[1] == ["no serial port here"]
