"""NXP PN532 on its serial interface (HSU): unique ids of ISO 14443 type A cards. A `CardReader`.

The host polls: wake up, configure, then "list one target" a few times a second. A reader that does not answer is told
of as a failure and started anew. Ids that a card makes up for each reading (first byte 08) identify nobody and are not
presented. Source: NXP UM0701-02 "PN532 user manual", 6.2 (frames), 7.2 and 7.3 (commands). Built by hal.factory.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from hal.bus.byte_stream import ByteStream, ReopenDelay
from hal.drivers.card_reader import CardDesk, CardListener, OnHealth
from hal.errors import DeviceMissing, DeviceProtocolError, DeviceTimeout, HalError

log = logging.getLogger("hal.reader")

TO_PN532: Final = 0xD4
FROM_PN532: Final = 0xD5
SYNTAX_ERROR: Final = 0x7F
GET_FIRMWARE_VERSION: Final = 0x02
SAM_CONFIGURATION: Final = 0x14
RF_CONFIGURATION: Final = 0x32
IN_LIST_PASSIVE_TARGET: Final = 0x4A

START: Final = b"\x00\x00\xff"
ACK: Final = b"\x00\x00\xff\x00\xff\x00"
WAKE_UP: Final = b"\x55\x55" + bytes(14)
"""A long preamble: the PN532 needs some byte times to come out of its sleep."""

NORMAL_MODE: Final = bytes((SAM_CONFIGURATION, 0x01, 0x14, 0x01))
FEW_RETRIES: Final = bytes((RF_CONFIGURATION, 0x05, 0xFF, 0x01, 0x02))
"""Item 5, MxRtyPassiveActivation 2: "list" answers soon when there is no card, instead of never."""
LIST_ONE_TYPE_A: Final = bytes((IN_LIST_PASSIVE_TARGET, 0x01, 0x00))

ANSWER_S = 0.5
POLL_S = 0.25
GONE_AFTER_S: Final = 1.0
MISSES_TO_FAIL: Final = 3
TOKEN_TYPE: Final = "ISO14443"
RANDOM_ID: Final = 0x08
"""First byte of a four-byte id that the card makes up anew each time (ISO 14443-3, contents of the UID)."""
UID_LENGTHS: Final = (4, 7, 10)


def encode(command: bytes) -> bytes:
    """A normal information frame (6.2.1.1)."""
    body = bytes((TO_PN532,)) + command
    length = len(body)
    return START + bytes((length, -length & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0))


class FrameReader:
    """Bytes in, answers out, without TFI; ACK, NACK and whatever is damaged are stepped over."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, octets: bytes) -> list[bytes]:
        self._received += octets
        found: list[bytes] = []
        while True:
            begin = self._received.find(START)
            if begin < 0:
                del self._received[: max(0, len(self._received) - len(START) + 1)]
                return found
            del self._received[:begin]
            if len(self._received) < 5:
                return found
            length, check = self._received[3], self._received[4]
            if (length + check) & 0xFF or length == 0:
                del self._received[:3]  # an ACK, an extended frame, or noise
                continue
            if len(self._received) < 6 + length:
                return found
            body = bytes(self._received[5 : 5 + length])
            if (sum(body) + self._received[5 + length]) & 0xFF:
                del self._received[:3]
                continue
            del self._received[: 6 + length]
            if body[0] in (FROM_PN532, SYNTAX_ERROR):
                found.append(body[1:] if body[0] == FROM_PN532 else b"")


def uid_in(answer: bytes) -> bytes | None:
    """The id of the card in an answer to "list"; None: no card. Raises DeviceProtocolError."""
    if len(answer) < 2 or answer[0] != IN_LIST_PASSIVE_TARGET + 1:
        raise DeviceProtocolError(f"PN532: {answer.hex()} is no list of targets")
    if answer[1] == 0:
        return None
    length = answer[6] if len(answer) > 6 else 0
    if length not in UID_LENGTHS or len(answer) < 7 + length:
        raise DeviceProtocolError(f"PN532: {answer.hex()} holds no id")
    return answer[7 : 7 + length]


