"""PN532: frames whole, in single bytes and damaged; what is listed; a reader that falls silent or is pulled out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.drivers.pn532_reader import FrameReader, Pn532Reader, encode, uid_in
from hal.errors import DeviceProtocolError
from hal.sim.card_readers import PN532_ACK, PlayedPn532, pn532_frame
from tests.helpers.links import MemoryLine

LISTED = bytes.fromhex("D54B010100440007" + "04A1B2C3D4E5F6")


class Rig:
    def __init__(self) -> None:
        self.line = MemoryLine()
        self.device = PlayedPn532(self.line)
        self.health: list[str | None] = []
        self.reader = Pn532Reader(self.line, (1,), self.health.append)
        self.cards: list[str] = []
        self.reader.subscribe(lambda uid, kind: self.cards.append(uid))


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    rig = Rig()
    task = asyncio.create_task(rig.reader.run())
    await asyncio.sleep(1)
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# ---- frames


def test_a_command_is_framed_as_in_the_manual() -> None:
    assert encode(b"\x02").hex() == "0000ff02fed4022a00"  # GetFirmwareVersion, UM0701-02
    assert encode(bytes.fromhex("4A0100")).hex() == "0000ff04fcd44a0100e100"


def test_answers_are_found_between_acks_noise_and_in_single_bytes() -> None:
    wire = b"\x00\x13" + PN532_ACK + pn532_frame(LISTED) + b"\x00\x00" + pn532_frame(b"\x7f")
    assert FrameReader().feed(wire) == [LISTED[1:], b""]
    reader = FrameReader()
    assert [answer for octet in wire for answer in reader.feed(bytes((octet,)))] == [LISTED[1:], b""]


@given(st.integers(0, 8 + len(LISTED) - 3), st.integers(1, 255))
def test_a_damaged_frame_is_never_another_answer(place: int, change: int) -> None:
    damaged = bytearray(pn532_frame(LISTED))
    damaged[place] ^= change
    assert FrameReader().feed(bytes(damaged)) in ([], [LISTED[1:]])


@given(st.binary(max_size=300))
def test_any_bytes_are_swallowed(noise: bytes) -> None:
    reader = FrameReader()
    reader.feed(noise)
    reader.feed(bytes(300))  # whatever a false length is waiting for
    assert reader.feed(pn532_frame(LISTED))[-1] == LISTED[1:]


@pytest.mark.parametrize(
    ("answer", "uid"),
    [
        ("4B00", None),
        ("4B010100440004" + "A1B2C3D4", "A1B2C3D4"),
        ("4B010100440007" + "04A1B2C3D4E5F6", "04A1B2C3D4E5F6"),
        ("4B01010344200A" + "00112233445566778899" + "0578807002", "00112233445566778899"),
    ],
)
def test_ids_of_all_lengths(answer: str, uid: str | None) -> None:
    found = uid_in(bytes.fromhex(answer))
    assert (found and found.hex().upper()) == uid


@pytest.mark.parametrize(
    "answer", ["", "4B", "03320106", "4B01", "4B010100440004A1B2", "4B010100440005A1B2C3D4E5"]
)
def test_what_is_no_list_is_refused(answer: str) -> None:
    with pytest.raises(DeviceProtocolError):
        uid_in(bytes.fromhex(answer))


# ---- the reader


async def test_it_is_woken_and_configured_before_it_is_polled() -> None:
    async with running() as rig:
        kinds = [command[0] for command in rig.device.commands]
        assert kinds[:4] == [0x02, 0x14, 0x32, 0x4A]
        assert rig.health == [None]


async def test_a_random_id_is_presented_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running() as rig:
        for number in range(8):
            rig.device.lay(f"08{number:06X}")
            await asyncio.sleep(0.3)
        assert rig.cards == []
        assert len([line for line in caplog.messages if "random id" in line]) == 1
        rig.device.lay("A8000001")
        await asyncio.sleep(0.5)
        assert rig.cards == ["A8000001"]


async def test_a_reader_that_falls_silent_is_a_failure_and_is_started_anew() -> None:
    async with running() as rig:
        rig.device.is_silent = True
        await asyncio.sleep(5)
        assert rig.health[-1] is not None
        assert "does not answer" in rig.health[-1]
        rig.device.is_silent = False
        rig.device.lay("A1B2C3D4")
        await asyncio.sleep(10)
        assert rig.health[-1] is None
        assert rig.cards == ["A1B2C3D4"]


async def test_one_lost_answer_is_no_failure() -> None:
    async with running() as rig:
        rig.device.is_silent = True
        await asyncio.sleep(0.6)
        rig.device.is_silent = False
        await asyncio.sleep(3)
        assert rig.health == [None]
        assert rig.line.opened == 1


async def test_a_lost_answer_is_called_off_before_the_next_question() -> None:
    async with running() as rig:
        heard: list[bytes] = []
        answer = rig.line.device

        def listen(octets: bytes) -> None:
            heard.append(octets)
            answer(octets)

        rig.line.device = listen
        rig.device.is_silent = True
        await asyncio.sleep(0.6)
        rig.device.is_silent = False
        await asyncio.sleep(2)
        assert heard.count(PN532_ACK) == 1


async def test_a_late_answer_to_another_question_is_no_answer() -> None:
    async with running() as rig:
        answer = rig.line.device

        def answer_late(octets: bytes) -> None:
            rig.line.send(pn532_frame(bytes.fromhex("D50332010607")))
            answer(octets)

        rig.line.device = answer_late
        rig.device.lay("A1B2C3D4")
        await asyncio.sleep(3)
        assert rig.health == [None]
        assert rig.cards == ["A1B2C3D4"]


async def test_a_reader_that_lost_its_power_is_woken_again() -> None:
    async with running() as rig:
        rig.device.reset()
        await asyncio.sleep(10)
        assert rig.health[-1] is None
        rig.device.lay("A1B2C3D4")
        await asyncio.sleep(1)
        assert rig.cards == ["A1B2C3D4"]
