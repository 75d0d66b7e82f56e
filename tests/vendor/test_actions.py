"""The catalogue of hardware actions: who may do what when, how often, and what is left behind."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.charging.snapshot import EvseSnapshot
from agent.errors import StoreFull
from agent.vendor.actions import ACTIONS, ActionCode, Situation, situation_of
from board.wire import LED_PATTERNS
from hal.errors import DeviceFault, DeviceMissing, DeviceProtocolError, DeviceTimeout
from hal.ports import ContactorState, EvsePorts, FaultCode, Hardware, PilotState
from tests.helpers.snapshots import FAULTY, HARDWARE, charging, evse, paused, plugged, station
from tests.vendor.conftest import ActionBench, Bench

PARAMETERS: dict[str, dict[str, object]] = {
    "output.set": {"output": "fan", "on": True},
    "output.pulse": {"output": "fan", "duration_s": 1},
    "indicator.show": {"pattern": "blink"},
    "cable.unlock": {},
    "ev.wake_up": {},
    "meter.read": {},
    "meter.read_registers": {"address": 0x34, "count": 2},
    "board.read": {"names": ["temp"]},
    "rcd.self_test": {},
    "fault.clear": {"code": "rcd_dc"},
    "board.reboot": {},
}


def unknown(**changes: Any) -> EvseSnapshot:
    """The board has not spoken yet."""
    return evse(contactor=ContactorState.UNKNOWN, **changes)


SITUATIONS = {"idle": evse, "plugged": plugged, "paused": paused, "charging": charging, "unknown": unknown}
ALWAYS = "idle plugged paused charging unknown"
ALLOWED = {
    # name: situations without a fault, situations with one
    "output.set": ("idle plugged", "idle plugged"),
    "output.pulse": ("idle plugged", "idle plugged"),
    "indicator.show": (ALWAYS, ALWAYS),
    "cable.unlock": ("idle plugged", "idle plugged"),
    "ev.wake_up": ("plugged paused", ""),
    "meter.read": (ALWAYS, ALWAYS),
    "meter.read_registers": (ALWAYS, ALWAYS),
    "board.read": (ALWAYS, ALWAYS),
    "rcd.self_test": ("idle", "idle"),
    "fault.clear": ("idle plugged paused", "idle plugged paused"),
    "board.reboot": ("idle", "idle"),
}


def test_every_action_of_the_catalogue_is_tried_here() -> None:
    assert set(PARAMETERS) == set(ACTIONS) == set(ALLOWED)


@pytest.mark.parametrize("is_faulty", [False, True])
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", ACTIONS)
async def test_an_action_runs_only_in_its_situations(
    bench: ActionBench, name: str, situation: str, is_faulty: bool
) -> None:
    bench.station = station(SITUATIONS[situation](faults=(FAULTY,) if is_faulty else ()))
    result = await bench.run(name, **PARAMETERS[name])
    expected = ActionCode.OK if situation in ALLOWED[name][is_faulty].split() else ActionCode.NOT_ALLOWED
    assert result.code is expected
    done = bench.device.done + bench.meter.done + bench.board.done
    assert bool(done) is (expected is ActionCode.OK)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (evse(), Situation.IDLE),
        (plugged(), Situation.PLUGGED),
        (paused(), Situation.PAUSED),
        (charging(), Situation.CHARGING),
        (evse(contactor=ContactorState.UNKNOWN), Situation.UNKNOWN),
        (evse(hardware=replace(HARDWARE, link_ok=False)), Situation.UNKNOWN),
        (evse(contactor=ContactorState.CLOSED), Situation.CHARGING),
        (plugged(pilot=PilotState.C), Situation.CHARGING),
        (plugged(pilot=PilotState.D), Situation.CHARGING),
    ],
)
def test_a_contactor_that_is_not_surely_open_is_not_taken_for_open(
    picture: EvseSnapshot, expected: Situation
) -> None:
    assert situation_of(picture) is expected


async def test_before_the_board_has_spoken_the_refusal_says_so(bench: ActionBench) -> None:
    bench.station = station(unknown())
    result = await bench.run("cable.unlock")
    assert result.detail == "cable.unlock is not allowed while EVSE 1 is in an unknown state"


@pytest.mark.parametrize("name", ACTIONS)
async def test_an_action_needs_its_role(bench: ActionBench, name: str) -> None:
    others = {"operator", "service"} - {ACTIONS[name].role}
    result = await bench.run(name, roles=frozenset(others), **PARAMETERS[name])
    assert result.code is ActionCode.NOT_ALLOWED
    assert result.detail == f"{name} needs the role {ACTIONS[name].role}"


def test_reading_raw_registers_and_all_that_changes_the_board_needs_the_service_role() -> None:
    service = {name for name, spec in ACTIONS.items() if spec.role == "service"}
    assert service == {"meter.read_registers", "board.read", "rcd.self_test", "fault.clear", "board.reboot"}


@pytest.mark.parametrize("name", ACTIONS)
async def test_a_run_leaves_an_audit_row_whatever_its_outcome(bench: ActionBench, name: str) -> None:
    bench.station = station(plugged()) if name == "ev.wake_up" else bench.station
    await bench.run(name, **PARAMETERS[name])
    await bench.run(name, roles=frozenset(), **PARAMETERS[name])
    await bench.run(name, no_such_parameter=1)
    assert [(row.action, row.outcome) for row in bench.audit.rows] == [
        (name, "ok"),
        (name, "not_allowed"),
        (name, "bad_args"),
    ]
    assert {row.source for row in bench.audit.rows} == {"csms"}


async def test_an_audit_row_that_cannot_be_stored_does_not_undo_the_action(
    bench: ActionBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.audit.failure = StoreFull("disk full")
    assert (await bench.run("output.set", output="fan", on=True)).code is ActionCode.OK
    assert "could not be stored" in caplog.text


async def test_outputs_switch_during_a_transaction_only_if_marked_safe(bench: ActionBench) -> None:
    bench.station = station(evse(1), charging(2))
    result = await bench.run("output.set", output="fan", on=True)
    assert result.code is ActionCode.NOT_ALLOWED
    assert "safe_while_charging" in result.detail
    assert (await bench.run("output.set", output="lamp", on=True)).code is ActionCode.OK


async def test_the_board_restarts_only_when_every_evse_is_idle(bench: ActionBench) -> None:
    bench.station = station(evse(1), plugged(2))
    assert (await bench.run("board.reboot")).code is ActionCode.NOT_ALLOWED
    bench.station = station(evse(1), evse(2))
    assert (await bench.run("board.reboot")).code is ActionCode.OK
    assert bench.board.done == [("reboot",)]


async def test_another_evse_that_charges_is_no_reason_to_refuse(bench: ActionBench) -> None:
    bench.station = station(evse(1), charging(2))
    assert (await bench.run("cable.unlock", evse_id=1)).code is ActionCode.OK


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("output.set", {"output": "fan"}),
        ("output.set", {"output": "fan", "on": "perhaps"}),
        ("output.set", {"output": "contactor", "on": True}),
        ("output.pulse", {"output": "fan", "duration_s": 5.1}),
        ("output.pulse", {"output": "fan", "duration_s": 0.01}),
        ("indicator.show", {"pattern": "x", "duration_s": 301}),
        ("indicator.show", {"pattern": ""}),
        ("cable.unlock", {"evse_id": 3}),
        ("cable.unlock", {"evse_id": 0}),
        ("meter.read_registers", {"address": 0, "count": 33}),
        ("meter.read_registers", {"address": 0, "function": 6}),
        ("meter.read_registers", {"address": 0xFFFF}),
        ("board.read", {"names": []}),
        ("fault.clear", {"code": "no_such_fault"}),
        ("fault.clear", {}),
    ],
)
async def test_wrong_parameters_are_bad_args_and_touch_nothing(
    bench: ActionBench, name: str, wrong: dict[str, object]
) -> None:
    assert (await bench.run(name, **wrong)).code is ActionCode.BAD_ARGS
    assert bench.device.done + bench.meter.done + bench.board.done == []


@pytest.mark.parametrize(
    "name", ["indicator.show", "cable.unlock", "meter.read", "meter.read_registers", "rcd.self_test"]
)
async def test_what_an_evse_does_not_have_cannot_be_asked_of_it(bench: ActionBench, name: str) -> None:
    result = await bench.run(name, **{**PARAMETERS[name], "evse_id": 2})
    assert result.code is ActionCode.NOT_ALLOWED
    assert "EVSE 2" in result.detail


async def test_a_station_without_board_or_wake_up_says_so(bench: ActionBench) -> None:
    bench.station = station(evse(1), plugged(2))
    assert "cannot wake up" in (await bench.run("ev.wake_up", evse_id=2)).detail
    bench.station = station(evse(1))
    bench.actions = bench.make(Hardware(evses={1: EvsePorts(Bench())}))
    assert (await bench.run("board.read", names=["x"])).code is ActionCode.NOT_ALLOWED
    assert (await bench.run("board.reboot")).code is ActionCode.NOT_ALLOWED
    assert (await bench.run("meter.read", evse_id=0)).code is ActionCode.NOT_ALLOWED


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (DeviceFault("not_allowed", "state C"), ActionCode.NOT_ALLOWED),
        (DeviceFault("busy"), ActionCode.BUSY),
        (DeviceFault("contactor_welded"), ActionCode.FAILED),
        (DeviceFault("ok"), ActionCode.FAILED),
        (DeviceTimeout("silent"), ActionCode.TIMEOUT),
        (DeviceMissing("unplugged"), ActionCode.FAILED),
        (DeviceProtocolError("noise"), ActionCode.FAILED),
    ],
)
async def test_the_word_of_the_device_becomes_the_result(
    bench: ActionBench, failure: Exception, expected: ActionCode
) -> None:
    bench.device.failure = failure
    assert (await bench.run("cable.unlock")).code is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cable.unlock", ActionCode.FAILED),
        ("rcd.self_test", ActionCode.FAILED),
        ("fault.clear", ActionCode.NOT_ALLOWED),
    ],
)
async def test_a_device_that_says_no_is_believed(bench: ActionBench, name: str, expected: ActionCode) -> None:
    bench.device.answer = False
    assert (await bench.run(name, **PARAMETERS[name])).code is expected


async def test_a_device_that_never_answers_runs_into_the_time_limit(bench: ActionBench) -> None:
    bench.device.silent = True
    started = asyncio.get_running_loop().time()
    result = await bench.run("cable.unlock")
    assert result.code is ActionCode.TIMEOUT
    assert asyncio.get_running_loop().time() - started == pytest.approx(ACTIONS["cable.unlock"].timeout_s)


async def test_one_action_at_a_time_per_evse(bench: ActionBench) -> None:
    bench.device.silent = True
    first = asyncio.create_task(bench.run("cable.unlock", evse_id=1))
    await asyncio.sleep(0.1)
    assert (await bench.run("indicator.show", pattern="x", evse_id=1)).code is ActionCode.BUSY
    assert (await bench.run("meter.read", evse_id=2)).code is ActionCode.NOT_ALLOWED
    assert (await first).code is ActionCode.TIMEOUT
    bench.device.silent = False
    assert (await bench.run("indicator.show", pattern="x", evse_id=1)).code is ActionCode.OK


async def test_an_action_has_its_own_rate_limit(bench: ActionBench) -> None:
    assert (await bench.run("meter.read_registers", address=1)).code is ActionCode.OK
    assert (await bench.run("meter.read_registers", address=1)).code is ActionCode.RATE_LIMITED
    await asyncio.sleep(1.1)
    assert (await bench.run("meter.read_registers", address=1)).code is ActionCode.OK


async def test_an_ev_is_woken_up_at_most_twice_in_ten_minutes(bench: ActionBench) -> None:
    bench.station = station(plugged())
    codes = []
    for _ in range(3):
        codes.append((await bench.run("ev.wake_up")).code)
        await asyncio.sleep(61)
    assert codes == [ActionCode.OK, ActionCode.OK, ActionCode.RATE_LIMITED]


async def test_all_actions_together_have_a_limit_per_minute_that_refused_ones_do_not_use_up(
    bench: ActionBench,
) -> None:
    for _ in range(30):
        await bench.run("cable.unlock", roles=frozenset())
    codes = []
    for _ in range(22):
        codes.append((await bench.run("indicator.show", pattern="x")).code)
        await asyncio.sleep(2.5)
    assert codes == [ActionCode.OK] * 20 + [ActionCode.RATE_LIMITED] * 2
    await asyncio.sleep(30)
    assert (await bench.run("indicator.show", pattern="x")).code is ActionCode.OK


async def test_results_carry_what_was_read(bench: ActionBench) -> None:
    assert (await bench.run("meter.read")).values == {
        "energy_import_wh": 1234.0,
        "power_w": 11_000.0,
        "current_a": [16.0, 16.0, 16.0],
    }
    assert (await bench.run("meter.read_registers", address=5, count=3)).values == {"registers": [0, 1, 2]}
    assert (await bench.run("board.read", names=["a", "b"])).values == {"values": {"a": 1.5, "b": 1.5}}
    await bench.run("fault.clear", code="rcd_dc")
    assert bench.device.done == [("clear", FaultCode.RCD_DC)]


@pytest.mark.req("R16-310")
def test_every_action_with_its_parameters_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "vendor-commands.md").read_text(encoding="utf-8")
    rows = {
        match[0]: match[1]
        for match in re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*) \|$", text, re.MULTILINE)
    }
    assert set(rows) == set(ACTIONS)
    for name, spec in ACTIONS.items():
        for parameter in spec.parameters.__struct_fields__:
            assert f"`{parameter}`" in rows[name], f"{name} takes {parameter}"
        assert spec.role in rows[name]


def test_every_light_pattern_of_the_board_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "vendor-commands.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| `indicator.show`")]
    assert all(f"`{pattern}`" in row for pattern in LED_PATTERNS)
