"""Modbus RTU master for meters: reads registers (functions 3 and 4); writes (function 16) only for who signs readings.

RTU has no transaction id, so an answer that comes late looks like the answer to the next request. Two rules
keep a number from ever being taken for another one: after any failure the bus must fall quiet before it is
used again, and a unit that owes an answer is first asked for a block of another length, a fence: a meter
answers in order, so once that is answered nothing older can come. Proved in tests/hal/bus/test_modbus.py.
Called by hal.drivers (meters and signers); knows no meter. Source: "MODBUS over Serial Line" V1.02, 2.5.1.
"""

import asyncio
import logging
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hal.bus.byte_stream import ByteStream, ReopenDelay
from hal.bus.serial_port import LineSettings
from hal.errors import DeviceFault, DeviceMissing, DeviceProtocolError, DeviceTimeout, HalError, OutOfRange

log = logging.getLogger("hal.modbus")

ReadFunction = Literal[3, 4]
READ_HOLDING: Final = 3
READ_INPUT: Final = 4
WRITE_REGISTERS: Final = 16
MAX_REGISTERS: Final = 125
"""Registers in one answer (Modbus application protocol V1.1b3, 6.3)."""
MAX_WRITTEN: Final = 123
"""Registers in one write (the same, 6.12)."""

LATE_LIMIT_S = 10.0
"""No meter and no gateway answers later than this; until then an answer that is owed is reckoned with."""
BABBLE_LIMIT_S = 3.0
"""A bus that does not fall quiet in this time cannot be used."""

EXCEPTIONS: Final = {
    1: "illegal_function",
    2: "illegal_data_address",
    3: "illegal_data_value",
    4: "server_device_failure",
    5: "acknowledge",
    6: "server_device_busy",
    8: "memory_parity_error",
    10: "gateway_path_unavailable",
}
GATEWAY_TARGET_SILENT: Final = 11


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(octets: bytes | bytearray | memoryview) -> int:
    """The checksum of RTU frames, sent low byte first."""
    crc = 0xFFFF
    for octet in octets:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return crc


def with_crc(octets: bytes) -> bytes:
    return octets + crc16(octets).to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One request for `count` registers from `address` (as sent: 0-based) of `unit`."""

    unit: int
    function: int
    address: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.unit <= 247:
            raise OutOfRange(f"Modbus unit {self.unit} is not in 1..247")
        if self.function not in (READ_HOLDING, READ_INPUT):
            raise OutOfRange(f"Modbus function {self.function} does not read registers (3 and 4 do)")
        if not 1 <= self.count <= MAX_REGISTERS:
            raise OutOfRange(f"{self.count} registers at once: Modbus allows 1..{MAX_REGISTERS}")
        if self.address < 0 or self.address + self.count > 0x10000:
            raise OutOfRange(f"registers {self.address}+{self.count} are not in 0..65535")

    def encode(self) -> bytes:
        return with_crc(struct.pack(">BBHH", self.unit, self.function, self.address, self.count))

    @property
    def shape(self) -> "Shape":
        return (self.function, self.count)

    @property
    def answer_size(self) -> int:
        return 5 + 2 * self.count

    def find_answer(self, received: bytes | bytearray) -> tuple[int, ...] | None:
        """The registers, when a whole answer to exactly this shape of request stands in `received`.

        Noise before it, echoes and answers of another shape are stepped over. Raises DeviceFault or
        DeviceTimeout when the unit, or a gateway for it, answers with an exception."""
        header = bytes((self.unit, self.function, 2 * self.count))
        begin = received.find(header)
        while begin >= 0 and begin + self.answer_size <= len(received):
            frame = bytes(received[begin : begin + self.answer_size])
            if crc16(frame) == 0:  # of a frame with its own checksum
                return struct.unpack(f">{self.count}H", frame[3:-2])
            begin = received.find(header, begin + 1)
        _raise_exception_answer(self, received)
        return None

    def __str__(self) -> str:
        return f"unit {self.unit}, function {self.function}, registers 0x{self.address:04X}+{self.count}"


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One request to set the registers from `address` (as sent: 0-based) of `unit`."""

    unit: int
    address: int
    words: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.unit <= 247:
            raise OutOfRange(f"Modbus unit {self.unit} is not in 1..247")
        if not 1 <= len(self.words) <= MAX_WRITTEN:
            raise OutOfRange(f"{len(self.words)} registers at once: Modbus allows to write 1..{MAX_WRITTEN}")
        if self.address < 0 or self.address + len(self.words) > 0x10000:
            raise OutOfRange(f"registers {self.address}+{len(self.words)} are not in 0..65535")
        if not all(0 <= word <= 0xFFFF for word in self.words):
            raise OutOfRange("a register takes 0..65535")

    @property
    def function(self) -> int:
        return WRITE_REGISTERS

    def encode(self) -> bytes:
        count = len(self.words)
        header = struct.pack(">BBHHB", self.unit, WRITE_REGISTERS, self.address, count, 2 * count)
        return with_crc(header + struct.pack(f">{count}H", *self.words))

    @property
    def shape(self) -> "Shape":
        return (WRITE_REGISTERS, self.address)

    @property
    def answer_size(self) -> int:
        return 8

    def find_answer(self, received: bytes | bytearray) -> tuple[int, ...] | None:
        """Empty, once the unit says that it took them. Raises DeviceFault or DeviceTimeout."""
        answer = with_crc(struct.pack(">BBHH", self.unit, WRITE_REGISTERS, self.address, len(self.words)))
        if answer in received:  # an echo of the request goes on otherwise behind the count
            return ()
        _raise_exception_answer(self, received)
        return None

    def __str__(self) -> str:
        return f"unit {self.unit}, write of registers 0x{self.address:04X}+{len(self.words)}"


