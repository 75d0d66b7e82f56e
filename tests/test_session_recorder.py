"""Every transaction of the agent is recorded: live, over a restart, in few commits, and never in charging's way."""

from pathlib import Path
from typing import Any

import pytest

from agent.charging.recording import PACE_S, RecordedSession, SessionCurve, SessionQuery
from agent.errors import StoreFull
from agent.session_recorder import COST_WAIT_S, SAVE_S
from tests.helpers.bench import Bench
from tests.helpers.disk import photograph

EVERYTHING = SessionQuery()


async def begin(bench: Bench, id_token: str = "TAG1", evse_id: int = 1, **ev: Any) -> None:
    await bench.run_for(seconds=5)
    bench.plug_in(evse_id, **ev)
    await bench.run_for(seconds=2)
    bench.tap(id_token, evse_id)
    await bench.run_for(seconds=5)
    assert bench.evse(evse_id).transaction is not None


async def only_session(bench: Bench) -> RecordedSession:
    (session,) = await bench.agent.recorder.sessions(EVERYTHING)
    return session


async def curve(bench: Bench, session_id: str = "") -> SessionCurve:
    found = await bench.agent.recorder.session(session_id or (await only_session(bench)).session_id)
    assert found is not None
    return found


async def test_a_running_session_shows_itself_live_and_the_ended_one_what_was_billed(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        assert await bench.agent.recorder.sessions(EVERYTHING) == []
        await begin(bench)
        await bench.run_for(minutes=5)
        running = await only_session(bench)
        assert (running.is_running, running.stop_reason, running.meter_stop_wh) == (True, None, None)
        assert 850 < running.energy_wh < 1000
        assert running.reference == "1"
        live = await curve(bench)
        assert 140 <= len(live.samples) <= 160
        assert live.samples[-1].power_w == pytest.approx(11_040, rel=0.01)
        bench.world.pause(1)
        await bench.run_for(minutes=3)
        bench.tap("TAG1")
        await bench.run_for(seconds=10)
        ended = await only_session(bench)
        (stop,) = bench.sent("StopTransaction")
        assert ended.meter_stop_wh == stop["meterStop"]
        assert ended.energy_wh == stop["meterStop"] - ended.meter_start_wh
        assert ended.stop_reason == "Local"
        assert 175 < ended.totals.suspended_ev_s < 185
        assert 280 < ended.totals.charging_s < 310
        assert ended.totals.max_power_w == pytest.approx(11_040, rel=0.01)
        assert (await curve(bench)).samples[-1].energy_wh == ended.energy_wh


async def test_while_charging_there_is_one_small_commit_a_minute_and_none_when_idle(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        store = bench.agent.recorder._store
        saved: list[int] = []
        save = store.save

        async def noted(batches: Any) -> None:
            saved.append(sum(len(batch.samples) for batch in batches))
            await save(batches)

        store.save = noted  # type: ignore[method-assign]
        await bench.run_for(minutes=30)
        assert saved == []
        await begin(bench)
        await bench.run_for(minutes=10)
        assert len(saved) <= 11
        assert max(saved) <= SAVE_S / 2 + 2
        bench.tap("TAG1")
        await bench.run_for(seconds=SAVE_S + COST_WAIT_S + SAVE_S)
        count = len(saved)
        bench.unplug()
        await bench.run_for(minutes=60)
        assert len(saved) == count


@pytest.mark.parametrize("resumes", [True, False])
async def test_a_power_cut_costs_a_minute_of_the_curve_and_the_recording_goes_on(
    tmp_path: Path, resumes: bool
) -> None:
    extra = f'[settings]\nResumeTransactionAfterPowerLoss = "{str(resumes).lower()}"\n'
    extra += f'[hal.sim]\nmemory_file = "{tmp_path}/world.json"\n'
    async with Bench(tmp_path / "before", extra) as bench:
        await begin(bench)
        await bench.run_for(minutes=5)
        before = await curve(bench)
        photograph(bench.agent.database.path, tmp_path / "after")
    async with Bench(tmp_path / "after", extra) as bench:
        await bench.run_for(seconds=30)
        found = await curve(bench)
        assert found.session.is_running is resumes
        kept = [sample for sample in found.samples if sample in before.samples]
        assert list(before.samples[: len(kept)]) == kept
        lost_s = (before.samples[-1].at_ms - kept[-1].at_ms) / 1000
        assert lost_s <= SAVE_S + PACE_S
        assert (len(found.samples) > len(kept)) is resumes
        expected_s = 300 - lost_s + (30 if resumes else 0)
        assert found.session.totals.charging_s == pytest.approx(expected_s, abs=15)


async def test_the_cost_is_what_the_csms_says_even_after_the_end(tmp_path: Path) -> None:
    async with Bench(tmp_path, '[settings]\nCustomDisplayCostAndPrice = "true"\n') as bench:
        await begin(bench)
        await bench.run_for(minutes=1)
        station, session = bench.agent.station, await only_session(bench)
        station.transaction_priced(session.session_id, 1.5, (), is_final=False)
        await bench.run_for(seconds=2)
        assert (await only_session(bench)).totals.cost == "1.500"
        bench.tap("TAG1")
        await bench.run_for(seconds=10)
        station.transaction_priced(session.session_id, 3.3, (), is_final=True)
        await bench.run_for(seconds=COST_WAIT_S + SAVE_S)
        assert (await only_session(bench)).totals.cost == "3.300"


async def test_a_disk_that_fails_costs_no_charging_and_the_curve_comes_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bench(tmp_path) as bench:
        store = bench.agent.recorder._store
        save = store.save

        async def full(_batches: Any) -> None:
            raise StoreFull("no space left")

        store.save = full  # type: ignore[method-assign]
        await begin(bench)
        await bench.run_for(minutes=5)
        assert bench.evse().offered_current_a > 0
        assert caplog.text.count("not stored") == 1, "once is enough"
        live = await curve(bench)
        store.save = save  # type: ignore[method-assign]
        await bench.run_for(seconds=SAVE_S + 5)
        recorded = await store.load(live.session.session_id)
        assert recorded is not None
        assert recorded[0][: len(live.samples)] == live.samples


async def test_two_evses_are_recorded_apart(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\nevses = 2\n") as bench:
        await begin(bench, "TAG1", 1)
        await begin(bench, "TAG2", 2, phases=1, current_a=10.0)
        await bench.run_for(minutes=2)
        second, first = await bench.agent.recorder.sessions(EVERYTHING)
        assert (first.evse_id, second.evse_id) == (1, 2)
        assert (await curve(bench, first.session_id)).samples[-1].current_a == pytest.approx(
            (16, 16, 16), abs=0.2
        )
        assert (await curve(bench, second.session_id)).samples[-1].current_a[0] == pytest.approx(10, abs=0.2)
        assert await bench.agent.recorder.sessions(SessionQuery(evse_id=2)) == [second]


async def test_old_curves_go_within_an_hour_even_if_nobody_charges(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await begin(bench)
        await bench.run_for(minutes=2)
        bench.tap("TAG1")
        await bench.run_for(seconds=10)
        bench.unplug()
        assert (await curve(bench)).samples
    async with Bench(tmp_path) as bench:
        bench.agent.recorder._most_days = 1
        await bench.run_for(minutes=23 * 60)
        assert (await curve(bench)).samples
        await bench.run_for(minutes=3 * 60)
        found = await curve(bench)
        assert not found.samples
        assert (found.session.id_token, found.session.energy_wh > 0) == (None, True)
