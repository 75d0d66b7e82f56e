"""SetChargingProfile, ClearChargingProfile, GetCompositeSchedule: what each leads to, as data."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.profiles import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
    Selection,
)
from agent.charging.requests import (
    Answer,
    ClearProfiles,
    ComposeSchedule,
    CompositePeriod,
    CompositeSchedule,
    InstallProfile,
    Verdict,
)
from agent.errors import RemoteProtocolError
from agent.ocpp.codec import Category, decode, encode
from agent.ocpp.frontend import Ask, Refuse, Reply, Response
from agent.ocpp.v16 import FRONT_END
from agent.ocpp.v16.smart_charging import has_one_decimal
from tests.helpers.fake_station import FixedView, settings
from tests.helpers.snapshots import evse, station

THREE = station(evse(1), evse(2, connectors=2))
"""Connectors 1, 2 and 3: the second EVSE has two."""
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answer(action: str, payload: dict[str, Any], **given: Any) -> Response:
    """As from the wire."""
    route = FRONT_END.routes[action]
    view = FixedView(picture=THREE, **given)
    return route.handler(decode(msgspec.json.encode(payload), route.request), view)


def wire_profile(**given: Any) -> dict[str, Any]:
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}],
        **given.pop("schedule", {}),
    }
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **given,
    }


def set_profile(connector_id: int = 1, **given: Any) -> Response:
    view = {name: given.pop(name) for name in ("transactions",) if name in given}
    payload = {"connectorId": connector_id, "csChargingProfiles": wire_profile(**given)}
    return answer("SetChargingProfile", payload, **view)


def request_of(response: Response) -> Any:
    assert isinstance(response, Ask)
    return response.request


def status_of(response: Response | Reply | Refuse) -> str:
    assert isinstance(response, Reply)
    status: str = response.payload.status  # type: ignore[attr-defined]
    return status


# --- set -------------------------------------------------------------------------------------------------


def test_every_field_arrives_in_our_own_words() -> None:
    full = set_profile(
        3,
        chargingProfileId=7,
        stackLevel=2,
        chargingProfileKind="Recurring",
        recurrencyKind="Weekly",
        validFrom="2026-03-01T12:00:00Z",
        validTo="2027-03-01T14:00:00+02:00",
        schedule={
            "chargingRateUnit": "W",
            "duration": 3600,
            "startSchedule": "2026-03-01T12:00:00",
            "minChargingRate": 1400.5,
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 11000.1, "numberPhases": 1},
                {"startPeriod": 60, "limit": 0},
            ],
        },
    )
    assert request_of(full) == InstallProfile(
        2,
        2,
        ChargingProfile(
            7,
            2,
            Purpose.TX_DEFAULT,
            ProfileKind.RECURRING,
            ChargingSchedule(
                RateUnit.WATT,
                (SchedulePeriod(0, 11000.1, 1), SchedulePeriod(60, 0.0, 3)),
                3600,
                AT,
                1400.5,
            ),
            Recurrency.WEEKLY,
            AT,
            AT.replace(year=2027),
        ),
    )


@pytest.mark.parametrize(
    ("word", "purpose"),
    [
        ("ChargePointMaxProfile", Purpose.STATION_MAX),
        ("TxDefaultProfile", Purpose.TX_DEFAULT),
        ("TxProfile", Purpose.TX),
    ],
)
@pytest.mark.req("R16-244", "R16-245", "R16-246", "TC_056_CS", "FIELD-68")
def test_connector_0_is_the_whole_station(word: str, purpose: Purpose) -> None:
    request = request_of(set_profile(0, chargingProfilePurpose=word))
    assert (request.evse_id, request.connector_id, request.profile.purpose) == (0, 0, purpose)


@pytest.mark.req("R16-246", "R16-265", "TC_058_1_CS")
def test_the_station_has_the_last_word() -> None:
    asked = set_profile()
    assert isinstance(asked, Ask)
    assert status_of(asked.reply(Answer(Verdict.ACCEPTED))) == "Accepted"
    assert status_of(asked.reply(Answer(Verdict.REJECTED, "no"))) == "Rejected"


@pytest.mark.req("R16-247", "TC_057_CS", "TC_058_2_CS")
def test_a_transaction_is_found_by_the_id_of_the_csms_or_the_profile_is_rejected() -> None:
    tx = {"chargingProfilePurpose": "TxProfile", "transactions": {"5": "t-5"}}
    assert request_of(set_profile(**tx, transactionId=5)).profile.transaction_id == "t-5"
    assert request_of(set_profile(**tx)).profile.transaction_id is None
    assert status_of(set_profile(**tx, transactionId=6)) == "Rejected"
    other = set_profile(transactionId=6)  # means nothing with another purpose
    assert request_of(other).profile.transaction_id is None


@pytest.mark.req("R16-266")
@pytest.mark.parametrize("connector_id", [-1, 4, 10**9])
def test_a_connector_that_does_not_exist_is_a_constraint(connector_id: int) -> None:
    refused = set_profile(connector_id)
    assert refused == Refuse(Category.PROPERTY, f"$.connectorId: there is no connector {connector_id}")


@pytest.mark.req("R16-266")
@pytest.mark.parametrize(
    "given",
    [
        {"schedule": {"chargingRateUnit": "X"}},
        {"schedule": {"chargingRateUnit": "kW"}},
        {"chargingProfilePurpose": "ChargingStationMaxProfile"},
        {"chargingProfileKind": "Sometimes"},
        {"recurrencyKind": "Monthly"},
    ],
)
def test_a_word_that_does_not_exist_is_a_constraint(given: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        set_profile(**given)
    assert caught.value.code == Category.PROPERTY.name


@pytest.mark.req("R16-027")
@pytest.mark.parametrize(
    ("given", "category"),
    [
        ({"schedule": {"chargingSchedulePeriod": []}}, Category.OCCURRENCE),
        ({"schedule": {"chargingSchedulePeriod": [{"startPeriod": 0}]}}, Category.PROTOCOL),
        ({"schedule": {"chargingSchedulePeriod": [{"startPeriod": "0", "limit": 6}]}}, Category.TYPE),
        ({"stackLevel": 0.5}, Category.TYPE),
        ({"schedule": {"wattage": 1}}, Category.FORMAT),
    ],
)
def test_a_broken_profile_gets_the_category_of_its_fault(given: dict[str, Any], category: Category) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        set_profile(**given)
    assert caught.value.code == category.name


@pytest.mark.req("R16-027", "R16-265")
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"stackLevel": -1}, "stackLevel"),
        ({"schedule": {"minChargingRate": 0.15}}, "chargingSchedule.minChargingRate"),
        (
            {
                "schedule": {
                    "chargingSchedulePeriod": [
                        {"startPeriod": 0, "limit": 8.1},
                        {"startPeriod": 9, "limit": 8.15},
                    ]
                }
            },
            "chargingSchedule.chargingSchedulePeriod[1].limit",
        ),
    ],
)
def test_what_the_schema_forbids_beyond_types_names_its_field(given: dict[str, Any], path: str) -> None:
    refused = set_profile(**given)
    assert isinstance(refused, Refuse)
    assert refused.category is Category.PROPERTY
    assert refused.description.startswith(f"$.csChargingProfiles.{path}:")


@given(st.integers(-(10**9), 10**9))
def test_tenths_are_tenths_in_any_notation(number: int) -> None:
    assert has_one_decimal(number / 10)
    assert has_one_decimal(msgspec.json.decode(f"{number}e-1"))
    assert has_one_decimal(number / 100) is (number % 10 == 0)


def test_huge_and_tiny_numbers_are_judged_as_well() -> None:
    assert has_one_decimal(1e300)
    assert not has_one_decimal(1e-300)


@pytest.mark.req("R16-267")
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": wire_profile()}),
        ("ClearChargingProfile", {}),
        ("GetCompositeSchedule", {"connectorId": 1, "duration": 60}),
    ],
)
def test_without_the_profile_smart_charging_is_not_supported(action: str, payload: dict[str, Any]) -> None:
    refused = answer(action, payload, settings=settings(SupportedFeatureProfiles="Core"))
    assert refused == Refuse(Category.NOT_SUPPORTED, "profile SmartCharging is not offered")


# --- clear -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-271", "TC_067_CS")
@pytest.mark.parametrize(
    ("payload", "selection"),
    [
        ({}, Selection()),
        ({"id": 5}, Selection(profile_id=5)),
        ({"id": 5, "connectorId": 99, "stackLevel": 1}, Selection(profile_id=5)),
        ({"connectorId": 0}, Selection(scope=(0, 0))),
        ({"connectorId": 3, "stackLevel": 2}, Selection(scope=(2, 2), stack_level=2)),
        ({"chargingProfilePurpose": "ChargePointMaxProfile"}, Selection(purpose=Purpose.STATION_MAX)),
    ],
)
def test_clearing_means_what_is_given(payload: dict[str, Any], selection: Selection) -> None:
    asked = answer("ClearChargingProfile", payload)
    assert request_of(asked) == ClearProfiles(selection)
    assert isinstance(asked, Ask)
    assert status_of(asked.reply(Answer(Verdict.ACCEPTED))) == "Accepted"
    assert status_of(asked.reply(Answer(Verdict.UNKNOWN))) == "Unknown"
    assert asked.reply(Answer(Verdict.REJECTED, "not stored")) == Refuse(Category.INTERNAL, "not stored")


@pytest.mark.req("R16-271")
def test_a_connector_that_does_not_exist_has_nothing_to_clear() -> None:
    assert status_of(answer("ClearChargingProfile", {"connectorId": 9})) == "Unknown"


# --- composite schedule ----------------------------------------------------------------------------------


@pytest.mark.req("R16-272", "R16-273", "R16-275", "R16-277", "TC_056_CS")
def test_a_composite_schedule_has_no_start_of_its_own() -> None:
    asked = answer("GetCompositeSchedule", {"connectorId": 3, "duration": 300, "chargingRateUnit": "W"})
    assert request_of(asked) == ComposeSchedule(2, 2, 300, RateUnit.WATT)
    assert isinstance(asked, Ask)
    periods = (CompositePeriod(0, 11000.0, 3), CompositePeriod(60, 4140.0, 1))
    reply = asked.reply(CompositeSchedule(2, AT, 300, RateUnit.WATT, periods))
    assert isinstance(reply, Reply)
    assert msgspec.json.decode(encode(reply.payload)) == {
        "status": "Accepted",
        "connectorId": 3,
        "scheduleStart": "2026-03-01T12:00:00Z",
        "chargingSchedule": {
            "duration": 300,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 11000.0},
                {"startPeriod": 60, "limit": 4140.0, "numberPhases": 1},
            ],
        },
    }


@pytest.mark.req("R16-272", "R16-273")
def test_without_a_unit_the_station_chooses_and_connector_0_is_the_station() -> None:
    asked = answer("GetCompositeSchedule", {"connectorId": 0, "duration": 60})
    assert request_of(asked) == ComposeSchedule(0, 0, 60, None)


@pytest.mark.req("R16-274")
def test_what_cannot_be_told_is_rejected_without_a_schedule() -> None:
    unknown = answer("GetCompositeSchedule", {"connectorId": 4, "duration": 60})
    asked = answer("GetCompositeSchedule", {"connectorId": 1, "duration": 60})
    assert isinstance(asked, Ask)
    for reply in (unknown, asked.reply(Answer(Verdict.REJECTED))):
        assert isinstance(reply, Reply)
        assert encode(reply.payload) == '{"status":"Rejected"}'


@pytest.mark.req("R16-266")
def test_a_unit_that_does_not_exist_is_a_constraint() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        answer("GetCompositeSchedule", {"connectorId": 1, "duration": 60, "chargingRateUnit": "VA"})
    assert caught.value.code == Category.PROPERTY.name
