"""What the agent tells the doctor about itself: fresh meter readings, the board's word, why it is not connected."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.errors import ConnectFailed, StoreFull
from agent.self_report import READ_S, SelfReport
from hal.errors import DeviceTimeout
from hal.ports import BoardFacts, Hardware
from tests.helpers.fake_hardware import FakeMeter, fake_hardware
from tests.helpers.snapshots import FAULTY, evse, station


class FakeBoard:
    """A board that said this at its HELLO."""

    firmware_version = "0.1.0"
    is_linked = True
    facts: BoardFacts | None = BoardFacts("0.1.0", "pico reference", "e660", "wdt", 1, 32.0, 3, True, True)


async def zero() -> int:
    return 0


def report(hardware: Hardware | None = None, **changes: Any) -> Callable[[], Any]:
    given: dict[str, Any] = {
        "hardware": hardware or fake_hardware(),
        "snapshot": lambda: station(evse(1)),
        "probe_store": zero,
        "last_failure": lambda: None,
        "security_profile": lambda: 0,
        "crashes": dict,
    }
    return SelfReport(**{**given, **changes})


async def test_meters_are_read_for_the_answer() -> None:
    hardware = fake_hardware(evses=2, has_main_meter=True)
    said = await report(hardware)()
    assert [(each["evse_id"], each["problem"]) for each in said["meters"]] == [(0, ""), (1, ""), (2, "")]
    assert said["meters"][0]["reading"]["energy_import_wh"] == 50_000.0
    meters = [hardware.main_meter, *(ports.meter for ports in hardware.evses.values())]
    assert [meter.reads for meter in meters if isinstance(meter, FakeMeter)] == [1, 1, 1]
    json.dumps(said, default=str)


async def test_a_meter_that_is_silent_or_hangs_is_a_problem_and_no_delay_without_end() -> None:
    hardware = fake_hardware(evses=2)
    first, second = (ports.meter for ports in hardware.evses.values())
    assert isinstance(first, FakeMeter)
    assert isinstance(second, FakeMeter)
    first.failure = DeviceTimeout("no answer")
    second.is_hanging = True
    problems = [each["problem"] for each in (await report(hardware)())["meters"]]
    assert problems == ["no answer", f"no reading within {READ_S:g} s"]


@pytest.mark.parametrize("is_linked", [True, False])
async def test_the_board_is_told_while_it_is_linked(is_linked: bool) -> None:
    board = FakeBoard()
    board.is_linked = is_linked
    said = await report(replace(fake_hardware(), board=board))()
    assert said["board"] is None if not is_linked else said["board"]["reset_cause"] == "wdt"


async def test_faults_store_and_connection_are_told_with_their_reasons() -> None:
    async def full() -> None:
        raise StoreFull("no space left")

    failure = ConnectFailed("HTTP 401 on the upgrade", "CREDENTIALS", status=401)
    said = await report(
        snapshot=lambda: station(evse(1, faults=(FAULTY,))),
        probe_store=full,
        last_failure=lambda: failure,
        security_profile=lambda: 2,
        crashes=lambda: {"conversation": 1},
    )()
    assert said["store_problem"] == "no space left"
    assert said["csms"] == {
        "security_profile": 2,
        "failure": {"kind": "CREDENTIALS", "status": 401, "reason": "HTTP 401 on the upgrade"},
    }
    assert [fault["code"] for fault in said["evses"][0]["faults"]] == ["rcd_dc"]
    assert said["evses"][0]["pilot_high_mv"] == 12_000
    assert said["crashed_tasks"] == {"conversation": 1}
