"""Card readers played byte by byte: what a PN532 answers, and what an RDM6300 says by itself.

They hang on anything that carries bytes: a UART of the simulated board, or a line in a test. `TapPlayer` holds to them
every card of the simulated world that they could read, so that a tap takes the whole way of a real one. Independent of
the drivers: the frames are put together here once more. Built by hal.factory.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from hal.sim.world import World

HELD_S = 1.0
"""So long a tapped card lies on the reader."""


class DeviceLine(Protocol):
    """The end of a line at which the device is."""

    device: Callable[[bytes], None]

    def send(self, octets: bytes) -> None:
        """Say something."""


class PlayedReader(Protocol):
    token_type: str

    def can_read(self, uid: str) -> bool:
        """Whether a card of this number exists for this reader."""

    def lay(self, uid: str) -> None:
        """A card lies on the reader, instead of one that may lie there."""

    def take_away(self) -> None: ...


def rdm6300_frame(number: str, ending: bytes = b"\x03") -> bytes:
    """The frame of a card with ten hex digits."""
    checksum = 0
    for octet in bytes.fromhex(number):
        checksum ^= octet
    return b"\x02" + number.encode() + f"{checksum:02X}".encode() + ending


class PlayedRdm6300:
    """Repeats the card that lies on it every 65 ms."""

    token_type = "Local"

    def __init__(self, line: DeviceLine) -> None:
        self._line = line
        self._card: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def can_read(self, uid: str) -> bool:
        return re.fullmatch("[0-9A-F]{10}", uid) is not None

    def lay(self, uid: str) -> None:
        self.take_away()
        self._card = uid
        self._say(uid)

    def take_away(self) -> None:
        self._card = None
        if self._timer is not None:
            self._timer.cancel()

    def _say(self, uid: str) -> None:
        self._line.send(rdm6300_frame(uid))
        self._timer = asyncio.get_running_loop().call_later(0.065, self._say, uid)


def pn532_frame(body: bytes) -> bytes:
    length = bytes((len(body), 256 - len(body)))
    return b"\x00\x00\xff" + length + body + bytes((-sum(body) % 256, 0))


PN532_ACK = bytes.fromhex("0000ff00ff00")


class PlayedPn532:
    """Answers commands: an ACK, then what the command asks for. `commands` holds the latest that were understood."""

    token_type = "ISO14443"

    def __init__(self, line: DeviceLine) -> None:
        self._line = line
        self._card: bytes | None = None
        self._heard = b""
        self._is_awake = False
        self.is_silent = False
        self.commands: list[bytes] = []
        line.device = self._hear

    def can_read(self, uid: str) -> bool:
        return re.fullmatch("([0-9A-F]{2}){4}(([0-9A-F]{2}){3}){0,2}", uid) is not None

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
        self.commands = [*self.commands[-99:], command]
        loop = asyncio.get_running_loop()
        loop.call_soon(self._line.send, PN532_ACK)
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


class TapPlayer:
    """Holds the world's cards to a played reader, for `HELD_S` each."""

    def __init__(self, world: World, reader: PlayedReader, evse_ids: Sequence[int] = ()) -> None:
        self._reader = reader
        self._evse_ids = frozenset(evse_ids)
        self._timer: asyncio.TimerHandle | None = None
        self._loop = world.loop
        self._stop_listening = world.subscribe_taps(self._on_tap)

    def takes(self, uid: str, token_type: str, evse_ids: Sequence[int]) -> bool:
        """Whether a tap is for this reader: a card that it can read, at EVSEs that it serves."""
        is_here = not evse_ids or not self._evse_ids or not self._evse_ids.isdisjoint(evse_ids)
        return is_here and token_type == self._reader.token_type and self._reader.can_read(uid)

    def close(self) -> None:
        self._stop_listening()
        self._end_tap()

    def _on_tap(self, uid: str, token_type: str, evse_ids: tuple[int, ...]) -> None:
        if not self.takes(uid, token_type, evse_ids):
            return
        self._end_tap()
        self._reader.lay(uid)
        self._timer = self._loop.call_later(HELD_S, self._end_tap)

    def _end_tap(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reader.take_away()
