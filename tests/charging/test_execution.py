"""Requests: what the CSMS, vendor code or the local API may ask of the station, and what it answers."""

import asyncio
from dataclasses import replace

import pytest

from agent.charging.facts import AvailabilityChanged, TransactionStopped
from agent.charging.ids import (
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    LogKind,
    ReadingContext,
    ResetKind,
    StopReason,
    TriggerReason,
)
from agent.charging.requests import (
    ChangeAvailability,
    ChangeSetting,
    ClearCache,
    PreparePowerLoss,
    PresentToken,
    RequestStart,
    RequestStop,
    ResetStation,
    SampleMeters,
    TransferData,
    TransferResult,
    TransferStatus,
    UnlockConnector,
    UnlockVerdict,
    UploadLog,
    UploadVerdict,
    Verdict,
)
from agent.charging.snapshot import SessionState
from agent.ocpp.choosing import CONVENTIONS
from hal.ports import FaultCode
from tests.charging.rig import TAG, Rig, Stores, running
from tests.helpers.fake_hardware import SILENT, fake_hardware
from tests.helpers.fake_stores import FULL

ALL = ("Energy.Active.Import.Register", "Voltage", "Current.Import", "Power.Active.Import")


async def verdict(rig: Rig, request: object) -> Verdict:
    return (await rig.ask(request)).verdict  # type: ignore[arg-type,no-any-return]


# --- remote start and stop -------------------------------------------------------------------------------


@pytest.mark.req("R16-170", "R16-172", "R16-173", "FIELD-62")
async def test_remote_start_without_authorization() -> None:
    async with running(given={"AuthorizeRemoteTxRequests": "false"}) as rig:
        rig.evse().plug()
        assert await verdict(rig, RequestStart(TAG, 1, 1, 7)) is Verdict.ACCEPTED
        await rig.run_for()
        (started,) = rig.started
        assert (started.trigger, started.remote_start_id) == (TriggerReason.REMOTE_START, 7)
        assert started.id_token == TAG
        assert not rig.authorizer.asked


@pytest.mark.req("R16-171", "R16-177", "FIELD-62")
async def test_remote_start_is_authorized_and_waits_for_the_cable() -> None:
    async with running() as rig:
        assert await verdict(rig, RequestStart(TAG, 1, 1, 7)) is Verdict.ACCEPTED
        await rig.run_for()
        assert rig.authorizer.asked == [TAG]
        assert rig.shown().session is SessionState.AUTHORIZED
        rig.evse().plug()
        await rig.run_for()
        assert (rig.started[0].trigger, rig.started[0].remote_start_id) == (TriggerReason.REMOTE_START, 7)


@pytest.mark.req("R16-177", "R16-119")
async def test_remote_start_lapses() -> None:
    async with running(given={"ConnectionTimeOut": "30"}) as rig:
        await rig.ask(RequestStart(TAG, 1))
        await rig.run_for(29)
        assert rig.shown().session is SessionState.AUTHORIZED
        await rig.run_for(2)
        assert rig.shown().session is SessionState.IDLE


@pytest.mark.req("R16-171")
async def test_remote_start_of_a_refused_token_starts_nothing() -> None:
    async with running() as rig:
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.BLOCKED)
        rig.evse().plug()
        assert await verdict(rig, RequestStart(TAG, 1)) is Verdict.ACCEPTED
        await rig.run_for()
        assert not rig.started
        assert rig.shown().session is SessionState.PLUGGED


@pytest.mark.req("R16-174")
async def test_remote_start_anywhere_takes_the_evse_with_a_cable() -> None:
    async with running(fake_hardware(evses=3)) as rig:
        rig.evse(2).plug()
        await rig.ask(RequestStart(TAG))
        await rig.run_for()
        assert [started.evse_id for started in rig.started] == [2]
        await rig.ask(RequestStart(IdToken("TAG2")))
        await rig.run_for()
        assert rig.shown(1).session is SessionState.AUTHORIZED
        rig.evse(3).plug()
        await rig.run_for()
        assert [started.evse_id for started in rig.started] == [2, 3]


