"""The metering clock: samples from the start of the transaction, readings on the grid, and what a stop collects."""

from datetime import datetime, timedelta

import pytest

from agent.charging.facts import MeterRead
from agent.charging.ids import ReadingContext
from agent.charging.requests import ChangeSetting
from tests.charging.rig import running
from tests.helpers.fake_clock import EPOCH
from tests.helpers.fake_hardware import SILENT, fake_hardware


def seconds(fact_at: object, since: object) -> float:
    return (fact_at - since).total_seconds()  # type: ignore[operator,no-any-return]


@pytest.mark.req("R16-146", "R16-149", "R16-167")
async def test_samples_are_counted_from_the_start() -> None:
    given = {"MeterValueSampleInterval": "60", "MeterValuesSampledData": "Voltage,Power.Active.Import"}
    async with running(given=given) as rig:
        await rig.run_for(17)
        started = await rig.charge()
        await rig.run_for(200)
        assert [round(seconds(fact.at, started.at)) for fact in rig.metered] == [60, 120, 180]
        for fact in rig.metered:
            assert fact.sample.context is ReadingContext.SAMPLE_PERIODIC
            assert {value.measurand for value in fact.sample.values} == {"Voltage", "Power.Active.Import"}
        await rig.tap()
        await rig.run_for(200)
        assert len(rig.metered) == 3


@pytest.mark.req("R16-147", "R16-148")
async def test_nothing_is_sampled_when_both_intervals_are_zero() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.run_for(4000)
        assert not rig.metered
        assert not rig.told(MeterRead)


@pytest.mark.req("R16-148", "R16-151", "R16-152")
async def test_grid_starts_at_midnight_and_serves_every_meter() -> None:
    given = {
        "ClockAlignedDataInterval": "900",
        "MeterValuesAlignedData": "Energy.Active.Import.Register,Voltage.L1",
    }
    async with running(fake_hardware(evses=2, has_main_meter=True), given=given) as rig:
        await rig.run_for(100)
        started = await rig.charge()
        await rig.run_for(1000)
        (metered,) = rig.metered
        assert metered.at == EPOCH + timedelta(minutes=15)
        assert metered.transaction_id == started.transaction_id
        assert metered.sample.context is ReadingContext.SAMPLE_CLOCK
        outside = {read.evse_id: read for read in rig.told(MeterRead)}
        assert set(outside) == {0, 2}
        assert outside[0].sample.values[0].location == "Inlet"
        assert outside[2].sample.at == EPOCH + timedelta(minutes=15)
        assert [value.measurand for value in outside[2].sample.values] == ["Energy.Active.Import.Register"]
        assert outside[2].period is not None
        assert outside[2].period.at < outside[2].sample.at
        assert [(value.measurand, value.phase) for value in outside[2].period.values] == [("Voltage", "L1-N")]


@pytest.mark.req("R16-211")
async def test_new_intervals_hold_for_the_running_transaction() -> None:
    async with running() as rig:
        started = await rig.charge()
        await rig.run_for(100)
        await rig.ask(ChangeSetting("sample_interval_s", "60"))
        await rig.run_for(30)
        assert [round(seconds(fact.at, started.at)) for fact in rig.metered] == [120]
        await rig.ask(ChangeSetting("sample_interval_s", "0"))
        await rig.ask(ChangeSetting("clock_aligned_interval_s", "60"))
        await rig.run_for(120)
        assert [fact.sample.context for fact in rig.metered[1:]] == [ReadingContext.SAMPLE_CLOCK] * 2


async def test_grid_follows_the_clock_of_the_csms() -> None:
    async with running(given={"ClockAlignedDataInterval": "3600"}) as rig:
        rig.clock.synchronize(EPOCH + timedelta(minutes=59))
        rig.station.on_online(True)
        await rig.run_for(61)
        assert [read.sample.at for read in rig.told(MeterRead)] == [EPOCH + timedelta(hours=1)]
        rig.clock.synchronize(
            EPOCH + timedelta(hours=2, minutes=30)
        )  # 2:00 has gone by: no reading may claim it
        await rig.run_for(3600)
        assert len(rig.told(MeterRead)) == 1
        await rig.run_for(1801)
        assert [read.sample.at.hour for read in rig.told(MeterRead)[1:]] == [12]


