"""Temperature and air: how far heat lowers the limit, when it stops charging, and the fan of state D; pure.

Between temp_warn and temp_stop the limit falls along a line down to 6 A; at temp_stop charging stops until it is
10 C cooler. A thermometer that falls silent counts as hot: 6 A until it answers again. Temperatures in 0.1 C,
currents in 0.1 A, times in ms. Called by `board/connector.py` once per tick.
"""

from board.wire import F_TEMP_STOP, F_TEMP_WARN, MIN_LIMIT_DA, NO_TEMPERATURE, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from board.limits import Limits

_WARN_BACK_DC = const(50)
_STOP_BACK_DC = const(100)
_PLAY_DC = const(20)
"""So much cooler must it be before the limit rises again: the pilot must not tremble with the thermometer."""
_LOST_MS = const(5000)


class Warmth:
    """`most_da`: what may be offered at this temperature."""

    __slots__ = ("_felt_dc", "_heat", "_is_known", "_limits", "_lost_since", "most_da")

    def __init__(self, limits: "Limits") -> None:
        self._limits = limits
        self._heat = 0
        self._felt_dc = 0
        self._is_known = False
        self._lost_since = -1
        self.most_da = limits.max_da

    def step(self, now_ms: int, temperature: int) -> int:
        """Fault mask of this tick."""
        if temperature == NO_TEMPERATURE:
            if self._is_known and self._lost_since < 0:
                self._lost_since = now_ms
            if self._lost_since >= 0 and now_ms - self._lost_since >= _LOST_MS:
                self._heat |= F_TEMP_WARN
                self.most_da = MIN_LIMIT_DA
            return self._heat
        if not self._is_known or temperature > self._felt_dc:
            self._felt_dc = temperature
        elif temperature < self._felt_dc - _PLAY_DC:
            self._felt_dc = temperature + _PLAY_DC
        self._is_known = True
        self._lost_since = -1
        limits = self._limits
        if temperature >= limits.temp_warn_dc:
            self._heat |= F_TEMP_WARN
        elif temperature < limits.temp_warn_dc - _WARN_BACK_DC:
            self._heat &= ~F_TEMP_WARN
        if temperature >= limits.temp_stop_dc:
            self._heat |= F_TEMP_STOP
        elif temperature < limits.temp_stop_dc - _STOP_BACK_DC:
            self._heat &= ~F_TEMP_STOP
        self.most_da = self._most_at(self._felt_dc)
        return self._heat

    def _most_at(self, temperature: int) -> int:
        """In whole amperes, so that a slow drift does not move the pilot each second."""
        limits = self._limits
        over_dc = temperature - limits.temp_warn_dc
        if over_dc <= 0:
            return limits.max_da
        span_dc = limits.temp_stop_dc - limits.temp_warn_dc
        if over_dc >= span_dc:
            return MIN_LIMIT_DA
        most_da = limits.max_da - (limits.max_da - MIN_LIMIT_DA) * over_dc // span_dc
        return max(MIN_LIMIT_DA, most_da // 10 * 10)

    def due_in(self, now_ms: int, never: int) -> int:
        if self._lost_since >= 0 and now_ms - self._lost_since < _LOST_MS:
            return self._lost_since + _LOST_MS - now_ms
        return never


class Ventilation:
    """The fan of a closed garage: on while a car in state D asks for it, and for a while after."""

    __slots__ = ("_limits", "_off_at", "is_on")

    def __init__(self, limits: "Limits") -> None:
        self._limits = limits
        self._off_at = 0
        self.is_on = False

    def step(self, now_ms: int, is_wanted: bool) -> bool:
        """True: `is_on` has changed."""
        before = self.is_on
        if is_wanted and self._limits.has_ventilation:
            self.is_on = True
            self._off_at = now_ms + self._limits.vent_run_on_s * 1000
        elif now_ms >= self._off_at:
            self.is_on = False
        return self.is_on != before

    def due_in(self, now_ms: int, never: int) -> int:
        return self._off_at - now_ms if self.is_on and self._off_at > now_ms else never
