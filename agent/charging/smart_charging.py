"""How much an EVSE may offer, and why: local limits, profiles of the CSMS, and its share of the station's limit.

Pure. Ampere are per phase, watt all phases together; what a limit is worth in the other unit depends on the EVSE
(`Supply`). Less than 6 A cannot be offered and pauses charging, it never ends a transaction (IEC 61851-1 A.3, R16-280).
When which profile counts is `schedules.py`; `limiting.py` is the shell. OCPP 1.6 3.13.3, 5.7, 7.12 to 7.14, errata
3.30, 3.34, 3.69 (R16-255, R16-256, R16-263, R16-264, R16-272 to R16-278); the rule of sharing: docs/smart-charging.md.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from agent.charging.ids import EvseId, TransactionId
from agent.charging.measurands import Offer
from agent.charging.profiles import (
    WHOLE_STATION,
    ChargingProfile,
    Installed,
    Purpose,
    RateUnit,
    Scope,
    external_at,
    stack_of_defaults,
    stack_of_transaction,
    stacks_of_station,
)
from agent.charging.schedules import Span, Stretch, line_of_station, line_of_transaction
from agent.charging.session_values import LEAST_OFFER_A
from agent.charging.snapshot import LimitInForce, LimitSource
from hal.ports import EvseState, MeterReading

NOMINAL_V = 230.0
IN_USE_A = 1.0
"""A phase that carries less is not counted as used: idle chargers of EVs draw milliamperes on all phases."""

_SOURCES: Mapping[Purpose, LimitSource] = {
    Purpose.STATION_MAX: LimitSource.STATION_MAX,
    Purpose.TX_DEFAULT: LimitSource.TX_DEFAULT,
    Purpose.TX: LimitSource.TX,
    Purpose.EXTERNAL: LimitSource.EXTERNAL,
}


# --- local limits ------------------------------------------------------------------------------------------


def offered_current_a(*limits_a: float | None) -> float:
    """The least limit per phase in A; None = no limit from there. Never negative."""
    return max(0.0, min((limit for limit in limits_a if limit is not None), default=0.0))


def local_limit(hardware_a: float, cable_a: float | None, setting_a: float) -> LimitInForce:
    """What holds without any profile (R16-276)."""
    limit_a = offered_current_a(hardware_a, cable_a, setting_a)
    if limit_a == hardware_a:
        source = LimitSource.HARDWARE
    else:
        source = LimitSource.CABLE if limit_a == cable_a else LimitSource.SETTING
    return LimitInForce(limit_a, source)


def offer_of(
    state: EvseState, limit_a: float, phases: int, reading: MeterReading, nominal_v: float = NOMINAL_V
) -> Offer:
    """What is offered at this moment: nothing while there is no PWM. Power at the voltage that the meter sees."""
    current_a = limit_a if state.is_offering else 0.0
    measured_v = [volts for volts in reading.voltage_v[:phases] if volts is not None]
    total_v = sum(measured_v) if len(measured_v) == phases else phases * nominal_v
    return Offer(current_a, current_a * total_v)


def phases_in_use(reading: MeterReading) -> int:
    """How many phases the EV loads in this reading; 0: none, or the meter does not say."""
    return sum(current is not None and current >= IN_USE_A for current in reading.current_a)


# --- units -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Supply:
    """What turns ampere into watt at one EVSE: the nominal voltage of the grid, never a measured one (R16-263)."""

    voltage_v: float = NOMINAL_V
    phases: int = 3
    """That can be used."""
    phases_in_use: int | None = None
    """That the EV was seen to use; None: not known yet."""
    can_switch: bool = False
    """A period for one phase is charged on one, whatever the EV uses otherwise."""

    def phases_for(self, given: int) -> int:
        """A period may name more phases than there are: its limit holds for those that there are (R16-264)."""
        if self.can_switch and given == 1:
            return 1
        return self.phases_in_use or min(given, self.phases)

    def convert(self, limit: float, unit: RateUnit, phases: int, wanted: RateUnit) -> float:
        """`limit` of `unit` in `wanted`; `phases`: those of its period."""
        if unit is wanted:
            return limit
        total_v = self.voltage_v * self.phases_for(phases)
        return limit / total_v if wanted is RateUnit.AMPERE else limit * total_v


def tenths(limit: float) -> float:
    """Cut to what a message can say and a pilot can offer: 0.1."""
    return math.floor(limit * 10 + 1e-6) / 10


def is_significant(before: float, after: float, percent: float) -> bool:
    """Whether a limit changed by more than LimitChangeSignificance (2.0.1 SC.03)."""
    return abs(after - before) > abs(before) * percent / 100


# --- sharing -----------------------------------------------------------------------------------------------


class Draw(IntEnum):
    """How urgently an EVSE needs a share; the least number first."""

    DRAWING = 0
    WAITING = 1
    """A transaction runs and its EV takes nothing at the moment: it has just come, or nothing was offered to it."""
    SATED = 2
    """A transaction runs, and its EV took nothing of what was offered to it last."""
    NOTHING = 3
    """No transaction runs there."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one EVSE wants of a shared limit, in the unit of that limit."""

    most: float
    least: float
    """Below this it is better to give it nothing."""
    draw: Draw


