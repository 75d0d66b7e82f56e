"""The simulated EV and its cable: what it makes of the pilot, when it draws, and how it reacts.

It reads the duty as an EV does (its own table, not the board's), closes S2 when it wants energy and may have
it, follows a new offer after a while, and stops drawing before S2 opens or the plug is pulled. Runs on loop
time by `call_later` only and calls `on_change` whenever pilot or current changed. Owned by `hal/sim/world.py`.
IEC 61851-1 Annex A.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

SEE_OFFER_S = 0.5
"""From PWM (or the wish to charge) to S2 closed."""
FIRST_DRAW_S = 1.0
"""From voltage at the inlet to the first current."""
FOLLOW_S = 2.0
"""From a change of duty to the new current; the standard allows 5 s."""
STOP_DRAW_S = 0.4
"""From the end of the offer (or of the wish) to zero current; the standard allows 3 s."""
OPEN_S2_S = 0.2
"""From zero current to S2 open."""

R_B_OHM = 2740.0
R_C_OHM = 882.0
R_D_OHM = 246.0
DIODE_V = 0.7


def offered_current_a(duty_percent: float) -> float:
    """What an EV may draw at a duty, as EV testers read it; 0 where it may draw nothing."""
    if 8.0 <= duty_percent < 10.0:
        return 6.0
    if 10.0 <= duty_percent <= 85.0:
        return duty_percent * 0.6
    if 85.0 < duty_percent <= 96.0:
        return (duty_percent - 64.0) * 2.5
    return 80.0 if 96.0 < duty_percent <= 97.0 else 0.0


@dataclass(frozen=True, slots=True)
class Plug:
    """One plug-in, as asked for: the EV behind the cable, and what shall happen to it."""

    connector_id: int = 1
    draw_after_s: float | None = 1.0
    """When it first wants energy; None: never by itself."""
    current_a: float = 16.0
    phases: int = 3
    cable_a: int = 32
    unplug_after_s: float | None = None
    diode_fail_after_s: float | None = None
    is_half_in: bool = False
    """The plug is not pushed home at the station: it makes contact, but the bolt cannot catch it."""
    is_asleep: bool = False
    """Ignores PWM until a wake-up pulse (pilot at 0 V) comes."""
    is_stubborn: bool = False
    """Keeps S2 closed and draws on when PWM stops."""
    needs_ventilation: bool = False
    """Asks for state D instead of C."""


class Vehicle:
    """One EV from plug-in to plug-out. The world tells it of pilot and voltage, it tells of its current."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plug: Plug, on_change: Callable[[], None]) -> None:
        self.plug = plug
        self.current_a = 0.0
        """Drawn per phase, now."""
        self.wants_energy = False
        self.has_s2_closed = False
        self.has_diode = True
        self._loop = loop
        self._on_change = on_change
        self._is_asleep = plug.is_asleep
        self._is_leaving = False
        self._offer_a = 0.0
        self._has_voltage = False
        self._switch: asyncio.TimerHandle | None = None
        self._switch_to: bool | None = None
        self._draw: asyncio.TimerHandle | None = None
        self._draw_to: float | None = None
        self._plans: list[asyncio.TimerHandle] = []
        if plug.draw_after_s is not None:
            self._plan(plug.draw_after_s, lambda: self.want(True))
        if plug.diode_fail_after_s is not None:
            self._plan(plug.diode_fail_after_s, self.lose_diode)

    def _plan(self, delay_s: float, action: Callable[[], None]) -> None:
        self._plans.append(self._loop.call_later(delay_s, action))

    @property
    def resistance_ohm(self) -> float:
        """Between pilot and protective earth, behind the diode."""
        if not self.has_s2_closed:
            return R_B_OHM
        return R_D_OHM if self.plug.needs_ventilation else R_C_OHM

    def want(self, wants: bool) -> None:
        """The driver (or the EV's own charge limit) starts or pauses charging."""
        self.wants_energy = wants
        self._react()

    def lose_diode(self) -> None:
        self.has_diode = False
        self._on_change()

    def see_pilot(self, duty_percent: float | None) -> None:
        """The pilot's duty: 100 = constant +12 V, None = held at 0 V (or -12 V) by the station."""
        if duty_percent is None:
            self._is_asleep = False
            self._offer_a = 0.0
        else:
            self._offer_a = offered_current_a(duty_percent)
        self._react()

    def see_voltage(self, has_voltage: bool) -> None:
        """Mains at the inlet, through the contactor."""
        self._has_voltage = has_voltage
        if not has_voltage and self.current_a:
            self._cancel_draw()
            self.current_a = 0.0
            self._on_change()
        self._react()

    def leave(self) -> float:
        """Stop drawing and open S2 for the plug to be pulled; returns in how many s it may be pulled."""
        self._is_leaving = True
        self.wants_energy = False
        delay_s = (STOP_DRAW_S if self.current_a else 0.0) + (OPEN_S2_S if self.has_s2_closed else 0.0)
        self._react()
        return delay_s + 0.3

    def forget(self) -> None:
        """The plug is out: nothing of this EV happens any more."""
        for handle in [*self._plans, self._switch, self._draw]:
            if handle is not None:
                handle.cancel()

    def _react(self) -> None:
        may_draw = self._offer_a > 0 or (self.plug.is_stubborn and self.has_s2_closed)
        wants = self.wants_energy and may_draw and not self._is_asleep
        if wants:
            if not self.has_s2_closed:
                self._switch_s2(True, SEE_OFFER_S)
            else:
                self._cancel_switch()
            if self.has_s2_closed and self._has_voltage:
                offer_a = self._offer_a or self.current_a
                wanted_a = min(self.plug.current_a, offer_a)
                self._draw_current(wanted_a, FOLLOW_S if self.current_a else FIRST_DRAW_S)
            return
        self._draw_current(0.0, STOP_DRAW_S)
        if self.has_s2_closed:
            self._switch_s2(False, (STOP_DRAW_S if self.current_a else 0.0) + OPEN_S2_S)
        else:
            self._cancel_switch()

    def _switch_s2(self, closed: bool, delay_s: float) -> None:
        if self._switch_to is closed:
            return
        self._cancel_switch()
        self._switch_to = closed
        self._switch = self._loop.call_later(delay_s, self._set_s2, closed)

    def _cancel_switch(self) -> None:
        if self._switch is not None:
            self._switch.cancel()
        self._switch = None
        self._switch_to = None

    def _set_s2(self, closed: bool) -> None:
        self._switch = None
        self._switch_to = None
        self.has_s2_closed = closed
        self._on_change()
        self._react()

    def _draw_current(self, current_a: float, delay_s: float) -> None:
        if self._draw_to == current_a:
            return
        self._cancel_draw()
        if current_a == self.current_a:
            return
        self._draw_to = current_a
        self._draw = self._loop.call_later(delay_s, self._set_current, current_a)

    def _cancel_draw(self) -> None:
        if self._draw is not None:
            self._draw.cancel()
        self._draw = None
        self._draw_to = None

    def _set_current(self, current_a: float) -> None:
        self._draw = None
        self._draw_to = None
        self.current_a = current_a if self._has_voltage else 0.0
        self._on_change()