Request = ReadRequest | WriteRequest


def _raise_exception_answer(request: Request, received: bytes | bytearray) -> None:
    header = bytes((request.unit, request.function | 0x80))
    begin = received.find(header)
    while begin >= 0 and begin + 5 <= len(received):
        if crc16(received[begin : begin + 5]) == 0:
            code = received[begin + 2]
            if code == GATEWAY_TARGET_SILENT:
                raise DeviceTimeout(f"unit {request.unit}: the gateway got no answer from it")
            raise DeviceFault(EXCEPTIONS.get(code, f"modbus_exception_{code}"), f"{request}")
        begin = received.find(header, begin + 1)


Shape = tuple[int, int]
"""What an answer shows of its request: function and number of registers, of a write function and address."""


def _fence(request: Request, owed: Collection[Shape]) -> ReadRequest:
    """A request at the same place whose answer cannot be mistaken for an older one.

    Its length is even, because meters with values of two registers refuse odd ones."""
    function = READ_HOLDING if isinstance(request, WriteRequest) else request.function
    lengths = (count for count in range(2, MAX_REGISTERS, 2) if (function, count) not in owed)
    count = next(lengths)
    return ReadRequest(request.unit, function, min(request.address, 0x10000 - count), count)


class ModbusBus:
    """One RS-485 line with any number of units; one request at a time. Opens itself when it is first used."""

    def __init__(
        self,
        stream: ByteStream,
        settings: LineSettings | None = None,
        *,
        timeout_s: float = 1.0,
        quiet_s: float = 0.5,
    ) -> None:
        """`timeout_s`: until the answer's first byte should be there; `quiet_s`: silence after a failure."""
        self._stream = stream
        self._character_s = (settings or LineSettings(9600)).character_s
        self._gap_s = max(0.00175, 3.5 * self._character_s)
        self._timeout_s = timeout_s
        self._quiet_s = quiet_s
        self._lock = asyncio.Lock()
        self._is_open = False
        self._reopen_delay = ReopenDelay()
        self._reopen_time = 0.0
        self._received = bytearray()
        self._last_byte_time = 0.0
        self._failure_time: float | None = None
        self._owed: dict[int, dict[Shape, float]] = {}
        """Unit -> shapes of the answers that it still owes, each with the loop time when that lapses."""
        self._request: Request | None = None
        self._answer: asyncio.Future[tuple[int, ...]] | None = None

    @property
    def name(self) -> str:
        return self._stream.name

    async def read(self, unit: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """`count` registers, asked for and answered after this call.

        Raises OutOfRange before anything is sent; DeviceMissing without the port; DeviceTimeout when nothing
        comes; DeviceProtocolError when something else comes; DeviceFault(exception name) on a refusal."""
        return await self._ask(ReadRequest(unit, function, address, count))

    async def write(self, unit: int, address: int, words: Sequence[int]) -> None:
        """Set registers (function 16); returns once the unit says that it took them. Raises like `read`.

        After an error nobody knows whether it did: read back what matters."""
        await self._ask(WriteRequest(unit, address, tuple(words)))

    async def _ask(self, request: Request) -> tuple[int, ...]:
        async with self._lock:
            await self._ensure_open()
            owed = self._still_owed(request.unit)
            if request.shape in owed:
                await self._exchange(_fence(request, owed))
            return await self._exchange(request)

    def close(self) -> None:
        """Let go of the port; a read under way fails with DeviceMissing, the next one opens it again."""
        self._is_open = False
        self._stream.close()
        self._fail_answer(DeviceMissing(f"{self.name}: closed"))

    async def _ensure_open(self) -> None:
        if self._is_open:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._reopen_time - loop.time()
        if wait_s > 0:
            raise DeviceMissing(f"{self.name}: not there; next attempt in {wait_s:.1f} s")
        try:
            await self._stream.open(self._on_bytes, self._on_lost)
        except DeviceMissing:
            self._reopen_time = loop.time() + self._reopen_delay.next_s()
            raise
        self._is_open = True
        self._reopen_delay.reset()

    def _still_owed(self, unit: int) -> dict[Shape, float]:
        now = asyncio.get_running_loop().time()
        owed = {shape: lapse for shape, lapse in self._owed.pop(unit, {}).items() if lapse > now}
        if owed:
            self._owed[unit] = owed
        return owed

    async def _exchange(self, request: Request) -> tuple[int, ...]:
        """Send a request of a shape that is not owed; its answer means that nothing older can come."""
        loop = asyncio.get_running_loop()
        await self._wait_until_quiet()
        self._received.clear()
        self._request = request
        answer: asyncio.Future[tuple[int, ...]] = loop.create_future()
        self._answer = answer
        octets = request.encode()
        timeout_s = self._timeout_s + self._character_s * (len(octets) + request.answer_size)
        timer = loop.call_later(timeout_s, self._on_timeout)
        self._stream.write(octets)
        try:
            registers = await answer
        except DeviceFault as refusal:
            if request.unit not in self._owed:
                raise
            # A refusal has no shape: whether it is meant for this request or for an older one cannot be told.
            self._owe(request)
            raise DeviceTimeout(f"{self.name}: {request}: refused while an older answer is due") from refusal
        except BaseException:  # a cancelled reader leaves an answer under way, too
            self._owe(request)
            raise
        else:
            self._owed.pop(request.unit, None)
            return registers
        finally:
            timer.cancel()
            self._answer = None

    async def _wait_until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while True:
            quiet_from = self._last_byte_time + self._gap_s
            if self._failure_time is not None:
                quiet_from = max(self._failure_time, self._last_byte_time) + self._quiet_s
            wait_s = quiet_from - loop.time()
            if wait_s <= 0:
                self._failure_time = None
                return
            if loop.time() - begin > BABBLE_LIMIT_S:
                raise DeviceProtocolError(f"{self.name}: the bus does not fall quiet")
            await asyncio.sleep(wait_s)

    def _owe(self, request: Request) -> None:
        self._failure_time = asyncio.get_running_loop().time()
        self._owed.setdefault(request.unit, {})[request.shape] = self._failure_time + LATE_LIMIT_S

    def _on_timeout(self) -> None:
        error: HalError = DeviceTimeout(f"{self.name}: {self._request}: no answer")
        if self._received:
            error = DeviceProtocolError(f"{self.name}: {self._request}: {len(self._received)} strange bytes")
        self._fail_answer(error)

    def _fail_answer(self, error: HalError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _on_bytes(self, octets: bytes) -> None:
        self._last_byte_time = asyncio.get_running_loop().time()
        if self._answer is None or self._request is None or self._answer.done():
            return  # late, or nobody's: dropped
        self._received += octets
        try:
            registers = self._request.find_answer(self._received)
        except HalError as refusal:
            self._answer.set_exception(refusal)
            return
        if registers is not None:
            self._answer.set_result(registers)

    def _on_lost(self, error: DeviceMissing) -> None:
        self._is_open = False
        self._reopen_time = asyncio.get_running_loop().time() + self._reopen_delay.next_s()
        self._fail_answer(error)