def shared(limit: float, claims: Sequence[Claim]) -> list[float]:
    """The share of each claim, the oldest transaction first; together never more than `limit` (R16-256).

    First everybody gets the least, as long as it lasts: by urgency, older ones before younger ones. What is left makes
    the shares of those that draw as equal as their own limits allow, and what is left then goes to the others."""
    shares = [0.0] * len(claims)
    left = limit
    if sum(claim.most for claim in claims) <= limit:
        return [claim.most if claim.least <= claim.most else 0.0 for claim in claims]
    for index in sorted(range(len(claims)), key=lambda each: claims[each].draw):
        claim = claims[index]
        if 0 < claim.least <= min(left, claim.most):
            shares[index] = claim.least
            left -= claim.least
    taking = [index for index, share in enumerate(shares) if share > 0]
    left -= _raise_evenly(
        left, [each for each in taking if claims[each].draw is Draw.DRAWING], claims, shares
    )
    _raise_evenly(left, [each for each in taking if claims[each].draw is not Draw.DRAWING], claims, shares)
    return shares


def _raise_evenly(budget: float, taking: list[int], claims: Sequence[Claim], shares: list[float]) -> float:
    """Raise the lowest shares first, each to its most at the utmost; what that took of `budget`."""
    rest = budget
    growing = [index for index in taking if shares[index] < claims[index].most]
    while growing and rest > 1e-9:
        lowest = min(shares[index] for index in growing)
        lifted = [index for index in growing if shares[index] <= lowest]
        ceilings = [claims[index].most for index in lifted]
        ceilings += [shares[index] for index in growing if shares[index] > lowest]
        step = min(min(ceilings) - lowest, rest / len(lifted))
        for index in lifted:
            shares[index] = lowest + step
        rest -= step * len(lifted)
        growing = [index for index in growing if shares[index] < claims[index].most - 1e-9]
    return budget - rest


# --- what holds now ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outlet:
    """What has to be known of an EVSE to tell its limit."""

    scope: Scope
    """The EVSE and the connector in use."""
    local_a: float
    supply: Supply = Supply()
    draw: Draw = Draw.NOTHING
    transaction_id: TransactionId | None = None
    began: int | None = None
    """Second in which the transaction began; None: as if one began now."""

    @property
    def evse_id(self) -> EvseId:
        return self.scope[0]

    def local(self, unit: RateUnit) -> float:
        supply = self.supply
        return supply.convert(self.local_a, RateUnit.AMPERE, supply.phases, unit)


Own: TypeAlias = tuple[float, int, ChargingProfile | None]
"""The limit of one EVSE without a look at the others, its phases, and what sets it (None: a local limit)."""
Cut: TypeAlias = tuple[int, list[Stretch | None]]
"""From this second on, who prevails in each of several lines."""


def line_of(installed: Installed, outlet: Outlet, window: Span) -> list[Stretch]:
    """Which profiles limit this EVSE in `window`, the station's limit apart: the lowest counts (SC.01)."""
    lines = lines_of(installed, outlet, window)
    return lines[0] if len(lines) == 1 else _lowest(lines, outlet.supply, window)


