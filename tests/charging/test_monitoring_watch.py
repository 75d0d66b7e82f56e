"""Monitors at work in a running station: what is told when, what is kept, and what survives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.charging.facts import EventsNoticed, VariableEvent
from agent.charging.ids import Component, EventTrigger, MonitorOrigin, Variable
from agent.charging.monitoring_watch import EVENTS_PER_MESSAGE
from agent.charging.monitors import (
    Flaw,
    MonitorAnswer,
    MonitoringBase,
    MonitorKind,
    MonitorOrder,
    MonitorVerdict,
)
from agent.charging.requests import (
    Answer,
    ChangeSetting,
    ClearMonitors,
    MonitorAnswers,
    SetMonitoringBase,
    SetMonitoringLevel,
    SetMonitors,
    Verdict,
)
from agent.errors import StoreFull
from hal.ports import FaultCode
from tests.charging.rig import Rig, Stores, running
from tests.helpers.fake_stores import FakeMonitorStore

EVSE, STATE, POWER = Component("EVSE", evse_id=1), Variable("AvailabilityState"), Variable("Power")
DELTA, UPPER, LOWER = MonitorKind.DELTA, MonitorKind.UPPER_THRESHOLD, MonitorKind.LOWER_THRESHOLD
PERIODIC, ALIGNED = MonitorKind.PERIODIC, MonitorKind.PERIODIC_CLOCK_ALIGNED
SEVERE, MILD = 4, 5


@asynccontextmanager
async def watching(
    kept: FakeMonitorStore | None = None, stores: Stores | None = None, **given: Any
) -> AsyncIterator[tuple[Rig, FakeMonitorStore]]:
    kept = kept or FakeMonitorStore()
    async with running(stores=stores, **given) as rig:
        await rig.station.monitor(kept)
        await rig.run_for(0.1)
        yield rig, kept


def events(rig: Rig) -> list[VariableEvent]:
    return [event for fact in rig.told(EventsNoticed) for event in fact.events]


def words(rig: Rig) -> list[tuple[str, str]]:
    """What was told of the monitors of the CSMS."""
    return [
        (event.actual_value, event.trigger.value + (" over" if event.is_cleared else ""))
        for event in events(rig)
        if event.origin is MonitorOrigin.CUSTOM
    ]


async def put(rig: Rig, kind: MonitorKind, value: float, severity: int = MILD, **more: Any) -> MonitorAnswer:
    variable = POWER if kind in (UPPER, LOWER) else STATE
    wanted = {"component": EVSE, "variable": variable, **more}
    answers = await rig.ask(SetMonitors((MonitorOrder(kind=kind, value=value, severity=severity, **wanted),)))
    assert isinstance(answers, MonitorAnswers)
    return answers.answers[0]


async def number(rig: Rig, kind: MonitorKind, value: float, severity: int = MILD, **more: Any) -> int:
    answer = await put(rig, kind, value, severity, **more)
    assert answer.verdict is MonitorVerdict.ACCEPTED
    assert answer.monitor_id is not None
    return answer.monitor_id


@pytest.mark.req("N07.FR.06", "N07.FR.19", "TC_N_56_CS")
async def test_a_change_is_told_with_monitor_and_transaction() -> None:
    async with watching() as (rig, kept):
        monitor_id = await number(rig, DELTA, 1)
        rig.evse().plug()
        await rig.run_for(1)
        (event,) = events(rig)
        assert (event.component, event.variable, event.actual_value) == (EVSE, STATE, "Occupied")
        assert (event.trigger, event.monitor_id) == (EventTrigger.DELTA, monitor_id)
        assert (event.origin, event.transaction_id) == (MonitorOrigin.CUSTOM, None)
        assert kept.facts == []  # not severe enough to be kept
        started = await rig.charge()
        await number(rig, DELTA, 1, variable=Variable("Problem"))
        rig.evse().fault(FaultCode.TEMP_WARN)
        await rig.run_for(1)
        assert events(rig)[-1].transaction_id == started.transaction_id


@pytest.mark.req("N07.FR.02", "N07.FR.16", "N07.FR.17", "TC_N_20_CS")
async def test_power_is_measured_for_a_threshold() -> None:
    async with watching() as (rig, _kept):
        await number(rig, UPPER, 1000)
        started = await rig.charge()
        await rig.run_for(12)
        assert words(rig) == [("6900.0", "Alerting")]
        assert events(rig)[0].transaction_id == started.transaction_id
        rig.evse().unplug()
        await rig.run_for(12)
        assert words(rig)[1:] == [("0.0", "Alerting over")]


@pytest.mark.req("N07.FR.11", "TC_N_51_CS")
async def test_a_threshold_that_is_moved_is_compared_at_once() -> None:
    async with watching() as (rig, _kept):
        monitor_id = await number(rig, UPPER, 10_000)
        await rig.charge()
        await rig.run_for(12)
        assert words(rig) == []
        await number(rig, UPPER, 1000, monitor_id=monitor_id)
        await rig.run_for(1)
        assert words(rig) == [("6900.0", "Alerting")]
        await number(rig, UPPER, 2000, monitor_id=monitor_id)
        await rig.run_for(1)
        assert len(words(rig)) == 1
        await number(rig, UPPER, 9000, monitor_id=monitor_id)
        await rig.run_for(1)
        assert words(rig)[1:] == [("6900.0", "Alerting over")]


@pytest.mark.req("N07.FR.12", "N06.FR.01", "TC_N_18_CS", "TC_N_52_CS")
async def test_a_threshold_that_is_cleared_says_no_more() -> None:
    async with watching() as (rig, _kept):
        monitor_id = await number(rig, UPPER, 1000)
        await rig.charge()
        await rig.run_for(12)
        answers = await rig.ask(ClearMonitors((monitor_id,)))
        assert answers == MonitorAnswers((MonitorAnswer(MonitorVerdict.ACCEPTED, Flaw.NONE),))
        rig.evse().unplug()
        await rig.run_for(30)
        assert words(rig) == [("6900.0", "Alerting")]


@pytest.mark.req("N06.FR.02", "N06.FR.03", "N06.FR.05", "TC_N_19_CS", "TC_N_44_CS")
async def test_only_monitors_of_the_csms_can_be_cleared() -> None:
    async with watching() as (rig, _kept):
        ours = rig.station.snapshot().monitors
        answers = await rig.ask(ClearMonitors((123456, *(each.monitor_id for each in ours))))
        verdicts = [each.verdict for each in answers.answers]
        assert verdicts == [MonitorVerdict.NOT_FOUND] + [MonitorVerdict.REJECTED] * len(ours)
        assert rig.station.snapshot().monitors == ours


@pytest.mark.req("N08.FR.05", "N08.FR.06", "TC_N_24_CS")
async def test_a_period_is_counted_from_when_it_was_set() -> None:
    async with watching() as (rig, _kept):
        await number(rig, PERIODIC, 60)
        await rig.run_for(59)
        assert words(rig) == []
        await rig.run_for(122)
        assert words(rig) == [("Available", "Periodic")] * 3


@pytest.mark.req("N08.FR.07")
async def test_a_clock_aligned_period_follows_the_grid_of_the_day() -> None:
    async with watching() as (rig, _kept):
        await rig.run_for(100)
        await number(rig, ALIGNED, 900)
        await rig.run_for(2700)
        assert words(rig) == [("Available", "Periodic")] * 3
        assert {event.at.minute % 15 for event in events(rig)} == {0}
        assert {event.at.second for event in events(rig)} == {0}


@pytest.mark.req("N05.FR.01", "N05.FR.02", "N05.FR.03", "N07.FR.15", "TC_N_16_CS", "TC_N_17_CS")
async def test_the_level_silences_what_is_less_severe() -> None:
    async with watching() as (rig, _kept):
        for severity in (7, 8):
            await number(rig, DELTA, 1, severity)
        for wrong in (10, -1):
            assert (await rig.ask(SetMonitoringLevel(wrong))).verdict is Verdict.REJECTED
        assert await rig.ask(SetMonitoringLevel(7)) == Answer(Verdict.ACCEPTED)
        rig.evse().plug()
        await rig.run_for(1)
        assert len(words(rig)) == 1


@pytest.mark.req("N07.FR.04", "TC_N_22_CS", "TC_N_23_CS")
async def test_offline_what_is_severe_is_kept_and_the_rest_waits() -> None:
    async with watching() as (rig, kept):
        await number(rig, DELTA, 1, SEVERE)
        await number(rig, DELTA, 1, MILD)
        rig.station.on_online(False)
        rig.evse().plug()
        await rig.run_for(1)
        assert [fact.is_queued for fact in rig.told(EventsNoticed)] == [True]
        assert kept.facts == rig.told(EventsNoticed)
        rig.station.on_online(True)  # then the CSMS hears of what is, not of what was
        await rig.run_for(1)
        assert words(rig) == [("Occupied", "Delta")] * 2
        assert rig.told(EventsNoticed)[1].is_queued is False
        assert len(kept.facts) == 1


async def test_which_severity_is_kept_is_a_setting() -> None:
    async with watching() as (rig, kept):
        await rig.ask(ChangeSetting("offline_event_severity", "9"))
        await number(rig, DELTA, 1, 9)
        rig.station.on_online(False)
        rig.evse().plug()
        await rig.run_for(1)
        assert len(kept.facts) == 1


@pytest.mark.req("G05.FR.02", "TC_G_20_CS", "TC_N_21_CS")
async def test_the_failure_of_a_lock_is_told_without_being_asked() -> None:
    async with watching() as (rig, _kept):
        rig.evse().fault(FaultCode.LOCK_FAIL)
        await rig.run_for(1)
        told = {event.component.name: event for event in events(rig)}
        lock = told["ConnectorPlugRetentionLock"]
        assert (lock.variable, lock.actual_value) == (Variable("Problem"), "true")
        assert (lock.origin, lock.trigger) == (MonitorOrigin.HARD_WIRED, EventTrigger.DELTA)
        assert lock.tech_code == "lock_fail"
        assert told["EVSE"].origin is MonitorOrigin.PRECONFIGURED
        rig.evse().fault(FaultCode.LOCK_FAIL, is_there=False)
        await rig.run_for(10)
        assert {event.actual_value for event in events(rig)[3:]} == {"false"}


@pytest.mark.req("N03.FR.01", "N03.FR.05", "TC_N_06_CS")
async def test_a_base_takes_effect_and_stays() -> None:
    kept = FakeMonitorStore()
    async with watching(kept) as (rig, _kept):
        await number(rig, DELTA, 1)
        assert await rig.ask(SetMonitoringBase(MonitoringBase.HARD_WIRED_ONLY)) == Answer(Verdict.ACCEPTED)
        model = rig.station.device_model
        row = model.find(Component("MonitoringCtrlr"), Variable("ActiveMonitoringBase"))
        assert row.read(rig.station.description.present()) == "HardWiredOnly"  # type: ignore[union-attr]
    async with watching(kept) as (rig, _kept):
        assert {each.origin for each in rig.station.snapshot().monitors} == {MonitorOrigin.HARD_WIRED}


@pytest.mark.req("N07.FR.13", "N07.FR.14", "TC_N_53_CS")
async def test_monitors_survive_a_reboot_with_what_they_know() -> None:
    kept = FakeMonitorStore()
    async with watching(kept) as (rig, _kept):
        monitor_id = await number(rig, UPPER, 1000, SEVERE)
        await rig.charge()
        await rig.run_for(12)
        last = events(rig)[-1].event_id
    async with watching(kept) as (rig, _kept):
        assert monitor_id in [each.monitor_id for each in rig.station.snapshot().monitors]
        await rig.run_for(12)
        assert words(rig) == [("0.0", "Alerting over")]
        assert events(rig)[0].event_id > last
        assert await number(rig, UPPER, 1, SEVERE + 1) > monitor_id


@pytest.mark.req("N07.FR.18", "N07.FR.19", "TC_N_45_CS")
async def test_what_changed_while_the_station_was_off_is_told() -> None:
    kept, stores = FakeMonitorStore(), Stores()
    place = {"component": Component("OCPPCommCtrlr"), "variable": Variable("OfflineThreshold")}
    async with watching(kept, stores) as (rig, _kept):
        await rig.run_for(1)
        await number(rig, DELTA, 5, **place)
        await number(rig, DELTA, 1)
    stores.settings.values["offline_threshold_s"] = "305"
    async with watching(kept, stores) as (rig, _kept):
        await rig.run_for(6)
        assert words(rig) == [], "5 is not more than 5, and a board that has not spoken yet is no change"
        await rig.ask(ChangeSetting("offline_threshold_s", "306"))
        await rig.run_for(1)
        assert words(rig) == [("306", "Delta")], "counted from where it was set, not from the start"
    async with watching(kept, stores) as (rig, _kept):
        await rig.run_for(6)
        assert words(rig) == [], "what was told is not told again"


@pytest.mark.req("N07.FR.19")
async def test_a_problem_is_told_also_when_it_came_or_went_with_the_power() -> None:
    kept = FakeMonitorStore()

    def problems(rig: Rig) -> list[tuple[str, str]]:
        return [(event.component.name, event.actual_value) for event in events(rig)]

    async with running() as rig:
        rig.evse().fault(FaultCode.LOCK_FAIL)
        await rig.run_for(1)
        await rig.station.monitor(kept)
        await rig.run_for(1)
        assert ("ConnectorPlugRetentionLock", "true") in problems(rig), "it was there at the first start"
    async with watching(kept) as (rig, _kept):
        await rig.run_for(1)
        assert ("ConnectorPlugRetentionLock", "false") in problems(rig)


async def test_a_reference_of_another_type_is_forgotten() -> None:
    kept = FakeMonitorStore()
    async with watching(kept) as (rig, _kept):
        wanted = {"component": Component("OCPPCommCtrlr"), "variable": Variable("OfflineThreshold")}
        monitor_id = await number(rig, DELTA, 5, **wanted)
    kept.references[monitor_id] = "soon"  # the variable was a text before an update
    async with watching(kept) as (rig, _kept):
        await rig.run_for(6)
        assert words(rig) == [], "it counts from the value at the start then"
        await rig.ask(ChangeSetting("offline_threshold_s", "400"))
        await rig.run_for(1)
        assert words(rig) == [("400", "Delta")]


@pytest.mark.req("N08.FR.03")
async def test_offline_a_severe_period_is_kept_and_a_mild_one_is_not() -> None:
    async with watching() as (rig, kept):
        await number(rig, PERIODIC, 60, SEVERE)
        await number(rig, ALIGNED, 60, SEVERE)
        await number(rig, PERIODIC, 60, MILD)
        rig.station.on_online(False)
        await rig.run_for(130)
        assert {fact.is_queued for fact in rig.told(EventsNoticed)} == {True}
        assert [event.trigger for event in events(rig)] == [EventTrigger.PERIODIC] * 4
        assert kept.facts == rig.told(EventsNoticed)
        rig.station.on_online(True)
        await rig.run_for(60)
        assert {fact.is_queued for fact in rig.told(EventsNoticed)} == {True, False}


@pytest.mark.req("N07.FR.10", "TC_N_48_CS")
async def test_of_a_secret_only_the_change_is_told() -> None:
    async with watching() as (rig, _kept):
        place = {"component": Component("SecurityCtrlr"), "variable": Variable("BasicAuthPassword")}
        await number(rig, DELTA, 1, **place)
        await rig.ask(ChangeSetting("authorization_key", "00" * 20))
        await rig.run_for(1)
        assert words(rig) == [("", "Delta")]


@pytest.mark.req("TC_N_61_CS")
async def test_a_setting_can_be_monitored() -> None:
    async with watching() as (rig, _kept):
        await number(
            rig, DELTA, 1, component=Component("OCPPCommCtrlr"), variable=Variable("OfflineThreshold")
        )
        for seconds in ("301", "302"):
            await rig.ask(ChangeSetting("offline_threshold_s", seconds))
            await rig.run_for(1)
        assert words(rig) == [("302", "Delta")]


async def test_many_events_at_one_time_are_several_messages() -> None:
    async with watching() as (rig, kept):
        model = rig.station.device_model
        rows = [row for row in model.rows if row.supports_monitoring and row.setting is not None][:60]
        orders = tuple(
            MonitorOrder(row.component, row.variable, PERIODIC, 60.0, SEVERE)
            for row in rows
            if row.setting is not None and row.setting.name != "authorization_key"
        )
        await rig.ask(SetMonitors(orders))
        await rig.run_for(61)
        sizes = [len(fact.events) for fact in rig.told(EventsNoticed)]
        assert sizes == [EVENTS_PER_MESSAGE, len(orders) - EVENTS_PER_MESSAGE]
        assert kept.facts == rig.told(EventsNoticed)
        assert len({event.event_id for event in events(rig)}) == len(orders)


async def test_a_monitor_for_transactions_is_silent_without_one() -> None:
    async with watching() as (rig, _kept):
        await number(rig, PERIODIC, 10, only_in_transaction=True)
        await rig.run_for(35)
        assert words(rig) == []
        await rig.charge()
        await rig.run_for(20)
        assert len(words(rig)) == 2


async def test_monitoring_can_be_switched_off() -> None:
    async with watching() as (rig, _kept):
        await number(rig, DELTA, 1)
        await rig.ask(ChangeSetting("monitoring_enabled", "false"))
        rig.evse().plug()
        await rig.run_for(1)
        assert words(rig) == []
        answer = await put(rig, DELTA, 1, 6)
        assert (answer.verdict, answer.flaw) == (MonitorVerdict.REJECTED, Flaw.SWITCHED_OFF)
        await rig.ask(ChangeSetting("monitoring_enabled", "true"))
        await rig.run_for(1)
        assert words(rig) == [("Occupied", "Delta")]


async def test_what_cannot_be_stored_is_not_set() -> None:
    async with watching() as (rig, kept):
        kept.failure = StoreFull("full")
        answer = await put(rig, DELTA, 1)
        assert (answer.verdict, answer.flaw) == (MonitorVerdict.REJECTED, Flaw.NOT_STORED)
        kept.failure = None
        assert [each.origin for each in rig.station.snapshot().monitors].count(MonitorOrigin.CUSTOM) == 0


async def test_there_are_no_more_monitors_than_allowed() -> None:
    async with watching(given={"MonitoringCtrlr.MaxCustomMonitors": "1"}) as (rig, _kept):
        await number(rig, DELTA, 1)
        assert (await put(rig, DELTA, 1, 6)).flaw is Flaw.NO_ROOM


async def test_a_station_without_monitors_says_so() -> None:
    async with running() as rig:
        answer = await rig.ask(SetMonitoringLevel(3))
        assert answer.verdict is Verdict.REJECTED
        assert rig.station.snapshot().monitors == ()