@pytest.mark.req("R16-111", "R16-176", "R16-080")
async def test_remote_start_is_refused_where_it_cannot_lead_to_anything() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.charge()
        assert await verdict(rig, RequestStart(TAG, 1)) is Verdict.REJECTED
        assert await verdict(rig, RequestStart(TAG, 9)) is Verdict.REJECTED
        assert await verdict(rig, RequestStart(TAG, 2, 5)) is Verdict.REJECTED
        rig.evse(2).fault(FaultCode.TEMP_STOP)
        assert await verdict(rig, RequestStart(TAG, 2)) is Verdict.REJECTED
        assert await verdict(rig, RequestStart(TAG)) is Verdict.REJECTED
        rig.evse(2).fault(FaultCode.TEMP_STOP, False)
        await rig.ask(ChangeAvailability(2, 0, False))
        assert await verdict(rig, RequestStart(TAG, 2)) is Verdict.REJECTED


@pytest.mark.req("FIELD-50")
async def test_remote_start_after_a_stop_with_the_cable_still_in() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.tap()
        assert await verdict(rig, RequestStart(TAG, 1)) is Verdict.ACCEPTED
        await rig.run_for()
        assert len(rig.started) == 2


@pytest.mark.req("R16-181", "R16-123")
async def test_remote_stop() -> None:
    async with running() as rig:
        started = await rig.charge()
        assert await verdict(rig, RequestStop("unknown")) is Verdict.REJECTED
        assert await verdict(rig, RequestStop(started.transaction_id)) is Verdict.ACCEPTED
        await rig.run_for()
        assert (rig.stopped[0].reason, rig.stopped[0].trigger) == (
            StopReason.REMOTE,
            TriggerReason.REMOTE_STOP,
        )
        assert await verdict(rig, RequestStop(started.transaction_id)) is Verdict.REJECTED


async def test_a_stop_at_the_station_itself_is_no_remote_stop() -> None:
    async with running() as rig:
        started = await rig.charge()
        assert await verdict(rig, RequestStop(started.transaction_id, is_local=True)) is Verdict.ACCEPTED
        await rig.run_for()
        assert (rig.stopped[0].reason, rig.stopped[0].trigger) == (
            StopReason.LOCAL,
            TriggerReason.STOP_AUTHORIZED,
        )


# --- unlock ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-182", "R16-183")
async def test_unlock_ends_the_transaction_first() -> None:
    async with running() as rig:
        await rig.charge()
        refusing = UnlockConnector(1, 1, stop_transaction=False)
        assert await rig.ask(refusing) is UnlockVerdict.ONGOING_TRANSACTION
        assert await rig.ask(UnlockConnector(1, 1, stop_transaction=True)) is UnlockVerdict.UNLOCKED
        assert rig.stopped[0].reason is StopReason.UNLOCK_COMMAND


@pytest.mark.req("R16-183", "R16-127")
async def test_unlock_frees_a_held_cable() -> None:
    async with running(given={"UnlockConnectorOnEVSideDisconnect": "false"}) as rig:
        await rig.charge()
        rig.evse().unplug()
        await rig.run_for()
        assert rig.shown().session is SessionState.FINISHING
        assert await rig.ask(UnlockConnector(1, 1, True)) is UnlockVerdict.UNLOCKED
        assert rig.shown().session is SessionState.IDLE


@pytest.mark.req("R16-183")
async def test_unlock_that_cannot() -> None:
    async with running() as rig:
        rig.evse().is_lock_broken = True
        assert await rig.ask(UnlockConnector(1, 1, True)) is UnlockVerdict.UNLOCK_FAILED
        assert await rig.ask(UnlockConnector(1, 0, True)) is UnlockVerdict.UNKNOWN_CONNECTOR
        assert await rig.ask(UnlockConnector(4, 1, True)) is UnlockVerdict.UNKNOWN_CONNECTOR
    async with running(fake_hardware(has_lock=False)) as rig:
        assert await rig.ask(UnlockConnector(1, 1, True)) is UnlockVerdict.NOT_SUPPORTED


