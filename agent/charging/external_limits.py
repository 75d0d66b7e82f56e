"""Limits that somebody else than the CSMS sets: an energy management system, the grid's operator.

They come through the local API and hold beside everything that the CSMS sets: the lowest limit counts (SC.01). Each
origin has at most one for the whole station and one for each EVSE; it is a charging profile of the purpose EXTERNAL, on
disk like every other, until it is lifted or its schedule is over. The CSMS is told of every change that matters, at the
latest when there is a connection again.
Part of `limiting.py`; asked by `execution.py`. OCPP 2.0.1 part 2, K11 to K13, SC.01 to SC.03.
"""

import logging
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from agent.charging import reasons
from agent.charging.core import StationCore
from agent.charging.facts import ExternalLimitLifted, ExternalLimitSet
from agent.charging.ids import EvseId
from agent.charging.profiles import (
    ChargingProfile,
    ChargingSchedule,
    Installed,
    InstalledProfile,
    LimitOrigin,
    ProfileKind,
    Purpose,
    external_at,
    flaw_of_schedule,
)
from agent.charging.requests import Answer, LiftExternalLimit, LimitExternally, Verdict
from agent.charging.schedules import second_of
from agent.charging.smart_charging import is_significant

if TYPE_CHECKING:
    from agent.charging.limiting import Limiting

log = logging.getLogger(__name__)

MAYBE_LOST_S = 60.0
"""What was told so shortly before the connection was lost is told again."""
_ACCEPTED = Answer(Verdict.ACCEPTED)

Seat: TypeAlias = tuple[EvseId, LimitOrigin]
"""Where there is at most one limit; EVSE 0 is the whole station."""


# --- rules -------------------------------------------------------------------------------------------------


def external(installed: Installed) -> Installed:
    return tuple(each for each in installed if each.profile.purpose is Purpose.EXTERNAL)


def profile_id_for(installed: Installed, origin: LimitOrigin, evse_id: EvseId = 0) -> int:
    """The id of the limit that is replaced, or a free one; negative, so that no CSMS uses it (K11.FR.06)."""
    for each in external_at(installed, evse_id):
        if each.origin is origin:
            return each.profile.profile_id
    used = {each.profile.profile_id for each in installed}
    return next(each for each in range(-1, -len(used) - 2, -1) if each not in used)


def is_news(told: ChargingSchedule | None, present: ChargingSchedule, percent: float) -> bool:
    """Whether the CSMS has to hear of a schedule, after it was told another one. A single limit that is only given
    anew, from now on or for longer, is no news."""
    if told is None or told.unit is not present.unit or len(told.periods) != len(present.periods):
        return True
    pairs = list(zip(told.periods, present.periods, strict=True))
    if any(is_significant(one.limit, other.limit, percent) for one, other in pairs):
        return True
    if any((one.start_s, one.phases) != (other.start_s, other.phases) for one, other in pairs):
        return True
    is_single = len(pairs) == 1
    return not is_single and (told.starts_at, told.duration_s) != (present.starts_at, present.duration_s)


# --- the shell ---------------------------------------------------------------------------------------------


