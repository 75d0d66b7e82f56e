"""The station as a whole: start and stop, order of commit and news, power loss, faults of meter, board and disk."""

from dataclasses import replace

import pytest

from agent.charging.facts import (
    CablePlugged,
    CableUnplugged,
    EvseChanged,
    FaultCleared,
    FaultRaised,
    SettingChanged,
    StationBooted,
    TokenRefused,
    TransactionStarted,
    TransactionStopped,
)
from agent.charging.ids import (
    AuthorizationStatus,
    BootReason,
    ChargingState,
    IdToken,
    IdTokenInfo,
    ReadingContext,
    StopReason,
    TriggerReason,
)
from agent.charging.requests import ChangeSetting, SampleMeters, Verdict
from agent.charging.snapshot import SessionState
from hal.ports import FaultCode
from tests.charging.rig import TAG, Rig, Stores, running
from tests.helpers.fake_hardware import SILENT, fake_hardware
from tests.helpers.fake_stores import FULL


def seq_nos(rig: Rig, transaction_id: str) -> list[int]:
    facts = [fact for fact in rig.journal.facts if getattr(fact, "transaction_id", "") == transaction_id]
    return [fact.seq_no for fact in facts]  # type: ignore[union-attr]


@pytest.mark.req("R16-109", "R16-120", "R16-121", "R16-123", "R16-159")
async def test_a_whole_transaction() -> None:
    async with running() as rig:
        assert rig.told(StationBooted) == [
            StationBooted(rig.station.snapshot().booted_at, BootReason.POWER_UP)
        ]
        started = await rig.charge()
        assert (started.evse_id, started.connector_id, started.id_token) == (1, 1, TAG)
        assert (started.meter_start_wh, started.trigger) == (1000, TriggerReason.AUTHORIZED)
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.charging_state is ChargingState.CHARGING
        await rig.run_for(3600)
        await rig.tap()
        (stopped,) = rig.stopped
        assert stopped.transaction_id == started.transaction_id
        assert (stopped.reason, stopped.id_token) == (StopReason.LOCAL, TAG)
        assert 1000 + 6890 < stopped.meter_stop_wh < 1000 + 6910
        assert rig.shown().session is SessionState.FINISHING
        rig.evse().unplug()
        assert rig.shown().session is SessionState.IDLE
        assert len(rig.told(CablePlugged)) == len(rig.told(CableUnplugged)) == 1
        numbers = seq_nos(rig, started.transaction_id)
        assert numbers == list(range(len(numbers)))


async def test_a_fact_is_on_disk_before_anybody_hears_of_it() -> None:
    async with running() as rig:
        seen: list[bool] = []

        def listener(fact: object) -> None:
            if isinstance(fact, TransactionStarted | TransactionStopped):
                seen.append(fact in rig.journal.facts)

        rig.station.subscribe(listener)
        await rig.charge()
        await rig.tap()
        assert seen == [True, True]


@pytest.mark.req("FIELD-51", "R16-088")
async def test_charging_is_permitted_only_after_the_start_is_on_disk() -> None:
    async with running() as rig:
        permitted_when_told: list[bool] = []
        rig.station.subscribe(
            lambda fact: (
                permitted_when_told.append(rig.evse().setpoint.allow_power)
                if isinstance(fact, TransactionStarted)
                else None
            )
        )
        await rig.charge()
        assert permitted_when_told == [False]


async def test_the_board_opens_before_the_stop_is_read_and_written() -> None:
    async with running() as rig:
        await rig.charge()
        rig.evse().is_contactor_slow = True
        reads = rig.meter().reads
        await rig.tap()
        assert not rig.evse().setpoint.allow_power
        assert rig.meter().reads == reads  # the EV has not let go yet
        assert not rig.stopped
        rig.evse().is_contactor_slow = False
        rig.evse().want_power(False)
        await rig.run_for(0.1)
        assert len(rig.stopped) == 1