def lines_of(installed: Installed, outlet: Outlet, window: Span) -> list[list[Stretch]]:
    """What the CSMS has set for this EVSE, and each external limit of it, which holds beside that."""
    began = window[0] if outlet.began is None else outlet.began
    of_csms = line_of_transaction(
        stack_of_transaction(installed, outlet.transaction_id),
        stack_of_defaults(installed, outlet.scope),
        began,
        window,
    )
    return [of_csms, *(line_of_station([each], window) for each in external_at(installed, outlet.evse_id))]


def _lowest(lines: Sequence[list[Stretch]], supply: Supply, window: Span) -> list[Stretch]:
    """One line of several: at every second whoever leaves the least, the first one among equals."""
    cuts = _cuts(lines, window)
    ends = [*(cut[0] for cut in cuts[1:]), window[1]]
    merged: list[Stretch] = []
    for (start, prevailing), end in zip(cuts, ends, strict=True):
        standing = [stretch for stretch in prevailing if stretch is not None]
        if standing:
            lowest = min(standing, key=lambda each: _worth(each, supply, RateUnit.AMPERE))
            merged.append((start, end, lowest[2], lowest[3]))
    return merged


def _worth(stretch: Stretch, supply: Supply, unit: RateUnit) -> float:
    """Its limit in `unit`."""
    _start, _end, profile, period = stretch
    given_in = profile.schedule.unit
    if given_in is unit:
        return period.limit
    spread = replace(supply, phases_in_use=None) if profile.spreads_as_given else supply
    return spread.convert(period.limit, given_in, period.phases, unit)


def _own(outlet: Outlet, local: float, stretch: Stretch | None, unit: RateUnit) -> Own:
    """The lower one of its profile and `local`, its local limit in `unit`."""
    supply = outlet.supply
    if stretch is None:
        return local, supply.phases, None
    limit = _worth(stretch, supply, unit)
    if limit >= local:
        return local, supply.phases, None
    return limit, min(stretch[3].phases, supply.phases), stretch[2]


class _Sharing:
    """What the station's limit leaves to one of several outlets, in `unit`. Alone it may have all of it.

    Over a day something changes many times, but seldom for every EVSE: a claim is kept until its stretch or the unit
    of the station's limit is another one."""

    def __init__(self, asked: int, outlets: Sequence[Outlet], unit: RateUnit) -> None:
        self._asked = asked
        self._outlets = outlets
        self._unit = unit
        self._cap_unit: RateUnit | None = None
        self._seen: list[Stretch | None] = [None] * len(outlets)
        self._claims = [Claim(0.0, 0.0, outlet.draw) for outlet in outlets]

    def share(self, stretches: Sequence[Stretch | None], cap: Stretch) -> float:
        supply, period = self._outlets[self._asked].supply, cap[3]
        is_alone = len(self._outlets) == 1
        if is_alone and cap[2].schedule.unit is self._unit:
            return period.limit
        limit, cap_unit = _limit_of_station(cap, self._outlets)
        if is_alone:
            return supply.convert(limit, cap_unit, period.phases, self._unit)
        is_new_unit, self._cap_unit = cap_unit is not self._cap_unit, cap_unit
        for index, stretch in enumerate(stretches):
            if is_new_unit or stretch is not self._seen[index]:
                self._seen[index] = stretch
                self._claims[index] = _claim(self._outlets[index], stretch, cap_unit)
        mine = self._claims[self._asked]
        if mine.most < mine.least:
            return math.inf  # its own limit pauses it: it takes nothing, whatever the others get
        share = shared(limit, self._claims)[self._asked]
        return supply.convert(share, cap_unit, supply.phases, self._unit)


