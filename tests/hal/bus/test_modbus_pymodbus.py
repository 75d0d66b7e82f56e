"""The RTU master against pymodbus, a meter that shares no line of code with it, over a real socket."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hal.bus.modbus import ModbusBus
from hal.bus.serial_port import SerialPort
from hal.errors import DeviceFault, DeviceMissing

pytestmark = pytest.mark.real_time

WORDS = [number * 3 & 0xFFFF for number in range(200)]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A TCP "serial" port with units 1 and 2 behind it."""
    devices = [
        SimDevice(unit, [SimData(100, values=[word + unit for word in WORDS], datatype=DataType.REGISTERS)])
        for unit in (1, 2)
    ]
    server = ModbusTcpServer(devices, framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.listen()
    assert server.transport is not None
    yield server.transport.sockets[0].getsockname()[1]
    await server.shutdown()
    await asyncio.sleep(0)


async def test_an_independent_meter_is_read_over_a_socket(port: int) -> None:
    bus = ModbusBus(SerialPort(f"socket://127.0.0.1:{port}"))
    try:
        for function in (3, 4):
            for unit in (1, 2):
                for count in (1, 2, 76, 125):
                    registers = await bus.read(unit, function, 110, count)
                    assert list(registers) == [word + unit for word in WORDS[10 : 10 + count]]
    finally:
        bus.close()


async def test_an_independent_meter_refuses_a_register_that_it_has_not(port: int) -> None:
    bus = ModbusBus(SerialPort(f"socket://127.0.0.1:{port}"))
    try:
        with pytest.raises(DeviceFault) as refusal:
            await bus.read(1, 3, 5000, 2)
        assert refusal.value.code == "illegal_data_address"
        assert await bus.read(1, 3, 100, 2) == (1, 4)
    finally:
        bus.close()


async def test_nobody_listening_is_a_missing_device(port: int) -> None:
    unused = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    number = unused.sockets[0].getsockname()[1]
    unused.close()
    await unused.wait_closed()
    with pytest.raises(DeviceMissing):
        await ModbusBus(SerialPort(f"socket://127.0.0.1:{number}")).read(1, 3, 0, 1)