class ExternalLimits:
    def __init__(self, core: StationCore, limiting: "Limiting") -> None:
        self._core = core
        self._limiting = limiting
        self._told: dict[Seat, ChargingSchedule | None] = {}
        """What the CSMS was told last; None: that there is no limit any more."""
        self._told_time: dict[Seat, float] = {}
        self._untold: set[Seat] = set()
        """Of whose limit the CSMS has to hear once there is a connection."""

    def recall(self) -> None:
        """After a start: whether the CSMS has heard of what is installed, nobody knows."""
        self._untold = {_seat(each) for each in external(self._limiting.profiles)}

    async def set(self, request: LimitExternally) -> Answer:
        """Accepted: on disk and in force. Unknown: no such EVSE. Rejected: nothing was changed."""
        origin, evse_id = request.origin, request.evse_id
        if evse_id != 0 and evse_id not in self._core.runners:
            return Answer(Verdict.UNKNOWN, f"there is no EVSE {evse_id}")
        if not self._core.settings.flag("external_limits_enabled"):
            return Answer(Verdict.REJECTED, "external limits are switched off")
        if origin is LimitOrigin.CSO:
            return Answer(Verdict.REJECTED, "origin: the operator of the station sets limits by the CSMS")
        flaw = flaw_of_schedule(request.schedule, self._limiting.bounds)
        if flaw is not None:
            return Answer(Verdict.REJECTED, flaw)
        now = self._core.clock.now()
        schedule = replace(request.schedule, starts_at=request.schedule.starts_at or now)
        if _is_over(schedule, now):
            return Answer(Verdict.REJECTED, "duration: is over")
        new = InstalledProfile(
            ChargingProfile(
                profile_id_for(self._limiting.profiles, origin, evse_id),
                0,
                Purpose.EXTERNAL,
                ProfileKind.ABSOLUTE,
                schedule,
            ),
            evse_id,
            0,
            now,
            origin,
            request.is_grid_critical,
        )
        reason = await self._limiting.put_external(new)
        if reason is not None:
            return Answer(Verdict.REJECTED, reason)
        log.info("external limit of %s, EVSE %d: %s", origin, evse_id, _words(schedule))
        self._changed((evse_id, origin))
        return _ACCEPTED

    async def lift(self, request: LiftExternalLimit) -> Answer:
        """Unknown: there is none of that origin there. Rejected: the disk does not take it, and the limit stays."""
        present = self._present((request.evse_id, request.origin))
        gone = [] if present is None else [present]
        if not gone:
            return Answer(Verdict.UNKNOWN, f"{request.origin} has set no limit for EVSE {request.evse_id}")
        if not await self._limiting.drop_external(gone):
            return Answer(Verdict.REJECTED, reasons.NOT_STORED)
        log.info("external limit of %s, EVSE %d: lifted", request.origin, request.evse_id)
        self._changed((request.evse_id, request.origin))
        return _ACCEPTED

    async def sweep(self) -> None:
        """Limits whose schedule is over go, and all of them when they are switched off."""
        for each in self.spent():
            await self.lift(LiftExternalLimit(each.origin, each.evse_id))

    def spent(self) -> Installed:
        """The limits that do not count any more."""
        present = external(self._limiting.profiles)
        if not self._core.settings.flag("external_limits_enabled"):
            return present
        now = self._core.clock.now()
        return tuple(each for each in present if _is_over(each.profile.schedule, now))

    # --- what the CSMS hears ---------------------------------------------------------------------------

    def on_online(self, is_online: bool) -> None:
        if is_online:
            for seat in sorted(self._untold):
                self._tell(seat)
            return
        time = self._core.clock.time()
        self._untold |= {each for each, told in self._told_time.items() if time - told < MAYBE_LOST_S}

    def _changed(self, seat: Seat) -> None:
        present = self._present(seat)
        told = self._told.get(seat)
        percent = self._core.settings.decimal("limit_change_percent")
        is_same_kind = seat in self._told and (told is None) is (present is None)
        if is_same_kind and (present is None or not is_news(told, present.profile.schedule, percent)):
            return
        if self._core.is_online:
            self._tell(seat)
        else:
            self._untold.add(seat)

    def _tell(self, seat: Seat) -> None:
        """What holds now."""
        evse_id, origin = seat
        self._untold.discard(seat)
        self._told_time[seat] = self._core.clock.time()
        present, at = self._present(seat), self._core.clock.now()
        if present is None:
            self._told[seat] = None
            self._core.publish(ExternalLimitLifted(origin, at, evse_id))
            return
        schedule = self._told[seat] = present.profile.schedule
        self._core.publish(ExternalLimitSet(origin, schedule, at, present.is_grid_critical, evse_id))

    def _present(self, seat: Seat) -> InstalledProfile | None:
        return next((each for each in external(self._limiting.profiles) if _seat(each) == seat), None)


def _seat(limit: InstalledProfile) -> Seat:
    return limit.evse_id, limit.origin


def _is_over(schedule: ChargingSchedule, now: datetime) -> bool:
    """To the second, as `schedules.py` counts."""
    if schedule.duration_s is None or schedule.starts_at is None:
        return False
    return second_of(schedule.starts_at) + schedule.duration_s <= second_of(now)


def _words(schedule: ChargingSchedule) -> str:
    first = schedule.periods[0]
    more = f" and {len(schedule.periods) - 1} more periods" if len(schedule.periods) > 1 else ""
    return f"{first.limit:g} {schedule.unit}{more}"
