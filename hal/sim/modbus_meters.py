"""Meters of hal/drivers/meters played on a Modbus line, byte by byte, on simulated electricity.

So the whole path of a real meter (bus, profile, driver) runs in the demo and in tests: in memory through
`ModbusMeterLine`, or on a TCP "serial" port through `serve_on_tcp`. Knows no world: each meter is given a
function that takes a reading. Built by hal.factory and by tests.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hal.bus.byte_stream import OnBytes, OnLost
from hal.bus.modbus import MAX_REGISTERS, crc16, with_crc
from hal.bus.register_map import MeterProfile, from_reading
from hal.errors import HalError
from hal.ports import MeterReading

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2


@dataclass(frozen=True, slots=True)
class PlayedMeter:
    """A meter of `profile`, whose numbers come from `take_reading` at the moment when they are asked for."""

    profile: MeterProfile
    take_reading: Callable[[], MeterReading]
    serial_number: str = "1"

    def registers(self, function: int) -> dict[int, int]:
        """Address -> register; whatever stands between the known values reads as zero."""
        shown: dict[int, int] = {}
        values = from_reading(self.take_reading())
        for block in self.profile.blocks:
            if block.function == function:
                shown.update(dict.fromkeys(range(block.address, block.address + block.count), 0))
                for value in block.values:
                    shown.update(value.show(values.get(value.measurand)))
        identity = self.profile.identity
        if identity is not None and identity.place.function == function:
            shown.update(enumerate(identity.place.encode(identity.known[0]), identity.place.address))
        place = self.profile.serial_number
        if place is not None and place.function == function:
            shown.update(enumerate(place.encode(self.serial_number), place.address))
        return shown


class ModbusMeters:
    """The meters of one line by unit address: bytes in, bytes out."""

    def __init__(self, units: Mapping[int, PlayedMeter]) -> None:
        self._units = units
        self._heard = b""

    def feed(self, octets: bytes) -> bytes:
        """What the meters answer. Requests for other units, and whatever is no request, stay unanswered."""
        answers = b""
        for position in range(len(octets)):
            self._heard = (self._heard + octets[position : position + 1])[-8:]
            if len(self._heard) == 8 and crc16(self._heard) == 0:
                answers += self._answer(self._heard)
                self._heard = b""
        return answers

    def _answer(self, frame: bytes) -> bytes:
        unit, function, address, count = struct.unpack(">BBHH", frame[:6])
        meter = self._units.get(unit)
        if meter is None:
            return b""
        if function not in (3, 4):
            return with_crc(bytes((unit, function | 0x80, ILLEGAL_FUNCTION)))
        try:
            registers = meter.registers(function)
        except HalError:
            return b""  # the simulated meter is broken: silent
        wanted = range(address, address + count)
        if not 1 <= count <= MAX_REGISTERS or any(number not in registers for number in wanted):
            return with_crc(bytes((unit, function | 0x80, ILLEGAL_ADDRESS)))
        words = [registers[number] for number in wanted]
        return with_crc(struct.pack(f">BBB{count}H", unit, function, 2 * count, *words))


class ModbusMeterLine:
    """The line in memory, as a `ByteStream`."""

    def __init__(self, meters: ModbusMeters, name: str = "sim") -> None:
        self._meters = meters
        self._name = name
        self._on_bytes: OnBytes | None = None

    @property
    def name(self) -> str:
        return self._name

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        self._on_bytes = on_bytes

    def write(self, octets: bytes) -> None:
        answer = self._meters.feed(octets)
        if answer:
            asyncio.get_running_loop().call_soon(self._deliver, answer)

    def close(self) -> None:
        self._on_bytes = None

    def _deliver(self, octets: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(octets)


async def serve_on_tcp(meters: ModbusMeters, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    """The line behind a TCP port, as a serial device server shows it: open it as socket://host:port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(256):
                writer.write(meters.feed(octets))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, host, port)