def _limit_of_station(cap: Stretch, outlets: Sequence[Outlet]) -> tuple[float, RateUnit]:
    """One in watt that spreads as given holds for each phase, however few of them an EV uses (2.0.1 K01.FR.50)."""
    profile, period = cap[2], cap[3]
    unit = profile.schedule.unit
    if unit is RateUnit.AMPERE or not profile.spreads_as_given:
        return period.limit, unit
    supply = Supply(outlets[0].supply.voltage_v, max(outlet.supply.phases for outlet in outlets))
    return supply.convert(period.limit, unit, period.phases, RateUnit.AMPERE), RateUnit.AMPERE


def _claim(outlet: Outlet, stretch: Stretch | None, unit: RateUnit) -> Claim:
    """At least 6 A, or the rate below which its profile says that charging is inefficient (R16-278)."""
    supply = outlet.supply
    most, _phases, _profile = _own(outlet, outlet.local(unit), stretch, unit)
    least = supply.convert(LEAST_OFFER_A, RateUnit.AMPERE, supply.phases, unit)
    if stretch is not None and stretch[2].schedule.least_rate is not None:
        schedule = stretch[2].schedule
        hint = supply.convert(stretch[2].schedule.least_rate, schedule.unit, stretch[3].phases, unit)
        least = max(least, min(hint, most))
    return Claim(most, least, outlet.draw)


def limits_now(
    installed: Installed, outlets: Sequence[Outlet], now: int, horizon_s: int
) -> tuple[dict[EvseId, LimitInForce], int]:
    """The limit of every EVSE that profiles lower now, and the next second at which that may change.

    `outlets`: all of them, the oldest transaction first. One without a transaction gets what it would get alone."""
    window = (now, now + horizon_s)
    cap_lines = _cap_lines(installed, window)
    lines = [line_of(installed, outlet, window) for outlet in outlets]
    caps = _caps_at(cap_lines, now)
    present = [_at(line, now) for line in lines]
    busy = [index for index, outlet in enumerate(outlets) if outlet.draw is not Draw.NOTHING]
    found: dict[EvseId, LimitInForce] = {}
    for index, outlet in enumerate(outlets):
        limit, _phases, profile = _own(outlet, outlet.local_a, present[index], RateUnit.AMPERE)
        for cap in caps:
            group = busy if index in busy else [index]
            sharing = _Sharing(group.index(index), [outlets[each] for each in group], RateUnit.AMPERE)
            share = sharing.share([present[each] for each in group], cap)
            limit, profile = (share, cap[2]) if share < limit else (limit, profile)
        if profile is not None:
            source = _SOURCES[profile.purpose]
            found[outlet.evse_id] = LimitInForce(tenths(limit), source, profile.profile_id)
    changes = [_change_after(line, now, window[1]) for line in (*cap_lines, *lines)]
    return found, min(changes)


def _cap_lines(installed: Installed, window: Span) -> list[list[Stretch]]:
    """What limits the whole station: a line for the CSMS and one for each external limit; all of them hold (SC.01)."""
    return [line_of_station(stack, window) for stack in stacks_of_station(installed)]


def _caps_at(cap_lines: Sequence[list[Stretch]], now: int) -> list[Stretch]:
    return [cap for line in cap_lines if (cap := _at(line, now)) is not None]


def on_one_phase(installed: Installed, outlets: Sequence[Outlet], now: int) -> frozenset[EvseId]:
    """The EVSEs that can switch, and whose profile, or the station's, names one phase for now."""
    able = [outlet for outlet in outlets if outlet.supply.can_switch]
    if not able:
        return frozenset()
    window = (now, now + 1)
    caps = _caps_at(_cap_lines(installed, window), now)
    found = set()
    for outlet in able:
        own = [_at(line, now) for line in lines_of(installed, outlet, window)]
        if any(stretch is not None and stretch[3].phases == 1 for stretch in (*own, *caps)):
            found.add(outlet.evse_id)
    return frozenset(found)


def _at(line: Sequence[Stretch], second: int) -> Stretch | None:
    """Who prevails at the begin of a line."""
    return line[0] if line and line[0][0] <= second else None


def _change_after(line: Sequence[Stretch], now: int, end: int) -> int:
    if not line:
        return end
    return line[0][0] if line[0][0] > now else line[0][1]


# --- what will hold ----------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """Of a composite schedule: from this second on."""

    start: int
    limit: float
    phases: int


