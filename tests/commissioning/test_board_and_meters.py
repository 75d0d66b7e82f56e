"""The doctor's rooms of board, meters and readers: looked at without an agent, or as the agent tells."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from agent.charging.fault_advice import FAULTS, stops_charging
from agent.commissioning.agent_word import AgentWord
from agent.commissioning.board import BoardSight, EvseSight, check_board, judge
from agent.commissioning.findings import Finding, Verdict
from agent.commissioning.meters import MeterSight, check_meters
from agent.commissioning.meters import judge as judge_meter
from agent.commissioning.readers import check_readers
from agent.config import Config, parse
from agent.config_hal import MeterConfig
from board import wire
from hal.commissioning import MeterBench, find_pn532, look_at_board, packaged_firmware
from hal.errors import DeviceMissing
from hal.ports import BoardFacts, FaultCode
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.links import MemoryLine
from tests.helpers.served_devices import IDLE, ServedDevices
from tests.helpers.wire_board import WireBoard

FACTS = BoardFacts(
    firmware=packaged_firmware(),
    hardware="pico reference",
    unique_id="e660",
    reset_cause="power",
    connectors=2,
    max_current_a=32.0,
    phases=3,
    has_lock=True,
    has_rcd_test=True,
)
WELL = EvseSight(
    evse_id=1,
    is_linked=True,
    pilot="A",
    high_mv=12_000,
    contactor="open",
    residual_a=0.0,
    temperature_c=25.0,
    faults=(),
)


def config_with(hal: str = "", evses: int = 1) -> Config:
    return parse(
        '[station]\nidentity = "CP001"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://h/"\n'
        f'[hal]\ndriver = "board"\n[hal.board]\nport = "/dev/ttyACM0"\nevses = {evses}\n{hal}'
    )


def bad(findings: Any) -> Finding:
    """The only one that is not fine."""
    (found,) = [each for each in findings if each.verdict is not Verdict.OK]
    assert isinstance(found, Finding)
    return found


def look_through(line: MemoryLine | Any) -> Callable[..., Any]:
    return partial(look_at_board, open_stream=lambda _settings: line)


# --- the board --------------------------------------------------------------------------------------------


async def test_our_firmware_with_nothing_plugged_in_is_fine() -> None:
    world = World(evses=2, loop=asyncio.get_running_loop())
    board = SimulatedBoard(world)
    await asyncio.sleep(3)
    found = await check_board(config_with(evses=2), None, look_through(board.line))
    board.close()
    world.close()
    assert [each.verdict for each in found] == [Verdict.OK] * 3
    assert found[0].found == f"simulated, firmware {packaged_firmware()}, 2 connectors of 32 A, with lock"
    assert found[1].found == "pilot A at +12.0 V, contactor open, 25 °C, no fault"


@pytest.mark.parametrize("code", ["emergency_stop", "tilt", "temp_stop", "rcd_dc"])
async def test_a_fault_of_the_board_is_told_in_words(code: str) -> None:
    world = World(evses=1, loop=asyncio.get_running_loop())
    board = SimulatedBoard(world)
    await asyncio.sleep(3)
    world.set_fault(1, code)
    await asyncio.sleep(3)
    found = await check_board(config_with(), None, look_through(board.line))
    board.close()
    world.close()
    words = FAULTS[FaultCode(code)]
    assert f"{code}: {words.meaning}" in [each.found for each in found]
    assert words.advice in [each.advice for each in found]


@pytest.mark.parametrize(
    ("said", "found", "advice"),
    [
        (b"", "nobody answers on /dev/ttyACM0", "check the board's supply"),
        (b"\r\n>>> ", "MicroPython answers", "./deploy.sh firmware --new-board"),
        (b"\x01\x83\x02\xc0\xf1", "something else answers", "another device, or another speed"),
    ],
)
async def test_what_does_not_answer_as_a_board(said: bytes, found: str, advice: str) -> None:
    line = MemoryLine(lambda octets: None)
    line.device = lambda octets: line.send(said)
    problem = bad(await check_board(config_with(), None, look_through(line)))
    assert problem.verdict is Verdict.FAILURE
    assert found in problem.found
    assert advice in problem.advice


async def test_another_protocol_is_to_be_flashed() -> None:
    board = WireBoard()
    board.protocol = [wire.PROTOCOL_MAJOR + 1, 0]
    problem = bad(await check_board(config_with(), None, look_through(board.line)))
    assert "./deploy.sh firmware" in problem.advice


async def test_a_port_that_cannot_be_opened_names_the_wiring() -> None:
    async def missing(*_: object) -> None:
        raise DeviceMissing("/dev/ttyACM0: gone")

    problem = bad(await check_board(config_with(), None, missing))
    assert (problem.found, "check the board's supply" in problem.advice) == ("/dev/ttyACM0: gone", True)
    assert await check_board(config_with(), None, missing, frozenset({"/dev/ttyACM0"})) == [], "told already"


async def test_a_bad_link_and_a_silent_connector() -> None:
    board = WireBoard(connectors=2)
    looking = asyncio.create_task(check_board(config_with(), None, look_through(board.line)))
    await asyncio.sleep(0.1)
    board.say_status(1, cp_high_mv=12_000)
    found = await looking
    assert [each.verdict for each in found if "link is bad" in each.found] == [Verdict.WARNING]
    assert any("say nothing of themselves" in each.found for each in found)


async def test_damaged_lines_alone_make_a_bad_link() -> None:
    board = WireBoard()
    board.answers[wire.PING] = wire.pack_ping_reply(0, 0)
    looking = asyncio.create_task(check_board(config_with(), None, look_through(board.line)))
    await asyncio.sleep(0.1)
    board.say_status(1, cp_high_mv=12_000)
    board.line.send(b"~half a frame\n")
    found = await looking
    assert found[0].found == "the link is bad: 0 of 20 questions were lost, damaged lines: 1"


async def test_a_connector_that_is_no_evse_of_ours_is_not_judged() -> None:
    """It may stand open on the bench."""
    world = World(evses=2, loop=asyncio.get_running_loop())
    board = SimulatedBoard(world)
    world.set_fault(2, "tilt")
    await asyncio.sleep(3)
    found = await check_board(config_with(evses=1), None, look_through(board.line))
    board.close()
    world.close()
    assert [(each.subject, each.verdict) for each in found] == [
        ("board", Verdict.OK),
        ("EVSE 1", Verdict.OK),
    ]


async def test_simulated_hardware_is_not_looked_for() -> None:
    config = parse(
        '[station]\nidentity = "CP001"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://h/"\n[hal.sim]\nevses = 2\n'
    )

    async def never(*_: object) -> None:
        raise AssertionError("nothing is there to be looked at")

    (found,) = await check_board(config, None, never)
    assert "simulated" in found.found
    assert await check_meters(config, None, MeterBench) == []


@pytest.mark.parametrize(
    ("changes", "verdict", "advice"),
    [
        ({"firmware": "0.0.1"}, Verdict.WARNING, "./deploy.sh firmware"),
        ({"reset_cause": "wdt"}, Verdict.WARNING, "5 V supply"),
        ({"connectors": 1}, Verdict.FAILURE, "set hal.board.evses = 1"),
        ({"connectors": 0, "problem": "pin 3 twice"}, Verdict.FAILURE, "correct the pin map"),
    ],
)
def test_facts_of_a_board_that_do_not_fit(changes: dict[str, Any], verdict: Verdict, advice: str) -> None:
    sight = BoardSight(replace(FACTS, **changes), [WELL])
    found = bad(judge(sight, config_with(evses=2)))
    assert (found.verdict, advice in found.advice) == (verdict, True)


@pytest.mark.parametrize(
    ("changes", "verdict", "said", "advice"),
    [
        ({"high_mv": 10_900}, Verdict.WARNING, "+10.90 V", "measure +12 V"),
        ({"high_mv": 12_900}, Verdict.WARNING, "+12.90 V", "CP amplifier"),
        (
            {"contactor": "closed"},
            Verdict.FAILURE,
            "reports closed in pilot state A",
            "switch off the breaker",
        ),
        ({"contactor": "closed", "pilot": "B", "high_mv": 9000}, Verdict.FAILURE, "state B", "breaker"),
        ({"residual_a": 0.004}, Verdict.WARNING, "4.0 mA", "moisture"),
        ({"temperature_c": 130.0}, Verdict.WARNING, "130 °C", "sensor's wires"),
        ({"temperature_c": -60.0}, Verdict.WARNING, "-60 °C", "sensor's wires"),
        ({"temperature_c": 75.0}, Verdict.WARNING, "75 °C inside", "power terminals"),
        ({"is_untested": True}, Verdict.WARNING, "has not passed its self-test", "unplug the car"),
        ({"is_linked": False}, Verdict.FAILURE, "says nothing of it", "check the board's supply"),
        ({"faults": (("temp_warn", "71 C"),)}, Verdict.WARNING, "(71 C)", "shade"),
    ],
)
def test_measurements_that_cannot_be(
    changes: dict[str, Any], verdict: Verdict, said: str, advice: str
) -> None:
    found = bad(judge(BoardSight(FACTS, [replace(WELL, **changes)]), config_with()))
    assert (found.subject, found.verdict) == ("EVSE 1", verdict)
    assert said in found.found
    assert advice in found.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"pilot": "B", "high_mv": 9000},
        {"pilot": "C", "high_mv": 6000, "contactor": "closed", "is_charging": True},
        {"pilot": "B", "high_mv": 9000, "contactor": "closed", "is_charging": True},
        {"temperature_c": None},
        {"faults": (("meter_comm", "silent"),)},
    ],
)
def test_what_is_as_it_should_be_is_no_complaint(changes: dict[str, Any]) -> None:
    found = list(judge(BoardSight(FACTS, [replace(WELL, **changes)]), config_with(evses=2)))
    assert [each.verdict for each in found] == [Verdict.OK, Verdict.OK]


@pytest.mark.parametrize(
    "code", [code for code in FaultCode if code not in ("meter_comm", "meter_implausible", "reader_failure")]
)
def test_every_fault_has_one_line_with_its_advice(code: FaultCode) -> None:
    is_linked = code not in (FaultCode.BOARD_COMM, FaultCode.FIRMWARE_INCOMPATIBLE)
    evse = replace(WELL, faults=((code.value, ""),), is_linked=is_linked)
    found = bad(judge(BoardSight(FACTS, [evse]), config_with()))
    assert found.advice == FAULTS[code].advice
    assert (found.verdict is Verdict.FAILURE) is stops_charging(code)


# --- meters -----------------------------------------------------------------------------------------------

READ = MeterSight(
    evse_id=1,
    name="Eastron SDM630",
    serial_number="4711",
    problem="",
    energy_wh=12_873_451.0,
    power_w=3.0,
    voltage_v=(230.0, 231.0, 229.5),
    current_a=(0.01, 0.0, 0.0),
    frequency_hz=50.0,
)


def test_a_plausible_reading_is_shown() -> None:
    (found,) = judge_meter(READ, None, set())
    assert (found.subject, found.found) == (
        "meter of EVSE 1",
        "Eastron SDM630 no. 4711: 12873.451 kWh, 3 W, 230/231/230 V",
    )


@pytest.mark.parametrize(
    ("changes", "verdict", "said", "advice"),
    [
        ({"problem": "no answer"}, Verdict.FAILURE, "no answer", "swap A and B"),
        ({"quality": "invalid"}, Verdict.FAILURE, "is invalid", "transformer ratio"),
        ({"energy_wh": None}, Verdict.FAILURE, "no energy register", "[[hal.meters]]"),
        ({"voltage_v": (0.0, 0.0, 0.0)}, Verdict.FAILURE, "no voltage on any phase", "switch on its supply"),
        ({"voltage_v": (230.0, 1.2, 230.0)}, Verdict.WARNING, "no voltage on L2", "fuse"),
        ({"voltage_v": (262.0, 230.0, 230.0)}, Verdict.WARNING, "L1 262 V", "voltmeter"),
        ({"frequency_hz": 60.0}, Verdict.WARNING, "60.0 Hz", "its label"),
        (
            {"current_a": (8.0, 0.0, 0.0)},
            Verdict.WARNING,
            "8.0 A flow, though nobody charges",
            "another EVSE",
        ),
        ({"power_w": -900.0}, Verdict.WARNING, "-900 W", "turn the transformers round"),
    ],
)
def test_readings_that_cannot_be(changes: dict[str, Any], verdict: Verdict, said: str, advice: str) -> None:
    found = bad(judge_meter(replace(READ, **changes), None, set()))
    assert found.verdict is verdict
    assert said in found.found
    assert advice in found.advice


def test_current_is_no_surprise_while_somebody_charges_nor_at_the_main_meter() -> None:
    flowing = replace(READ, current_a=(16.0, 16.0, 16.0), power_w=11_000.0)
    assert [each.verdict for each in judge_meter(flowing, None, {1})] == [Verdict.OK]
    assert [each.verdict for each in judge_meter(replace(flowing, evse_id=0), None, set())] == [Verdict.OK]


def test_the_advice_on_a_silent_meter_names_its_line() -> None:
    meter = MeterConfig(evse=1, model="sdm630", port="/dev/ttyUSB0", unit=7, baud_rate=19200)
    found = bad(judge_meter(replace(READ, problem="no answer"), meter, set()))
    assert "is it a sdm630, unit 7, baud_rate 19200?" in found.advice
    assert found.advice.endswith("evse-agent meter scan /dev/ttyUSB0")


@pytest.mark.real_time
async def test_meters_are_read_on_their_lines(devices: ServedDevices) -> None:
    line = devices.meters({1: ("sdm630", IDLE), 2: ("sdm630", replace(IDLE, voltage_v=(0.0, 0.0, 0.0)))})
    silent = devices.speaking(lambda octets: b"")
    meters = [(1, line, 1), (2, line, 2), (3, silent, 1)]
    hal = "".join(
        f'[[hal.meters]]\nevse = {e}\nmodel = "sdm630"\nport = "{p}"\nunit = {u}\n' for e, p, u in meters
    )
    found = await check_meters(config_with(hal, evses=4), None, MeterBench)
    assert [each.verdict for each in found] == [Verdict.OK, Verdict.FAILURE, Verdict.FAILURE, Verdict.WARNING]
    assert found[0].found.startswith("Eastron SDM630 no. 4711: 12873.451 kWh")
    assert "no voltage on any phase" in found[1].found
    assert f"evse-agent meter scan {silent}" in found[2].advice
    assert "its energy cannot be billed" in found[3].found


# --- readers ----------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_a_pn532_is_asked_and_an_rdm6300_cannot_be(devices: ServedDevices) -> None:
    ports = [
        ("pn532", devices.pn532()),
        ("pn532", devices.speaking(lambda octets: b"")),
        ("rdm6300", "/dev/null"),
    ]
    ports += [("pn532", "board:reader"), ("pn532", "/dev/no-such-port")]
    hal = "".join(f'[[hal.readers]]\nmodel = "{model}"\nport = "{port}"\n' for model, port in ports)
    answers, silent, mute, on_board, missing = await check_readers(config_with(hal), None, find_pn532)
    assert (answers.verdict, "firmware 1.6" in answers.found) == (Verdict.OK, True)
    assert (silent.verdict, "RX and TX" in silent.advice) == (Verdict.FAILURE, True)
    assert (mute.verdict, "hold a card" in mute.found) == (Verdict.OK, True)
    assert "the running agent" in on_board.found
    assert missing.verdict is Verdict.FAILURE


# --- as the agent tells -----------------------------------------------------------------------------------


def word(**changes: Any) -> AgentWord:
    evse = {
        "evse_id": 1,
        "board_link": True,
        "pilot": "A",
        "pilot_high_mv": 12_000,
        "pilot_low_mv": 12_000,
        "contactor": "open",
        "residual_current_a": 0.0,
        "temperature_c": 25.0,
        "faults": [],
    }
    meter = {
        "evse_id": 1,
        "name": "SDM630",
        "serial_number": None,
        "problem": "",
        "reading": {
            "quality": "ok",
            "energy_import_wh": 5.0,
            "power_w": 0.0,
            "voltage_v": [230.0, None, None],
        },
    }
    report = {
        "board": {**{name: getattr(FACTS, name) for name in FACTS.__slots__}, "connectors": 1},
        "evses": [{**evse, **changes.get("evse", {})}],
        "meters": [{**meter, **changes.get("meter", {})}],
        **changes.get("report", {}),
    }
    return AgentWord({"evses": [{"evse_id": 1, "transaction": changes.get("transaction")}]}, report)


async def told(said: AgentWord, hal: str = "") -> list[Finding]:
    async def never(*_: object) -> None:
        raise AssertionError("ports belong to the running agent")

    config = config_with(hal + '[[hal.meters]]\nevse = 1\nmodel = "sdm630"\nport = "/dev/ttyUSB0"\n')
    found = await check_board(config, said, never)
    found += await check_meters(config, said, never)  # type: ignore[arg-type]
    return found + await check_readers(config, said, never)


async def test_an_agent_that_is_well_tells_so() -> None:
    assert [each.verdict for each in await told(word())] == [Verdict.OK, Verdict.OK, Verdict.OK]


async def test_the_agents_faults_meters_and_readers_are_judged_in_the_same_words() -> None:
    reader = {
        "code": "reader_failure",
        "detail": "pn532 on /dev/ttyAMA0",
        "since": "",
        "stops_charging": False,
    }
    stop = {"code": "emergency_stop", "detail": "", "since": "", "stops_charging": True}
    said = word(evse={"faults": [reader, stop]}, meter={"problem": "no answer", "reading": None})
    found = await told(said, '[[hal.readers]]\nmodel = "pn532"\nport = "/dev/ttyAMA0"\n')
    assert [each.verdict for each in found] == [Verdict.OK, Verdict.FAILURE, Verdict.FAILURE, Verdict.WARNING]
    assert found[1].advice == FAULTS[FaultCode.EMERGENCY_STOP].advice
    assert "evse-agent meter scan /dev/ttyUSB0" in found[2].advice
    assert "pn532 on /dev/ttyAMA0" in found[3].found


async def test_a_board_that_the_agent_has_lost() -> None:
    found = (await told(word(report={"board": None})))[0]
    assert (found.verdict, "check the board's supply" in found.advice) == (Verdict.FAILURE, True)


async def test_a_charging_evse_is_told_by_the_agent() -> None:
    said = word(
        evse={"pilot": "B", "pilot_high_mv": 9000, "contactor": "closed"}, transaction={"reference": "1"}
    )
    assert [each.verdict for each in await told(said)] == [Verdict.OK, Verdict.OK, Verdict.OK]
