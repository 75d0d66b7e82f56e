"""Simulated electricity: mains, cable, EV, contactor, lock, meter, residual current and card reader.

It runs on loop time by timers only, so that an hour passes in a blink under virtual time and an idle world
costs nothing. What one EVSE is made of stands in `hal/sim/evse.py`; `hal/sim/firmware.py` joins it to the real
firmware; the simulation API of the web server plays the driver.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hal.ports import FaultCode, MeterReading
from hal.sim.evse import CABLE_OHM, Installation, Listener, SimulatedEvse, per_phase
from hal.sim.vehicle import Plug, Vehicle

SETTABLE_FAULTS = frozenset(
    {
        FaultCode.RCD_DC,
        FaultCode.RCD_AC,
        FaultCode.RCD_SELF_TEST,
        FaultCode.CONTACTOR_WELDED,
        FaultCode.CONTACTOR_NO_CLOSE,
        FaultCode.CP_DIODE,
        FaultCode.CP_RANGE,
        FaultCode.PP_RANGE,
        FaultCode.LOCK_FAIL,
        FaultCode.UNLOCK_FAIL,
        FaultCode.TEMP_WARN,
        FaultCode.TEMP_STOP,
        FaultCode.VENT_UNAVAILABLE,
        FaultCode.EMERGENCY_STOP,
        FaultCode.DOOR_OPEN,
        FaultCode.TILT,
        FaultCode.OVER_CURRENT,
        FaultCode.PHASE_SWITCH,
        FaultCode.METER_COMM,
        FaultCode.BOARD_COMM,
    }
)
"""What `World.set_fault` can break."""

TapListener = Callable[[str, str, tuple[int, ...]], None]


class World:
    """Everything that a simulated station is wired to. EVSEs are numbered from 1.

    The driver's methods return at once; whatever they start happens on loop time. Wrong arguments raise
    ValueError with the argument's name in front."""

    def __init__(
        self,
        evses: int = 1,
        connectors_per_evse: int = 1,
        has_lock: bool = True,
        phases: int = 3,
        mains_v: float = 230.0,
        meter_start_wh: float = 0.0,
        meter_resets_on_plug_in: bool = False,
        has_current_sensors: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        _check("evses", 1 <= evses <= 64, "1 to 64")
        _check("connectors_per_evse", 1 <= connectors_per_evse <= 8, "1 to 8")
        _check("phases", phases in (1, 3), "1 or 3")
        _check("mains_v", 100 <= mains_v <= 300, "100 to 300 V")
        _check("meter_start_wh", meter_start_wh >= 0, "0 or more")
        self.loop = loop or asyncio.get_running_loop()
        self.built = Installation(
            connectors_per_evse=connectors_per_evse,
            has_lock=has_lock,
            phases=phases,
            mains_v=mains_v,
            meter_start_wh=meter_start_wh,
            meter_resets_on_plug_in=meter_resets_on_plug_in,
            has_current_sensors=has_current_sensors,
        )
        self._listeners: list[Listener] = []
        self._tap_listeners: list[TapListener] = []
        self.evses = {
            evse_id: SimulatedEvse(self.loop, evse_id, self.built, self._notify)
            for evse_id in range(1, evses + 1)
        }

    def evse(self, evse_id: int) -> SimulatedEvse:
        found = self.evses.get(evse_id)
        if found is None:
            raise ValueError(f"evse_id: there is no EVSE {evse_id!r}")
        return found

    @property
    def settable_faults(self) -> frozenset[FaultCode]:
        return SETTABLE_FAULTS

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(evse_id)` on every electrical change; returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: _drop(self._listeners, listener)

    def _notify(self, evse_id: int) -> None:
        for listener in tuple(self._listeners):
            listener(evse_id)

    def subscribe_taps(self, listener: TapListener) -> Callable[[], None]:
        """Call `listener(id_token, type, evses)` for each card; returns the way to stop that."""
        self._tap_listeners.append(listener)
        return lambda: _drop(self._tap_listeners, listener)

    def meter_reading(self, evse_id: int) -> MeterReading:
        """The EVSE's meter, now. Raises DeviceTimeout while it is broken."""
        return self.evse(evse_id).meter_reading()

    def main_meter_reading(self) -> MeterReading:
        """A meter for the whole station: the sum of the EVSEs' meters."""
        built = self.built
        readings = self.evses.values()
        current_a = [
            sum(evse.current_a for evse in readings if phase < evse.active_phases) for phase in range(3)
        ]
        return MeterReading(
            at_time=self.loop.time(),
            energy_import_wh=sum(evse.energy_wh for evse in readings),
            energy_export_wh=0.0,
            power_w=sum(evse.power_w for evse in readings),
            voltage_v=per_phase([built.mains_v] * 3, built.phases),
            current_a=per_phase(current_a, built.phases),
            power_phase_w=per_phase([current * built.mains_v for current in current_a], built.phases),
            frequency_hz=built.frequency_hz,
            power_factor=1.0,
        )

    # ---- the driver --------------------------------------------------------------------------------------

    def plug(
        self,
        evse_id: int = 1,
        connector_id: int = 1,
        *,
        after_s: float = 0.0,
        draw_after_s: float | None = 1.0,
        current_a: float = 16.0,
        phases: int = 3,
        cable_a: int = 32,
        unplug_after_s: float | None = None,
        diode_fail_after_s: float | None = None,
        is_half_in: bool = False,
        is_asleep: bool = False,
        is_stubborn: bool = False,
        needs_ventilation: bool = False,
    ) -> None:
        """Bring an EV: plugged in `after_s`, wanting energy `draw_after_s` later (None or < 0: not by itself).

        `unplug_after_s` and `diode_fail_after_s` count from the plug-in."""
        evse = self.evse(evse_id)
        _check("connector_id", 1 <= connector_id <= self.built.connectors_per_evse, "no such connector")
        _check("after_s", after_s >= 0, "0 or more")
        _check("current_a", 0 <= current_a <= 100, "0 to 100 A")
        _check("phases", phases in (1, 2, 3), "1, 2 or 3")
        _check("cable_a", cable_a in CABLE_OHM, f"one of {', '.join(map(str, CABLE_OHM))}")
        _check("unplug_after_s", unplug_after_s is None or unplug_after_s >= 0, "0 or more")
        _check("diode_fail_after_s", diode_fail_after_s is None or diode_fail_after_s >= 0, "0 or more")
        if draw_after_s is not None and draw_after_s < 0:
            draw_after_s = None
        plug = Plug(
            connector_id=connector_id,
            draw_after_s=draw_after_s,
            current_a=current_a,
            phases=phases,
            cable_a=cable_a,
            unplug_after_s=unplug_after_s,
            diode_fail_after_s=diode_fail_after_s,
            is_half_in=is_half_in,
            is_asleep=is_asleep,
            is_stubborn=is_stubborn,
            needs_ventilation=needs_ventilation,
        )
        evse.arrive(plug, after_s)

    def unplug(self, evse_id: int = 1, is_torn_out: bool = False) -> None:
        """The EV stops drawing, then the plug is pulled; the cable's other end follows when the lock lets go.

        `is_torn_out`: pulled at once, under load."""
        self.evse(evse_id).leave(is_torn_out)

    def pause(self, evse_id: int = 1) -> None:
        """The EV stops charging by itself and opens S2."""
        self._vehicle(evse_id).want(False)

    def resume(self, evse_id: int = 1) -> None:
        """The EV wants energy (again)."""
        self._vehicle(evse_id).want(True)

    def _vehicle(self, evse_id: int) -> Vehicle:
        vehicle = self.evse(evse_id).vehicle
        if vehicle is None:
            raise ValueError(f"evse_id: nothing is plugged into EVSE {evse_id}")
        return vehicle

    def set_fault(self, evse_id: int, code: str) -> None:
        """Break something (SETTABLE_FAULTS); it stays broken until `clear_fault`."""
        self.evse(evse_id).break_or_mend(_settable(code), True)

    def clear_fault(self, evse_id: int, code: str) -> None:
        """Mend it; the firmware decides by itself when its fault is over."""
        self.evse(evse_id).break_or_mend(_settable(code), False)

    def tap(self, id_token: str, type: str = "ISO14443", evses: Sequence[int] = ()) -> None:
        """A card at the reader. `evses`: the EVSEs that the reader belongs to; none = the whole station."""
        _check("id_token", 0 < len(id_token) <= 36 and id_token.isprintable(), "1 to 36 characters")
        _check("type", 0 < len(type) <= 20, "1 to 20 characters")
        for evse_id in evses:
            _check("evses", evse_id in self.evses, f"there is no EVSE {evse_id!r}")
        for listener in tuple(self._tap_listeners):
            listener(id_token, type, tuple(evses))

    def close(self) -> None:
        """Stop time: cancel whatever is planned."""
        for evse in self.evses.values():
            evse.close()
        self._listeners.clear()
        self._tap_listeners.clear()


def _drop(listeners: list[Any], listener: object) -> None:
    if listener in listeners:
        listeners.remove(listener)


def _check(name: str, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{name}: {expected}")


def _settable(code: str) -> FaultCode:
    known = ", ".join(sorted(SETTABLE_FAULTS))
    try:
        fault = FaultCode(code)
    except ValueError:
        raise ValueError(f"code: {code!r} is none of {known}") from None
    _check("code", fault in SETTABLE_FAULTS, f"{code!r} cannot be simulated; one of {known}")
    return fault
