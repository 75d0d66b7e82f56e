"""Tells the driver by the light of an EVSE whether a token was taken.

BlinkRepeat says how often it blinks, LightIntensity 0 keeps it dark; lights of this kind are on or off, nothing in
between. Never delays anything: a signal is a task of its own, and one that cannot be shown is forgotten.
Used by `evse_runner.py`. OCPP 1.6 9.1.4, 9.1.11.
"""

import logging

from agent.charging.core import StationCore
from agent.charging.ids import EvseId
from hal.errors import HalError
from hal.ports import Indicator

log = logging.getLogger(__name__)

ACCEPTED = "blink"
REFUSED = "fast"
BLINK_S = 1.0
"""One blink, on and off."""


class SignalLight:
    def __init__(self, core: StationCore, evse_id: EvseId, indicator: Indicator | None) -> None:
        self._core = core
        self._name = f"light of EVSE {evse_id}"
        self._indicator = indicator
        self._is_busy = False

    def accepted(self) -> None:
        self._show(ACCEPTED)

    def refused(self) -> None:
        self._show(REFUSED)

    def _show(self, pattern: str) -> None:
        repeats = self._core.settings.integer("blink_repeat")
        is_dark = self._core.settings.integer("light_intensity_percent") == 0
        indicator = self._indicator
        if indicator is None or is_dark or repeats == 0 or self._is_busy:
            return
        self._is_busy = True

        async def show() -> None:
            try:
                await indicator.show(pattern, repeats * BLINK_S)
            except HalError as error:
                log.info("%s: %s", self._name, error)
            finally:
                self._is_busy = False

        self._core.start_task(self._name, show)
