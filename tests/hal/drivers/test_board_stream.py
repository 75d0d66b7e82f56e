"""A serial port of the board as a byte stream: opened with the link, lost with it, bounded, and never confused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from board import wire
from hal.drivers.board_link import BoardLink, parse_identity
from hal.drivers.board_stream import OPEN_WAIT_S, BoardStream
from hal.errors import DeviceMissing, DeviceProtocolError
from tests.helpers.wire_board import CAPABILITIES, WireBoard

PORTS = {"serial": ["door", "reader"], "serial_baud": [115_200, 9600]}


class Played:
    """A stream on a played board's second port, and what it said."""

    def __init__(self, baud_rate: int = 9600, name: str = "reader") -> None:
        self.board = WireBoard()
        self.board.capabilities = CAPABILITIES | PORTS
        self.link = BoardLink(self.board.line, "1.2.3")
        self.stream = BoardStream(self.link, name, baud_rate)
        self.heard = b""
        self.losses: list[str] = []

    async def open(self) -> None:
        await self.stream.open(self._on_bytes, lambda error: self.losses.append(str(error)))

    def _on_bytes(self, octets: bytes) -> None:
        self.heard += octets

    @property
    def written(self) -> list[tuple[int, bytes]]:
        return [wire.unpack_serial(heard.payload) for heard in self.board.of_type(wire.SERIAL_OUT)]

    def say(self, octets: bytes, port: int = 1) -> None:
        self.board.say(wire.SERIAL_IN, 0, wire.pack_serial(port, octets))


@contextlib.asynccontextmanager
async def running(played: Played) -> AsyncIterator[None]:
    task = asyncio.create_task(played.link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    """Linked and open."""
    played = Played()
    async with running(played):
        await played.open()
        yield played


async def test_bytes_go_through_the_port_of_that_name_and_no_other(played: Played) -> None:
    played.say(b"ours")
    played.say(b"the door's", port=0)
    played.say(b"nobody's", port=7)
    played.stream.write(b"hello")
    await asyncio.sleep(0.1)
    assert played.heard == b"ours"
    assert played.written == [(1, b"hello")]
    assert played.stream.name == "board:reader"


async def test_opening_waits_for_the_link() -> None:
    played = Played()
    opening = asyncio.create_task(played.open())
    await asyncio.sleep(3)
    assert not opening.done()
    async with running(played):
        await asyncio.wait_for(opening, 1)


async def test_opening_gives_up_when_there_is_no_board() -> None:
    played = Played()
    begin = asyncio.get_running_loop().time()
    with pytest.raises(DeviceMissing, match="board:reader: no link to the board"):
        await played.open()
    assert asyncio.get_running_loop().time() - begin == pytest.approx(OPEN_WAIT_S)


@pytest.mark.parametrize(
    ("name", "baud_rate", "ports", "said"),
    [
        ("gate", 9600, PORTS, "no serial port 'gate'; it has: door, reader"),
        ("gate", 9600, {}, "no serial port 'gate'; it has none"),
        ("reader", 115_200, PORTS, "runs it at 9600 baud, the reader needs 115200"),
    ],
)
async def test_a_port_that_cannot_be_is_said_with_what_can(
    name: str, baud_rate: int, ports: dict[str, object], said: str
) -> None:
    played = Played(baud_rate, name)
    played.board.capabilities = CAPABILITIES | ports
    async with running(played):
        with pytest.raises(DeviceMissing, match=said):
            await played.open()
        played.stream.write(b"lost")
        await asyncio.sleep(0.1)
        assert played.written == []


def test_names_without_their_speeds_are_no_hello() -> None:
    hello = {"connectors": 1, "caps": {"serial": ["reader"], "serial_baud": []}}
    with pytest.raises(DeviceProtocolError):
        parse_identity(hello)


# ---- loss


async def test_a_link_that_goes_down_loses_the_stream_once_and_it_opens_again_with_it(played: Played) -> None:
    for count in (1, 2):
        played.board.line.unplug()
        assert len(played.losses) == count
        assert "the link to the board went down" in played.losses[-1]
        played.stream.write(b"into the void")
        played.board.line.plug()
        await played.open()
    played.say(b"again")
    assert played.heard == b"again"
    assert played.written == []


async def test_a_board_that_restarted_loses_the_stream(played: Played) -> None:
    played.board.say(wire.NAK, 0, wire.pack_nak(wire.SETPOINT, wire.NAK_NO_HELLO))
    assert len(played.losses) == 1
    await played.open()
    played.say(b"again")
    assert played.heard == b"again"


async def test_what_comes_before_hello_was_said_to_nobody() -> None:
    played = Played()
    played.board.mute.add(wire.HELLO)
    async with running(played):
        opening = asyncio.create_task(played.open())
        await asyncio.sleep(0.1)
        played.say(b"old")
        played.board.mute.clear()
        await opening
        assert played.heard == b""


async def test_a_closed_stream_hears_and_says_nothing_and_a_loss_is_not_its_own(played: Played) -> None:
    played.stream.close()
    played.say(b"late")
    played.stream.write(b"late")
    played.board.line.unplug()
    await asyncio.sleep(0.1)
    assert (played.heard, played.written, played.losses) == (b"", [], [])


# ---- bounds


async def test_a_long_write_is_cut_into_frames_that_the_board_takes(played: Played) -> None:
    played.stream.write(bytes(range(100)))
    await asyncio.sleep(0.1)
    assert [len(octets) for _, octets in played.written] == [32, 32, 32, 4]
    assert b"".join(octets for _, octets in played.written) == bytes(range(100))


async def test_more_than_the_board_can_keep_is_dropped_whole_and_counted(played: Played) -> None:
    for _ in range(4):
        played.stream.write(bytes(100))
    played.stream.write(bytes(300))
    await asyncio.sleep(0.1)
    assert sum(len(octets) for _, octets in played.written) == 200
    assert played.stream.lost == 3
    await asyncio.sleep(0.15)  # 9600 baud
    played.stream.write(bytes(100))
    await asyncio.sleep(0.1)
    assert sum(len(octets) for _, octets in played.written) == 300