async def test_a_listener_that_raises_harms_nobody() -> None:
    async with running() as rig:
        heard: list[object] = []

        def broken(_fact: object) -> None:
            raise ValueError("a bug")

        stop = rig.station.subscribe(broken)
        rig.station.subscribe(heard.append)
        await rig.charge()
        stop()
        assert any(isinstance(fact, TransactionStarted) for fact in heard)


@pytest.mark.req("R16-081", "R16-126")
async def test_ev_side_disconnect_may_go_on() -> None:
    async with running(given={"StopTransactionOnEVSideDisconnect": "false"}) as rig:
        await rig.charge()
        rig.evse().unplug()
        await rig.run_for()
        shown = rig.shown()
        assert shown.transaction is not None
        assert shown.transaction.ev_disconnected
        assert shown.remark == "EV side disconnected"
        rig.evse().plug()
        await rig.run_for()
        assert rig.evse().setpoint.allow_power
        assert not rig.stopped


@pytest.mark.req("R16-082", "R16-125")
async def test_ev_side_disconnect_stops() -> None:
    async with running() as rig:
        await rig.charge()
        rig.evse().unplug()
        await rig.run_for()
        assert rig.stopped[0].reason is StopReason.EV_DISCONNECTED
        assert "EV side disconnected" in [change.detail for change in rig.told(EvseChanged)]
        assert rig.shown().session is SessionState.IDLE


# --- after a power cut -----------------------------------------------------------------------------------


@pytest.mark.req("R16-131", "R16-132")
async def test_open_transaction_is_stopped_with_what_the_disk_knows() -> None:
    stores = Stores()
    async with running(stores=stores, given={"StopTxnSampledData": "Energy.Active.Import.Register"}) as rig:
        started = await rig.charge()
        await rig.run_for(600)
    register, noted_at = stores.journal.registers[started.transaction_id]
    async with running(stores=stores, is_online=False) as after:
        (stopped,) = [fact for fact in stores.journal.facts if isinstance(fact, TransactionStopped)]
        assert (stopped.reason, stopped.meter_stop_wh, stopped.at) == (
            StopReason.POWER_LOSS,
            register,
            noted_at,
        )
        assert register > 1000 + 1000
        assert [sample.context for sample in stopped.samples] == [
            ReadingContext.TRANSACTION_BEGIN,
            ReadingContext.TRANSACTION_END,
        ]
        assert after.shown().session is SessionState.IDLE
        numbers = seq_nos(after, started.transaction_id)
        assert numbers == list(range(len(numbers)))


@pytest.mark.req("R16-131")
async def test_register_on_disk_is_never_older_than_half_a_minute() -> None:
    async with running() as rig:
        started = await rig.charge()
        for _ in range(60):
            await rig.run_for(5)
            await rig.ask(SampleMeters((1,), ReadingContext.TRIGGER, ()))
            _, noted_at = rig.journal.registers[started.transaction_id]
            assert (rig.clock.now() - noted_at).total_seconds() <= 31


@pytest.mark.req("R16-132")
async def test_open_transaction_may_be_resumed() -> None:
    stores = Stores()
    hardware = fake_hardware()
    async with running(hardware, stores, given={"ResumeTransactionAfterPowerLoss": "true"}) as rig:
        started = await rig.charge()
        await rig.run_for(100)
    async with running(hardware, stores) as rig:
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.transaction_id == started.transaction_id
        await rig.run_for(100)
        assert rig.evse().setpoint.allow_power
        await rig.tap()
        assert rig.stopped[0].reason is StopReason.LOCAL
        numbers = seq_nos(rig, started.transaction_id)
        assert numbers == list(range(len(numbers)))


@pytest.mark.req("R16-092", "R16-132")
async def test_a_resumed_transaction_is_stopped_by_another_token_of_its_group() -> None:
    stores, hardware = Stores(), fake_hardware()
    family = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=IdToken("FAMILY"))
    async with running(hardware, stores, given={"ResumeTransactionAfterPowerLoss": "true"}) as rig:
        rig.authorizer.answers["TAG1"] = family
        await rig.charge()
    async with running(hardware, stores) as rig:
        rig.authorizer.answers["TAG2"] = family
        await rig.run_for(20)
        await rig.tap("TAG2")
        assert rig.stopped[0].reason is StopReason.LOCAL
        assert rig.stopped[0].id_token == IdToken("TAG2")


