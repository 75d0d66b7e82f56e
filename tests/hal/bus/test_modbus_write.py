"""Writing registers: taken, refused, unanswered; an echo or a late answer is never taken for "done"."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.bus.modbus import LATE_LIMIT_S, ModbusBus, WriteRequest, with_crc
from hal.errors import DeviceFault, DeviceProtocolError, DeviceTimeout, OutOfRange
from tests.helpers.links import MemoryLine
from tests.helpers.signing_meters import WritableUnit


def make_bus() -> tuple[ModbusBus, WritableUnit]:
    line = MemoryLine()
    unit = WritableUnit(line, 7, lambda address, words: None)
    unit.put(0x7000, [0] * 200)
    return ModbusBus(line), unit


def test_a_request_is_framed_as_in_the_protocol() -> None:
    # Two registers from 1 of unit 0x11 (application protocol V1.1b3, 6.12).
    wanted = with_crc(bytes.fromhex("1110000100020400 0A0102"))
    assert WriteRequest(0x11, 1, (0x000A, 0x0102)).encode() == wanted


async def test_registers_are_written_and_read_back() -> None:
    bus, unit = make_bus()
    await bus.write(7, 0x7010, [1, 2, 0xFFFF])
    assert await bus.read(7, 3, 0x7010, 3) == (1, 2, 0xFFFF)
    assert unit.written == [(0x7010, [1, 2, 0xFFFF])]


async def test_a_refusal_is_a_fault_and_nothing_is_written() -> None:
    bus, unit = make_bus()
    with pytest.raises(DeviceFault) as refused:
        await bus.write(7, 0x6FFF, [1])
    assert refused.value.code == "illegal_data_address"
    assert unit.written == []


async def test_silence_is_a_timeout_and_the_bus_can_be_used_again() -> None:
    bus, unit = make_bus()
    unit.is_silent = True
    with pytest.raises(DeviceTimeout):
        await bus.write(7, 0x7000, [1])
    unit.is_silent = False
    await bus.write(7, 0x7000, [2])
    assert unit.written == [(0x7000, [2])]


async def test_an_echo_of_the_request_is_no_answer() -> None:
    line = MemoryLine()
    line.device = line.send  # an adapter that hears itself, and no meter
    with pytest.raises(DeviceProtocolError, match="strange bytes"):
        await ModbusBus(line).write(7, 0x7000, [1, 2])


async def test_a_late_answer_to_an_earlier_write_does_not_confirm_the_next() -> None:
    line = MemoryLine()
    bus = ModbusBus(line)
    taken: list[bytes] = []
    late = with_crc(struct.pack(">BBHH", 7, 16, 0x7040, 1))

    def device(octets: bytes) -> None:
        taken.append(octets)
        if octets[1] == 3:  # the fence: the late answer first, as a meter answers in order
            line.send(late)
            asyncio.get_running_loop().call_later(
                0.01, line.send, with_crc(struct.pack(">BBBHH", 7, 3, 4, 0, 0))
            )

    line.device = device
    for _ in range(2):
        with pytest.raises(DeviceTimeout):
            await bus.write(7, 0x7040, [0x42])
    assert [octets[1] for octets in taken] == [16, 3, 16]
    await asyncio.sleep(LATE_LIMIT_S + 1)
    line.device = lambda octets: line.send(late)
    await bus.write(7, 0x7040, [0x42])


@given(st.integers(-1, 0x10001), st.integers(0, 130), st.integers(-1, 0x10000))
def test_what_modbus_cannot_write_is_out_of_range(address: int, count: int, word: int) -> None:
    is_possible = address >= 0 and 1 <= count <= 123 and address + count <= 0x10000 and 0 <= word <= 0xFFFF
    try:
        request = WriteRequest(1, address, (word,) * count)
    except OutOfRange:
        assert not is_possible
    else:
        assert is_possible
        assert len(request.encode()) == 9 + 2 * count
