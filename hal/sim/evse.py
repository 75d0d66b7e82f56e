"""The electricity of one simulated EVSE: pilot, contactor, lock, phase relay, sensors, register, and the plug in it.

The firmware's side (`hal/sim/firmware.py`) drives it, the driver's side (`hal/sim/world.py`) plugs and unplugs. Power
is constant between changes, so the energy register is exact and computed when it is read. Timers of the loop only.
Currents in A, voltages in V, energy in Wh, temperatures in C, times in s of the loop's clock.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hal.errors import DeviceTimeout
from hal.ports import FaultCode, MeterReading, PerPhase
from hal.sim.vehicle import DIODE_V, Plug, Vehicle

CONTACTOR_TRAVEL_S = 0.03
LOCK_TRAVEL_S = 0.3
CABLE_OUT_S = 0.5
"""From an open lock to the pulled-out cable, when the EV's end is out already."""
RCD_TEST_S = 0.2
"""From the sensor's test input to its trip output, and back."""
CABLE_OHM = {13: 1500, 20: 680, 32: 220, 63: 100}
TRIP_CURRENT_A = 0.0062
AMBIENT_C = 25.0
PHASE_RELAY_S = 0.05
OVERDRAW = 1.5
"""What an EV takes of what it may have while `over_current` is set."""

Listener = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Installation:
    """What was built: the same for every EVSE of a world."""

    connectors_per_evse: int = 1
    has_lock: bool = True
    """A socket with a lock; False = fixed cable."""
    phases: int = 3
    mains_v: float = 230.0
    frequency_hz: float = 50.0
    meter_start_wh: float = 0.0
    meter_resets_on_plug_in: bool = False
    has_current_sensors: bool = False
    """The board measures the current itself."""


@dataclass(slots=True)
class _Register:
    """An energy register at constant power between two changes."""

    energy_wh: float
    power_w: float = 0.0
    since_time: float = 0.0

    def settle(self, now: float, power_w: float) -> None:
        self.energy_wh += self.power_w * (now - self.since_time) / 3600.0
        self.since_time = now
        self.power_w = power_w


