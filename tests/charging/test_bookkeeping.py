"""The transactions of one EVSE on a full disk, on a meter that starts again, and on the grid."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.charging.facts import FaultRaised, MeterRead, TransactionMetered, TransactionUpdated
from agent.charging.ids import ReadingContext, TriggerReason
from agent.charging.readings import KEPT_BACK_LIMIT
from agent.charging.requests import ChangeSetting, SampleMeters
from agent.ocpp.choosing import CONVENTIONS
from tests.charging.rig import running
from tests.helpers.fake_clock import EPOCH
from tests.helpers.fake_hardware import SILENT, fake_hardware
from tests.helpers.fake_stores import FULL

REGISTER, INTERVAL = "Energy.Active.Import.Register", "Energy.Active.Import.Interval"


def values_of(fact: TransactionMetered | MeterRead) -> dict[str, float]:
    return {value.measurand: value.value for value in fact.sample.values}


# --- a full disk -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-135", "R16-144", "R16-167")
async def test_samples_that_a_full_disk_does_not_take_are_stored_later_in_order_and_with_their_time() -> None:
    async with running(given={"MeterValueSampleInterval": "10"}) as rig:
        started = await rig.charge()
        rig.journal.failure = FULL
        await rig.run_for(95)
        assert not rig.metered
        rig.journal.failure = None
        await rig.run_for(10)
        passed = [round((fact.at - started.at).total_seconds()) for fact in rig.metered]
        assert passed == list(range(10, 101, 10))
        numbers = [fact.seq_no for fact in rig.metered]
        assert numbers == list(range(numbers[0], numbers[0] + 10))
        registers = [fact.register_wh for fact in rig.metered]
        assert registers == sorted(registers)
        assert registers[0] < registers[-1]
        assert [fact.sample.values[0].value for fact in rig.metered] == registers


@pytest.mark.req("R16-120", "R16-134")
async def test_samples_kept_back_are_stored_before_the_stop() -> None:
    given = {"MeterValueSampleInterval": "10", "StopTxnSampledData": REGISTER}
    async with running(given=given) as rig:
        started = await rig.charge()
        await rig.run_for(25)
        rig.journal.failure = FULL
        await rig.run_for(30)
        await rig.tap()
        await rig.run_for(5)
        assert not rig.stopped
        rig.journal.failure = None
        await rig.run_for(61)
        (stopped,) = rig.stopped
        facts = [
            fact
            for fact in rig.journal.facts
            if getattr(fact, "transaction_id", "") == started.transaction_id
        ]
        assert facts[-1] == stopped
        assert [fact.seq_no for fact in facts] == list(range(len(facts)))  # type: ignore[union-attr]
        assert len(rig.metered) == 5
        periodic = [s for s in stopped.samples if s.context is ReadingContext.SAMPLE_PERIODIC]
        assert len(periodic) == 5


async def test_what_is_kept_back_is_bounded_and_its_ends_stay() -> None:
    async with running(given={"MeterValueSampleInterval": "1"}) as rig:
        started = await rig.charge()
        rig.journal.failure = FULL
        await rig.run_for(1000)
        rig.journal.failure = None
        await rig.run_for(2)
        assert 100 <= len(rig.metered) <= 203
        passed = [round((fact.at - started.at).total_seconds()) for fact in rig.metered]
        assert passed[0] <= 3
        assert passed[-1] >= 1000
        assert passed == sorted(passed)


# --- a meter that starts again ---------------------------------------------------------------------------


@pytest.mark.req("R16-159", "FIELD-41")
async def test_a_meter_that_starts_again_is_billed_on_and_warned_of_once() -> None:
    async with running(given={"MeterValueSampleInterval": "60"}) as rig:
        await rig.charge()
        await rig.run_for(600)
        before = rig.metered[-1].register_wh
        rig.meter().energy_wh = 3.0
        await rig.run_for(600)
        per_minute = 6900 / 60
        assert rig.metered[-1].register_wh >= before + 8.5 * per_minute
        assert [fact.code for fact in rig.told(FaultRaised)] == ["meter_implausible"]
        (reading,) = await rig.ask(SampleMeters((1,), ReadingContext.TRIGGER, (REGISTER,)))
        assert reading.sample.values[0].value >= rig.metered[-1].register_wh
        await rig.tap()
        assert rig.stopped[0].meter_stop_wh >= reading.sample.values[0].value
        assert not rig.shown().faults


# --- intervals and the grid ------------------------------------------------------------------------------


@pytest.mark.req("R16-146", "R16-160")
async def test_sampled_intervals_add_up_to_what_was_used() -> None:
    given = {
        "MeterValueSampleInterval": "60",
        "MeterValuesSampledData": f"{REGISTER},{INTERVAL}",
        "StopTxnSampledData": INTERVAL,
    }
    async with running(given=given) as rig:
        started = await rig.charge()
        await rig.run_for(330)
        await rig.tap()
        intervals = [values_of(fact)[INTERVAL] for fact in rig.metered]
        assert len(intervals) == 5
        assert sum(intervals) == values_of(rig.metered[-1])[REGISTER] - started.meter_start_wh
        collected = [value.value for sample in rig.stopped[0].samples for value in sample.values]
        assert sum(collected) == rig.stopped[0].meter_stop_wh - started.meter_start_wh


@pytest.mark.req("R16-148", "R16-161", "FIELD-33")
async def test_aligned_values_stand_on_the_grid_and_averages_are_of_the_part_within_the_transaction() -> None:
    given = {
        "ClockAlignedDataInterval": "900",
        "MeterValuesAlignedData": f"{REGISTER},{INTERVAL},Power.Active.Import",
    }
    async with running(given=given) as rig:
        await rig.run_for(600)
        started = await rig.charge()
        await rig.run_for(1300)
        first, second = rig.metered
        assert [fact.at for fact in (first, second)] == [
            EPOCH + timedelta(minutes=15),
            EPOCH + timedelta(minutes=30),
        ]
        assert first.period is not None
        assert second.period is not None
        assert first.period.at == started.at, "a partial period begins with the transaction"
        assert second.period.at == first.at, "a whole one at the instant of the grid before"
        assert {value.measurand for value in first.sample.values} == {REGISTER}
        by_name = {value.measurand: value.value for value in second.period.values}
        assert by_name["Power.Active.Import"] == pytest.approx(6900, rel=0.01)
        assert by_name[INTERVAL] == values_of(second)[REGISTER] - values_of(first)[REGISTER]


@pytest.mark.req("R16-133", "R16-135", "R16-151", "R16-155", "FIELD-45")
async def test_aligned_values_without_a_transaction_are_stored_offline_too() -> None:
    given = {"ClockAlignedDataInterval": "900", "MeterValuesAlignedData": f"{REGISTER},{INTERVAL}"}
    async with running(fake_hardware(has_main_meter=True), given=given, is_online=False) as rig:
        await rig.run_for(1801)
        facts = [fact for fact in rig.journal.facts if isinstance(fact, MeterRead)]
        assert sorted((fact.evse_id, fact.at.minute) for fact in facts) == [
            (0, 15),
            (0, 30),
            (1, 15),
            (1, 30),
        ]
        assert {value.location for fact in facts if fact.evse_id == 0 for value in fact.sample.values} == {
            "Inlet"
        }
        assert facts == rig.told(MeterRead)
        last = [fact for fact in facts if fact.at.minute == 30]
        assert all(fact.period is not None and fact.period.values[0].value == 0.0 for fact in last)


@pytest.mark.req("R16-155", "R16-146")
async def test_the_main_meter_is_sampled_with_the_transactions_and_once_however_many_run() -> None:
    given = {"MeterValueSampleInterval": "60"}
    async with running(fake_hardware(evses=2, has_main_meter=True), given=given) as rig:
        await rig.run_for(200)
        assert not rig.told(MeterRead), "without a transaction nothing is sampled"
        await rig.charge("TAG1", 1)
        await rig.run_for(3)
        rig.evse(2).plug()
        await rig.tap("TAG2")
        await rig.run_for(290)
        main = rig.told(MeterRead)
        assert [fact.evse_id for fact in main] == [0] * 5 or [fact.evse_id for fact in main] == [0] * 4
        assert {fact.sample.context for fact in main} == {ReadingContext.SAMPLE_PERIODIC}
        assert {value.location for fact in main for value in fact.sample.values} == {"Inlet"}
        assert {fact.evse_id for fact in rig.metered} == {1, 2}


@pytest.mark.req("R16-161", "R16-211")
async def test_an_idle_meter_is_read_in_between_only_while_an_average_is_asked_for() -> None:
    async with running(given={"ClockAlignedDataInterval": "900"}) as rig:
        await rig.run_for(10)
        reads = rig.meter().reads
        await rig.run_for(800)
        assert rig.meter().reads == reads
        await rig.ask(ChangeSetting("aligned_measurands", "Voltage"))
        await rig.run_for(3600)
        assert 55 <= rig.meter().reads - reads <= 70
        await rig.ask(ChangeSetting("aligned_measurands", REGISTER))
        reads = rig.meter().reads
        await rig.run_for(890)
        assert rig.meter().reads - reads <= 1


# --- transactions of 2.x on a full disk --------------------------------------------------------------------

FREE = replace(CONVENTIONS["ocpp2.0.1"], start_points=("EVConnected",), stop_points=("EVConnected",))


@pytest.mark.req("E02.FR.20", "E04.FR.07", "E04.FR.08", "E11.FR.04", "E11.FR.05", "E12.FR.04", "E12.FR.05")
async def test_who_was_authorized_is_told_however_long_the_disk_takes_nothing() -> None:
    given = {"SampledDataCtrlr.TxUpdatedInterval": "10"}
    async with running(given=given, conventions=FREE) as rig:
        rig.evse().plug()
        await rig.run_for(2)
        assert len(rig.started) == 1
        rig.journal.failure = FULL
        await rig.tap()
        await rig.run_for(10 * KEPT_BACK_LIMIT * 3)
        rig.journal.failure = None
        await rig.run_for(20)
        updates = rig.told(TransactionUpdated)
        assert [fact.id_token.value for fact in updates if fact.id_token is not None] == ["TAG1"]
        kept = [*updates, *rig.metered]
        numbers = sorted(fact.seq_no for fact in kept)
        assert numbers == list(range(1, len(kept) + 1))
        assert len(rig.metered) < KEPT_BACK_LIMIT + 10


@pytest.mark.req("E01.FR.02")
async def test_a_cable_begins_its_transaction_as_soon_as_the_meter_speaks() -> None:
    async with running(conventions=FREE) as rig:
        rig.meter().failure = SILENT
        rig.evse().plug()
        await rig.run_for(30)
        assert not rig.started
        rig.meter().failure = None
        await rig.run_for(30)
        assert len(rig.started) == 1
        assert rig.started[0].trigger is TriggerReason.CABLE_PLUGGED_IN
