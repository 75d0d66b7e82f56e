"""What a GPIO line may be: an output, a sensor, a button that presents a token, or a contact that raises a fault.

Nothing here can energise an outlet. An emergency stop on GPIO tells the agent, which then permits nothing; it has to
cut in hardware as well. A contact that cannot be read counts as tripped. Built by hal.factory, each on a line.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from hal.bus.gpio import GpioLine
from hal.drivers.card_reader import CardListener
from hal.drivers.guarded_evse import Guards
from hal.errors import DeviceMissing, OutOfRange
from hal.ports import FaultCode

log = logging.getLogger("hal.gpio")

MIN_PULSE_S: Final = 0.05
MAX_PULSE_S: Final = 5.0


class GpioOutput:
    """An `Output`. Off at the start, and off when the agent ends."""

    def __init__(self, name: str, line: GpioLine) -> None:
        self._name = name
        self._line = line
        self._is_on = False
        self._pulse: asyncio.TimerHandle | None = None
        line.on_health = self._on_health

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_on(self) -> bool:
        return self._is_on

    async def set(self, on: bool) -> None:
        self._stop_pulse()
        self._switch(on)

    async def pulse(self, duration_s: float) -> None:
        if not MIN_PULSE_S <= duration_s <= MAX_PULSE_S:
            raise OutOfRange(f"a pulse of {duration_s:g} s: {MIN_PULSE_S:g} to {MAX_PULSE_S:g} are allowed")
        self._stop_pulse()
        self._switch(True)
        self._pulse = asyncio.get_running_loop().call_later(duration_s, self._end_pulse)

    def close(self) -> None:
        self._stop_pulse()
        self._is_on = False

    def _switch(self, on: bool) -> None:
        self._is_on = False  # a line that is lost drives nothing
        self._line.write(on)
        self._is_on = on

    def _end_pulse(self) -> None:
        self._pulse = None
        try:
            self._switch(False)
        except DeviceMissing as error:
            log.warning("output %s: the pulse ended with its line: %s", self._name, error)

    def _on_health(self, problem: str | None) -> None:
        if problem is not None:
            self._stop_pulse()
            self._is_on = False  # a line that nobody holds drives nothing, and it comes back switched off

    def _stop_pulse(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None


class GpioSensor:
    """A digital `Sensor`: 1.0 while the line is on. Reading it asks the kernel."""

    def __init__(self, name: str, line: GpioLine) -> None:
        self._name = name
        self._line = line

    @property
    def name(self) -> str:
        return self._name

    async def read(self) -> float:
        return 1.0 if self._line.read() else 0.0


class GpioButton:
    """A button as a `CardReader`: pressing it presents a token, as a card would."""

    def __init__(self, line: GpioLine, token: str, token_type: str, evse_ids: Sequence[int] = ()) -> None:
        self._token = token
        self._token_type = token_type
        self._evse_ids = tuple(evse_ids)
        self._listeners: list[CardListener] = []
        self._is_pressed: bool | None = None
        """None: not known. A button that is held down at the start was not pressed."""
        line.on_edge = self._on_edge
        line.on_health = self._on_health

    @property
    def evse_ids(self) -> Sequence[int]:
        return self._evse_ids

    def subscribe(self, listener: CardListener) -> Callable[[], None]:
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def _on_edge(self, on: bool) -> None:
        was_pressed, self._is_pressed = self._is_pressed, on
        if on and was_pressed is False:
            for listener in tuple(self._listeners):
                listener(self._token, self._token_type)

    def _on_health(self, problem: str | None) -> None:
        if problem is not None:
            self._is_pressed = None


class FaultContact:
    """A contact that raises a fault while it is on, and while nobody can tell."""

    def __init__(
        self, name: str, line: GpioLine, code: FaultCode, guards: Guards, evse_ids: Sequence[int] = ()
    ) -> None:
        self._name = name
        self._code = code
        self._guards = guards
        self._evse_ids = tuple(evse_ids)
        line.on_edge = self._on_edge
        line.on_health = self._on_health

    def _on_edge(self, on: bool) -> None:
        if on:
            self._guards.raise_fault(self._evse_ids, self._code, self._name)
        else:
            self._guards.end_fault(self._evse_ids, self._code, self._name)

    def _on_health(self, problem: str | None) -> None:
        source = f"{self._name} (line)"
        if problem is None:
            self._guards.end_fault(self._evse_ids, self._code, source)
        else:
            self._guards.raise_fault(self._evse_ids, self._code, source, problem)
