"""The simulated board's own UART: bytes take their time, and what is not fetched is lost as a whole."""

import asyncio

from board import wire
from hal.sim.serial_port import SimulatedSerialPort


def port(baud_rate: int = 9600) -> SimulatedSerialPort:
    return SimulatedSerialPort(asyncio.get_running_loop(), baud_rate, lambda: None)


async def test_bytes_arrive_when_the_line_has_carried_them() -> None:
    line = port()
    line.send(bytes(48))  # 50 ms
    await asyncio.sleep(0.049)
    assert line.read() == b""
    await asyncio.sleep(0.002)
    assert line.read() == bytes(wire.SERIAL_MAX)[:48]


async def test_what_came_too_fast_is_told_and_thrown_away() -> None:
    line = port()
    line.send(bytes(wire.SERIAL_BUFFER))
    line.send(b"one more")
    await asyncio.sleep(1)
    assert (line.read(), line.read()) == (None, b"")
    line.send(b"again")
    await asyncio.sleep(1)
    assert line.read() == b"again"
