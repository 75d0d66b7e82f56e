"""An `Evse` with faults that the host sees and the board does not: an emergency stop on GPIO, a dead card reader.

Wraps any other `Evse` and adds its faults to those of the board, by the same rules: STOP clears when the cause has
been gone for 5 s, LATCHED needs an unplug or a service clear. While one stands that stops charging, no permission gets
through. It is no safety function: the board does not know of it, and an emergency stop has to cut in hardware. Built by
hal.factory.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from hal.errors import DeviceFault
from hal.ports import (
    FAULT_SEVERITY,
    Evse,
    EvseCapabilities,
    EvseEvent,
    EvseState,
    FaultCode,
    PilotState,
    Setpoint,
    Severity,
)

EventListener = Callable[[EvseEvent], None]

CLEAR_AFTER_S: Final = 5.0
_STOPPING: Final = (Severity.STOP, Severity.LATCHED)


class GuardedEvse:
    """`raise_fault` and `end_fault` are for the drivers on the host; all else is the `Evse` port."""

    def __init__(self, evse: Evse) -> None:
        self._evse = evse
        self._listeners: list[EventListener] = []
        self._causes: dict[FaultCode, dict[str, str]] = {}
        """Fault -> who still sees its cause, each with a detail. Empty: gone, but not cleared yet."""
        self._timers: dict[FaultCode, asyncio.TimerHandle] = {}
        self._wanted: Setpoint | None = None
        evse.subscribe(self._on_event)

    @property
    def evse_id(self) -> int:
        return self._evse.evse_id

    @property
    def capabilities(self) -> EvseCapabilities:
        return self._evse.capabilities

    @property
    def state(self) -> EvseState:
        return self._with_faults(self._evse.state)

    def apply(self, setpoint: Setpoint) -> None:
        self._wanted = setpoint
        self._evse.apply(self._permitted(setpoint))

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    async def clear_fault(self, code: FaultCode) -> bool:
        """A fault of the host clears only when its cause is gone; all others are the board's."""
        if code not in self._causes:
            return await self._evse.clear_fault(code)
        if self._causes[code]:
            return False
        self._clear(code)
        return code not in self._evse.state.faults or await self._evse.clear_fault(code)

    async def rcd_self_test(self) -> bool:
        return await self._evse.rcd_self_test()

    async def wake_up_ev(self) -> None:
        if self._is_stopped:
            raise DeviceFault("not_allowed", "a fault stands")
        await self._evse.wake_up_ev()

    # ---- what the host sees

    def raise_fault(self, code: FaultCode, source: str, detail: str = "") -> None:
        """`source` sees the cause of the fault now; harmless when that is known."""
        is_new = code not in self._causes
        self._causes.setdefault(code, {})[source] = detail
        timer = self._timers.pop(code, None)
        if timer is not None:
            timer.cancel()
        if not is_new:
            return
        self._renew()
        if code not in self._evse.state.faults:
            self._tell(EvseEvent("fault", self.state, code, f"{source}: {detail}" if detail else source))

    def end_fault(self, code: FaultCode, source: str) -> None:
        """`source` sees the cause no longer."""
        causes = self._causes.get(code)
        if causes is None or causes.pop(source, None) is None or causes:
            return
        match FAULT_SEVERITY[code]:
            case Severity.LATCHED:
                self._unlatch(self._evse.state)
            case Severity.STOP:
                loop = asyncio.get_running_loop()
                self._timers[code] = loop.call_later(CLEAR_AFTER_S, self._clear, code)
            case Severity.INFO | Severity.DERATE:
                self._clear(code)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # ---- its own work

    @property
    def _is_stopped(self) -> bool:
        return any(FAULT_SEVERITY[code] in _STOPPING for code in self._causes)

    def _permitted(self, setpoint: Setpoint) -> Setpoint:
        if not self._is_stopped:
            return setpoint
        return replace(setpoint, available=False, allow_power=False, limit_a=0.0, fallback_a=0.0)

    def _renew(self) -> None:
        if self._wanted is not None:
            self._evse.apply(self._permitted(self._wanted))

    def _clear(self, code: FaultCode) -> None:
        self._timers.pop(code, None)
        if self._causes.pop(code, None) is None:
            return
        self._renew()
        if code not in self._evse.state.faults:
            self._tell(EvseEvent("fault_cleared", self.state, code))

    def _unlatch(self, state: EvseState) -> None:
        """A latched fault whose cause is gone ends with the cable out."""
        if state.pilot is not PilotState.A:
            return
        for code in [code for code, causes in self._causes.items() if not causes]:
            if FAULT_SEVERITY[code] is Severity.LATCHED:
                self._clear(code)

    def _on_event(self, event: EvseEvent) -> None:
        if event.kind == "fault_cleared" and event.fault in self._causes:
            event = replace(
                event, kind="state", fault=None
            )  # the board's own is gone, the host's still stands
        self._tell(replace(event, state=self._with_faults(event.state)))
        self._unlatch(event.state)

    def _with_faults(self, state: EvseState) -> EvseState:
        return replace(state, faults=state.faults | frozenset(self._causes)) if self._causes else state

    def _tell(self, event: EvseEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)


class Guards:
    """The guarded EVSEs of a station: raises a fault on those that a device serves."""

    def __init__(self, evses: Mapping[int, GuardedEvse]) -> None:
        self._evses = evses

    def raise_fault(self, evse_ids: tuple[int, ...], code: FaultCode, source: str, detail: str = "") -> None:
        for evse in self._served(evse_ids):
            evse.raise_fault(code, source, detail)

    def end_fault(self, evse_ids: tuple[int, ...], code: FaultCode, source: str) -> None:
        for evse in self._served(evse_ids):
            evse.end_fault(code, source)

    def close(self) -> None:
        for evse in self._evses.values():
            evse.close()

    def _served(self, evse_ids: tuple[int, ...]) -> list[GuardedEvse]:
        return [evse for evse_id, evse in self._evses.items() if not evse_ids or evse_id in evse_ids]