@pytest.mark.req("F05.FR.02", "F05.FR.04")
async def test_who_awaits_energy_without_a_transaction_loses_the_cable_and_the_permission() -> None:
    """TxStartPoint EnergyTransfer: nothing may flow later through a cable that was let go."""
    points = replace(
        CONVENTIONS["ocpp2.0.1"], start_points=("EnergyTransfer",), stop_points=("EnergyTransfer",)
    )
    async with running(conventions=points) as rig:
        rig.evse().want_power(False)
        rig.evse().plug()
        await rig.tap()
        assert rig.evse().setpoint.allow_power
        assert not rig.started
        assert await rig.ask(UnlockConnector(1, 1, stop_transaction=False)) is UnlockVerdict.UNLOCKED
        await rig.run_for()
        assert not rig.shown().hardware.locked
        rig.evse().want_power(True)
        await rig.run_for()
        assert not rig.evse().setpoint.allow_power
        assert not rig.started


# --- availability ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-187", "R16-188", "R16-191", "R16-072", "FIELD-71", "FIELD-72")
async def test_availability_changes_and_survives_a_restart() -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        assert await verdict(rig, ChangeAvailability(1, 0, True)) is Verdict.ACCEPTED
        assert not rig.told(AvailabilityChanged)
        assert await verdict(rig, ChangeAvailability(1, 0, False)) is Verdict.ACCEPTED
        assert rig.told(AvailabilityChanged)
        assert not rig.shown().is_operative
        assert not rig.evse().setpoint.available
    async with running(stores=stores) as rig:
        assert not rig.shown().is_operative
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        await rig.ask(ChangeAvailability(1, 0, True))
        await rig.tap()
        assert rig.started


@pytest.mark.req("R16-186", "R16-189", "R16-185")
async def test_station_wide_change_waits_for_running_transactions_only() -> None:
    stores = Stores()
    async with running(fake_hardware(evses=2), stores) as rig:
        await rig.charge()
        assert await verdict(rig, ChangeAvailability(0, 0, False)) is Verdict.SCHEDULED
        assert not rig.station.snapshot().is_operative
        assert not rig.shown(2).is_operative
        assert rig.shown(1).is_operative
        await rig.run_for(60)
        assert rig.evse(1).setpoint.allow_power
        await rig.tap()
        assert not rig.shown(1).is_operative
        assert not rig.evse(1).setpoint.available
        assert await verdict(rig, ChangeAvailability(0, 0, True)) is Verdict.ACCEPTED
        assert rig.shown(1).is_operative
        assert rig.shown(2).is_operative


@pytest.mark.req("R16-190")
async def test_newer_change_overrides_a_scheduled_one() -> None:
    async with running() as rig:
        await rig.charge()
        assert await verdict(rig, ChangeAvailability(1, 1, False)) is Verdict.SCHEDULED
        assert await verdict(rig, ChangeAvailability(1, 1, True)) is Verdict.ACCEPTED
        await rig.tap()
        assert rig.shown().is_operative
        assert not rig.shown().inoperative_connectors


@pytest.mark.req("R16-186", "R16-191")
async def test_scheduled_change_survives_a_power_cut() -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        await rig.charge()
        assert await verdict(rig, ChangeAvailability(1, 0, False)) is Verdict.SCHEDULED
    async with running(stores=stores) as rig:
        assert not rig.shown().is_operative


@pytest.mark.req("R16-185")
async def test_availability_of_unknown_places_or_on_a_full_disk_is_rejected() -> None:
    async with running() as rig:
        assert await verdict(rig, ChangeAvailability(5, 0, False)) is Verdict.REJECTED
        assert await verdict(rig, ChangeAvailability(1, 2, False)) is Verdict.REJECTED
        rig.stores.availability.failure = FULL
        assert await verdict(rig, ChangeAvailability(1, 0, False)) is Verdict.REJECTED
        assert rig.shown().is_operative


