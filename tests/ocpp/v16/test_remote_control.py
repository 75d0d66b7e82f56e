"""Remote start and stop, unlocking, TriggerMessage: what each request leads to, as data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from agent.charging.facts import MeterSampled, Sample, SampledValue
from agent.charging.ids import BootReason, IdToken, IdTokenType, ReadingContext
from agent.charging.requests import (
    Answer,
    RequestStart,
    RequestStop,
    SampleMeters,
    UnlockConnector,
    UnlockVerdict,
    Verdict,
)
from agent.charging.snapshot import StationSnapshot
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Ask,
    BootNotice,
    DiagnosticsNotice,
    FirmwareNotice,
    HeartbeatNotice,
    Refuse,
    Registration,
    Reply,
    Response,
    StatusNotice,
)
from agent.ocpp.v16 import FRONT_END
from agent.ocpp.v16.datatypes import ChargingProfile, ChargingSchedule, ChargingSchedulePeriod
from agent.ocpp.v16.remote_control import (
    RemoteStartTransactionRequest,
    RemoteStopTransactionRequest,
    TriggerMessageRequest,
    UnlockConnectorRequest,
    remote_start_transaction,
    remote_stop_transaction,
    trigger_message,
    unlock_connector,
)
from agent.ocpp.v16.smart_charging import charging_profile
from tests.helpers.fake_station import NOW, FixedView, settings
from tests.helpers.snapshots import evse, plugged, station

TOKEN = IdToken("TAG1", IdTokenType.UNTYPED)
THREE = station(evse(1), evse(2, connectors=2))
"""Connectors 1, 2 and 3: the second EVSE has two."""


def view(picture: StationSnapshot = THREE, **given: Any) -> FixedView:
    return FixedView(picture=picture, **given)


def status_of(response: Response) -> str:
    assert isinstance(response, Reply)
    status: str = response.payload.status  # type: ignore[attr-defined]
    return status


def asked(response: Response) -> Ask:
    assert isinstance(response, Ask)
    return response


def profile(purpose: Any = "TxProfile", **given: Any) -> ChargingProfile:
    schedule = ChargingSchedule(
        charging_rate_unit="A", charging_schedule_period=[ChargingSchedulePeriod(start_period=0, limit=6.0)]
    )
    return ChargingProfile(
        charging_profile_id=1,
        stack_level=0,
        charging_profile_purpose=purpose,
        charging_profile_kind="Relative",
        charging_schedule=schedule,
        **given,
    )


# --- remote start ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-170", "R16-173", "TC_010_CS")
def test_remote_start_asks_the_station_for_that_connector_and_tag() -> None:
    ask = asked(
        remote_start_transaction(RemoteStartTransactionRequest(id_tag="TAG1", connector_id=3), view())
    )
    assert ask.request == RequestStart(TOKEN, 2, 2)
    assert status_of(ask.reply(Answer(Verdict.ACCEPTED))) == "Accepted"
    assert status_of(ask.reply(Answer(Verdict.REJECTED))) == "Rejected"


@pytest.mark.req("R16-174")
def test_remote_start_without_connector_lets_the_station_choose() -> None:
    assert asked(remote_start_transaction(RemoteStartTransactionRequest(id_tag="TAG1"), view())).request == (
        RequestStart(TOKEN)
    )


@pytest.mark.req("R16-175", "R16-176", "TC_027_CS")
@pytest.mark.parametrize("number", [0, 4, -1])
def test_remote_start_on_no_connector_is_rejected(number: int) -> None:
    request = RemoteStartTransactionRequest(id_tag="TAG1", connector_id=number)
    assert status_of(remote_start_transaction(request, view())) == "Rejected"


@pytest.mark.req("R16-178", "TC_060_CS")
@pytest.mark.parametrize(
    "wrong", [profile("TxDefaultProfile"), profile("ChargePointMaxProfile"), profile(transaction_id=5)]
)
def test_remote_start_with_a_profile_of_another_kind_is_rejected(wrong: ChargingProfile) -> None:
    request = RemoteStartTransactionRequest(id_tag="TAG1", connector_id=1, charging_profile=wrong)
    assert status_of(remote_start_transaction(request, view())) == "Rejected"


@pytest.mark.req("R16-179", "TC_059_CS")
@pytest.mark.parametrize("connector_id", [1, UNSET])
def test_remote_start_hands_a_proper_profile_on(connector_id: int | UnsetType) -> None:
    request = RemoteStartTransactionRequest(
        id_tag="TAG1", connector_id=connector_id, charging_profile=profile()
    )
    start = asked(remote_start_transaction(request, view())).request
    assert isinstance(start, RequestStart)
    assert start.profile == charging_profile(profile())


@pytest.mark.req("R16-180")
def test_without_smart_charging_a_profile_is_ignored_and_the_start_goes_on() -> None:
    request = RemoteStartTransactionRequest(
        id_tag="TAG1", connector_id=1, charging_profile=profile("TxDefaultProfile")
    )
    without = view(settings=settings(SupportedFeatureProfiles="Core"))
    assert asked(remote_start_transaction(request, without)).request == RequestStart(TOKEN, 1, 1)


@pytest.mark.req("R16-027", "R16-178")
def test_remote_start_with_a_limit_of_hundredths_breaks_a_constraint() -> None:
    period = ChargingSchedulePeriod(start_period=0, limit=8.15)
    schedule = ChargingSchedule(charging_rate_unit="A", charging_schedule_period=[period])
    wrong = replace(profile(), charging_schedule=schedule)
    request = RemoteStartTransactionRequest(id_tag="TAG1", connector_id=1, charging_profile=wrong)
    refused = remote_start_transaction(request, view())
    assert isinstance(refused, Refuse)
    assert refused.category is Category.PROPERTY


# --- remote stop and unlock ------------------------------------------------------------------------------


@pytest.mark.req("R16-181", "R16-116", "TC_012_CS")
@pytest.mark.parametrize("number", [7, 0, -3])
def test_remote_stop_asks_for_the_transaction_of_that_id(number: int) -> None:
    known = view(transactions={str(number): "t-1"})
    ask = asked(remote_stop_transaction(RemoteStopTransactionRequest(transaction_id=number), known))
    assert ask.request == RequestStop("t-1")
    assert status_of(ask.reply(Answer(Verdict.ACCEPTED))) == "Accepted"
    assert status_of(ask.reply(Answer(Verdict.UNKNOWN))) == "Rejected"


@pytest.mark.req("R16-181", "TC_028_CS")
def test_remote_stop_of_an_unknown_transaction_is_rejected() -> None:
    assert (
        status_of(remote_stop_transaction(RemoteStopTransactionRequest(transaction_id=8), view()))
        == "Rejected"
    )


@pytest.mark.req("R16-182")
def test_unlocking_ends_a_transaction_first() -> None:
    ask = asked(unlock_connector(UnlockConnectorRequest(connector_id=2), view()))
    assert ask.request == UnlockConnector(2, 1, stop_transaction=True)


@pytest.mark.req("R16-183", "TC_017_1_CS", "TC_017_2_CS", "TC_030_CS")
@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (UnlockVerdict.UNLOCKED, "Unlocked"),
        (UnlockVerdict.UNLOCK_FAILED, "UnlockFailed"),
        (UnlockVerdict.ONGOING_TRANSACTION, "UnlockFailed"),
        (UnlockVerdict.NOT_SUPPORTED, "NotSupported"),
        (UnlockVerdict.UNKNOWN_CONNECTOR, "NotSupported"),
    ],
)
def test_unlock_verdicts_in_the_words_of_1_6(verdict: UnlockVerdict, status: str) -> None:
    ask = asked(unlock_connector(UnlockConnectorRequest(connector_id=1), view()))
    assert status_of(ask.reply(verdict)) == status


@pytest.mark.req("R16-183", "TC_031_CS")
@pytest.mark.parametrize("number", [0, 4, -1])
def test_unlocking_no_connector_is_not_supported(number: int) -> None:
    assert status_of(unlock_connector(UnlockConnectorRequest(connector_id=number), view())) == "NotSupported"


# --- trigger ---------------------------------------------------------------------------------------------


def trigger(message: str, number: int | None = None, at: FixedView | None = None) -> Response:
    if number is None:
        return trigger_message(TriggerMessageRequest(requested_message=message), at or view())
    return trigger_message(
        TriggerMessageRequest(requested_message=message, connector_id=number), at or view()
    )


@pytest.mark.req("R16-281", "R16-283", "TC_054_CS")
@pytest.mark.parametrize("number", [None, 0, 1, 3, 4, -1])
@pytest.mark.parametrize(
    ("message", "notice"),
    [
        ("Heartbeat", HeartbeatNotice()),
        ("DiagnosticsStatusNotification", DiagnosticsNotice()),
        ("FirmwareStatusNotification", FirmwareNotice()),
        ("BootNotification", BootNotice(BootReason.TRIGGERED)),
    ],
)
def test_messages_about_the_station_are_sent_whatever_the_connector(
    message: str, notice: Any, number: int | None
) -> None:
    response = trigger(message, number)
    assert status_of(response) == "Accepted"
    assert isinstance(response, Reply)
    assert response.then == (notice,)


@pytest.mark.req("R16-284")
def test_status_without_connector_is_one_for_the_station_and_one_for_each_connector() -> None:
    response = trigger("StatusNotification")
    assert status_of(response) == "Accepted"
    assert isinstance(response, Reply)
    assert response.then == (StatusNotice(0, 0), StatusNotice(1, 1), StatusNotice(2, 1), StatusNotice(2, 2))


@pytest.mark.req("R16-281", "TC_054_CS")
@pytest.mark.parametrize(("number", "place"), [(0, (0, 0)), (1, (1, 1)), (2, (2, 1)), (3, (2, 2))])
def test_status_of_one_connector(number: int, place: tuple[int, int]) -> None:
    response = trigger("StatusNotification", number)
    assert status_of(response) == "Accepted"
    assert isinstance(response, Reply)
    assert response.then == (StatusNotice(*place),)


@pytest.mark.req("R16-285", "TC_055_CS")
@pytest.mark.parametrize("message", ["StatusNotification", "MeterValues"])
@pytest.mark.parametrize("number", [4, 99, -1])
def test_a_connector_that_is_not_there_is_rejected_and_nothing_sent(message: str, number: int) -> None:
    response = trigger(message, number)
    assert status_of(response) == "Rejected"
    assert isinstance(response, Reply)
    assert response.then == ()


@pytest.mark.req("R16-284", "R16-286")
def test_meter_values_of_everything_that_has_a_meter() -> None:
    listed = settings(MeterValuesSampledData="Voltage.L1,Current.Import")
    with_main = station(evse(1), evse(2, has_meter=False), evse(3), has_main_meter=True)
    ask = asked(trigger("MeterValues", at=view(with_main, settings=listed)))
    assert ask.request == SampleMeters((0, 1, 3), ReadingContext.TRIGGER, listed.listed("sampled_measurands"))
    assert not ask.replies_first


@pytest.mark.req("R16-150")
def test_an_empty_list_of_measurands_means_the_register() -> None:
    ask = asked(trigger("MeterValues", 1, view(settings=settings(MeterValuesSampledData=""))))
    assert ask.request == SampleMeters((1,), ReadingContext.TRIGGER, ("Energy.Active.Import.Register",))


@pytest.mark.parametrize(
    ("number", "picture"),
    [
        (0, station(evse(1))),
        (1, station(evse(1, has_meter=False))),
        (None, station(evse(1, has_meter=False))),
    ],
)
def test_what_has_no_meter_is_rejected(number: int | None, picture: StationSnapshot) -> None:
    assert status_of(trigger("MeterValues", number, view(picture))) == "Rejected"


def reading(evse_id: int, connector_id: int = 1, values: int = 1) -> MeterSampled:
    value = SampledValue("Voltage", 230.0, "V")
    return MeterSampled(evse_id, connector_id, "t-1", Sample(NOW, ReadingContext.TRIGGER, (value,) * values))


@pytest.mark.req("R16-286", "TC_054_CS")
def test_the_reading_itself_is_sent_after_the_answer() -> None:
    response = asked(trigger("MeterValues")).reply((reading(1), reading(2)))
    assert status_of(response) == "Accepted"
    assert isinstance(response, Reply)
    assert response.then == (reading(1), reading(2))


@pytest.mark.parametrize("nothing", [None, (), (reading(1, values=0),)])
def test_no_fresh_reading_is_rejected(nothing: Any) -> None:
    response = asked(trigger("MeterValues", 1)).reply(nothing)
    assert status_of(response) == "Rejected"
    assert isinstance(response, Reply)
    assert response.then == ()


@pytest.mark.req("R16-153")
def test_a_reading_for_another_connector_of_the_evse_carries_no_transaction() -> None:
    response = asked(trigger("MeterValues", 3)).reply((reading(2, connector_id=1),))
    assert isinstance(response, Reply)
    (sent,) = response.then
    assert isinstance(sent, MeterSampled)
    assert (sent.connector_id, sent.transaction_id) == (2, None)


@pytest.mark.req("R16-282", "R16-290")
@pytest.mark.parametrize("registration", [Registration.UNKNOWN, Registration.PENDING, Registration.ACCEPTED])
@given(name=st.text(max_size=30) | st.sampled_from(["StartTransaction", "StopTransaction", "heartbeat"]))
def test_an_unknown_message_is_not_implemented(registration: Registration, name: str) -> None:
    if name not in FRONT_END.results or name in ("StartTransaction", "StopTransaction"):
        assert status_of(trigger(name, at=view(registration=registration))) == "NotImplemented"


@pytest.mark.req("R16-043")
@pytest.mark.parametrize(
    "message",
    [
        "Heartbeat",
        "StatusNotification",
        "MeterValues",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
    ],
)
def test_before_the_first_answer_only_boot_can_be_triggered(message: str) -> None:
    assert status_of(trigger(message, at=view(registration=Registration.UNKNOWN))) == "Rejected"
    assert status_of(trigger("BootNotification", at=view(registration=Registration.UNKNOWN))) == "Accepted"


@pytest.mark.req("R16-288", "R16-056")
def test_boot_while_accepted_follows_the_setting() -> None:
    refusing = settings(TriggerBootNotificationWhenAccepted="false")
    assert status_of(trigger("BootNotification", at=view(settings=refusing))) == "Rejected"
    pending = view(settings=refusing, registration=Registration.PENDING)
    assert status_of(trigger("BootNotification", at=pending)) == "Accepted"


@pytest.mark.req("R16-291")
def test_while_pending_every_message_can_be_triggered() -> None:
    pending = view(station(plugged()), registration=Registration.PENDING)
    for message in ("BootNotification", "Heartbeat", "StatusNotification"):
        assert status_of(trigger(message, at=pending)) == "Accepted"
    assert isinstance(trigger("MeterValues", at=pending), Ask)
