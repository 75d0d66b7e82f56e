"""How much current an EVSE may offer: the least of all limits that hold.

Pure. This issue knows the hardware, the cable and one local limit; profiles of a CSMS join as one more limit.
Less than 6 A cannot be offered and pauses charging, it never ends a transaction (IEC 61851-1 A.3, R16-280).
"""

from agent.charging.measurands import Offer
from hal.ports import EvseState, MeterReading

NOMINAL_V = 230.0


def offered_current_a(*limits_a: float | None) -> float:
    """The least limit per phase in A; None = no limit from there. Never negative."""
    return max(0.0, min((limit for limit in limits_a if limit is not None), default=0.0))


def offer_of(state: EvseState, limit_a: float, phases: int, reading: MeterReading) -> Offer:
    """What is offered at this moment: nothing while there is no PWM. Power at the voltage that the meter sees."""
    current_a = limit_a if state.is_offering else 0.0
    measured_v = [volts for volts in reading.voltage_v[:phases] if volts is not None]
    total_v = sum(measured_v) if len(measured_v) == phases else phases * NOMINAL_V
    return Offer(current_a, current_a * total_v)
