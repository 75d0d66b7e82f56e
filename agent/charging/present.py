"""What an EVSE draws now, as far as anybody knows, for whoever shows it: the last reading, unless it is history. Pure.

Meters are read when something is due, not all the time. Shown by metrics and MQTT; nothing that bills may use it.
"""

from dataclasses import replace

from agent.charging.snapshot import EvseSnapshot
from hal.ports import NO_PHASES, ContactorState, MeterReading, PerPhase

FRESH_S = 90.0
"""Beyond this, power, currents and voltages of a reading are not those of now."""


def present_reading(evse: EvseSnapshot, now_time: float) -> MeterReading | None:
    """The registers as they were read last; power and currents are 0 behind an open contactor; else they, and the
    voltages anyway, are None where the last reading is too old. None: there was no reading yet. `now_time`: loop time.
    """
    reading = evse.reading
    if reading is None:
        return None
    is_old = now_time - reading.at_time > FRESH_S
    if evse.hardware.contactor is ContactorState.OPEN and evse.hardware.link_ok:
        still = replace(
            reading,
            power_phase_w=_zero(reading.power_phase_w),
            current_a=_zero(reading.current_a),
            voltage_v=NO_PHASES if is_old else reading.voltage_v,
        )
        return still if reading.power_w is None else replace(still, power_w=0.0)
    if is_old:
        return replace(
            reading, power_w=None, current_a=NO_PHASES, voltage_v=NO_PHASES, power_phase_w=NO_PHASES
        )
    return reading


def session_energy_wh(evse: EvseSnapshot) -> float | None:
    """Into the EV in the running transaction, by the last reading; None: none runs, or there was no reading."""
    register = None if evse.reading is None else evse.reading.energy_import_wh
    if evse.transaction is None or register is None:
        return None
    return max(0.0, register - evse.transaction.meter_start_wh)


def _zero(phases: PerPhase) -> PerPhase:
    """Of the phases that are there."""
    first, second, third = (None if each is None else 0.0 for each in phases)
    return first, second, third
