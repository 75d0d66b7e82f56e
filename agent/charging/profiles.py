"""Charging profiles: what they are, which are acceptable, which replaces which, and which belong to a transaction.

Pure values and rules in the vocabulary of OCPP 2.x; the collection of installed profiles is a tuple, and a change gives
a new one. What a profile means at an instant is `schedules.py`; `limiting.py` owns the collection and its store.
OCPP 1.6 3.13, 5.5, 5.16, 7.8 to 7.14 with errata 3.8, 3.25, 3.37 to 3.45, 3.53, 3.56, 3.65 (R16-244 to R16-271).
"""

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from agent.charging.ids import ConnectorId, EvseId, TransactionId

MOST_S = 2**31 - 1
"""Longest duration and latest period that a schedule may name: 68 years."""
MOST_ID = 2**63 - 1


class Purpose(StrEnum):
    """Values are stored, so they never change."""

    STATION_MAX = "ChargingStationMaxProfile"
    """Bounds the sum of all EVSEs (R16-256)."""
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


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


class ChargingSchedule(Struct, frozen=True):
    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    duration_s: int | None = None
    """None: the last period never ends."""
    starts_at: datetime | None = None
    """None: the schedule begins with the transaction, or for the whole station when it was installed."""
    least_rate: float | None = None
    """Below this charging is inefficient: a hint for the sharing among EVSEs, no limit (R16-278)."""


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


class InstalledProfile(Struct, frozen=True):
    """A profile and where it holds: (0, 0) the station, (n, 0) an EVSE with all its connectors."""

    profile: ChargingProfile
    evse_id: EvseId
    connector_id: ConnectorId
    installed_at: datetime

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


class Selection(Struct, frozen=True):
    """Which profiles are meant: by id alone, otherwise all given fields must match (R16-271)."""

    profile_id: int | None = None
    scope: Scope | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None


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
    return _flaw_of_schedule(profile.schedule, bounds)


def _flaw_of_schedule(schedule: ChargingSchedule, bounds: Bounds) -> str | None:
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
        and (wanted.purpose is None or each.profile.purpose is wanted.purpose)
        and (wanted.stack_level is None or each.profile.stack_level == wanted.stack_level)
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
    """The limits of the whole station, highest level first."""
    return _ordered(each for each in installed if each.profile.purpose is Purpose.STATION_MAX)


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
    nearest: dict[int, InstalledProfile] = {}
    for place in (WHOLE_STATION, (evse_id, 0), scope):
        for each in installed:
            if each.profile.purpose is Purpose.TX_DEFAULT and each.scope == place:
                nearest[each.profile.stack_level] = each
    return _ordered(nearest.values())


def _ordered(profiles: Iterable[InstalledProfile]) -> list[InstalledProfile]:
    return sorted(profiles, key=lambda each: each.profile.stack_level, reverse=True)


def ids_of(profiles: Sequence[InstalledProfile]) -> list[int]:
    return [each.profile.profile_id for each in profiles]
