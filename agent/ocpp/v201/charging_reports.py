"""Charging profiles told to the CSMS, and limits that somebody else has set: reports, notices.

A report is made when it is asked for and goes out behind the answer, part by part, each part about one EVSE and one
origin; what is lost with the connection is not sent again. External limits: `agent/charging/external_limits.py`. Pure.
OCPP 2.0.1 part 2, K09, K11 to K13.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.charging import profiles
from agent.charging.facts import ExternalLimitLifted, ExternalLimitSet
from agent.charging.ids import EvseId
from agent.charging.profiles import Criteria, InstalledProfile, LimitOrigin, Purpose, SchedulePeriod, matching
from agent.ocpp.frontend import (
    Acknowledged,
    Call,
    Encoder,
    ProfileReportNotice,
    Reply,
    ResultReader,
    Route,
    View,
    routed,
)
from agent.ocpp.v201.charging_profiles import (
    ChargingProfile,
    ChargingProfilePurposeName,
    ChargingSchedule,
    ChargingSchedulePeriod,
)
from agent.ocpp.v201.datatypes import CsmsAnswer, Payload, StatusInfo, time_payload
from agent.ocpp.v201.reports import paged
from agent.ocpp.values import Integer32, Integer64

ChargingLimitSourceName: TypeAlias = Literal["EMS", "Other", "SO", "CSO"]


class ChargingProfileCriterion(Payload, frozen=True, kw_only=True):
    """Datatype 2.9."""

    charging_profile_purpose: ChargingProfilePurposeName | UnsetType = UNSET
    stack_level: Integer32 | UnsetType = UNSET
    charging_profile_id: Annotated[list[Integer64], Meta(min_length=1)] | UnsetType = UNSET
    charging_limit_source: (
        Annotated[list[ChargingLimitSourceName], Meta(min_length=1, max_length=4)] | UnsetType
    ) = UNSET


class ChargingLimit(Payload, frozen=True, kw_only=True):
    """Datatype 2.7."""

    charging_limit_source: ChargingLimitSourceName
    is_grid_critical: bool | UnsetType = UNSET


class GetChargingProfilesRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    charging_profile: ChargingProfileCriterion
    evse_id: Integer32 | UnsetType = UNSET


class GetChargingProfilesResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "NoProfiles"]
    status_info: StatusInfo | UnsetType = UNSET


class ReportChargingProfilesRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    charging_limit_source: ChargingLimitSourceName
    charging_profile: Annotated[list[ChargingProfile], Meta(min_length=1)]
    evse_id: Integer32
    tbc: bool | UnsetType = UNSET


class ReportChargingProfilesResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class NotifyChargingLimitRequest(Payload, frozen=True, kw_only=True):
    charging_limit: ChargingLimit
    charging_schedule: Annotated[list[ChargingSchedule], Meta(min_length=1)] | UnsetType = UNSET
    evse_id: Integer32 | UnsetType = UNSET


class NotifyChargingLimitResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class ClearedChargingLimitRequest(Payload, frozen=True, kw_only=True):
    charging_limit_source: ChargingLimitSourceName
    evse_id: Integer32 | UnsetType = UNSET


class ClearedChargingLimitResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


# --- a profile, in the words of 2.0.1 ----------------------------------------------------------------------


def profile_payload(profile: profiles.ChargingProfile) -> ChargingProfile:
    """As it was set; what came by 1.6 has the schedule id 0."""
    return ChargingProfile(
        id=profile.profile_id,
        stack_level=profile.stack_level,
        charging_profile_purpose=profile.purpose.value,
        charging_profile_kind=profile.kind.value,
        charging_schedule=[schedule_payload(profile.schedule)],
        recurrency_kind=UNSET if profile.recurrency is None else profile.recurrency.value,
        valid_from=time_payload(profile.valid_from),
        valid_to=time_payload(profile.valid_to),
        transaction_id=UNSET if profile.transaction_id is None else profile.transaction_id,
    )


def schedule_payload(schedule: profiles.ChargingSchedule) -> ChargingSchedule:
    return ChargingSchedule(
        id=schedule.schedule_id,
        charging_rate_unit=schedule.unit.value,
        charging_schedule_period=[_period(period) for period in schedule.periods],
        start_schedule=time_payload(schedule.starts_at),
        duration=UNSET if schedule.duration_s is None else schedule.duration_s,
        min_charging_rate=UNSET if schedule.least_rate is None else schedule.least_rate,
    )


def _period(period: SchedulePeriod) -> ChargingSchedulePeriod:
    return ChargingSchedulePeriod(
        start_period=period.start_s,
        limit=period.limit,
        number_phases=period.phases if period.are_phases_given else UNSET,
        phase_to_use=UNSET if period.phase_to_use is None else period.phase_to_use,
    )


# --- reports -----------------------------------------------------------------------------------------------


def get_charging_profiles(request: GetChargingProfilesRequest, view: View) -> Reply:
    """K09: what matches everything that is given; an EVSE that does not exist has no profiles."""
    criterion = request.charging_profile
    purpose, level = criterion.charging_profile_purpose, criterion.stack_level
    ids, origins = criterion.charging_profile_id, criterion.charging_limit_source
    wanted = Criteria(
        None if request.evse_id is UNSET else request.evse_id,
        () if ids is UNSET else tuple(ids),
        None if purpose is UNSET else Purpose(purpose),
        None if level is UNSET else level,
        () if origins is UNSET else tuple(LimitOrigin(origin) for origin in origins),
    )
    found = matching(view.snapshot().profiles, wanted)
    if not found:
        return Reply(GetChargingProfilesResponse(status="NoProfiles"))
    return Reply(GetChargingProfilesResponse(status="Accepted"), _report(request.request_id, found, view))


def _report(
    request_id: int, found: Iterable[InstalledProfile], view: View
) -> tuple[ProfileReportNotice, ...]:
    groups: dict[tuple[EvseId, LimitOrigin], list[ChargingProfile]] = {}
    for each in found:
        groups.setdefault((each.evse_id, each.origin), []).append(profile_payload(each.profile))
    parts = [(*group, page) for group, entries in groups.items() for page in paged(entries, view.settings)]
    return tuple(
        ProfileReportNotice(request_id, evse_id, origin, number == len(parts), page)
        for number, (evse_id, origin, page) in enumerate(parts, 1)
    )


def report_charging_profiles(notice: ProfileReportNotice, _view: View, _reference: str | None) -> Call:
    """K09.FR.01, K09.FR.02."""
    return Call(
        "ReportChargingProfiles",
        ReportChargingProfilesRequest(
            request_id=notice.request_id,
            charging_limit_source=notice.origin.value,
            charging_profile=list(notice.entries),  # type: ignore[arg-type]
            evse_id=notice.evse_id,
            tbc=UNSET if notice.is_last else True,
        ),
    )


# --- external limits ---------------------------------------------------------------------------------------


def notify_charging_limit(fact: ExternalLimitSet, view: View, _reference: str | None) -> Call:
    """K11.FR.02, K11.FR.03, K12.FR.02, K12.FR.03; of the whole station without an EVSE."""
    critical = fact.is_grid_critical
    limit = ChargingLimit(
        charging_limit_source=fact.origin.value, is_grid_critical=UNSET if critical is None else critical
    )
    has_schedule = view.settings.flag("limits_with_schedules")
    schedules = [schedule_payload(fact.schedule)] if has_schedule else UNSET
    request = NotifyChargingLimitRequest(
        charging_limit=limit, charging_schedule=schedules, evse_id=fact.evse_id or UNSET
    )
    return Call("NotifyChargingLimit", request)


def cleared_charging_limit(fact: ExternalLimitLifted, _view: View, _reference: str | None) -> Call:
    """K13.FR.02."""
    request = ClearedChargingLimitRequest(
        charging_limit_source=fact.origin.value, evse_id=fact.evse_id or UNSET
    )
    return Call("ClearedChargingLimit", request)


def _acknowledged(_answer: CsmsAnswer) -> Acknowledged:
    return Acknowledged()


ROUTES = routed(Route("GetChargingProfiles", GetChargingProfilesRequest, get_charging_profiles))
ENCODERS: Mapping[type, Encoder] = {
    ProfileReportNotice: report_charging_profiles,
    ExternalLimitSet: notify_charging_limit,
    ExternalLimitLifted: cleared_charging_limit,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "ReportChargingProfiles": ResultReader(ReportChargingProfilesResponse, _acknowledged, Acknowledged()),
    "NotifyChargingLimit": ResultReader(NotifyChargingLimitResponse, _acknowledged, Acknowledged()),
    "ClearedChargingLimit": ResultReader(ClearedChargingLimitResponse, _acknowledged, Acknowledged()),
}
