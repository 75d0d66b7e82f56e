"""One energy meter under watch: every read is fresh and bounded in time, and its silence is counted.

Turns what a driver raises into "no reading"; tells its owner after each read, who makes a fault of it. Keeps the last
reading for display only. Used by `evse_runner.py` and, for the main meter, by `sampling.py`.
"""

import asyncio
import logging
from collections.abc import Callable

from agent.charging.metering import MISSES_TO_FAULT, READ_TIMEOUT_S, MeterWatch
from hal.errors import HalError
from hal.ports import EnergyMeter, MeterReading

log = logging.getLogger(__name__)


class WatchedMeter:
    def __init__(self, port: EnergyMeter, on_read: Callable[[], None]) -> None:
        """`on_read` is called after each attempt, when `watch`, `last` and `failure` are up to date."""
        self.port = port
        self.watch = MeterWatch()
        self.last: MeterReading | None = None
        self.failure = ""
        self._on_read = on_read

    async def read(self, timeout_s: float = READ_TIMEOUT_S) -> MeterReading | None:
        """A reading taken after this call; None when there is none to be had in time."""
        reading: MeterReading | None = None
        try:
            async with asyncio.timeout(timeout_s):
                reading = await self.port.read()
        except TimeoutError:
            self.failure = f"no reading within {timeout_s:g} s"
        except HalError as error:
            self.failure = str(error) or type(error).__name__
        if reading is not None and reading.quality != "ok":
            self.failure = f"the reading is {reading.quality}"
            reading = None
        if reading is None:
            log.warning("meter %s: %s", self.port.name, self.failure)
        else:
            self.last = reading
        self.watch = self.watch.after(reading is not None)
        self._on_read()
        return reading

    def give_up(self) -> None:
        """Its silence prevents something right now: a fault at once, not after three misses."""
        self.watch = MeterWatch(max(self.watch.misses, MISSES_TO_FAULT))
        self._on_read()