async def test_one_connector_of_two_out_of_service() -> None:
    async with running(fake_hardware(connectors=2)) as rig:
        await rig.ask(ChangeAvailability(1, 1, False))
        assert rig.shown().inoperative_connectors == frozenset({1})
        assert rig.evse().setpoint.available
        rig.evse().plug(connector_id=2)
        await rig.tap()
        assert rig.started[0].connector_id == 2
        await rig.tap()
        rig.evse().unplug()
        rig.evse().plug(connector_id=1)
        await rig.tap("TAG2")
        assert len(rig.started) == 1


# --- the power fails -------------------------------------------------------------------------------------


@pytest.mark.req("R16-123", "R16-131")
async def test_when_the_power_fails_transactions_end_and_none_begins() -> None:
    async with running() as rig:
        await rig.charge()
        assert await verdict(rig, PreparePowerLoss()) is Verdict.ACCEPTED
        (stopped,) = rig.told(TransactionStopped)
        assert stopped.reason is StopReason.POWER_LOSS
        assert await verdict(rig, RequestStart(TAG, 2, 1)) is Verdict.REJECTED
        assert await verdict(rig, PreparePowerLoss()) is Verdict.REJECTED


@pytest.mark.req("R16-131", "R16-132")
async def test_when_the_power_fails_a_transaction_to_be_resumed_stays_open() -> None:
    async with running(given={"ResumeTransactionAfterPowerLoss": "true"}) as rig:
        await rig.charge()
        assert await verdict(rig, PreparePowerLoss()) is Verdict.ACCEPTED
        await rig.run_for(30)
        assert not rig.told(TransactionStopped)


# --- reset -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-192", "R16-193", "R16-194", "R16-123")
async def test_soft_reset_answers_first_and_stops_gracefully() -> None:
    async with running() as rig:
        await rig.charge()
        assert await verdict(rig, ResetStation(ResetKind.SOFT)) is Verdict.ACCEPTED
        await rig.run_for(0.1)  # the answer is on its way
        assert not rig.resets
        assert rig.evse().setpoint.allow_power
        assert await verdict(rig, ResetStation(ResetKind.HARD)) is Verdict.REJECTED
        await rig.run_for()
        assert rig.resets == [ResetKind.SOFT]
        assert rig.stopped[0].reason is StopReason.SOFT_RESET


@pytest.mark.req("R16-195", "R16-123")
async def test_hard_reset_opens_at_once_and_does_not_wait_for_the_ev() -> None:
    async with running() as rig:
        await rig.charge()
        rig.evse().is_contactor_slow = True
        await rig.ask(ResetStation(ResetKind.HARD))
        await rig.run_for(0.25)
        assert not rig.evse().setpoint.allow_power
        await rig.run_for()
        assert rig.resets == [ResetKind.HARD]
        assert isinstance(rig.journal.facts[-1], TransactionStopped)
        assert rig.stopped[0].reason is StopReason.HARD_RESET


async def test_reset_when_idle_waits_and_lets_nobody_start() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.charge()
        assert await verdict(rig, ResetStation(ResetKind.ON_IDLE)) is Verdict.SCHEDULED
        await rig.run_for(600)
        assert not rig.resets
        assert await verdict(rig, RequestStart(TAG, 2)) is Verdict.REJECTED
        await rig.tap()
        assert rig.resets == [ResetKind.ON_IDLE]


@pytest.mark.req("R16-197")
async def test_reset_is_tried_again_and_then_a_fault() -> None:
    async with running(given={"ResetRetries": "2"}) as rig:
        rig.reset_failures = 2
        await rig.ask(ResetStation(ResetKind.SOFT))
        await rig.run_for(20)
        assert rig.resets == [ResetKind.SOFT]
    async with running(given={"ResetRetries": "1"}) as rig:
        rig.reset_failures = 2
        await rig.ask(ResetStation(ResetKind.SOFT))
        await rig.run_for(20)
        assert not rig.resets
        snapshot = rig.station.snapshot()
        assert [fault.code for fault in snapshot.faults] == ["reset_failure"]
        assert not snapshot.is_resetting


# --- meters on demand ------------------------------------------------------------------------------------


