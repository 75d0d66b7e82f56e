"""Charging profiles told as they were set, and limits of others: GetChargingProfiles, NotifyChargingLimit."""

from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.facts import ExternalLimitLifted, ExternalLimitSet
from agent.charging.profiles import (
    ChargingSchedule,
    InstalledProfile,
    LimitOrigin,
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from agent.charging.settings import Settings
from agent.ocpp.frontend import ProfileReportNotice, Reply
from agent.ocpp.v201.charging_reports import profile_payload
from tests.helpers.fake_station import NOW, FixedView, MemorySettings
from tests.helpers.snapshots import charging, evse, station
from tests.ocpp.v201.asking import answer, asked, respond, shown, told
from tests.ocpp.v201.test_smart_charging import PROFILE, TWO, default_at, profile_with


def installed(profile_id: int, evse_id: int = 0, **changes: Any) -> InstalledProfile:
    found = default_at(evse_id)
    origin = changes.pop("origin", LimitOrigin.CSO)
    profile = replace(found.profile, profile_id=profile_id, **changes)
    return replace(found, profile=profile, origin=origin)


EXTERNAL = installed(-1, purpose=Purpose.EXTERNAL, stack_level=0, origin=LimitOrigin.EMS)
PROFILES = (
    installed(1, purpose=Purpose.STATION_MAX),
    installed(2, 1),
    installed(3, 2, stack_level=5),
    installed(4, 2),
    EXTERNAL,
)
VIEW = FixedView(picture=station(evse(1), charging(2), profiles=PROFILES))


def reports(payload: Any, view: FixedView = VIEW) -> list[Any]:
    """The payloads behind the answer."""
    response = respond("GetChargingProfiles", payload, view)
    assert isinstance(response, Reply)
    status = shown("GetChargingProfiles", response)["status"]
    assert (status == "Accepted") is bool(response.then)
    return [told(notice)[1] for notice in response.then]


def ids(payload: Any, view: FixedView = VIEW) -> list[int]:
    return [each["id"] for report in reports(payload, view) for each in report["chargingProfile"]]


@pytest.mark.req(
    "K09.FR.03",
    "K09.FR.04",
    "K09.FR.05",
    "K09.FR.06",
    "TC_K_29_CS",
    "TC_K_30_CS",
    "TC_K_31_CS",
    "TC_K_32_CS",
    "TC_K_33_CS",
    "TC_K_34_CS",
    "TC_K_35_CS",
    "TC_K_36_CS",
)
@pytest.mark.parametrize(
    ("evse_id", "criterion", "expected"),
    [
        (None, {}, [1, -1, 2, 3, 4]),
        (0, {}, [1, -1]),
        (2, {}, [3, 4]),
        (9, {}, []),
        (None, {"chargingProfileId": [4, 1, 77]}, [1, 4]),
        (None, {"chargingProfileId": [4], "stackLevel": 5}, []),
        (2, {"stackLevel": 5}, [3]),
        (2, {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2}, [4]),
        (1, {"chargingProfilePurpose": "TxProfile"}, []),
        (None, {"chargingProfilePurpose": "ChargingStationExternalConstraints"}, [-1]),
        (1, {"chargingLimitSource": ["CSO"]}, [2]),
        (1, {"chargingLimitSource": ["SO", "Other"]}, []),
        (None, {"chargingLimitSource": ["EMS", "SO"]}, [-1]),
    ],
)
def test_a_profile_is_told_if_it_matches_everything_given(
    evse_id: int | None, criterion: Any, expected: list[int]
) -> None:
    payload = {"requestId": 7, "chargingProfile": criterion}
    if evse_id is not None:
        payload["evseId"] = evse_id
    assert sorted(ids(payload)) == sorted(expected)


@pytest.mark.req("K09.FR.01", "K09.FR.02", "K12.FR.05", "TC_K_52_CS")
def test_each_part_is_about_one_evse_and_one_origin_and_all_but_the_last_say_more_comes() -> None:
    found = reports({"requestId": 7, "chargingProfile": {}})
    assert [(each["evseId"], each["chargingLimitSource"], each.get("tbc", False)) for each in found] == [
        (0, "CSO", True),
        (1, "CSO", True),
        (2, "CSO", True),
        (0, "EMS", False),
    ]
    assert {each["requestId"] for each in found} == {7}
    assert found[-1]["chargingProfile"][0]["chargingProfilePurpose"] == "ChargingStationExternalConstraints"


def test_a_long_report_is_cut_by_entries() -> None:
    few = Settings({"report_max_items": "2"}, MemorySettings())
    five = tuple(installed(number, 1, stack_level=number) for number in range(5))
    view = FixedView(picture=station(evse(1), profiles=five), settings=few)
    found = reports({"requestId": 7, "chargingProfile": {}}, view)
    assert [len(each["chargingProfile"]) for each in found] == [2, 2, 1]
    assert [each.get("tbc", False) for each in found] == [True, True, False]


@pytest.mark.req("K09.FR.04")
def test_without_any_there_is_no_report() -> None:
    assert answer("GetChargingProfiles", {"requestId": 7, "chargingProfile": {}}) == {"status": "NoProfiles"}


@pytest.mark.req("TC_K_01_CS", "TC_K_03_CS", "TC_K_10_CS", "TC_K_60_CS")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"chargingProfilePurpose": "TxProfile", "transactionId": "t-1"},
        {"validTo": "2027-01-01T00:00:00Z"},
        {
            "chargingProfileKind": "Relative",
            "chargingSchedule": [
                {
                    "id": 3,
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.5, "numberPhases": 3}],
                }
            ],
        },
    ],
)
def test_a_profile_is_told_as_it_was_set(changes: Any) -> None:
    given = profile_with(**changes)
    if "Relative" in given.values():
        del given["recurrencyKind"]
    request = asked("SetChargingProfile", {"evseId": 2, "chargingProfile": given}, TWO)
    stored = InstalledProfile(request.profile, 2, 0, NOW)
    notice = ProfileReportNotice(7, 2, LimitOrigin.CSO, True, (profile_payload(stored.profile),))
    (reported,) = told(notice)[1]["chargingProfile"]
    assert reported == given
    assert profile_with() == PROFILE


