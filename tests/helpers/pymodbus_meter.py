"""An independent energy meter: pymodbus as an Eastron SDM630 behind a TCP "serial" port, which may fall silent."""

import asyncio
import struct
from typing import Self, cast

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

VOLTAGES = (0x0000, 0x0002, 0x0004)
POWER, FREQUENCY, ENERGY_IMPORT = 0x0034, 0x0046, 0x0048
SERIAL_NUMBER = 0xFC00


class PymodbusMeter:
    """`async with PymodbusMeter() as meter`: `energy_wh` is what its register shows from now on."""

    def __init__(self, energy_wh: float = 0.0) -> None:
        self.energy_wh = energy_wh
        self.is_silent = False
        device = SimDevice(
            1,
            [
                SimData(0, values=[0] * 0x0200, datatype=DataType.REGISTERS),
                SimData(SERIAL_NUMBER, values=[0, 42], datatype=DataType.REGISTERS),
            ],
            action=self._show,
        )
        self._server = ModbusTcpServer(
            device, framer=FramerType.RTU, address=("127.0.0.1", 0), trace_packet=self._pass_or_drop
        )

    async def __aenter__(self) -> Self:
        await self._server.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.shutdown()  # type: ignore[no-untyped-call]

    @property
    def url(self) -> str:
        """As the configuration names its port."""
        listening = cast(asyncio.Server, self._server.transport)
        return f"socket://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    async def _show(
        self,
        _function: int,
        _first: int,
        _address: int,
        _count: int,
        registers: list[int],
        _written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Put the present values into the registers before they are read."""
        shown = {
            **dict.fromkeys(VOLTAGES, 231.5),
            POWER: 3704.0,
            FREQUENCY: 50.0,
            ENERGY_IMPORT: self.energy_wh / 1000,
        }
        for address, value in shown.items():
            registers[address : address + 2] = struct.unpack(">HH", struct.pack(">f", value))
        return None

    def _pass_or_drop(self, is_sending: bool, octets: bytes) -> bytes:
        return b"" if is_sending and self.is_silent else octets