@pytest.mark.req("R16-286", "R16-152")
async def test_triggered_reading_is_fresh_and_names_the_transaction() -> None:
    async with running(fake_hardware(evses=2, has_main_meter=True)) as rig:
        started = await rig.charge()
        await rig.run_for(360)
        reads = rig.meter().reads
        (main, first, second) = await rig.ask(SampleMeters((0, 1, 2), ReadingContext.TRIGGER, ALL))
        assert rig.meter().reads == reads + 1
        assert (main.evse_id, first.evse_id, second.evse_id) == (0, 1, 2)
        assert (first.transaction_id, second.transaction_id) == (started.transaction_id, None)
        assert main.sample.values[0].location == "Inlet"
        assert first.sample.context is ReadingContext.TRIGGER
        assert first.sample.at == rig.clock.now()
        assert first.sample.values[0].value >= 1000 + 690
        assert {value.measurand for value in first.sample.values} == set(ALL)
        await rig.tap()
        assert rig.stopped[0].meter_stop_wh >= first.sample.values[0].value


@pytest.mark.req("R16-286")
@pytest.mark.parametrize("hangs", [True, False])
async def test_no_fresh_reading_means_none_at_all(hangs: bool) -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.ask(SampleMeters((1, 2), ReadingContext.TRIGGER, ALL))
        rig.meter(2).is_hanging = hangs
        rig.meter(2).failure = SILENT
        before = asyncio.get_running_loop().time()
        assert await rig.ask(SampleMeters((1, 2), ReadingContext.TRIGGER, ALL)) is None
        assert asyncio.get_running_loop().time() - before <= 2.001


@pytest.mark.req("R16-286")
async def test_stale_reading_is_none() -> None:
    async with running() as rig:
        rig.meter().quality = "stale"
        assert await rig.ask(SampleMeters((1,), ReadingContext.TRIGGER, ALL)) is None
        assert rig.shown().reading is None or rig.shown().reading.quality == "ok"


# --- the rest --------------------------------------------------------------------------------------------


@pytest.mark.req("R16-107")
async def test_clear_cache() -> None:
    async with running() as rig:
        rig.stores.tokens.known["tag1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED)
        assert await verdict(rig, ClearCache()) is Verdict.ACCEPTED
        assert not rig.stores.tokens.known
        rig.stores.tokens.failure = FULL
        assert await verdict(rig, ClearCache()) is Verdict.REJECTED
        await rig.ask(ChangeSetting("authorization_cache_enabled", "false"))
        assert await verdict(rig, ClearCache()) is Verdict.REJECTED


async def test_presented_token_acts_like_a_card() -> None:
    async with running() as rig:
        rig.evse().plug()
        assert await verdict(rig, PresentToken(TAG)) is Verdict.ACCEPTED
        await rig.run_for()
        assert rig.started


class Vendor:
    def __init__(self) -> None:
        self.seen: list[TransferData] = []

    async def execute(self, transfer: TransferData) -> TransferResult:
        self.seen.append(transfer)
        if transfer.message_id == "crash":
            raise RuntimeError("vendor handler failed")
        return TransferResult(TransferStatus.ACCEPTED, transfer.data)


@pytest.mark.req("R16-305", "R16-307")
async def test_vendor_data_goes_to_the_vendor_commands() -> None:
    vendor = Vendor()
    async with running(vendor=vendor) as rig:
        result = await rig.ask(TransferData("com.example", "echo", "{}"))
        assert result == TransferResult(TransferStatus.ACCEPTED, "{}")
        with pytest.raises(RuntimeError):
            await rig.ask(TransferData("com.example", "crash", None))
        await rig.charge()
    async with running() as rig:
        result = await rig.ask(TransferData("com.example", "echo", "{}"))
        assert result.status is TransferStatus.UNKNOWN_VENDOR_ID


# --- logs ------------------------------------------------------------------------------------------------


async def test_a_station_without_uploads_refuses_to_upload_a_log() -> None:
    async with running() as rig:
        answer = await rig.ask(UploadLog(LogKind.DIAGNOSTICS, "ftp://host/"))
        assert (answer.verdict, answer.file_name) == (UploadVerdict.REJECTED, None)