LIMIT = ChargingSchedule(
    RateUnit.AMPERE, (SchedulePeriod(0, 16.0), SchedulePeriod(60, 8.0)), 120, NOW, schedule_id=1
)


@pytest.mark.req("K11.FR.02", "K11.FR.03", "K11.FR.05", "K12.FR.02", "K12.FR.03", "K12.FR.04")
def test_an_external_limit_is_told_with_its_schedule_if_that_is_wanted() -> None:
    fact = ExternalLimitSet(LimitOrigin.SYSTEM_OPERATOR, LIMIT, NOW, is_grid_critical=True)
    limit = {"chargingLimitSource": "SO", "isGridCritical": True}
    assert told(fact) == ("NotifyChargingLimit", {"chargingLimit": limit})
    wanted = FixedView(settings=Settings({"limits_with_schedules": "true"}, MemorySettings()))
    _action, payload = told(fact, wanted)
    assert payload == {
        "chargingLimit": limit,
        "chargingSchedule": [
            {
                "id": 1,
                "chargingRateUnit": "A",
                "startSchedule": "2026-01-01T12:00:00Z",
                "duration": 120,
                "chargingSchedulePeriod": [
                    {"startPeriod": 0, "limit": 16.0, "numberPhases": 3},
                    {"startPeriod": 60, "limit": 8.0, "numberPhases": 3},
                ],
            }
        ],
    }
    of_evse = replace(fact, is_grid_critical=None, evse_id=2)
    assert told(of_evse)[1] == {"chargingLimit": {"chargingLimitSource": "SO"}, "evseId": 2}


@pytest.mark.req("K13.FR.02")
def test_a_lifted_limit_is_told() -> None:
    fact = ExternalLimitLifted(LimitOrigin.EMS, NOW)
    assert told(fact) == ("ClearedChargingLimit", {"chargingLimitSource": "EMS"})
    assert told(replace(fact, evse_id=2))[1] == {"chargingLimitSource": "EMS", "evseId": 2}


def test_kinds_are_spelled_alike() -> None:
    assert profile_payload(PROFILES[0].profile).charging_profile_kind == ProfileKind.ABSOLUTE.value
