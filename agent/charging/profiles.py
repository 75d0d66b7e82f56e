"""Charging profiles: what they are, which are acceptable, which replaces which, and which belong to a transaction.

Pure values and rules in the vocabulary of OCPP 2.x; the collection of installed profiles is a tuple, and a change gives
a new one. What a profile means at an instant is `schedules.py`; `limiting.py` owns the collection and its store.
OCPP 1.6 3.13, 5.5, 5.16, 7.8 to 7.14 with errata 3.8, 3.25, 3.37 to 3.45, 3.53, 3.56, 3.65 (R16-244 to R16-271);
2.0.1 K01, K09, K10.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from agent.charging.ids import ConnectorId, EvseId, TransactionId

if TYPE_CHECKING:
    from agent.charging.settings import Settings

MOST_S = 2**31 - 1
"""Longest duration and latest period that a schedule may name: 68 years."""
MOST_ID = 2**63 - 1


class Purpose(StrEnum):
    """Values are stored, so they never change."""

    STATION_MAX = "ChargingStationMaxProfile"
    """Bounds the sum of all EVSEs (R16-256)."""
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"
    EXTERNAL = "ChargingStationExternalConstraints"
    """What somebody else than the CSMS sets (`external_limits.py`); no CSMS sets, replaces or clears it."""


class LimitOrigin(StrEnum):
    """Who sets a limit (2.x ChargingLimitSource). Values are stored, so they never change."""

    EMS = "EMS"
    """An energy management system of the site."""
    SYSTEM_OPERATOR = "SO"
    """Of the grid."""
    OTHER = "Other"
    CSO = "CSO"
    """The operator of the station, by its CSMS."""


class ProfileKind(StrEnum):
    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    DAILY = "Daily"
    WEEKLY = "Weekly"


class RateUnit(StrEnum):
    AMPERE = "A"
    """Per phase."""
    WATT = "W"
    """All phases together."""


class SchedulePeriod(Struct, frozen=True):
    """`limit` holds from `start_s` after the begin of the schedule until the next period."""

    start_s: int
    limit: float
    phases: int = 3
    """1.6 7.14: three are assumed unless another number is given."""
    phase_to_use: int | None = None
    """The only one to be used, 1 to 3, where `phases` is 1; None: whichever."""
    are_phases_given: bool = True
    """False: nobody gave a number. Means nothing for the limit; it is told as it was given."""


class ChargingSchedule(Struct, frozen=True):
    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    duration_s: int | None = None
    """None: the last period never ends."""
    starts_at: datetime | None = None
    """None: the schedule begins with the transaction, or for the whole station when it was installed."""
    least_rate: float | None = None
    """Below this charging is inefficient: a hint for the sharing among EVSEs, no limit (R16-278)."""
    schedule_id: int = 0
    """What 2.x calls it."""


class ChargingProfile(Struct, frozen=True):
    profile_id: int
    stack_level: int
    purpose: Purpose
    kind: ProfileKind
    schedule: ChargingSchedule
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    """The first instant at which it is not valid any more."""
    transaction_id: TransactionId | None = None
    """Ours. Set for every installed profile of purpose TX."""
    holds_off_defaults: bool = True
    """Of a transaction: while it is valid no default counts, also where its schedule says nothing any more (1.6).
    False: there they count again (2.0.1 K02.FR.08)."""
    spreads_as_given: bool = False
    """A limit in watt is spread over the phases that its period names, as far as there are so many; False: over those
    that the EV uses (1.6). 2.0.1 K01.FR.50, a SHALL by errata 2025-06."""


class InstalledProfile(Struct, frozen=True):
    """A profile and where it holds: (0, 0) the station, (n, 0) an EVSE with all its connectors."""

    profile: ChargingProfile
    evse_id: EvseId
    connector_id: ConnectorId
    installed_at: datetime
    origin: LimitOrigin = LimitOrigin.CSO
    is_grid_critical: bool | None = None
    """The grid depends on it, as the one who set it says; None: not said."""

    @property
    def scope(self) -> "Scope":
        return self.evse_id, self.connector_id


Scope: TypeAlias = tuple[EvseId, ConnectorId]
Installed: TypeAlias = tuple[InstalledProfile, ...]
WHOLE_STATION: Scope = (0, 0)


class Bounds(Struct, frozen=True):
    """What this station takes (OCPP 1.6 9.4)."""

    max_stack_level: int
    max_periods: int
    max_installed: int
    units: frozenset[RateUnit]


_UNITS = {"Current": RateUnit.AMPERE, "Power": RateUnit.WATT}
"""As the setting spells them."""


def bounds_of(settings: "Settings") -> Bounds:
    return Bounds(
        max_stack_level=settings.integer("profile_max_stack_level"),
        max_periods=settings.integer("schedule_max_periods"),
        max_installed=settings.integer("profiles_max_installed"),
        units=frozenset(_UNITS[name] for name in settings.listed("schedule_rate_units")),
    )


class Selection(Struct, frozen=True):
    """Which profiles are meant: by id alone, otherwise all given fields must match (R16-271, K10.FR.03, K10.FR.04)."""

    profile_id: int | None = None
    scope: Scope | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None
    evse_id: EvseId | None = None
    """The EVSE with all its connectors; 0: the station itself."""


class Criteria(Struct, frozen=True):
    """Which profiles are to be told: those that match all that is given (K09.FR.04 to .06)."""

    evse_id: EvseId | None = None
    profile_ids: tuple[int, ...] = ()
    purpose: Purpose | None = None
    stack_level: int | None = None
    origins: tuple[LimitOrigin, ...] = ()


# --- is it acceptable --------------------------------------------------------------------------------------


def flaw_of(profile: ChargingProfile, bounds: Bounds, now: datetime) -> str | None:
    """What is wrong with a profile by itself, field first; None: nothing (R16-257, R16-260, R16-265)."""
    if not -MOST_ID <= profile.profile_id <= MOST_ID:
        return "profile id: more than 63 bits"
    if not 0 <= profile.stack_level <= bounds.max_stack_level:
        return f"stack level {profile.stack_level}: outside 0 to {bounds.max_stack_level}"
    if (profile.kind is ProfileKind.RECURRING) != (profile.recurrency is not None):
        return "recurrency: must be given for a recurring profile, and for no other"
    if profile.valid_to is not None:
        if profile.valid_from is not None and profile.valid_to <= profile.valid_from:
            return "valid to: not after valid from"
        if profile.valid_to <= now:
            return "valid to: is over"
    return flaw_of_schedule(profile.schedule, bounds)


def flaw_of_schedule(schedule: ChargingSchedule, bounds: Bounds) -> str | None:
    """What is wrong with a schedule by itself (K01.FR.26, K01.FR.31, K01.FR.35)."""
    if schedule.unit not in bounds.units:
        return f"rate unit: {schedule.unit} is not offered"
    if schedule.duration_s is not None and not 1 <= schedule.duration_s <= MOST_S:
        return f"duration {schedule.duration_s}: outside 1 to {MOST_S} s"
    if schedule.least_rate is not None and not 0 <= schedule.least_rate < math.inf:
        return "least rate: below 0"
    if not 1 <= len(schedule.periods) <= bounds.max_periods:
        return f"periods: {len(schedule.periods)} instead of 1 to {bounds.max_periods}"
    if schedule.periods[0].start_s != 0:
        return "first period: does not start at 0"
    before = -1
    for number, period in enumerate(schedule.periods, 1):
        if not before < period.start_s <= MOST_S:
            return f"period {number}: starts at {period.start_s} s, not after the one before it"
        if not 0 <= period.limit < math.inf:
            return f"period {number}: limit {period.limit} is below 0"
        if not 1 <= period.phases <= 3:
            return f"period {number}: {period.phases} phases"
        before = period.start_s
    return None


def flaw_of_place(profile: ChargingProfile, scope: Scope, running: TransactionId | None) -> str | None:
    """Why this profile cannot be installed there; `running`: the transaction at `scope` (R16-244, R16-246, R16-247)."""
    match profile.purpose:
        case Purpose.STATION_MAX:
            return (
                None if scope == WHOLE_STATION else "purpose: a limit of the station is for the whole station"
            )
        case Purpose.TX_DEFAULT:
            return None
        case Purpose.TX:
            if scope == WHOLE_STATION:
                return "purpose: a profile of a transaction needs its connector"
            if running is None:
                return "purpose: no transaction runs there"
            is_meant = profile.transaction_id in (None, running)
            return None if is_meant else "transaction: another one runs there"
        case Purpose.EXTERNAL:
            return "purpose: external constraints are not the CSMS's to set"


def flaw_for_start(profile: ChargingProfile, bounds: Bounds, now: datetime) -> str | None:
    """Why a profile cannot come with a remote start (R16-178)."""
    if profile.purpose is not Purpose.TX:
        return f"purpose: {profile.purpose} cannot come with a start"
    if profile.transaction_id is not None:
        return "transaction: there is none yet"
    return flaw_of(profile, bounds, now)


# --- the collection ----------------------------------------------------------------------------------------


def replaced_by(installed: Iterable[InstalledProfile], new: InstalledProfile) -> Installed:
    """What goes when `new` comes: the same id, or the same purpose and level at the same place (R16-251).

    Profiles of transactions are told apart by their transaction, so that one that is over never matters."""
    return tuple(each for each in installed if _has_same_id(each, new) or _is_in_same_slot(each, new))


def _has_same_id(one: InstalledProfile, other: InstalledProfile) -> bool:
    return one.profile.profile_id == other.profile.profile_id


def clash_of(installed: Iterable[InstalledProfile], new: InstalledProfile) -> InstalledProfile | None:
    """What keeps `new` from being installed where nothing is replaced but by its id.

    Of a transaction any other profile of that level (K01.FR.39). Otherwise one of that purpose and level that is valid
    at the same time at the same EVSE (K01.FR.06); of defaults also at all EVSEs or at one of them, whenever it is valid
    (K01.FR.52, K01.FR.53)."""
    mine = new.profile
    for each in installed:
        profile = each.profile
        if _has_same_id(each, new) or (profile.purpose, profile.stack_level) != (
            mine.purpose,
            mine.stack_level,
        ):
            continue
        if mine.purpose is Purpose.TX:
            is_in_way = profile.transaction_id == mine.transaction_id
        elif each.evse_id == new.evse_id:
            is_in_way = _are_valid_together(profile, mine)
        else:
            is_in_way = 0 in (each.evse_id, new.evse_id)
        if is_in_way:
            return each
    return None


def _are_valid_together(one: ChargingProfile, other: ChargingProfile) -> bool:
    return _is_before_end(one.valid_from, other.valid_to) and _is_before_end(other.valid_from, one.valid_to)


def _is_before_end(valid_from: datetime | None, valid_to: datetime | None) -> bool:
    return valid_from is None or valid_to is None or valid_from < valid_to


def _is_in_same_slot(one: InstalledProfile, other: InstalledProfile) -> bool:
    mine, others = one.profile, other.profile
    return (mine.purpose, mine.stack_level, one.scope, mine.transaction_id) == (
        others.purpose,
        others.stack_level,
        other.scope,
        others.transaction_id,
    )


def without(installed: Iterable[InstalledProfile], gone: Collection[InstalledProfile]) -> Installed:
    ids = {each.profile.profile_id for each in gone}
    return tuple(each for each in installed if each.profile.profile_id not in ids)


def selected(installed: Iterable[InstalledProfile], wanted: Selection) -> Installed:
    """Everything that `wanted` means; without any field that is all (R16-271)."""
    if wanted.profile_id is not None:
        return tuple(each for each in installed if each.profile.profile_id == wanted.profile_id)
    return tuple(
        each
        for each in installed
        if (wanted.scope is None or each.scope == wanted.scope)
        and (wanted.evse_id is None or each.evse_id == wanted.evse_id)
        and (wanted.purpose is None or each.profile.purpose is wanted.purpose)
        and (wanted.stack_level is None or each.profile.stack_level == wanted.stack_level)
    )


def of_csms(installed: Iterable[InstalledProfile]) -> Installed:
    """Without what a CSMS cannot touch (K10.FR.04, K10.FR.08, K10.FR.09)."""
    return tuple(each for each in installed if each.profile.purpose is not Purpose.EXTERNAL)


def over(installed: Iterable[InstalledProfile], now: datetime) -> Installed:
    """Those of the CSMS that never limit anything again; they make room when there is none."""
    return tuple(each for each in of_csms(installed) if _is_over(each.profile, now))


def _is_over(profile: ChargingProfile, now: datetime) -> bool:
    if profile.valid_to is not None and profile.valid_to <= now:
        return True
    schedule = profile.schedule
    if profile.kind is not ProfileKind.ABSOLUTE or profile.purpose is Purpose.TX:
        return False  # one of a transaction may still hold off the defaults
    if schedule.starts_at is None or schedule.duration_s is None:
        return False
    return (now - schedule.starts_at).total_seconds() >= schedule.duration_s


def matching(installed: Iterable[InstalledProfile], wanted: Criteria) -> Installed:
    return tuple(
        each
        for each in installed
        if (wanted.evse_id is None or each.evse_id == wanted.evse_id)
        and (not wanted.profile_ids or each.profile.profile_id in wanted.profile_ids)
        and (wanted.purpose is None or each.profile.purpose is wanted.purpose)
        and (wanted.stack_level is None or each.profile.stack_level == wanted.stack_level)
        and (not wanted.origins or each.origin in wanted.origins)
    )


def bound_to(profile: ChargingProfile, transaction_id: TransactionId) -> ChargingProfile:
    """The profile of that very transaction."""
    return replace(profile, transaction_id=transaction_id)


def orphans(installed: Iterable[InstalledProfile], running: Collection[TransactionId]) -> Installed:
    """Profiles of transactions that do not run any more (R16-248)."""
    return tuple(
        each
        for each in installed
        if each.profile.purpose is Purpose.TX and each.profile.transaction_id not in running
    )


# --- which apply where -------------------------------------------------------------------------------------


def stack_of_station(installed: Iterable[InstalledProfile]) -> list[InstalledProfile]:
    """The limits that the CSMS sets the whole station, highest level first."""
    return _ordered(each for each in installed if each.profile.purpose is Purpose.STATION_MAX)


def stacks_of_station(installed: Iterable[InstalledProfile]) -> list[list[InstalledProfile]]:
    """All that limits the whole station: what comes from the CSMS, and each external limit, which holds beside it."""
    installed = tuple(installed)
    return [stack_of_station(installed), *([each] for each in external_at(installed, 0))]


def external_at(installed: Iterable[InstalledProfile], evse_id: EvseId) -> Installed:
    """The external limits of one EVSE by itself, or with 0 of the whole station; each of them holds."""
    return tuple(
        each for each in installed if each.profile.purpose is Purpose.EXTERNAL and each.evse_id == evse_id
    )


def stack_of_transaction(
    installed: Iterable[InstalledProfile], transaction_id: TransactionId | None
) -> list[InstalledProfile]:
    """The profiles of one transaction, highest level first."""
    if transaction_id is None:
        return []
    return _ordered(each for each in installed if each.profile.transaction_id == transaction_id)


def stack_of_defaults(installed: Iterable[InstalledProfile], scope: Scope) -> list[InstalledProfile]:
    """The defaults at a connector, highest level first; its own one replaces the station's of that level (R16-245)."""
    evse_id, _connector_id = scope
    nearest: dict[int, list[InstalledProfile]] = {}
    for place in dict.fromkeys((WHOLE_STATION, (evse_id, 0), scope)):
        here: dict[int, list[InstalledProfile]] = {}
        for each in installed:
            if each.profile.purpose is Purpose.TX_DEFAULT and each.scope == place:
                here.setdefault(each.profile.stack_level, []).append(each)
        nearest.update(here)
    return _ordered(each for group in nearest.values() for each in group)


def _ordered(profiles: Iterable[InstalledProfile]) -> list[InstalledProfile]:
    return sorted(profiles, key=lambda each: each.profile.stack_level, reverse=True)


def ids_of(profiles: Sequence[InstalledProfile]) -> list[int]:
    return [each.profile.profile_id for each in profiles]