def compose(
    installed: Installed, outlets: Sequence[Outlet], asked: Scope, unit: RateUnit, window: Span
) -> list[Piece]:
    """The limits of `asked` in every second of `window`, equal neighbours made one (R16-255, R16-272, R16-277).

    `outlets` as in `limits_now`. An EVSE gets what it would get if it charged now beside those that do; the whole
    station (0, 0) the most that it would draw with every EVSE at its own limit (R16-273)."""
    cap_lines = _cap_lines(installed, window)
    if asked == WHOLE_STATION:
        among = list(outlets)
    else:
        among = [
            _as_asked(outlet, asked) if outlet.evse_id == asked[0] else outlet
            for outlet in outlets
            if outlet.evse_id == asked[0] or (any(cap_lines) and outlet.draw is not Draw.NOTHING)
        ]
    place = next((index for index, outlet in enumerate(among) if outlet.evse_id == asked[0]), None)
    lines = [line_of(installed, outlet, window) for outlet in among]
    sharings = [] if place is None else [_Sharing(place, among, unit) for _line in cap_lines]
    locals_in_unit = [outlet.local(unit) for outlet in among]
    pieces: list[Piece] = []
    before: tuple[float, int] | None = None
    for start, prevailing in _cuts([*cap_lines, *lines], window):
        caps, present = prevailing[: len(cap_lines)], prevailing[len(cap_lines) :]
        if place is None:
            limit, phases = _total(among, locals_in_unit, present, caps, unit)
        else:
            limit, phases, _profile = _own(among[place], locals_in_unit[place], present[place], unit)
            for sharing, cap in zip(sharings, caps, strict=True):
                if cap is not None and (share := sharing.share(present, cap)) < limit:
                    limit, phases = share, min(cap[3].phases, among[place].supply.phases)
        limit = tenths(limit)
        if before != (limit, phases):
            pieces.append(Piece(start, limit, phases))
            before = limit, phases
    return pieces


def _as_asked(outlet: Outlet, asked: Scope) -> Outlet:
    """The outlet, charging at the connector that is asked about."""
    if outlet.scope == asked:
        return replace(outlet, draw=Draw.DRAWING)
    return replace(outlet, scope=asked, draw=Draw.DRAWING, transaction_id=None, began=None)


def _total(
    outlets: Sequence[Outlet],
    locals_in_unit: Sequence[float],
    stretches: Sequence[Stretch | None],
    caps: Sequence[Stretch | None],
    unit: RateUnit,
) -> tuple[float, int]:
    each = zip(outlets, locals_in_unit, stretches, strict=True)
    limit = sum(_own(outlet, local, stretch, unit)[0] for outlet, local, stretch in each)
    phases = max(outlet.supply.phases for outlet in outlets)
    supply = Supply(outlets[0].supply.voltage_v, phases)
    for cap in caps:
        if cap is not None:
            limit = min(limit, supply.convert(cap[3].limit, cap[2].schedule.unit, cap[3].phases, unit))
    return limit, phases


def _cuts(lines: Sequence[list[Stretch]], window: Span) -> list[Cut]:
    """Every second of `window` at which some line changes, with what prevails in each line from then on."""
    changes = [
        (second, number, stretch)
        for number, line in enumerate(lines)
        for second, stretch in _changes_of(line, window)
    ]
    changes.sort(key=_second_of_change)
    present: list[Stretch | None] = [None] * len(lines)
    cuts: list[Cut] = []
    last = None
    for second, number, stretch in changes:
        present[number] = stretch
        if second == last:
            cuts[-1] = second, present[:]
        else:
            cuts.append((second, present[:]))
            last = second
    return cuts


def _second_of_change(change: tuple[int, int, Stretch | None]) -> int:
    return change[0]


def _changes_of(line: list[Stretch], window: Span) -> Iterator[tuple[int, Stretch | None]]:
    """Who prevails from when on; None: nobody."""
    at = window[0]
    for stretch in line:
        if stretch[0] > at:
            yield at, None
        yield stretch[0], stretch
        at = stretch[1]
    if at < window[1]:
        yield at, None