class Pn532Reader:
    def __init__(
        self, stream: ByteStream, evse_ids: Sequence[int] = (), on_health: OnHealth = lambda problem: None
    ) -> None:
        self._stream = stream
        self._desk = CardDesk(evse_ids, GONE_AFTER_S)
        self._on_health = on_health
        self._frames = FrameReader()
        self._answer: asyncio.Future[bytes] | None = None
        self._wanted = 0
        self._lost: DeviceMissing | None = None
        self._has_told_random = False

    @property
    def evse_ids(self) -> Sequence[int]:
        return self._desk.evse_ids

    def subscribe(self, listener: CardListener) -> Callable[[], None]:
        return self._desk.subscribe(listener)

    async def run(self) -> None:
        """Poll for cards; start the reader anew after it was lost or fell silent. Until cancelled."""
        loop = asyncio.get_running_loop()
        delay = ReopenDelay()
        while True:
            try:
                await self._start()
                self._desk.regain(loop.time())
                self._on_health(None)
                delay.reset()
                await self._poll()
            except HalError as error:
                self._on_health(str(error))
            finally:
                self._stream.close()
            self._desk.lose(loop.time())
            await asyncio.sleep(delay.next_s())

    async def identify(self) -> str:
        """Open, ask what it is, close: the version of its firmware, as "1.6". For commissioning. Raises HalError."""
        try:
            version = await self._wake_up()
        finally:
            self._stream.close()
        return ".".join(map(str, version[2:4]))

    async def _wake_up(self) -> bytes:
        self._frames, self._lost = FrameReader(), None
        await self._stream.open(self._on_bytes, self._on_lost)
        self._stream.write(WAKE_UP)
        return await self._ask(bytes((GET_FIRMWARE_VERSION,)))

    async def _start(self) -> None:
        version = await self._wake_up()
        log.info("%s: PN532 version %s", self._stream.name, version[1:].hex())
        await self._ask(NORMAL_MODE)
        await self._ask(FEW_RETRIES)

    async def _poll(self) -> None:
        """Raises HalError when the reader is lost, or has not answered several times in a row."""
        misses = 0
        loop = asyncio.get_running_loop()
        while True:
            try:
                uid = uid_in(await self._ask(LIST_ONE_TYPE_A))
            except (DeviceTimeout, DeviceProtocolError):
                misses += 1
                self._desk.blind(loop.time())
                if misses >= MISSES_TO_FAIL:
                    raise
                self._stream.write(ACK)  # gives up the command that may still be under way
            else:
                misses = 0
                self._present(uid, loop.time())
            await asyncio.sleep(POLL_S)

    def _present(self, uid: bytes | None, now: float) -> None:
        if uid is None:
            self._has_told_random = False
        elif len(uid) == 4 and uid[0] == RANDOM_ID:
            if not self._has_told_random:
                log.info("%s: a card with a random id is not presented", self._stream.name)
            self._has_told_random = True
        else:
            self._desk.read(uid.hex().upper(), TOKEN_TYPE, now)

    async def _ask(self, command: bytes) -> bytes:
        """The answer to `command`, from its code on. Raises DeviceTimeout, DeviceProtocolError, DeviceMissing."""
        if self._lost is not None:
            raise self._lost
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._wanted = command[0] + 1
        self._stream.write(encode(command))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._answer
        except TimeoutError:
            raise DeviceTimeout(f"{self._stream.name}: the PN532 does not answer") from None
        finally:
            self._answer = None

    def _on_bytes(self, octets: bytes) -> None:
        for answer in self._frames.feed(octets):
            if self._answer is None or self._answer.done():
                continue  # late
            if not answer:
                self._answer.set_exception(
                    DeviceProtocolError(f"{self._stream.name}: the PN532 did not understand")
                )
            elif answer[0] == self._wanted:
                self._answer.set_result(answer)

    def _on_lost(self, error: DeviceMissing) -> None:
        self._lost = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
