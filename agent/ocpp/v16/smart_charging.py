"""Charging profiles of OCPP 1.6: set, clear, and what they come to as a composite schedule.

Payloads and the way from and to our own words; what is acceptable and what follows from it is in
`agent/charging/profiles.py`, `schedules.py` and `smart_charging.py`. A second decimal or a connector that does not
exist is a CALLERROR, everything else that cannot be done a status. OCPP 1.6 3.13, 5.5, 5.7, 5.16, errata 3.24 to
3.26, 3.38, 3.39, 3.51, 3.57 (R16-243 to R16-280).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging import profiles
from agent.charging.facts import ExternalLimitLifted, ExternalLimitSet
from agent.charging.ids import TransactionId
from agent.charging.profiles import ProfileKind, Purpose, RateUnit, Recurrency, SchedulePeriod, Selection
from agent.charging.requests import (
    Answer,
    ClearProfiles,
    ComposeSchedule,
    CompositePeriod,
    CompositeSchedule,
    InstallProfile,
    Verdict,
)
from agent.ocpp.codec import Category
from agent.ocpp.frontend import Ask, Encoder, Refuse, Reply, Response, Route, View, routed
from agent.ocpp.v16.connectors import place_of
from agent.ocpp.v16.datatypes import (
    AcceptedRejected,
    ChargingProfile,
    ChargingProfilePurpose,
    ChargingRateUnit,
    ChargingSchedule,
    ChargingSchedulePeriod,
)
from agent.ocpp.values import Integer32, Integer64, aware, timestamp

ASSUMED_PHASES = 3
"""What numberPhases stands for when it is left out (OCPP 1.6 7.14)."""


class SetChargingProfileRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    connector_id: int
    cs_charging_profiles: ChargingProfile


class SetChargingProfileResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Rejected", "NotSupported"]


class ClearChargingProfileRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    id: Integer64 | UnsetType = UNSET
    connector_id: int | UnsetType = UNSET
    charging_profile_purpose: ChargingProfilePurpose | UnsetType = UNSET
    stack_level: Integer32 | UnsetType = UNSET


class ClearChargingProfileResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Unknown"]


class GetCompositeScheduleRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    connector_id: int
    duration: Integer32
    charging_rate_unit: ChargingRateUnit | UnsetType = UNSET


class GetCompositeScheduleResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: AcceptedRejected
    connector_id: int | UnsetType = UNSET
    schedule_start: datetime | UnsetType = UNSET
    charging_schedule: ChargingSchedule | UnsetType = UNSET


# --- a profile, in our own words ---------------------------------------------------------------------------

_PURPOSES: dict[ChargingProfilePurpose, Purpose] = {
    "ChargePointMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}


def charging_profile(
    payload: ChargingProfile, transaction_id: TransactionId | None = None
) -> profiles.ChargingProfile:
    """The profile for the charging core; `transaction_id`: ours. A time without a zone is taken for UTC."""
    schedule = payload.charging_schedule
    return profiles.ChargingProfile(
        profile_id=payload.charging_profile_id,
        stack_level=payload.stack_level,
        purpose=_PURPOSES[payload.charging_profile_purpose],
        kind=ProfileKind(payload.charging_profile_kind),
        schedule=profiles.ChargingSchedule(
            unit=RateUnit(schedule.charging_rate_unit),
            periods=tuple(_period(period) for period in schedule.charging_schedule_period),
            duration_s=None if schedule.duration is UNSET else schedule.duration,
            starts_at=_time(schedule.start_schedule),
            least_rate=None if schedule.min_charging_rate is UNSET else schedule.min_charging_rate,
        ),
        recurrency=None if payload.recurrency_kind is UNSET else Recurrency(payload.recurrency_kind),
        valid_from=_time(payload.valid_from),
        valid_to=_time(payload.valid_to),
        transaction_id=transaction_id,
    )


def _period(period: ChargingSchedulePeriod) -> SchedulePeriod:
    phases = ASSUMED_PHASES if period.number_phases is UNSET else period.number_phases
    return SchedulePeriod(period.start_period, period.limit, phases)


def _time(at: datetime | UnsetType) -> datetime | None:
    return None if at is UNSET else aware(at)


def constraint_broken(payload: ChargingProfile, path: str) -> Refuse | None:
    """What a schema would refuse and a Struct cannot: a level below 0, more than one decimal (7.8, 7.13, 7.14)."""
    if payload.stack_level < 0:
        return Refuse(Category.PROPERTY, f"{path}.stackLevel: below 0")
    for name, rate in _rates(payload.charging_schedule):
        if not has_one_decimal(rate):
            reason = f"{path}.chargingSchedule.{name}: {rate} has more than one decimal"
            return Refuse(Category.PROPERTY, reason)
    return None


def _rates(schedule: ChargingSchedule) -> Iterator[tuple[str, float]]:
    for index, period in enumerate(schedule.charging_schedule_period):
        yield f"chargingSchedulePeriod[{index}].limit", period.limit
    if schedule.min_charging_rate is not UNSET:
        yield "minChargingRate", schedule.min_charging_rate


def has_one_decimal(rate: float) -> bool:
    """`multipleOf: 0.1`, by the decimal digits: binary fractions know no tenths."""
    exponent = Decimal(repr(rate)).normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -1


# --- set and clear -----------------------------------------------------------------------------------------


def is_offered(view: View) -> bool:
    """Whether this station does smart charging at all: `SupportedFeatureProfiles` says so."""
    return "SmartCharging" in view.settings.listed("supported_feature_profiles")


_NOT_OFFERED = Refuse(Category.NOT_SUPPORTED, "profile SmartCharging is not offered")  # R16-267

_SET = Reply(SetChargingProfileResponse(status="Accepted"))
_NOT_SET = Reply(SetChargingProfileResponse(status="Rejected"))


def set_charging_profile(request: SetChargingProfileRequest, view: View) -> Response:
    """R16-244 to R16-251, R16-257 to R16-266; a transaction that does not run here: Rejected (R16-247)."""
    if not is_offered(view):
        return _NOT_OFFERED
    payload = request.cs_charging_profiles
    place = place_of(view.snapshot(), request.connector_id)
    if place is None:
        return Refuse(Category.PROPERTY, f"$.connectorId: there is no connector {request.connector_id}")
    broken = constraint_broken(payload, "$.csChargingProfiles")
    if broken is not None:
        return broken
    transaction_id = None
    if payload.charging_profile_purpose == "TxProfile" and payload.transaction_id is not UNSET:
        transaction_id = view.find_transaction(str(payload.transaction_id))
        if transaction_id is None:
            return _NOT_SET
    return Ask(InstallProfile(*place, charging_profile(payload, transaction_id)), _was_set)


def _was_set(answer: Answer) -> Reply:
    return _SET if answer.verdict is Verdict.ACCEPTED else _NOT_SET


_CLEARED = Reply(ClearChargingProfileResponse(status="Accepted"))
_NOTHING_CLEARED = Reply(ClearChargingProfileResponse(status="Unknown"))


def clear_charging_profile(request: ClearChargingProfileRequest, view: View) -> Response:
    """R16-271. A connector that does not exist has no profiles: Unknown."""
    if not is_offered(view):
        return _NOT_OFFERED
    if request.id is not UNSET:
        return Ask(ClearProfiles(Selection(profile_id=request.id)), _was_cleared)
    scope = None
    if request.connector_id is not UNSET:
        scope = place_of(view.snapshot(), request.connector_id)
        if scope is None:
            return _NOTHING_CLEARED
    purpose, level = request.charging_profile_purpose, request.stack_level
    selection = Selection(
        scope=scope,
        purpose=None if purpose is UNSET else _PURPOSES[purpose],
        stack_level=None if level is UNSET else level,
    )
    return Ask(ClearProfiles(selection), _was_cleared)


def _was_cleared(answer: Answer) -> Reply | Refuse:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return _CLEARED
        case Verdict.UNKNOWN:
            return _NOTHING_CLEARED
        case _:  # the disk does not take it, and the answer has no word for that
            return Refuse(Category.INTERNAL, answer.reason)


# --- composite schedule ------------------------------------------------------------------------------------

_NOT_COMPOSED = Reply(GetCompositeScheduleResponse(status="Rejected"))


def get_composite_schedule(request: GetCompositeScheduleRequest, view: View) -> Response:
    """R16-272 to R16-277; connector 0 is the whole station."""
    if not is_offered(view):
        return _NOT_OFFERED
    place = place_of(view.snapshot(), request.connector_id)
    if place is None:
        return _NOT_COMPOSED
    unit = request.charging_rate_unit
    wanted = ComposeSchedule(*place, request.duration, None if unit is UNSET else RateUnit(unit))
    return Ask(wanted, partial(_composed, request.connector_id))


def _composed(connector_id: int, result: CompositeSchedule | Answer) -> Reply:
    if isinstance(result, Answer):
        return _NOT_COMPOSED
    schedule = ChargingSchedule(
        charging_rate_unit=result.unit.value,
        charging_schedule_period=[_composite_period(period) for period in result.periods],
        duration=result.duration_s,
    )
    return Reply(
        GetCompositeScheduleResponse(
            status="Accepted",
            connector_id=connector_id,
            schedule_start=timestamp(result.starts_at),
            charging_schedule=schedule,
        )
    )


def _composite_period(period: CompositePeriod) -> ChargingSchedulePeriod:
    phases = UNSET if period.phases == ASSUMED_PHASES else period.phases
    return ChargingSchedulePeriod(start_period=period.start_s, limit=period.limit, number_phases=phases)


def external_limit_set(_fact: ExternalLimitSet, _view: View, _reference: str | None) -> None:
    """1.6 has no message for limits that do not come from the central system; they show in composite schedules."""


def external_limit_lifted(_fact: ExternalLimitLifted, _view: View, _reference: str | None) -> None:
    """As above."""


ROUTES = routed(
    Route("SetChargingProfile", SetChargingProfileRequest, set_charging_profile),
    Route("ClearChargingProfile", ClearChargingProfileRequest, clear_charging_profile),
    Route("GetCompositeSchedule", GetCompositeScheduleRequest, get_composite_schedule),
)
ENCODERS: Mapping[type, Encoder] = {
    ExternalLimitSet: external_limit_set,
    ExternalLimitLifted: external_limit_lifted,
}