async def test_resumed_transaction_ends_when_the_ev_has_gone() -> None:
    stores = Stores()
    async with running(stores=stores, given={"ResumeTransactionAfterPowerLoss": "true"}) as rig:
        await rig.charge()
    async with running(stores=stores) as rig:
        await rig.run_for()
        assert rig.stopped[0].reason is StopReason.EV_DISCONNECTED


async def test_close_opens_first_and_keeps_the_register() -> None:
    async with running() as rig:
        started = await rig.charge()
        await rig.run_for(25)
        await rig.station.close()
        assert not rig.evse().setpoint.allow_power
        assert not rig.stopped
        register, _ = rig.journal.registers[started.transaction_id]
        assert register >= 1000 + 25 * 6900 // 3600


async def test_stopping_the_task_leaves_the_board_safe() -> None:
    async with running() as rig:
        await rig.charge()
    assert not rig.evse().setpoint.allow_power


# --- faults ----------------------------------------------------------------------------------------------


async def test_no_start_without_a_reading() -> None:
    async with running() as rig:
        rig.meter().failure = SILENT
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        assert not rig.evse().setpoint.allow_power
        assert [fault.code for fault in rig.shown().faults] == ["meter_comm"]
        assert rig.shown().is_faulted
        rig.meter().failure = None
        await rig.run_for(20)
        assert rig.told(FaultCleared)
        await rig.tap()
        assert rig.started


async def test_evse_without_a_meter_charges_and_bills_nothing() -> None:
    hardware = fake_hardware()
    hardware = replace(hardware, evses={1: replace(hardware.evses[1], meter=None)})
    given = {"MeterValueSampleInterval": "10", "StopTxnSampledData": "Energy.Active.Import.Register"}
    async with running(hardware, given=given) as rig:
        started = await rig.charge()
        assert (started.meter_start_wh, started.sample) == (0, None)
        await rig.run_for(100)
        assert not rig.metered
        await rig.tap()
        assert (rig.stopped[0].meter_stop_wh, rig.stopped[0].samples) == (0, ())


async def test_meter_that_hangs_is_silent_too() -> None:
    async with running() as rig:
        rig.meter().is_hanging = True
        rig.evse().plug()
        await rig.tap()
        await rig.run_for(5)
        assert not rig.started


@pytest.mark.parametrize("stops", [True, False])
async def test_silence_of_the_meter_while_charging(stops: bool) -> None:
    async with running(given={"StopChargingOnMeterFailure": str(stops)}) as rig:
        await rig.charge()
        rig.meter().failure = SILENT
        await rig.run_for(60)
        (fault,) = rig.shown().faults
        assert (fault.code, fault.stops_charging) == ("meter_comm", stops)
        assert rig.evse().setpoint.allow_power is not stops
        assert rig.shown().transaction is not None
        rig.meter().failure = None
        await rig.run_for(60)
        assert not rig.shown().faults
        assert rig.evse().setpoint.allow_power


@pytest.mark.req("R16-159")
async def test_stop_without_a_reading_takes_the_last_register() -> None:
    async with running(given={"MeterValueSampleInterval": "60"}) as rig:
        await rig.charge()
        await rig.run_for(120)
        last = rig.metered[-1].register_wh
        rig.meter().failure = SILENT
        await rig.tap()
        assert rig.stopped[0].meter_stop_wh >= last > 1000


