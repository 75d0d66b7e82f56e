"""A GPIO line held through gpiod 2: the only file that imports it.

Translates between `hal.bus.gpio` and libgpiod's Python bindings. Imported by hal.bus.gpio when the first line is
requested; needs the `gpio` extra. Source: libgpiod 2.x, bindings/python; loss of a chip: measured with gpio-sim.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import gpiod
from gpiod.line import Bias, Direction, Edge, Value

from hal.bus.gpio import LinePlan
from hal.errors import DeviceMissing

CONSUMER = "evse-agent"
CHIPS = Path("/dev")
EVENTS_KEPT = 64
"""Edges that the kernel keeps while the loop is busy; of more it drops the oldest: the last one is always the level."""
BIAS = {
    "as_is": Bias.AS_IS,
    "none": Bias.DISABLED,
    "pull_up": Bias.PULL_UP,
    "pull_down": Bias.PULL_DOWN,
}


def chip_path(chip: str) -> str:
    """Where the chip of this path or label is now. Raises OSError, ValueError."""
    if chip.startswith("/"):
        return chip
    found = []
    for path in sorted(CHIPS.glob("gpiochip*")):
        with gpiod.Chip(str(path)) as candidate:
            if candidate.get_info().label == chip:
                found.append(str(path))
    if len(found) != 1:
        raise ValueError(f"{' and '.join(found)} are both labelled so" if found else "no chip is labelled so")
    return found[0]


class GpiodLine:
    """A `LineRequest`."""

    def __init__(self, plan: LinePlan) -> None:
        """Raises DeviceMissing."""
        self._line: int | str = int(plan.line) if plan.line.isdigit() else plan.line
        settings = gpiod.LineSettings(
            direction=Direction.OUTPUT if plan.is_output else Direction.INPUT,
            edge_detection=Edge.NONE if plan.is_output else Edge.BOTH,
            bias=BIAS[plan.bias],
            active_low=plan.active_low,
            debounce_period=timedelta(milliseconds=plan.debounce_ms),
            output_value=Value.INACTIVE,
        )
        try:
            self._request = gpiod.request_lines(
                chip_path(plan.chip),
                consumer=CONSUMER,
                config={self._line: settings},
                event_buffer_size=EVENTS_KEPT,
            )
        except (OSError, ValueError, OverflowError) as error:
            raise DeviceMissing(f"{plan}: {error}") from error

    def fileno(self) -> int:
        return self._request.fd

    def read_edges(self) -> Sequence[bool]:
        events = self._request.read_edge_events()
        return [event.event_type is gpiod.EdgeEvent.Type.RISING_EDGE for event in events]

    def get(self) -> bool:
        return self._request.get_value(self._line) is Value.ACTIVE

    def set(self, on: bool) -> None:
        self._request.set_value(self._line, Value.ACTIVE if on else Value.INACTIVE)

    def release(self) -> None:
        self._request.release()
