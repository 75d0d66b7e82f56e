"""Charging profiles of OCPP 2.0.1: set, clear, and what they come to as a composite schedule.

Payloads and the way to our own words; what follows from a profile is in `agent/charging/profiles.py`, `schedules.py`
and `smart_charging.py`. What is wrong with one is told with the reason code of appendix 5; the station looks again when
it installs it. Reports and external limits: `charging_reports.py`. OCPP 2.0.1 part 2, K01 to K08, K10.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from agent.charging import profiles, requests
from agent.charging.ids import TransactionId
from agent.charging.profiles import (
    InstalledProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
    Selection,
    bounds_of,
    clash_of,
    flaw_of_place,
    flaw_of_schedule,
    of_csms,
    over,
    without,
)
from agent.charging.requests import (
    Answer,
    ClearProfiles,
    ComposeSchedule,
    CompositePeriod,
    InstallProfile,
    Verdict,
)
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from agent.ocpp.codec import Category
from agent.ocpp.frontend import Ask, Refuse, Reply, Response, Route, View, routed
from agent.ocpp.v201.charging_profiles import (
    ChargingProfile,
    ChargingProfilePurposeName,
    ChargingRateUnitName,
    ChargingSchedulePeriod,
)
from agent.ocpp.v201.datatypes import GenericStatusName, Payload, StatusInfo, because, why
from agent.ocpp.v201.places import evse_of
from agent.ocpp.values import Integer32, Integer64, aware, timestamp


class ClearChargingProfile(Payload, frozen=True, kw_only=True):
    """Datatype 2.14."""

    evse_id: Integer32 | UnsetType = UNSET
    charging_profile_purpose: ChargingProfilePurposeName | UnsetType = UNSET
    stack_level: Integer32 | UnsetType = UNSET


class CompositeSchedule(Payload, frozen=True, kw_only=True):
    """Datatype 2.18."""

    charging_schedule_period: Annotated[list[ChargingSchedulePeriod], Meta(min_length=1)]
    evse_id: Integer32
    duration: Integer32
    schedule_start: datetime
    charging_rate_unit: ChargingRateUnitName


class SetChargingProfileRequest(Payload, frozen=True, kw_only=True):
    evse_id: Integer32
    charging_profile: ChargingProfile


class SetChargingProfileResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | UnsetType = UNSET


class ClearChargingProfileRequest(Payload, frozen=True, kw_only=True):
    charging_profile_id: Integer64 | UnsetType = UNSET
    charging_profile_criteria: ClearChargingProfile | UnsetType = UNSET


class ClearChargingProfileResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Unknown"]
    status_info: StatusInfo | UnsetType = UNSET


class GetCompositeScheduleRequest(Payload, frozen=True, kw_only=True):
    duration: Integer32
    evse_id: Integer32
    charging_rate_unit: ChargingRateUnitName | UnsetType = UNSET


class GetCompositeScheduleResponse(Payload, frozen=True, kw_only=True):
    status: GenericStatusName
    status_info: StatusInfo | UnsetType = UNSET
    schedule: CompositeSchedule | UnsetType = UNSET


# --- a profile, in our own words ---------------------------------------------------------------------------

ASSUMED_PHASES = 3
"""What numberPhases stands for when it is left out (K01.FR.49)."""

_PURPOSES: dict[ChargingProfilePurposeName, Purpose] = {
    "ChargingStationMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
"""Without ChargingStationExternalConstraints, which no CSMS sets (K01.FR.22)."""


def charging_profile(
    payload: ChargingProfile, transaction_id: TransactionId | None = None
) -> profiles.ChargingProfile:
    """The profile for the charging core; one without a flaw (`flaw_of`). A time without a zone is taken for UTC."""
    schedule = payload.charging_schedule[0]
    return profiles.ChargingProfile(
        profile_id=payload.id,
        stack_level=payload.stack_level,
        purpose=_PURPOSES[payload.charging_profile_purpose],
        kind=ProfileKind(payload.charging_profile_kind),
        schedule=profiles.ChargingSchedule(
            unit=RateUnit(schedule.charging_rate_unit),
            periods=tuple(_period(period) for period in schedule.charging_schedule_period),
            duration_s=None if schedule.duration is UNSET else schedule.duration,
            starts_at=_time(schedule.start_schedule),
            least_rate=None if schedule.min_charging_rate is UNSET else schedule.min_charging_rate,
            schedule_id=schedule.id,
        ),
        recurrency=None if payload.recurrency_kind is UNSET else Recurrency(payload.recurrency_kind),
        valid_from=_time(payload.valid_from),
        valid_to=_time(payload.valid_to),
        transaction_id=transaction_id,
        holds_off_defaults=False,
        spreads_as_given=True,
    )


def _period(period: ChargingSchedulePeriod) -> SchedulePeriod:
    is_given = period.number_phases is not UNSET
    return SchedulePeriod(
        period.start_period,
        period.limit,
        ASSUMED_PHASES if period.number_phases is UNSET else period.number_phases,
        None if period.phase_to_use is UNSET else period.phase_to_use,
        is_given,
    )


def _time(at: datetime | UnsetType) -> datetime | None:
    return None if at is UNSET else aware(at)


def flaw_of(payload: ChargingProfile, evses: Iterable[EvseSnapshot]) -> StatusInfo | None:
    """What the core cannot see, because its vocabulary has no place for it, or 1.6 allows it. `evses`: where it is
    for."""
    if payload.charging_profile_purpose not in _PURPOSES:
        return why("InvalidProfile", "external constraints are not set by a CSMS")  # K01.FR.22
    if len(payload.charging_schedule) > 1:
        return why("InvalidSchedule", "several schedules are for ISO 15118 only")  # K01.FR.34
    schedule = payload.charging_schedule[0]
    is_relative = payload.charging_profile_kind == "Relative"
    if is_relative and payload.charging_profile_purpose == "ChargingStationMaxProfile":
        return why("InvalidProfile", "a profile of the station cannot be relative")  # K01.FR.38
    if is_relative is (schedule.start_schedule is not UNSET):
        return why("InvalidSchedule", "startSchedule: for Absolute and Recurring")  # K01.FR.40, K01.FR.41
    return _flaw_of_phases(schedule.charging_schedule_period, tuple(evses))


def _flaw_of_phases(
    periods: Iterable[ChargingSchedulePeriod], evses: tuple[EvseSnapshot, ...]
) -> StatusInfo | None:
    """A number of phases has to be kept, a phase to be used (K01.FR.19, K01.FR.43, K01.FR.45, K01.FR.48)."""
    for period in periods:
        phases = period.number_phases
        if period.phase_to_use is not UNSET:
            if phases != 1:
                return why("InvalidSchedule", "phaseToUse: only with numberPhases 1")
            if period.phase_to_use != 1 or not all(_charges_on_first_phase(evse) for evse in evses):
                return why("UnsupportedParam", "phaseToUse: phases cannot be chosen")
        if phases is not UNSET and not all(_keeps_to(evse, phases) for evse in evses):
            return why("UnsupportedParam", f"numberPhases: more than {phases} may be used")
    return None


def _keeps_to(evse: EvseSnapshot, phases: int) -> bool:
    """No more phases than that will be used. With fewer than are allowed a limit holds for those (K01.FR.45)."""
    can = evse.capabilities
    return can is None or can.phases <= phases or (phases == 1 and can.can_switch_phases)


def _charges_on_first_phase(evse: EvseSnapshot) -> bool:
    """On one phase it is the first one that is used; there is no choice."""
    can = evse.capabilities
    return can is not None and (can.phases == 1 or can.can_switch_phases)


def flaw_of_start(payload: ChargingProfile, view: View, evses: Iterable[EvseSnapshot]) -> StatusInfo | None:
    """The same of a profile within RequestStartTransaction (F01.FR.09, F01.FR.11, K05.FR.05)."""
    if payload.charging_profile_purpose != "TxProfile":
        return why("InvalidProfile", "only a TxProfile can come with a start")
    if payload.transaction_id is not UNSET:
        return why("InvalidProfile", "the transaction has no id yet")
    return flaw_of(payload, evses) or _flaw_of_values(charging_profile(payload), view)


def _flaw_of_values(profile: profiles.ChargingProfile, view: View) -> StatusInfo | None:
    """What the core finds, with the code for it."""
    bounds = bounds_of(view.settings)
    if profile.schedule.unit not in bounds.units:
        return why("UnsupportedRateUnit", f"{profile.schedule.unit} is not offered")  # K01.FR.26
    if not 0 <= profile.stack_level <= bounds.max_stack_level:
        return why("InvalidStackLevel", f"outside 0 to {bounds.max_stack_level}")
    flaw = flaw_of_schedule(profile.schedule, bounds)
    if flaw is not None:
        return why("InvalidSchedule", flaw)
    flaw = profiles.flaw_of(profile, bounds, view.now())
    return None if flaw is None else why("InvalidProfile", flaw)


def _flaw_of_collection(new: InstalledProfile, snapshot: StationSnapshot, view: View) -> StatusInfo | None:
    """What stands against it among those that are installed."""
    theirs = of_csms(snapshot.profiles)
    profile_id = new.profile.profile_id
    if any(each.profile.profile_id == profile_id for each in snapshot.profiles if each not in theirs):
        return why("InvalidProfile", "id: is that of an external limit")  # K01.FR.05
    clash = clash_of(theirs, new)
    if clash is not None:
        return why("DuplicateProfile", f"profile {clash.profile.profile_id} has that purpose and level")
    others = [each for each in theirs if each.profile.profile_id != profile_id]
    others = [*without(others, over(others, view.now()))]
    most = bounds_of(view.settings).max_installed
    return why("OutOfStorage", f"{most} profiles are installed") if len(others) >= most else None


# --- set and clear -----------------------------------------------------------------------------------------


def set_charging_profile(request: SetChargingProfileRequest, view: View) -> Response:
    """K01. EVSE 0 is the station; a transaction that does not run there: Rejected (K01.FR.09, K01.FR.33)."""
    if not view.settings.flag("smart_charging_enabled"):
        return Refuse(Category.NOT_SUPPORTED, "smart charging is switched off")  # K01.FR.29
    payload, snapshot, evse_id = request.charging_profile, view.snapshot(), request.evse_id
    if evse_id != 0 and evse_id not in snapshot.evses:
        return _not_set(why("UnknownEvse"))  # K01.FR.28
    evses = snapshot.evses.values() if evse_id == 0 else (snapshot.evses[evse_id],)
    flaw = flaw_of(payload, evses)
    if flaw is not None:
        return _not_set(flaw)
    transaction_id = None
    if payload.charging_profile_purpose == "TxProfile":
        if payload.transaction_id is UNSET:
            return _not_set(why("MissingParam", "transactionId"))  # K01.FR.03
        transaction_id = payload.transaction_id
        if evse_of(snapshot, transaction_id) != evse_id:
            return _not_set(why("TxNotFound"))
    profile = charging_profile(payload, transaction_id)
    place = flaw_of_place(profile, (evse_id, 0), transaction_id)
    if place is not None:
        return _not_set(why("InvalidProfile", place))  # K04.FR.03
    new = InstalledProfile(profile, evse_id, 0, view.now())
    flaw = _flaw_of_values(profile, view) or _flaw_of_collection(new, snapshot, view)
    if flaw is not None:
        return _not_set(flaw)
    return Ask(InstallProfile(evse_id, 0, profile, replaces_slot=False), _was_set)


def _was_set(answer: Answer) -> Reply:
    if answer.verdict is Verdict.ACCEPTED:
        return Reply(SetChargingProfileResponse(status="Accepted"))
    return _not_set(because(answer.reason))


def _not_set(reason: StatusInfo | UnsetType) -> Reply:
    return Reply(SetChargingProfileResponse(status="Rejected", status_info=reason))


_CLEARED = Reply(ClearChargingProfileResponse(status="Accepted"))
_NOTHING_CLEARED = Reply(ClearChargingProfileResponse(status="Unknown"))


def clear_charging_profile(request: ClearChargingProfileRequest, view: View) -> Response:
    """K10: by id alone, or all that match. An EVSE that does not exist has no profiles."""
    if request.charging_profile_id is not UNSET:
        return Ask(ClearProfiles(Selection(profile_id=request.charging_profile_id)), _was_cleared)
    criteria = request.charging_profile_criteria
    if criteria is UNSET:
        return Ask(ClearProfiles(Selection()), _was_cleared)
    evse_id, purpose = None, None
    if criteria.evse_id is not UNSET:
        if criteria.evse_id != 0 and criteria.evse_id not in view.snapshot().evses:
            return _NOTHING_CLEARED
        evse_id = criteria.evse_id
    if criteria.charging_profile_purpose is not UNSET:
        purpose = _PURPOSES.get(criteria.charging_profile_purpose)
        if purpose is None:
            return _NOTHING_CLEARED  # external constraints are not the CSMS's to clear (K10.FR.09)
    level = None if criteria.stack_level is UNSET else criteria.stack_level
    return Ask(ClearProfiles(Selection(purpose=purpose, stack_level=level, evse_id=evse_id)), _was_cleared)


def _was_cleared(answer: Answer) -> Reply | Refuse:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return _CLEARED
        case Verdict.UNKNOWN:
            return _NOTHING_CLEARED
        case _:  # the disk does not take it, and the answer has no word for that
            return Refuse(Category.INTERNAL, answer.reason)


# --- composite schedule ------------------------------------------------------------------------------------


def get_composite_schedule(request: GetCompositeScheduleRequest, view: View) -> Response:
    """K08; EVSE 0 is the whole station."""
    if request.evse_id != 0 and request.evse_id not in view.snapshot().evses:
        return _not_composed(why("UnknownEvse"))
    unit = request.charging_rate_unit
    if unit is not UNSET and RateUnit(unit) not in bounds_of(view.settings).units:
        return _not_composed(why("UnsupportedRateUnit"))  # K08.FR.07
    wanted = ComposeSchedule(request.evse_id, 0, request.duration, None if unit is UNSET else RateUnit(unit))
    return Ask(wanted, _composed)


def _not_composed(reason: StatusInfo | UnsetType) -> Reply:
    return Reply(GetCompositeScheduleResponse(status="Rejected", status_info=reason))


def _composed(result: requests.CompositeSchedule | Answer) -> Reply:
    if isinstance(result, Answer):
        return _not_composed(because(result.reason))
    schedule = CompositeSchedule(
        charging_schedule_period=[_composite_period(period) for period in result.periods],
        evse_id=result.evse_id,
        duration=result.duration_s,
        schedule_start=timestamp(result.starts_at),
        charging_rate_unit=result.unit.value,
    )
    return Reply(GetCompositeScheduleResponse(status="Accepted", schedule=schedule))


def _composite_period(period: CompositePeriod) -> ChargingSchedulePeriod:
    phases = UNSET if period.phases == ASSUMED_PHASES else period.phases
    return ChargingSchedulePeriod(start_period=period.start_s, limit=period.limit, number_phases=phases)


ROUTES = routed(
    Route("SetChargingProfile", SetChargingProfileRequest, set_charging_profile),
    Route("ClearChargingProfile", ClearChargingProfileRequest, clear_charging_profile),
    Route("GetCompositeSchedule", GetCompositeScheduleRequest, get_composite_schedule),
)