@pytest.mark.req("R16-148")
async def test_no_instant_of_the_grid_is_lost_to_a_timer_that_comes_a_hair_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(given={"ClockAlignedDataInterval": "60"}) as rig:
        exact_now, asked_at = rig.clock.now, 0.0

        def coarse_now() -> datetime:
            """The first look at a time is just before it, the second just after: time passes between them."""
            nonlocal asked_at
            is_first, asked_at = asked_at != rig.clock.time(), rig.clock.time()
            return exact_now() + timedelta(milliseconds=-0.5 if is_first else 0.5)

        monkeypatch.setattr(rig.clock, "now", coarse_now)
        rig.station.on_online(True)
        await rig.run_for(601)
        assert [read.sample.at for read in rig.told(MeterRead)] == [
            EPOCH + timedelta(minutes=minute) for minute in range(1, 11)
        ]


async def test_silent_meter_gives_nothing_rather_than_something_old() -> None:
    async with running(given={"MeterValueSampleInterval": "10", "ClockAlignedDataInterval": "60"}) as rig:
        await rig.charge()
        await rig.run_for(15)
        rig.meter().failure = SILENT
        count = len(rig.metered)
        await rig.run_for(100)
        assert len(rig.metered) == count


@pytest.mark.req("R16-164", "R16-165", "R16-130")
async def test_stop_collects_what_its_lists_ask_for() -> None:
    given = {
        "MeterValueSampleInterval": "60",
        "StopTxnSampledData": "Energy.Active.Import.Register",
        "StopTxnAlignedData": "Voltage.L1",
        "ClockAlignedDataInterval": "900",
    }
    async with running(given=given) as rig:
        started = await rig.charge()
        await rig.run_for(1000)
        await rig.tap()
        samples = rig.stopped[0].samples
        contexts = [sample.context for sample in samples]
        assert (contexts[0], contexts[-1]) == (
            ReadingContext.TRANSACTION_BEGIN,
            ReadingContext.TRANSACTION_END,
        )
        assert contexts.count(ReadingContext.SAMPLE_PERIODIC) == 16
        assert contexts.count(ReadingContext.SAMPLE_CLOCK) == 2, (
            "one whole period and the one the stop broke off"
        )
        for edge in (samples[0], samples[-1]):
            assert {value.measurand for value in edge.values} == {"Energy.Active.Import.Register", "Voltage"}
        registers = [
            value.value
            for sample in samples
            for value in sample.values
            if value.measurand == "Energy.Active.Import.Register"
        ]
        assert registers == sorted(registers)
        assert registers[0] == started.meter_start_wh
        assert registers[-1] == rig.stopped[0].meter_stop_wh


@pytest.mark.req("R16-130")
async def test_stop_holds_nothing_unless_asked() -> None:
    async with running(given={"MeterValueSampleInterval": "60"}) as rig:
        await rig.charge()
        await rig.run_for(200)
        await rig.tap()
        assert rig.stopped[0].samples == ()


@pytest.mark.req("R16-166")
async def test_too_many_readings_are_thinned() -> None:
    given = {
        "MeterValueSampleInterval": "1",
        "StopTxnSampledData": "Energy.Active.Import.Register",
        "StopTransactionMaxMeterValues": "10",
    }
    async with running(given=given) as rig:
        await rig.charge()
        await rig.run_for(100)
        await rig.tap()
        samples = rig.stopped[0].samples
        assert len(samples) <= 10
        assert samples[0].context is ReadingContext.TRANSACTION_BEGIN
        assert samples[-1].context is ReadingContext.TRANSACTION_END


async def test_slow_meter_does_not_pile_up_work() -> None:
    async with running(given={"MeterValueSampleInterval": "1"}) as rig:
        await rig.charge()
        rig.meter().is_hanging = True
        await rig.run_for(300)
        rig.meter().is_hanging = False
        reads = rig.meter().reads
        await rig.run_for(10)
        assert rig.meter().reads - reads <= 15
