"""125 kHz card readers that talk without being asked: RDM6300, RDM630 and the ID-12 family. A `CardReader`.

One frame per reading: 02, ten hex digits (version and number of an EM4100 card), two hex digits of checksum (XOR of the
five bytes), optionally CR LF, 03; 9600 8N1. The reader cannot be asked anything: only the loss of its port is noticed.
Source: RDM6300 data sheet, "data format"; from memory: CR LF of the ID-12. Built by hal.factory.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from hal.bus.byte_stream import ByteStream, ReopenDelay
from hal.drivers.card_reader import CardDesk, CardListener, OnHealth
from hal.errors import DeviceMissing

BEGIN: Final = 0x02
END: Final = 0x03
MAX_BODY: Final = 14
"""Ten digits, two of checksum, and CR LF."""
HEX_DIGITS: Final = b"0123456789ABCDEFabcdef"
GONE_AFTER_S: Final = 1.0
"""The RDM6300 repeats a card that lies on it about every 65 ms."""
TOKEN_TYPE: Final = "Local"
"""Neither ISO 14443 nor ISO 15693: a number of this station's own kind."""


class Rdm6300Decoder:
    """Bytes in, card numbers out: whatever is no whole and true frame is dropped."""

    def __init__(self) -> None:
        self._body: bytearray | None = None

    def feed(self, octets: bytes) -> list[str]:
        """The cards in it, as ten upper-case hex digits."""
        found = []
        for octet in octets:
            if octet == BEGIN:
                self._body = bytearray()
            elif self._body is not None and octet == END:
                number = _number_in(bytes(self._body))
                self._body = None
                if number is not None:
                    found.append(number)
            elif self._body is not None:
                self._body.append(octet)
                if len(self._body) > MAX_BODY:
                    self._body = None
        return found


def _number_in(body: bytes) -> str | None:
    digits = body.removesuffix(b"\r\n")
    if len(digits) != 12 or any(digit not in HEX_DIGITS for digit in digits):
        return None
    octets = bytes.fromhex(digits.decode())
    checksum = 0
    for octet in octets[:5]:
        checksum ^= octet
    return octets[:5].hex().upper() if checksum == octets[5] else None


class Rdm6300Reader:
    def __init__(
        self, stream: ByteStream, evse_ids: Sequence[int] = (), on_health: OnHealth = lambda problem: None
    ) -> None:
        self._stream = stream
        self._desk = CardDesk(evse_ids, GONE_AFTER_S)
        self._on_health = on_health

    @property
    def evse_ids(self) -> Sequence[int]:
        return self._desk.evse_ids

    def subscribe(self, listener: CardListener) -> Callable[[], None]:
        return self._desk.subscribe(listener)

    async def run(self) -> None:
        """Keep the port open, and open it again after it was lost; until cancelled."""
        loop = asyncio.get_running_loop()
        delay = ReopenDelay()
        while True:
            lost: asyncio.Future[DeviceMissing] = loop.create_future()
            decoder = Rdm6300Decoder()

            def take(octets: bytes, decoder: Rdm6300Decoder = decoder) -> None:
                for uid in decoder.feed(octets):
                    self._desk.read(uid, TOKEN_TYPE, loop.time())

            try:
                await self._stream.open(take, lost.set_result)
                self._desk.regain(loop.time())
                self._on_health(None)
                delay.reset()
                self._on_health(str(await lost))
            except DeviceMissing as error:
                self._on_health(str(error))
            finally:
                self._stream.close()
            self._desk.lose(loop.time())
            await asyncio.sleep(delay.next_s())
