"""One EVSE is reset: its transaction ends, it is out of service for a moment, and the others do not notice."""

import pytest

from agent.charging.evse_reset import PAUSE_S
from agent.charging.ids import ResetKind, StopReason, TriggerReason
from agent.charging.requests import PreparePowerLoss, RequestStart, ResetStation, Verdict
from tests.charging.rig import TAG, running
from tests.helpers.fake_hardware import fake_hardware

NOW, IDLE = ResetStation(ResetKind.SOFT, 1), ResetStation(ResetKind.ON_IDLE, 1)


@pytest.mark.req("B11.FR.08", "TC_B_25_CS")
@pytest.mark.parametrize("order", [NOW, IDLE])
async def test_a_free_evse_is_out_of_service_for_a_moment(order: ResetStation) -> None:
    async with running(hardware=fake_hardware(evses=2)) as rig:
        assert (await rig.ask(order)).verdict is Verdict.ACCEPTED
        await rig.run_for(1)
        assert not rig.shown(1).is_operative
        assert not rig.evse(1).setpoint.available
        assert rig.shown(2).is_operative
        assert (await rig.ask(order)).verdict is Verdict.REJECTED
        assert (await rig.ask(RequestStart(TAG, 1))).verdict is Verdict.REJECTED
        assert (await rig.ask(RequestStart(TAG, 2))).verdict is Verdict.ACCEPTED
        await rig.run_for(PAUSE_S)
        assert rig.shown(1).is_operative
        assert rig.evse(1).setpoint.available
        assert rig.resets == []


@pytest.mark.req("B12.FR.02", "B12.FR.08", "TC_B_27_CS")
async def test_at_once_means_that_the_transaction_ends() -> None:
    async with running(hardware=fake_hardware(evses=2)) as rig:
        await rig.charge()
        assert (await rig.ask(NOW)).verdict is Verdict.ACCEPTED
        await rig.run_for(1)
        (stopped,) = rig.stopped
        assert (stopped.reason, stopped.trigger) == (StopReason.SOFT_RESET, TriggerReason.RESET_COMMAND)
        assert not rig.shown(1).is_operative
        await rig.run_for(PAUSE_S)
        assert rig.shown(1).is_operative


@pytest.mark.req("B12.FR.01", "B12.FR.07", "TC_B_26_CS")
async def test_on_idle_waits_for_the_transaction_and_lets_no_other_one_begin() -> None:
    async with running(hardware=fake_hardware(evses=2)) as rig:
        await rig.charge()
        assert (await rig.ask(IDLE)).verdict is Verdict.SCHEDULED
        await rig.run_for(3600)
        assert not rig.stopped
        assert (await rig.ask(IDLE)).verdict is Verdict.SCHEDULED
        await rig.tap()
        rig.evse().unplug()
        await rig.run_for(1)
        assert not rig.shown(1).is_operative
        await rig.run_for(PAUSE_S)
        assert rig.shown(1).is_operative
        await rig.charge()


@pytest.mark.req("B12.FR.02", "B12.FR.08")
async def test_at_once_hurries_a_reset_that_waits() -> None:
    async with running(hardware=fake_hardware(evses=2)) as rig:
        await rig.charge()
        assert (await rig.ask(IDLE)).verdict is Verdict.SCHEDULED
        await rig.run_for(60)
        assert (await rig.ask(NOW)).verdict is Verdict.ACCEPTED
        assert (await rig.ask(NOW)).verdict is Verdict.REJECTED, "once is enough"
        await rig.run_for(1)
        assert [each.reason for each in rig.stopped] == [StopReason.SOFT_RESET]
        await rig.run_for(PAUSE_S)
        assert rig.shown(1).is_operative


@pytest.mark.req("B12.FR.01", "B12.FR.02")
async def test_of_the_station_too() -> None:
    whole = ResetStation(ResetKind.ON_IDLE)
    async with running(hardware=fake_hardware(evses=2)) as rig:
        await rig.charge()
        for _ in range(2):
            assert (await rig.ask(whole)).verdict is Verdict.SCHEDULED
        await rig.run_for(60)
        assert rig.resets == []
        assert (await rig.ask(NOW)).verdict is Verdict.REJECTED, "not of a part of it"
        assert (await rig.ask(ResetStation(ResetKind.SOFT))).verdict is Verdict.ACCEPTED
        assert (await rig.ask(ResetStation(ResetKind.SOFT))).verdict is Verdict.REJECTED
        await rig.run_for(5)
        assert rig.resets == [ResetKind.SOFT]
        assert [each.reason for each in rig.stopped] == [StopReason.SOFT_RESET]


@pytest.mark.req("R16-131")
async def test_a_reset_that_waits_is_no_obstacle_when_the_power_fails() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.ask(ResetStation(ResetKind.ON_IDLE))
        assert (await rig.ask(PreparePowerLoss())).verdict is Verdict.ACCEPTED
        assert [each.reason for each in rig.stopped] == [StopReason.POWER_LOSS]


@pytest.mark.req("B12.FR.06")
async def test_an_evse_out_of_service_stays_so() -> None:
    async with running() as rig:
        rig.stores.availability.states[1, 1] = False
        await rig.station.load()
        rig.station._core.put_in_force((1, 1))
        await rig.ask(NOW)
        await rig.run_for(PAUSE_S + 1)
        assert not rig.shown(1).is_operative


@pytest.mark.req("B12.FR.10")
async def test_an_evse_that_is_not_there_or_a_station_that_resets_cannot() -> None:
    async with running() as rig:
        assert (await rig.ask(ResetStation(ResetKind.SOFT, 7))).verdict is Verdict.REJECTED
        await rig.ask(ResetStation(ResetKind.SOFT))
        assert (await rig.ask(NOW)).verdict is Verdict.REJECTED


@pytest.mark.req("L01.FR.07")
@pytest.mark.parametrize(("may_go_on", "is_waiting"), [(True, True), (True, False), (False, True)])
async def test_others_may_begin_while_new_firmware_waits_if_the_operator_says_so(
    may_go_on: bool, is_waiting: bool
) -> None:
    async with running() as rig:
        await rig.settings.change("sessions_before_update", str(may_go_on).lower())
        rig.station.set_updating(True, is_waiting=is_waiting)
        is_open = may_go_on and is_waiting
        assert rig.shown().is_operative is is_open
        wanted = Verdict.ACCEPTED if is_open else Verdict.REJECTED
        assert (await rig.ask(RequestStart(TAG, 1))).verdict is wanted
