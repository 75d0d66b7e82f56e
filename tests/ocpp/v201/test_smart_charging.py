"""Charging profiles of 2.0.1 as payloads: set, clear, composite schedule."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.charging import profiles
from agent.charging.profiles import (
    ChargingSchedule,
    InstalledProfile,
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
from agent.charging.settings import Settings
from agent.ocpp.frontend import Ask
from hal.ports import EvseCapabilities
from tests.helpers.fake_station import NOW, FixedView, MemorySettings, settings
from tests.helpers.snapshots import charging, evse, station
from tests.ocpp.v201.asking import answer, asked, respond, shown

SCHEDULE = {
    "id": 1,
    "chargingRateUnit": "W",
    "chargingSchedulePeriod": [
        {"startPeriod": 0, "limit": 7000.5},
        {"startPeriod": 60, "limit": 3000.0, "numberPhases": 1},
    ],
    "duration": 600,
    "startSchedule": "2026-01-01T12:00:00Z",
    "minChargingRate": 1400.0,
}
PROFILE: dict[str, Any] = {
    "id": 5,
    "stackLevel": 2,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "validFrom": "2026-01-01T00:00:00Z",
    "chargingSchedule": [SCHEDULE],
}
TWO = FixedView(picture=station(evse(1), charging(2)))


def default_at(evse_id: int, purpose: Purpose = Purpose.TX_DEFAULT, **more: Any) -> InstalledProfile:
    """Number 9, of the level of `PROFILE`."""
    schedule = ChargingSchedule(RateUnit.AMPERE, (SchedulePeriod(0, 10.0),))
    profile = profiles.ChargingProfile(9, 2, purpose, ProfileKind.ABSOLUTE, schedule, **more)
    return InstalledProfile(profile, evse_id, 0, NOW)


def switched_off() -> Settings:
    return Settings({"smart_charging_enabled": "false"}, MemorySettings())


def profile_with(**changes: Any) -> dict[str, Any]:
    return PROFILE | changes


def schedule_with(**changes: Any) -> list[Any]:
    merged = SCHEDULE | changes
    return [{name: value for name, value in merged.items() if value is not None}]


@pytest.mark.req("K01.FR.49", "TC_P_04_CS")
def test_a_profile_is_handed_to_the_station_whatever_a_vendor_adds() -> None:
    payload = {"evseId": 2, "chargingProfile": profile_with(customData={"vendorId": "x", "y": 1})}
    schedule = ChargingSchedule(
        RateUnit.WATT,
        (SchedulePeriod(0, 7000.5, 3, are_phases_given=False), SchedulePeriod(60, 3000.0, 1)),
        600,
        datetime(2026, 1, 1, 12, tzinfo=UTC),
        1400.0,
        schedule_id=1,
    )
    wanted = profiles.ChargingProfile(
        5,
        2,
        Purpose.TX_DEFAULT,
        ProfileKind.RECURRING,
        schedule,
        Recurrency.DAILY,
        datetime(2026, 1, 1, tzinfo=UTC),
        holds_off_defaults=False,
        spreads_as_given=True,
    )
    assert asked("SetChargingProfile", payload, TWO) == InstallProfile(2, 0, wanted, replaces_slot=False)


def test_a_profile_of_a_running_transaction_names_it() -> None:
    tx = profile_with(chargingProfilePurpose="TxProfile", transactionId="t-1")
    request = asked("SetChargingProfile", {"evseId": 2, "chargingProfile": tx}, TWO)
    assert request.profile.transaction_id == "t-1"


THREE = EvseCapabilities(32, 6, 3, True, True, True, False, True)
SWITCHING = replace(THREE, can_switch_phases=True)
ONE = replace(THREE, phases=1)


def with_phases(number: int | None, phase: int | None = None) -> dict[str, Any]:
    period: dict[str, Any] = {"startPeriod": 0, "limit": 6.0}
    if number is not None:
        period["numberPhases"] = number
    if phase is not None:
        period["phaseToUse"] = phase
    return profile_with(chargingSchedule=schedule_with(chargingSchedulePeriod=[period]))


def reason_of(payload: Any, view: FixedView) -> str | None:
    """The reason code of a refusal; None: it was handed to the station."""
    got = respond("SetChargingProfile", payload, view)
    if isinstance(got, Ask):
        return None
    return str(shown("SetChargingProfile", got)["statusInfo"]["reasonCode"])


@pytest.mark.req("K01.FR.19", "K01.FR.43", "K01.FR.45", "K01.FR.46", "K01.FR.47", "K01.FR.48")
@pytest.mark.parametrize(
    ("can", "number", "phase", "code"),
    [
        (THREE, 3, None, None),
        (THREE, None, None, None),
        (THREE, 2, None, "UnsupportedParam"),
        (THREE, 1, None, "UnsupportedParam"),
        (SWITCHING, 1, None, None),
        (SWITCHING, 2, None, "UnsupportedParam"),
        (SWITCHING, 1, 1, None),
        (SWITCHING, 1, 2, "UnsupportedParam"),
        (ONE, 3, None, None),
        (ONE, 1, 1, None),
        (ONE, 1, 3, "UnsupportedParam"),
        (ONE, 3, 1, "InvalidSchedule"),
        (ONE, None, 1, "InvalidSchedule"),
        (THREE, 0, None, "UnsupportedParam"),
        (ONE, 4, None, "InvalidSchedule"),
    ],
)
def test_a_number_of_phases_is_taken_where_it_can_be_kept(
    can: EvseCapabilities, number: int | None, phase: int | None, code: str | None
) -> None:
    view = FixedView(picture=station(evse(1, capabilities=can)))
    assert reason_of({"evseId": 1, "chargingProfile": with_phases(number, phase)}, view) == code


@pytest.mark.req("K01.FR.43")
def test_a_profile_of_the_station_has_to_fit_every_evse() -> None:
    view = FixedView(picture=station(evse(1, capabilities=ONE), evse(2, capabilities=THREE)))
    assert reason_of({"evseId": 0, "chargingProfile": with_phases(1)}, view) == "UnsupportedParam"
    assert reason_of({"evseId": 1, "chargingProfile": with_phases(1)}, view) is None


def unordered(*starts: int) -> dict[str, Any]:
    periods = [{"startPeriod": each, "limit": 6.0} for each in starts]
    return profile_with(chargingSchedule=schedule_with(chargingSchedulePeriod=periods))


@pytest.mark.req("K01.FR.26", "K01.FR.31", "K01.FR.35", "K04.FR.03", "TC_K_12_CS")
@pytest.mark.parametrize(
    ("evse_id", "changed", "code"),
    [
        (2, profile_with(stackLevel=9), "InvalidStackLevel"),
        (2, profile_with(stackLevel=-1), "InvalidStackLevel"),
        (2, unordered(1), "InvalidSchedule"),
        (2, unordered(0, 60, 30), "InvalidSchedule"),
        (2, unordered(0, 1, 2, 3), "InvalidSchedule"),
        (2, profile_with(recurrencyKind="Weekly", chargingProfileKind="Absolute"), "InvalidProfile"),
        (2, profile_with(validTo="2025-12-31T00:00:00Z", validFrom="2025-01-01T00:00:00Z"), "InvalidProfile"),
        (1, profile_with(chargingProfilePurpose="ChargingStationMaxProfile"), "InvalidProfile"),
        (2, profile_with(), "UnsupportedRateUnit"),
        (2, profile_with(chargingSchedule=schedule_with(chargingRateUnit="A")), None),
    ],
)
def test_every_flaw_of_the_values_has_its_code(evse_id: int, changed: Any, code: str | None) -> None:
    units = "Current" if code in (None, "UnsupportedRateUnit") else "Current,Power"
    kept = settings(
        ChargeProfileMaxStackLevel=8,
        ChargingScheduleMaxPeriods=3,
        ChargingScheduleAllowedChargingRateUnit=units,
    )
    view = FixedView(picture=TWO.picture, settings=kept)
    assert reason_of({"evseId": evse_id, "chargingProfile": changed}, view) == code


@pytest.mark.req("K01.FR.05", "K01.FR.06", "K01.FR.39", "K01.FR.52", "K01.FR.53", "TC_K_04_CS")
@pytest.mark.parametrize(
    ("present", "evse_id", "changed", "code"),
    [
        (default_at(1), 2, {}, None),
        (default_at(2), 2, {}, "DuplicateProfile"),
        (default_at(2), 2, {"id": 9}, None),
        (default_at(2), 2, {"stackLevel": 3}, None),
        (default_at(0), 2, {}, "DuplicateProfile"),
        (default_at(2), 0, {}, "DuplicateProfile"),
        (default_at(2, valid_to=NOW), 2, {"validFrom": "2026-01-01T12:00:00Z"}, None),
        (default_at(2, valid_to=NOW), 2, {"validFrom": "2026-01-01T11:59:00Z"}, "DuplicateProfile"),
        (default_at(0, valid_to=NOW), 2, {"validFrom": "2026-01-01T12:00:00Z"}, "DuplicateProfile"),
        (default_at(2, Purpose.TX, transaction_id="t-1"), 2, {}, None),
        (
            default_at(2, Purpose.TX, transaction_id="t-1", valid_to=NOW),
            2,
            {
                "chargingProfilePurpose": "TxProfile",
                "transactionId": "t-1",
                "validFrom": "2026-01-01T12:00:00Z",
            },
            "DuplicateProfile",
        ),
        (
            default_at(2, Purpose.TX, transaction_id="t-0"),
            2,
            {"chargingProfilePurpose": "TxProfile", "transactionId": "t-1"},
            None,
        ),
        (default_at(0, Purpose.EXTERNAL), 2, {"id": 9}, "InvalidProfile"),
    ],
)
def test_what_stands_against_it_among_the_installed_ones(
    present: InstalledProfile, evse_id: int, changed: Any, code: str | None
) -> None:
    view = FixedView(picture=station(evse(1), charging(2), profiles=(present,)))
    assert reason_of({"evseId": evse_id, "chargingProfile": profile_with(**changed)}, view) == code


def test_a_full_station_takes_a_replacement_only() -> None:
    kept = settings(MaxChargingProfilesInstalled=1)
    view = FixedView(picture=station(evse(1), evse(2), profiles=(default_at(1),)), settings=kept)
    assert reason_of({"evseId": 2, "chargingProfile": profile_with()}, view) == "OutOfStorage"
    assert reason_of({"evseId": 2, "chargingProfile": profile_with(id=9)}, view) is None
    past = FixedView(
        picture=station(evse(1), evse(2), profiles=(default_at(1, valid_to=NOW),)), settings=kept
    )
    assert reason_of({"evseId": 2, "chargingProfile": profile_with()}, past) is None


@pytest.mark.req("K01.FR.29", "TC_K_15_CS")
def test_switched_off_no_profile_is_set() -> None:
    view = FixedView(picture=TWO.picture, settings=switched_off())
    payload = {"evseId": 2, "chargingProfile": PROFILE}
    assert answer("SetChargingProfile", payload, view) == "NOT_SUPPORTED"


@pytest.mark.req("K05.FR.04", "F01.FR.12", "TC_K_38_CS")
def test_switched_off_the_profile_of_a_remote_start_is_ignored() -> None:
    start = {
        "idToken": {"idToken": "TAG1", "type": "ISO14443"},
        "remoteStartId": 7,
        "evseId": 1,
        "chargingProfile": PROFILE,
    }
    request = asked("RequestStartTransaction", start, FixedView(picture=TWO.picture, settings=switched_off()))
    assert request.profile is None


@pytest.mark.req("K05.FR.02", "K05.FR.05")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"chargingProfilePurpose": "TxDefaultProfile"}, "InvalidProfile"),
        ({"transactionId": "t-1"}, "InvalidProfile"),
        (
            {"chargingSchedule": schedule_with(chargingSchedulePeriod=[{"startPeriod": 1, "limit": 6}])},
            "InvalidSchedule",
        ),
    ],
)
def test_an_invalid_profile_keeps_a_remote_start_out(changed: Any, code: str) -> None:
    start = {
        "idToken": {"idToken": "TAG1", "type": "ISO14443"},
        "remoteStartId": 7,
        "chargingProfile": profile_with(chargingProfilePurpose="TxProfile") | changed,
    }
    got = answer("RequestStartTransaction", start, TWO)
    assert (got["status"], got["statusInfo"]["reasonCode"]) == ("Rejected", code)


@pytest.mark.req("K08.FR.07", "TC_K_42_CS")
def test_a_composite_schedule_comes_in_units_that_are_offered_only() -> None:
    kept = settings(ChargingScheduleAllowedChargingRateUnit="Current")
    view = FixedView(picture=TWO.picture, settings=kept)
    payload = {"evseId": 0, "duration": 300, "chargingRateUnit": "W"}
    got = answer("GetCompositeSchedule", payload, view)
    assert got == {"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedRateUnit"}}


RELATIVE = {"chargingProfileKind": "Relative", "chargingSchedule": schedule_with(startSchedule=None)}


@pytest.mark.req(
    "K01.FR.03",
    "K01.FR.09",
    "K01.FR.16",
    "K01.FR.22",
    "K01.FR.28",
    "K01.FR.33",
    "K01.FR.34",
    "K01.FR.38",
    "K01.FR.40",
    "K01.FR.41",
    "K01.FR.48",
)
@pytest.mark.parametrize(
    ("evse_id", "change", "code"),
    [
        (9, {}, "UnknownEvse"),
        (2, {"chargingProfilePurpose": "TxProfile"}, "MissingParam"),
        (2, {"chargingProfilePurpose": "TxProfile", "transactionId": "t-2"}, "TxNotFound"),
        (1, {"chargingProfilePurpose": "TxProfile", "transactionId": "t-1"}, "TxNotFound"),
        (0, {"chargingProfilePurpose": "TxProfile", "transactionId": "t-1"}, "TxNotFound"),
        (0, {"chargingProfilePurpose": "ChargingStationExternalConstraints"}, "InvalidProfile"),
        (2, {"chargingSchedule": [SCHEDULE, SCHEDULE]}, "InvalidSchedule"),
        (0, RELATIVE | {"chargingProfilePurpose": "ChargingStationMaxProfile"}, "InvalidProfile"),
        (2, {"chargingSchedule": schedule_with(startSchedule=None)}, "InvalidSchedule"),
        (2, {"chargingProfileKind": "Relative"}, "InvalidSchedule"),
        (
            2,
            {
                "chargingSchedule": schedule_with(
                    chargingSchedulePeriod=[
                        {"startPeriod": 0, "limit": 6.0, "numberPhases": 1, "phaseToUse": 2}
                    ]
                )
            },
            "UnsupportedParam",
        ),
    ],
)
def test_a_profile_that_cannot_be_is_rejected_with_its_reason(evse_id: int, change: Any, code: str) -> None:
    payload = {"evseId": evse_id, "chargingProfile": profile_with(**change)}
    got = answer("SetChargingProfile", payload, TWO)
    assert (got["status"], got["statusInfo"]["reasonCode"]) == ("Rejected", code)


def test_a_relative_profile_without_a_start_is_fine() -> None:
    relative = {name: value for name, value in profile_with(**RELATIVE).items() if name != "recurrencyKind"}
    payload = {"evseId": 2, "chargingProfile": relative}
    assert answer("SetChargingProfile", payload, TWO, Answer(Verdict.ACCEPTED)) == {"status": "Accepted"}
    rejected = answer("SetChargingProfile", payload, TWO, Answer(Verdict.REJECTED, "stack level 99"))
    assert rejected["statusInfo"]["additionalInfo"] == "stack level 99"


@pytest.mark.req("K01.FR.38")
def test_a_relative_profile_of_the_station_is_not() -> None:
    relative = {name: value for name, value in profile_with(**RELATIVE).items() if name != "recurrencyKind"}
    relative["chargingProfilePurpose"] = "ChargingStationMaxProfile"
    assert reason_of({"evseId": 0, "chargingProfile": relative}, TWO) == "InvalidProfile"


@pytest.mark.parametrize(
    ("payload", "selection"),
    [
        ({"chargingProfileId": 5}, Selection(profile_id=5)),
        ({}, Selection()),
        ({"chargingProfileCriteria": {"evseId": 0}}, Selection(evse_id=0)),
        (
            {
                "chargingProfileCriteria": {
                    "evseId": 2,
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "stackLevel": 1,
                }
            },
            Selection(evse_id=2, purpose=Purpose.TX_DEFAULT, stack_level=1),
        ),
    ],
)
def test_profiles_are_cleared_by_id_or_by_all_that_match(payload: Any, selection: Selection) -> None:
    assert asked("ClearChargingProfile", payload, TWO) == ClearProfiles(selection)


@pytest.mark.req("K10.FR.08")
@pytest.mark.parametrize(
    "criteria",
    [{"evseId": 9}, {"chargingProfilePurpose": "ChargingStationExternalConstraints"}],
)
def test_what_is_not_there_or_not_theirs_is_not_cleared(criteria: Any) -> None:
    got = answer("ClearChargingProfile", {"chargingProfileCriteria": criteria}, TWO)
    assert got == {"status": "Unknown"}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.ACCEPTED, {"status": "Accepted"}),
        (Verdict.UNKNOWN, {"status": "Unknown"}),
        (Verdict.REJECTED, "INTERNAL"),
    ],
)
def test_the_answer_to_clearing_is_what_the_station_says(verdict: Verdict, expected: Any) -> None:
    assert answer("ClearChargingProfile", {"chargingProfileId": 5}, TWO, Answer(verdict)) == expected


@pytest.mark.parametrize(("unit", "ours"), [({}, None), ({"chargingRateUnit": "A"}, RateUnit.AMPERE)])
def test_a_composite_schedule_is_composed_by_the_station(unit: Any, ours: RateUnit | None) -> None:
    payload = {"evseId": 2, "duration": 300} | unit
    assert asked("GetCompositeSchedule", payload, TWO) == ComposeSchedule(2, 0, 300, ours)
    periods = (CompositePeriod(0, 16.0, 3), CompositePeriod(60, 6.0, 1))
    made = CompositeSchedule(2, NOW, 300, RateUnit.AMPERE, periods)
    assert answer("GetCompositeSchedule", payload, TWO, made) == {
        "status": "Accepted",
        "schedule": {
            "evseId": 2,
            "duration": 300,
            "scheduleStart": "2026-01-01T12:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 16.0},
                {"startPeriod": 60, "limit": 6.0, "numberPhases": 1},
            ],
        },
    }


@pytest.mark.req("K08.FR.05")
def test_what_cannot_be_composed_is_rejected() -> None:
    unknown = answer("GetCompositeSchedule", {"evseId": 9, "duration": 300}, TWO)
    assert unknown == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}
    refused = answer(
        "GetCompositeSchedule", {"evseId": 2, "duration": 300}, TWO, Answer(Verdict.REJECTED, "x")
    )
    assert refused["status"] == "Rejected"