@dataclass(slots=True)
class _Switch:
    """Something driven that takes a while to move: contactor, lock bolt."""

    is_on: bool = False
    target: bool = False
    timer: asyncio.TimerHandle | None = field(default=None)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class SimulatedEvse:
    """The electricity of one EVSE. The firmware's side drives it, the driver's side plugs and unplugs."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, evse_id: int, built: Installation, notify: Listener
    ) -> None:
        self.evse_id = evse_id
        self.built = built
        self.vehicle: Vehicle | None = None
        self.outlet = 1
        self.cable_a: int | None = None
        """Rating of the cable in the socket; None: none in."""
        self.faults: set[FaultCode] = set()
        self.air_c: float | None = AMBIENT_C
        """What the board's thermometer sees; None: it is broken."""
        self.is_ventilated = False
        self.was_switched_under_load = False
        """The phase relay has moved while the contactor was closed: what must never be."""
        self._loop = loop
        self._notify = notify
        self._duty_percent: float | None = 100.0
        self._contactor = _Switch()
        self._bolt = _Switch()
        self._rcd_test = _Switch()
        self._phase_relay = _Switch(is_on=True, target=True)
        self._register = _Register(built.meter_start_wh, since_time=loop.time())
        self._arrival: asyncio.TimerHandle | None = None
        self._departure: asyncio.TimerHandle | None = None

    def _changed(self) -> None:
        self._register.settle(self._loop.time(), self.power_w)
        self._notify(self.evse_id)

    # ---- what the firmware drives and senses -------------------------------------------------------------

    def drive_pilot(self, duty_percent: float | None) -> None:
        """100 = constant +12 V; None = tied to 0 V (state E)."""
        self._duty_percent = duty_percent
        if self.vehicle is not None:
            self.vehicle.see_pilot(duty_percent)
        self._changed()

    def pilot_mv(self) -> tuple[int, int]:
        """High and low plateau; equal without PWM."""
        duty = self._duty_percent
        if duty is None or FaultCode.CP_RANGE in self.faults:
            return 0, 0
        high = self._plateau_mv(12.0)
        low = self._plateau_mv(-12.0)
        if duty >= 100.0:
            return high, high
        return high, low

    def _plateau_mv(self, source_v: float) -> int:
        vehicle = self.vehicle
        if vehicle is None:
            return round(source_v * 1000)
        has_diode = vehicle.has_diode and FaultCode.CP_DIODE not in self.faults
        ohm = vehicle.resistance_ohm
        if FaultCode.VENT_UNAVAILABLE in self.faults:
            ohm = 246.0
        if source_v < 0 and has_diode:
            return round(source_v * 1000)
        drop_v = DIODE_V if has_diode else 0.0
        return round(((source_v - drop_v) * ohm / (1000.0 + ohm) + drop_v) * 1000)

    def drive_contactor(self, closed: bool) -> None:
        if closed == self._contactor.target:
            return
        self._contactor.stop()
        self._contactor.target = closed
        self._contactor.timer = self._loop.call_later(CONTACTOR_TRAVEL_S, self._move_contactor)

    def _move_contactor(self) -> None:
        self._contactor.timer = None
        closed = self._contactor.target
        if FaultCode.CONTACTOR_WELDED in self.faults:
            closed = True
        elif FaultCode.CONTACTOR_NO_CLOSE in self.faults:
            closed = False
        if closed != self._contactor.is_on:
            self._contactor.is_on = closed
            if self.vehicle is not None:
                self.vehicle.see_voltage(closed)
            self._changed()

    @property
    def is_contactor_closed(self) -> bool:
        return self._contactor.is_on

    def drive_lock(self, towards_locked: bool | None) -> None:
        """Run the motor to a side; None stops it where it is."""
        self._bolt.stop()
        if towards_locked is not None and towards_locked != self._bolt.is_on:
            self._bolt.target = towards_locked
            self._bolt.timer = self._loop.call_later(LOCK_TRAVEL_S, self._move_bolt)

    def _move_bolt(self) -> None:
        self._bolt.timer = None
        jam = FaultCode.LOCK_FAIL if self._bolt.target else FaultCode.UNLOCK_FAIL
        is_blocked = self._bolt.target and self.vehicle is not None and self.vehicle.plug.is_half_in
        if jam in self.faults or is_blocked:
            return
        self._bolt.is_on = self._bolt.target
        self._changed()
        if not self._bolt.is_on and self.vehicle is None and self.cable_a is not None:
            self._take_cable_later()

    @property
    def is_locked(self) -> bool:
        return self._bolt.is_on

    def drive_rcd_test(self, on: bool) -> None:
        if on == self._rcd_test.target:
            return
        self._rcd_test.stop()
        self._rcd_test.target = on
        self._rcd_test.timer = self._loop.call_later(RCD_TEST_S, self._move_rcd_test)

    def _move_rcd_test(self) -> None:
        self._rcd_test.timer = None
        self._rcd_test.is_on = self._rcd_test.target
        self._changed()

    @property
    def rcd_trips(self) -> tuple[bool, bool]:
        """The sensor's DC and AC trip outputs."""
        tested = self._rcd_test.is_on and FaultCode.RCD_SELF_TEST not in self.faults
        return tested or FaultCode.RCD_DC in self.faults, FaultCode.RCD_AC in self.faults

    @property
    def residual_current_a(self) -> float:
        return TRIP_CURRENT_A if any(self.rcd_trips) else 0.0

    @property
    def proximity_ohm(self) -> int:
        """0: nothing in the socket, or a fixed cable without coding."""
        if not self.built.has_lock or self.cable_a is None or FaultCode.PP_RANGE in self.faults:
            return 0
        return CABLE_OHM[self.cable_a]

    @property
    def temperature_c(self) -> float | None:
        if FaultCode.TEMP_STOP in self.faults:
            return 90.0
        return 80.0 if FaultCode.TEMP_WARN in self.faults else self.air_c

    def heat(self, air_c: float | None) -> None:
        """Set what the thermometer sees."""
        self.air_c = air_c
        self._changed()

    def ventilate(self, on: bool) -> None:
        self.is_ventilated = on

    def drive_phases(self, three: bool) -> None:
        """Move the relay of L2 and L3."""
        self._phase_relay.stop()
        self._phase_relay.target = three
        self._phase_relay.timer = self._loop.call_later(PHASE_RELAY_S, self._move_phase_relay)

    def _move_phase_relay(self) -> None:
        relay = self._phase_relay
        relay.timer = None
        if FaultCode.PHASE_SWITCH not in self.faults and relay.is_on != relay.target:
            relay.is_on = relay.target
            self.was_switched_under_load |= self.is_contactor_closed
            self._changed()

    @property
    def has_three_phases(self) -> bool:
        """By feedback of the phase relay."""
        return self._phase_relay.is_on

    def power_off(self) -> None:
        """The board lost its supply or restarts: its outputs float and the pulls hold the safe side."""
        self.drive_contactor(False)
        self.drive_lock(None)
        self.drive_rcd_test(False)
        self.drive_pilot(100.0)
        self.ventilate(False)

    # ---- what the meter sees -----------------------------------------------------------------------------

    @property
    def current_a(self) -> float:
        """Per phase."""
        if self.vehicle is None:
            return 0.0
        return self.vehicle.current_a * (OVERDRAW if FaultCode.OVER_CURRENT in self.faults else 1.0)

    @property
    def active_phases(self) -> int:
        if self.vehicle is None:
            return 0
        return min(self.vehicle.plug.phases, self.built.phases, 3 if self.has_three_phases else 1)

    @property
    def drawn_a(self) -> Sequence[float]:
        """By phase."""
        return [self.current_a if phase < self.active_phases else 0.0 for phase in range(3)]

    @property
    def power_w(self) -> float:
        return self.current_a * self.active_phases * self.built.mains_v

    @property
    def energy_wh(self) -> float:
        self._register.settle(self._loop.time(), self._register.power_w)
        return self._register.energy_wh

    def meter_reading(self) -> MeterReading:
        """What the EVSE's meter shows now. Raises DeviceTimeout while it is broken (meter_comm)."""
        if FaultCode.METER_COMM in self.faults:
            raise DeviceTimeout("the simulated meter is silent")
        built = self.built
        drawn_a = self.drawn_a
        return MeterReading(
            at_time=self._loop.time(),
            energy_import_wh=self.energy_wh,
            energy_export_wh=0.0,
            power_w=self.power_w,
            voltage_v=per_phase([built.mains_v] * 3, built.phases),
            current_a=per_phase(drawn_a, built.phases),
            power_phase_w=per_phase([current * built.mains_v for current in drawn_a], built.phases),
            frequency_hz=built.frequency_hz,
            power_factor=1.0,
            temperature_c=self.temperature_c,
        )

    # ---- what the driver does ----------------------------------------------------------------------------

    @property
    def is_plugged(self) -> bool:
        return self.vehicle is not None

    def arrive(self, plug: Plug, after_s: float) -> None:
        if self.vehicle is not None or self._arrival is not None:
            raise ValueError(f"evse_id: an EV is already plugged into EVSE {self.evse_id}, or on its way")
        self._arrival = self._loop.call_later(after_s, self._plug_in, plug)

    def _plug_in(self, plug: Plug) -> None:
        self._arrival = None
        if self._departure is not None:  # the last driver's cable goes first
            self._departure.cancel()
            self._departure = None
        if self.cable_a is None or not self._bolt.is_on:
            self.cable_a = plug.cable_a
        self.outlet = plug.connector_id
        if self.built.meter_resets_on_plug_in:
            self._register.settle(self._loop.time(), 0.0)
            self._register.energy_wh = 0.0
        self.vehicle = Vehicle(self._loop, plug, self._changed)
        self.vehicle.see_pilot(self._duty_percent)
        self.vehicle.see_voltage(self._contactor.is_on)
        if plug.unplug_after_s is not None:
            self._departure = self._loop.call_later(plug.unplug_after_s, self._start_leaving)
        self._changed()

    def recall(
        self,
        plug: Plug | None,
        *,
        cable_a: int | None,
        is_locked: bool,
        energy_wh: float,
        faults: set[FaultCode],
    ) -> None:
        """Be as another world was: cable, bolt, register, what is broken. The contactor is open."""
        self.faults = faults
        self._bolt.is_on = is_locked
        self._register = _Register(energy_wh, since_time=self._loop.time())
        if plug is not None:
            self.vehicle = Vehicle(self._loop, plug, self._changed)
            self.outlet = plug.connector_id
        self.cable_a = cable_a

    def leave(self, is_torn_out: bool = False) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
            return
        if self.vehicle is None:
            raise ValueError(f"evse_id: nothing is plugged into EVSE {self.evse_id}")
        if self._departure is not None:
            self._departure.cancel()
        if is_torn_out:
            self._pull_plug()
        else:
            self._start_leaving()

    def _start_leaving(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
        if self.vehicle is not None:
            self._departure = self._loop.call_later(self.vehicle.leave(), self._pull_plug)

    def _pull_plug(self) -> None:
        self._departure = None
        if self.vehicle is not None:
            self.vehicle.forget()
        self.vehicle = None
        self._changed()
        if not self._bolt.is_on:
            self._take_cable_later()

    def _take_cable_later(self) -> None:
        if self._departure is None:
            self._departure = self._loop.call_later(CABLE_OUT_S, self._take_cable)

    def _take_cable(self) -> None:
        self._departure = None
        if self.vehicle is None and not self._bolt.is_on:
            self.cable_a = None
            self._changed()

    def break_or_mend(self, code: FaultCode, is_broken: bool) -> None:
        if is_broken:
            self.faults.add(code)
        else:
            self.faults.discard(code)
        if code in (FaultCode.CONTACTOR_WELDED, FaultCode.CONTACTOR_NO_CLOSE):
            self._contactor.stop()
            self._move_contactor()
        if code is FaultCode.PHASE_SWITCH:
            self._move_phase_relay()
        self._changed()

    def close(self) -> None:
        """Cancel every timer."""
        if self.vehicle is not None:
            self.vehicle.forget()
        for switch in (self._contactor, self._bolt, self._rcd_test, self._phase_relay):
            switch.stop()
        for handle in (self._arrival, self._departure):
            if handle is not None:
                handle.cancel()


def per_phase(values: Sequence[float], phases: int) -> PerPhase:
    first, second, third = (value if phase < phases else None for phase, value in enumerate(values))
    return first, second, third
