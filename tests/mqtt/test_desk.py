"""Commands of a minute are counted; what is configured decides as whom, and for how long, a current is limited."""

import asyncio

import pytest

from agent.charging.profiles import LimitOrigin
from agent.charging.requests import LimitExternally
from agent.errors import StoreFull
from agent.mqtt.commands import LimitCurrent, RunAction
from agent.mqtt.desk import COMMANDS_PER_MINUTE, DETAIL_MOST, CommandDesk
from tests.mqtt.conftest import BridgeBench, LoopClock


def desk_of(bench: BridgeBench) -> CommandDesk:
    return CommandDesk(
        bench.station, bench.actions, bench.audit, LoopClock(), origin=LimitOrigin.EMS, duration_s=900
    )


async def test_so_many_commands_a_minute_and_no_more(bench: BridgeBench) -> None:
    desk = desk_of(bench)
    assert all(desk.may_take() for _ in range(COMMANDS_PER_MINUTE))
    assert not desk.may_take()
    await asyncio.sleep(59)
    assert not desk.may_take()
    await asyncio.sleep(1.1)
    assert all(desk.may_take() for _ in range(COMMANDS_PER_MINUTE))
    assert not desk.may_take()
    assert desk.outcomes["too_many"] == 3


async def test_a_limit_is_of_the_configured_origin_and_ends_by_itself(bench: BridgeBench) -> None:
    await desk_of(bench).obey(LimitCurrent(0, 20.0))
    (asked,) = bench.station.asked
    assert isinstance(asked, LimitExternally)
    assert (asked.origin, asked.evse_id, asked.schedule.duration_s) == (LimitOrigin.EMS, 0, 900)


async def test_what_a_sender_makes_long_stays_short_in_the_answer_and_in_the_log(
    bench: BridgeBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.actions.detail = "no output is called " + "o" * 4000
    outcome = await desk_of(bench).obey(RunAction(0, "output.set", {"output": "o" * 4000}))
    assert outcome.detail.startswith("no output is called ooo")
    assert len(outcome.detail) <= DETAIL_MOST
    assert all(len(record.getMessage()) < 2 * DETAIL_MOST for record in caplog.records)


async def test_a_full_disk_keeps_no_row_and_stops_no_command(bench: BridgeBench) -> None:
    async def fail(_row: object) -> None:
        raise StoreFull("no space")

    bench.audit.add = fail  # type: ignore[method-assign]
    assert (await desk_of(bench).obey(LimitCurrent(1, 6.0))).is_ok
