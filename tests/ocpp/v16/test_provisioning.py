"""Boot, heartbeat, reset and configuration keys."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.charging.ids import BootReason, ResetKind
from agent.charging.requests import Answer, ChangeSetting, ResetStation, Verdict
from agent.charging.settings import SETTINGS, Mutability
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import (
    Ask,
    BootNotice,
    ClockTold,
    HeartbeatNotice,
    Registered,
    Registration,
    Reply,
    Response,
    StationIdentity,
)
from agent.ocpp.v16 import FRONT_END
from agent.ocpp.v16.provisioning import (
    ChangeConfigurationRequest,
    GetConfigurationRequest,
    GetConfigurationResponse,
    ResetRequest,
    boot_notification,
    change_configuration,
    get_configuration,
    heartbeat,
    reset,
)
from tests.helpers.core_keys16 import CORE_KEYS
from tests.helpers.fake_station import FixedView, settings


def status_of(response: Response) -> str:
    assert isinstance(response, Reply)
    status: str = response.payload.status  # type: ignore[attr-defined]
    return status


def asked(response: Response) -> Ask:
    assert isinstance(response, Ask)
    return response


def answer(view: FixedView, *keys: str) -> GetConfigurationResponse:
    request = GetConfigurationRequest(key=list(keys)) if keys else GetConfigurationRequest()
    response = get_configuration(request, view)
    assert isinstance(response, Reply)
    assert isinstance(response.payload, GetConfigurationResponse)
    return response.payload


# --- boot and heartbeat ----------------------------------------------------------------------------------


def boot_payload(identity: StationIdentity) -> dict[str, Any]:
    call = boot_notification(BootNotice(BootReason.POWER_UP), FixedView(identity=identity), None)
    assert call.action == "BootNotification"
    return decode(encode(call.payload), dict)


@pytest.mark.req("FIELD-22", "FIELD-23")
def test_boot_fields_are_cut_to_their_length() -> None:
    long = "x" * 80
    payload = boot_payload(StationIdentity(long, long, long, long, long, long, long, long))
    assert {name: len(text) for name, text in payload.items()} == {
        "chargePointVendor": 20,
        "chargePointModel": 20,
        "chargePointSerialNumber": 25,
        "firmwareVersion": 50,
        "iccid": 20,
        "imsi": 20,
        "meterType": 25,
        "meterSerialNumber": 25,
    }


@pytest.mark.req("FIELD-24")
def test_what_is_not_known_or_empty_is_not_in_the_boot() -> None:
    payload = boot_payload(StationIdentity("Example", "Wallbox", serial_number="", firmware_version=None))
    assert payload == {"chargePointVendor": "Example", "chargePointModel": "Wallbox"}


def read(action: str, payload: dict[str, Any]) -> Any:
    reader = FRONT_END.results[action]
    return reader.read(decode(encode(payload), reader.payload))


@pytest.mark.req("R16-035", "R16-044", "R16-046")
def test_the_answer_to_boot() -> None:
    outcome = read(
        "BootNotification", {"status": "Pending", "interval": 20, "currentTime": "2026-01-01T14:00:00+02:00"}
    )
    assert outcome == Registered(Registration.PENDING, 20, datetime(2026, 1, 1, 12, tzinfo=UTC))


@pytest.mark.req("R16-058")
def test_the_answer_to_heartbeat() -> None:
    assert read("Heartbeat", {"currentTime": "2026-01-01T12:00:00.123Z"}) == ClockTold(
        datetime(2026, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    )


def test_a_time_without_zone_is_read_and_tells_no_time() -> None:
    assert read("Heartbeat", {"currentTime": "2026-01-01T12:00:00"}) == ClockTold(None)


def test_an_answer_with_a_field_too_many_is_still_an_answer() -> None:
    assert read("Heartbeat", {"currentTime": "2026-01-01T12:00:00", "vendorNote": 1}) == ClockTold(None)


def test_heartbeat_is_empty() -> None:
    call = heartbeat(HeartbeatNotice(), FixedView(), None)
    assert (call.action, encode(call.payload)) == ("Heartbeat", "{}")


# --- reset -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-192", "R16-194", "R16-195")
@pytest.mark.parametrize(("word", "kind"), [("Soft", ResetKind.SOFT), ("Hard", ResetKind.HARD)])
def test_reset(word: Any, kind: ResetKind) -> None:
    ask = asked(reset(ResetRequest(type=word), FixedView()))
    assert ask.request == ResetStation(kind)
    assert ask.replies_first
    assert status_of(ask.reply(Answer(Verdict.ACCEPTED))) == "Accepted"
    assert status_of(ask.reply(Answer(Verdict.REJECTED))) == "Rejected"


# --- configuration ---------------------------------------------------------------------------------------


@pytest.mark.req("R16-199", "R16-204", "TC_019_CS")
def test_every_core_key_is_reported_with_its_access() -> None:
    reported = {entry.key: entry for entry in answer(FixedView()).configuration_key or ()}
    assert set(CORE_KEYS) <= set(reported)
    for key, access in CORE_KEYS.items():
        assert reported[key].readonly is (access == "R"), key
        assert isinstance(reported[key].value, str), key


@pytest.mark.req("R16-199")
def test_an_empty_list_means_every_key() -> None:
    response = get_configuration(GetConfigurationRequest(key=[]), FixedView())
    assert response.payload == answer(FixedView())


@pytest.mark.req("R16-199", "R16-201", "R16-037")
def test_keys_are_found_in_any_case_and_reported_in_the_standard_spelling() -> None:
    payload = answer(FixedView(), "heartbeatinterval", "NoSuchKey", "NUMBEROFCONNECTORS")
    assert isinstance(payload.configuration_key, list)
    assert [(entry.key, entry.value) for entry in payload.configuration_key] == [
        ("HeartbeatInterval", "300"),
        ("NumberOfConnectors", "1"),
    ]
    assert payload.unknown_key == ["NoSuchKey"]


def test_only_unknown_keys_give_an_empty_list_of_known_ones() -> None:
    assert encode(answer(FixedView(), "NoSuchKey")) == '{"configurationKey":[],"unknownKey":["NoSuchKey"]}'


@pytest.mark.req("R16-203")
def test_a_write_only_key_is_never_shown() -> None:
    view = FixedView(settings=settings(AuthorizationKey="00112233445566778899AABBCCDDEEFF"))
    assert "00112233" not in encode(answer(view))
    by_name = answer(view, "AuthorizationKey")
    assert isinstance(by_name.configuration_key, list)
    assert encode(by_name.configuration_key) == '[{"key":"AuthorizationKey","readonly":false}]'


@pytest.mark.req("R16-200")
def test_more_keys_than_allowed_are_answered_as_far_as_they_fit() -> None:
    keys = [setting.key16 for setting in SETTINGS.values() if setting.key16][:4]
    payload = answer(FixedView(settings=settings(GetConfigurationMaxKeys=3)), *keys)
    assert isinstance(payload.configuration_key, list)
    assert [entry.key for entry in payload.configuration_key] == keys[:3]


@pytest.mark.req("R16-205")
def test_a_key_that_this_station_does_not_have_is_unknown() -> None:
    known = settings()
    known.drop("light_intensity_percent")
    view = FixedView(settings=known)
    assert "LightIntensity" not in encode(answer(view))
    assert answer(view, "LightIntensity").unknown_key == ["LightIntensity"]
    request = ChangeConfigurationRequest(key="LightIntensity", value="5")
    assert status_of(change_configuration(request, view)) == "NotSupported"


@pytest.mark.req("R16-128")
def test_what_the_hardware_decides_is_read_only() -> None:
    known = settings()
    known.fix("unlock_on_ev_side_disconnect", "false")
    payload = answer(FixedView(settings=known), "UnlockConnectorOnEVSideDisconnect")
    assert isinstance(payload.configuration_key, list)
    assert (payload.configuration_key[0].readonly, payload.configuration_key[0].value) == (True, "false")
    request = ChangeConfigurationRequest(key="UnlockConnectorOnEVSideDisconnect", value="true")
    assert status_of(change_configuration(request, FixedView(settings=known))) == "Rejected"


@pytest.mark.req("R16-206", "R16-209")
def test_change_configuration_asks_for_the_setting_behind_the_key() -> None:
    ask = asked(
        change_configuration(ChangeConfigurationRequest(key="heartbeatINTERVAL", value="10"), FixedView())
    )
    assert ask.request == ChangeSetting("heartbeat_interval_s", "10")


@pytest.mark.req("R16-206")
@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.ACCEPTED, "Accepted"),
        (Verdict.REBOOT_REQUIRED, "RebootRequired"),
        (Verdict.UNKNOWN, "NotSupported"),
        (Verdict.REJECTED, "Rejected"),
    ],
)
def test_change_verdicts(verdict: Verdict, status: str) -> None:
    ask = asked(
        change_configuration(ChangeConfigurationRequest(key="HeartbeatInterval", value="1"), FixedView())
    )
    assert status_of(ask.reply(Answer(verdict))) == status


@pytest.mark.req("R16-206", "TC_040_1_CS")
def test_an_unknown_key_is_not_supported_and_a_read_only_one_rejected() -> None:
    for key, status in (("NoSuchKey", "NotSupported"), ("NumberOfConnectors", "Rejected")):
        response = change_configuration(ChangeConfigurationRequest(key=key, value="1"), FixedView())
        assert status_of(response) == status


def test_values_of_every_key_fit_into_their_field() -> None:
    for setting in SETTINGS.values():
        if setting.key16 is not None and setting.mutability is not Mutability.WRITE_ONLY:
            assert len(setting.key16) <= 50
            assert len(settings().raw(setting.name) or "") <= 500
