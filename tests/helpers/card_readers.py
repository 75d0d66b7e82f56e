"""Card readers played byte by byte on a `MemoryLine`: what a PN532 answers, and what an RDM6300 says by itself.

Independent of the drivers: the frames are put together here once more.
"""

import asyncio

from tests.helpers.links import MemoryLine


def rdm6300_frame(number: str, ending: bytes = b"\x03") -> bytes:
    """The frame of a card with ten hex digits."""
    checksum = 0
    for octet in bytes.fromhex(number):
        checksum ^= octet
    return b"\x02" + number.encode() + f"{checksum:02X}".encode() + ending


class FakeRdm6300:
    """Repeats the card that lies on it every 65 ms."""

    def __init__(self, line: MemoryLine) -> None:
        self._line = line
        self._card: str | None = None

    def lay(self, uid: str) -> None:
        self._card = uid
        self._say(uid)

    def take_away(self) -> None:
        self._card = None

    def _say(self, uid: str) -> None:
        if self._card == uid:
            self._line.send(rdm6300_frame(uid))
            asyncio.get_running_loop().call_later(0.065, self._say, uid)


def pn532_frame(body: bytes) -> bytes:
    length = bytes((len(body), 256 - len(body)))
    return b"\x00\x00\xff" + length + body + bytes((-sum(body) % 256, 0))


ACK = bytes.fromhex("0000ff00ff00")


class FakePn532:
    """Answers commands: an ACK, then what the command asks for. `commands` holds each that was understood."""

    def __init__(self, line: MemoryLine) -> None:
        self._line = line
        self._card: bytes | None = None
        self._heard = b""
        self._is_awake = False
        self.is_silent = False
        self.commands: list[bytes] = []
        line.device = self._hear

    def lay(self, uid: str) -> None:
        self._card = bytes.fromhex(uid)

    def take_away(self) -> None:
        self._card = None

    def reset(self) -> None:
        """Power was cut: it sleeps and has forgotten its configuration."""
        self._is_awake = False

    def _hear(self, octets: bytes) -> None:
        self._heard = (self._heard + octets)[-600:]
        if b"\x55\x55" in self._heard:
            self._is_awake = True
        while True:
            begin = self._heard.find(b"\x00\x00\xff")
            if begin < 0 or len(self._heard) < begin + 6:
                return
            self._heard = self._heard[begin:]
            length, check = self._heard[3:5]
            if (length, check) == (0, 255) or (length + check) % 256:
                self._heard = self._heard[5:]
                continue
            if len(self._heard) < length + 7:
                return
            body, self._heard = self._heard[5 : 5 + length], self._heard[7 + length :]
            if self._is_awake and not self.is_silent:
                self._answer(body[1:])

    def _answer(self, command: bytes) -> None:
        self.commands.append(command)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._line.send, ACK)
        card = self._card or b""
        match command[0]:
            case 0x02:
                answer = bytes.fromhex("D50332010607")
            case 0x14:
                answer = bytes.fromhex("D515")
            case 0x32:
                answer = bytes.fromhex("D533")
            case 0x4A if not card:
                answer = bytes.fromhex("D54B00")
            case 0x4A:
                target = bytes.fromhex("01004408")  # number, SENS_RES, SEL_RES
                answer = bytes.fromhex("D54B01") + target + bytes((len(card),)) + card
            case _:
                answer = b"\x7f"
        loop.call_later(0.02, self._line.send, pn532_frame(answer))
