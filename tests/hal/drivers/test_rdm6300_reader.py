"""125 kHz readers: one call per presentation, however the bytes come; nothing but true frames."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.drivers.card_reader import CardPresence
from hal.drivers.rdm6300_reader import Rdm6300Decoder
from hal.sim.card_readers import rdm6300_frame

UID = "0F00A1B2C3"
FRAME = rdm6300_frame(UID)


def test_a_frame_of_the_data_sheet_is_read() -> None:
    # Card 62E3086CED as in the maker's example: 62 xor E3 xor 08 xor 6C xor ED = 08.
    assert Rdm6300Decoder().feed(b"\x02" + b"62E3086CED" + b"08" + b"\x03") == ["62E3086CED"]


@pytest.mark.parametrize("ending", [b"\x03", b"\r\n\x03"])
def test_a_frame_is_read_whole_or_byte_by_byte(ending: bytes) -> None:
    frame = rdm6300_frame(UID, ending)
    assert Rdm6300Decoder().feed(frame * 2) == [UID, UID]
    decoder = Rdm6300Decoder()
    assert [uid for octet in frame for uid in decoder.feed(bytes((octet,)))] == [UID]


@given(st.integers(0, len(FRAME) - 1), st.integers(1, 255))
def test_one_wrong_byte_is_never_another_card(place: int, change: int) -> None:
    damaged = bytearray(FRAME)
    damaged[place] ^= change
    assert set(Rdm6300Decoder().feed(bytes(damaged))) <= {UID}  # lower-case digits mean the same
    assert Rdm6300Decoder().feed(bytes(damaged) + FRAME)[-1:] == [UID]


@given(st.binary(max_size=200))
def test_any_bytes_are_swallowed_and_the_next_frame_is_read(noise: bytes) -> None:
    assert Rdm6300Decoder().feed(noise + FRAME)[-1] == UID


def test_a_frame_without_an_end_is_not_kept() -> None:
    """A line that is stuck after a 02 may say anything for a year."""
    decoder = Rdm6300Decoder()
    decoder.feed(b"\x02" + b"0" * 10_000)
    assert decoder._body is None
    assert decoder.feed(FRAME) == [UID]


def test_a_card_is_new_once_and_again_after_it_was_gone() -> None:
    presence = CardPresence(gone_after_s=1.0)
    times = [0, 0.5, 1.5, 2.5, 3.6]
    assert [presence.is_new("A", time) for time in times] == [True, False, False, False, True]
    assert presence.is_new("B", 3.7)
    assert not presence.is_new("A", 3.8), (
        "two cards on the reader are two presentations, not a stream of them"
    )


def test_a_reader_that_could_not_look_does_not_take_a_card_for_gone() -> None:
    presence = CardPresence(gone_after_s=1.0)
    assert presence.is_new("A", 0)
    for time in (0.8, 1.6, 2.4):
        presence.blind(time)
    assert not presence.is_new("A", 3.2)
    presence.blind(9.0)  # it was gone for long when the reader became blind
    assert presence.is_new("A", 9.1)


async def test_the_memory_of_presence_does_not_grow() -> None:
    presence = CardPresence(gone_after_s=1.0)
    for number in range(1000):
        presence.is_new(f"{number}", asyncio.get_running_loop().time() + 2 * number)
    assert len(presence._seen_time) == 1