@pytest.mark.req("R16-159")
async def test_register_that_falls_is_not_believed() -> None:
    async with running(given={"MeterValueSampleInterval": "60"}) as rig:
        await rig.charge()
        await rig.run_for(100)
        rig.meter().energy_wh = 3.0
        await rig.run_for(100)
        assert [fault.code for fault in rig.shown().faults] == ["meter_implausible"]
        assert not rig.shown().is_faulted
        await rig.tap()
        registers = [fact.register_wh for fact in rig.metered] + [rig.stopped[0].meter_stop_wh]
        assert registers == sorted(registers)
        assert registers[0] >= 1000
        values = [fact.sample.values[0].value for fact in rig.metered]
        assert values == sorted(values)


async def test_fault_of_the_board_stops_energy_first_and_is_told_later() -> None:
    async with running() as rig:
        await rig.charge()
        allowed_when_told: list[bool] = []
        rig.station.subscribe(
            lambda fact: (
                allowed_when_told.append(rig.evse().setpoint.allow_power)
                if isinstance(fact, FaultRaised)
                else None
            )
        )
        rig.evse().fault(FaultCode.TEMP_STOP)
        assert allowed_when_told == [False]
        await rig.run_for()
        assert rig.shown().transaction is not None
        rig.evse().fault(FaultCode.TEMP_STOP, False)
        await rig.run_for()
        assert rig.evse().setpoint.allow_power


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (FaultCode.EMERGENCY_STOP, StopReason.EMERGENCY_STOP),
        (FaultCode.RCD_DC, StopReason.GROUND_FAULT),
        (FaultCode.CONTACTOR_WELDED, StopReason.OTHER),
    ],
)
async def test_latched_fault_ends_the_transaction(code: FaultCode, reason: StopReason) -> None:
    async with running() as rig:
        await rig.charge()
        rig.evse().fault(code)
        await rig.run_for()
        assert rig.stopped[0].reason is reason


async def test_board_that_stays_silent_ends_the_transaction_after_a_minute() -> None:
    async with running() as rig:
        await rig.charge()
        rig.evse().lose_link()
        await rig.run_for(59)
        assert not rig.stopped
        await rig.run_for(2)
        assert rig.stopped[0].reason is StopReason.OTHER


async def test_board_that_takes_no_setpoint_is_a_fault_and_nothing_is_permitted() -> None:
    async with running() as rig:
        await rig.charge()
        rig.evse().apply_failure = SILENT
        await rig.tap()
        assert any(fact.code == "board_comm" for fact in rig.told(FaultRaised))
        await rig.run_for(10)  # nobody says that the contactor is open
        assert len(rig.stopped) == 1


@pytest.mark.req("R16-079")
async def test_lock_failure_prevents_the_transaction() -> None:
    async with running() as rig:
        rig.evse().is_lock_broken = True
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        assert [fault.code for fault in rig.shown().faults] == ["lock_fail"]


async def test_full_disk_prevents_a_start() -> None:
    async with running() as rig:
        rig.journal.failure = FULL
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        assert not rig.evse().setpoint.allow_power
        assert [fault.code for fault in rig.station.snapshot().faults] == ["store"]
        assert [refused.reason for refused in rig.told(TokenRefused)] == ["the start cannot be stored"]
        rig.journal.failure = None
        await rig.tap()
        assert rig.started
        assert not rig.station.snapshot().faults


async def test_full_disk_delays_a_stop_but_loses_nothing() -> None:
    async with running() as rig:
        started = await rig.charge()
        rig.journal.failure = FULL
        await rig.tap()
        await rig.run_for(30)
        assert not rig.evse().setpoint.allow_power
        assert not rig.stopped
        assert [fault.code for fault in rig.station.snapshot().faults] == ["store"]
        rig.journal.failure = None
        await rig.run_for(61)
        assert rig.stopped[0].transaction_id == started.transaction_id
        numbers = seq_nos(rig, started.transaction_id)
        assert numbers == list(range(len(numbers)))
        assert not rig.station.snapshot().faults


async def test_full_disk_does_not_stop_charging() -> None:
    async with running(given={"MeterValueSampleInterval": "10"}) as rig:
        started = await rig.charge()
        rig.journal.failure = FULL
        await rig.run_for(100)
        assert rig.evse().setpoint.allow_power
        rig.journal.failure = None
        await rig.run_for(30)
        numbers = seq_nos(rig, started.transaction_id)
        assert numbers == list(range(len(numbers)))


