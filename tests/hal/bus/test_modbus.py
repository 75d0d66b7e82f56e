"""The RTU master: never another request's answer, whatever is late, lost or garbled."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.bus.modbus import LATE_LIMIT_S, ModbusBus, crc16, with_crc
from hal.bus.serial_port import LineSettings
from hal.errors import DeviceFault, DeviceMissing, DeviceProtocolError, DeviceTimeout, HalError, OutOfRange
from tests.helpers.links import FaultyStream, LinkQuality, MemoryLine, each_quality
from tests.helpers.modbus_unit import SILENT, ModbusUnits, plain_registers
from tests.helpers.virtual_time import VirtualTimeLoop


def expected(unit: int, function: int, address: int, count: int) -> tuple[int | None, ...]:
    return tuple(plain_registers(unit, function, address + offset) for offset in range(count))


def make_bus(*delays: float | None) -> tuple[ModbusBus, ModbusUnits]:
    line = MemoryLine()
    return ModbusBus(line), ModbusUnits(line, delays=delays)


def test_crc_of_a_known_frame() -> None:
    # Request for 10 holding registers of unit 1, as in every Modbus primer: C5 CD.
    assert with_crc(bytes.fromhex("01030000000A")) == bytes.fromhex("01030000000AC5CD")
    assert crc16(bytes.fromhex("01030000000AC5CD")) == 0


@pytest.mark.parametrize("function", [3, 4])
async def test_registers_are_read_with_functions_3_and_4(function: int) -> None:
    bus, _ = make_bus()
    assert await bus.read(7, function, 0x5B00, 125) == expected(7, function, 0x5B00, 125)


async def test_concurrent_reads_go_over_the_bus_one_after_the_other() -> None:
    bus, units = make_bus(0.3, 0.1, 0.2)
    answers = await asyncio.gather(*(bus.read(unit, 4, 100, 4) for unit in (1, 2, 3)))
    assert answers == [expected(unit, 4, 100, 4) for unit in (1, 2, 3)]
    assert [request[0] for request in units.requests] == [1, 2, 3]


async def test_the_bus_rests_three_and_a_half_characters_between_frames() -> None:
    line = MemoryLine()
    bus = ModbusBus(line, LineSettings(9600))
    units = ModbusUnits(line)
    times: list[float] = []
    answer = line.device

    def noting(octets: bytes) -> None:
        times.append(asyncio.get_running_loop().time())
        answer(octets)

    line.device = noting
    for _ in range(3):
        await bus.read(1, 4, 0, 2)
    assert len(units.requests) == 3
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 3.5 * 10 / 9600


@pytest.mark.parametrize(
    ("unit", "function", "address", "count"),
    [
        (0, 3, 0, 1),
        (248, 3, 0, 1),
        (1, 6, 0, 1),
        (1, 3, 0, 0),
        (1, 3, 0, 126),
        (1, 3, 65535, 2),
        (1, 3, -1, 1),
    ],
)
async def test_what_modbus_does_not_allow_is_not_sent(
    unit: int, function: int, address: int, count: int
) -> None:
    bus, units = make_bus()
    with pytest.raises(OutOfRange):
        await bus.read(unit, function, address, count)
    assert units.requests == []


async def test_a_refusal_names_the_exception_and_is_not_waited_for() -> None:
    line = MemoryLine()
    bus = ModbusBus(line)
    units = ModbusUnits(line, registers=lambda unit, function, address: None if address > 99 else address)
    begin = asyncio.get_running_loop().time()
    with pytest.raises(DeviceFault) as refusal:
        await bus.read(1, 3, 100, 2)
    assert refusal.value.code == "illegal_data_address"
    assert asyncio.get_running_loop().time() - begin < 0.1
    assert await bus.read(1, 3, 10, 2) == (10, 11)
    assert len(units.requests) == 2  # no fence: a refusal is an answer


async def test_a_gateway_without_an_answer_is_a_timeout() -> None:
    line = MemoryLine(lambda octets: line.send(with_crc(bytes.fromhex("0184 0B"))))
    with pytest.raises(DeviceTimeout):
        await ModbusBus(line).read(1, 4, 0, 2)


@pytest.mark.parametrize(
    "before",
    [b"\x00", b"\xff\xfe\x01\x04", with_crc(bytes.fromhex("010400640002"))],
    ids=["0", "noise", "echo"],
)
async def test_bytes_before_the_answer_cost_nothing(before: bytes) -> None:
    bus, units = make_bus()
    units.before_answer = before
    begin = asyncio.get_running_loop().time()
    assert await bus.read(1, 4, 100, 2) == expected(1, 4, 100, 2)
    assert asyncio.get_running_loop().time() - begin < 0.1


async def test_silence_is_a_timeout_and_rubbish_a_protocol_error() -> None:
    bus, units = make_bus(SILENT)
    with pytest.raises(DeviceTimeout):
        await bus.read(1, 4, 0, 2)
    units.line.device = lambda octets: units.line.send(b"\x01\x04\x04\x00\x01\x00\x02\x12\x34")
    with pytest.raises(DeviceProtocolError):
        await bus.read(1, 4, 0, 2)


async def test_an_answer_of_another_unit_function_or_length_is_not_taken() -> None:
    for foreign in ("02 04 04 0001 0002", "01 03 04 0001 0002", "01 04 02 0001", "01 04 06 0001 0002 0003"):
        line = MemoryLine(lambda octets, answer=foreign: line.send(with_crc(bytes.fromhex(answer))))  # noqa: B023
        with pytest.raises(DeviceProtocolError):
            await ModbusBus(line).read(1, 4, 0, 2)


@pytest.mark.parametrize("late_s", [1.02, 1.3, 1.49, 1.7, 2.5, 4.0, 9.0])
async def test_a_late_answer_is_never_the_answer_to_the_next_request(late_s: float) -> None:
    bus, _ = make_bus(late_s)
    with pytest.raises(DeviceTimeout):
        await bus.read(1, 4, 100, 2)
    answers = []
    while len(answers) < 3:
        try:
            answers.append(await bus.read(1, 4, 200 + len(answers), 2))
        except HalError:
            continue
    assert answers == [expected(1, 4, 200 + number, 2) for number in range(3)]


async def test_an_answer_after_a_cancelled_read_is_never_the_next_one() -> None:
    bus, _ = make_bus(0.9)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bus.read(1, 4, 100, 2), 0.4)
    assert await bus.read(1, 4, 200, 2) == expected(1, 4, 200, 2)


async def test_a_refusal_while_an_older_answer_is_due_proves_nothing() -> None:
    line = MemoryLine()
    bus = ModbusBus(line)
    ModbusUnits(line, lambda unit, function, address: None if address < 100 else address, delays=[1.6])
    with pytest.raises(DeviceTimeout):
        await bus.read(1, 3, 0, 4)  # its refusal comes while the next answer is awaited
    with pytest.raises(DeviceTimeout):
        await bus.read(1, 3, 200, 2)
    await asyncio.sleep(LATE_LIMIT_S)
    assert await bus.read(1, 3, 300, 2) == (300, 301)


async def test_one_dead_unit_does_not_stop_the_others() -> None:
    bus, units = make_bus(*[SILENT] * 40)
    for _ in range(20):
        with pytest.raises(DeviceTimeout):
            await bus.read(9, 4, 0, 2)
    units.delays = iter(())
    assert await bus.read(1, 4, 0, 2) == expected(1, 4, 0, 2)
    assert await bus.read(9, 4, 0, 2) == expected(9, 4, 0, 2)


Read = tuple[int, int, int, int]
reads = st.tuples(
    st.integers(1, 2), st.sampled_from([3, 4]), st.integers(0, 300), st.sampled_from([1, 2, 4, 20])
)
delays = st.one_of(st.none(), st.floats(0, 8), st.floats(0, 0.5))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(reads, delays, delays), min_size=1, max_size=12))
def test_every_answer_belongs_to_its_request_whatever_the_delays(
    script: list[tuple[Read, float | None, float | None]],
) -> None:
    async def run() -> None:
        line = MemoryLine()
        bus = ModbusBus(line)
        units = ModbusUnits(line)
        for read, first, second in script:
            units.delays = iter((first, second))
            try:
                registers = await bus.read(*read)
            except HalError:
                continue
            assert registers == expected(*read)

    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


@each_quality
async def test_only_true_registers_come_over_a_bad_line(quality: LinkQuality) -> None:
    line = MemoryLine()
    ModbusUnits(line)
    bus = ModbusBus(FaultyStream(line, quality))
    good = 0
    for number in range(150):
        try:
            registers = await bus.read(1, 4, number, 20)
        except HalError:
            continue
        assert registers == expected(1, 4, number, 20)
        good += 1
    assert good > 60


async def test_a_bus_that_never_falls_quiet_is_reported() -> None:
    bus, units = make_bus(SILENT)
    with pytest.raises(DeviceTimeout):
        await bus.read(1, 4, 0, 2)
    stop = asyncio.Event()

    async def babble() -> None:
        while not stop.is_set():
            units.line.send(b"\x55")
            await asyncio.sleep(0.1)

    babbler = asyncio.create_task(babble())
    with pytest.raises(DeviceProtocolError, match="quiet"):
        await bus.read(1, 4, 0, 2)
    stop.set()
    await babbler


async def test_an_unplugged_port_is_missing_until_it_is_plugged_in_again() -> None:
    bus, units = make_bus(SILENT)
    asyncio.get_running_loop().call_later(0.2, units.line.unplug)
    with pytest.raises(DeviceMissing):
        await bus.read(1, 4, 0, 2)
    begin = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < begin + 60:
        with pytest.raises(DeviceMissing):
            await bus.read(1, 4, 0, 2)
        await asyncio.sleep(0.05)
    assert 5 < units.line.opened < 25  # it backs off: 60 s at 20 reads a second
    units.line.plug()
    await asyncio.sleep(5)
    assert await bus.read(1, 4, 0, 2) == expected(1, 4, 0, 2)


async def test_close_fails_the_read_under_way_and_the_next_one_opens_again() -> None:
    bus, units = make_bus(SILENT)
    asyncio.get_running_loop().call_later(0.2, bus.close)
    with pytest.raises(DeviceMissing):
        await bus.read(1, 4, 0, 2)
    assert not units.line.is_open
    assert await bus.read(1, 4, 0, 2) == expected(1, 4, 0, 2)