@pytest.mark.req("R16-054")
async def test_no_transaction_without_a_trustworthy_time() -> None:
    async with running() as rig:
        rig.clock.is_trusted = False
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        assert [refused.reason for refused in rig.told(TokenRefused)] == ["no trustworthy time"]


# --- what the CSMS says afterwards -----------------------------------------------------------------------


@pytest.mark.req("R16-112", "R16-115", "R16-101")
async def test_token_refused_after_the_start_stops_the_transaction() -> None:
    async with running() as rig:
        started = await rig.charge()
        refused = IdTokenInfo(AuthorizationStatus.INVALID)
        await rig.station.token_answered(TAG, refused, started.transaction_id, from_start=True)
        await rig.run_for()
        assert rig.stopped[0].reason is StopReason.DE_AUTHORIZED
        assert await rig.stores.tokens.get(TAG) == refused


@pytest.mark.req("R16-114")
async def test_token_refused_after_the_start_gets_some_energy() -> None:
    async with running(given={"MaxEnergyOnInvalidId": "500"}) as rig:
        started = await rig.charge()
        refused = IdTokenInfo(AuthorizationStatus.BLOCKED)
        await rig.station.token_answered(TAG, refused, started.transaction_id, from_start=True)
        await rig.run_for(200)
        assert rig.evse().setpoint.allow_power
        await rig.run_for(200)
        assert 1500 <= rig.stopped[0].meter_stop_wh < 1530


@pytest.mark.req("R16-129")
async def test_answer_to_a_stop_only_updates_the_cache() -> None:
    async with running() as rig:
        started = await rig.charge()
        refused = IdTokenInfo(AuthorizationStatus.BLOCKED)
        await rig.station.token_answered(TAG, refused, started.transaction_id, from_start=False)
        await rig.run_for()
        assert rig.evse().setpoint.allow_power
        assert await rig.stores.tokens.get(TAG) == refused


@pytest.mark.req("R16-092")
async def test_group_named_in_the_answer_to_the_start_counts() -> None:
    async with running() as rig:
        started = await rig.charge()
        family = IdToken("FAMILY")
        known = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=family)
        await rig.station.token_answered(TAG, known, started.transaction_id, from_start=True)
        rig.authorizer.answers["TAG2"] = known
        await rig.tap("TAG2")
        assert rig.stopped[0].id_token == IdToken("TAG2")


async def test_reference_of_the_csms_finds_the_transaction() -> None:
    async with running() as rig:
        started = await rig.charge()
        assert rig.station.find_transaction("42") is None
        rig.station.transaction_bound(started.transaction_id, "42")
        assert rig.station.find_transaction("42") == started.transaction_id
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.reference == "42"


# --- limits and idleness ---------------------------------------------------------------------------------


@pytest.mark.req("R16-069", "R16-280")
async def test_limit_below_six_ampere_pauses_and_never_ends() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.ask(ChangeSetting("current_limit_a", "5"))
        await rig.run_for(3600)
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.charging_state is ChargingState.SUSPENDED_EVSE
        assert rig.evse().setpoint.limit_a == 0.0
        assert (await rig.ask(ChangeSetting("current_limit_a", "16"))).verdict is Verdict.ACCEPTED
        await rig.run_for()
        assert rig.evse().setpoint.limit_a == 16.0
        assert rig.shown().offered_current_a == 16.0


async def test_secret_settings_are_not_told() -> None:
    async with running() as rig:
        await rig.ask(ChangeSetting("authorization_key", "00112233445566778899aabbccddeeff"))
        assert [(fact.name, fact.value) for fact in rig.told(SettingChanged)] == [("authorization_key", "")]


async def test_idle_station_leaves_the_meter_alone() -> None:
    async with running() as rig:
        reads = rig.meter().reads
        await rig.run_for(86_400)
        assert rig.meter().reads == reads
