"""What a simulated world keeps while the controller is down: cars stay plugged in, bolts in place, meters count on.

Real hardware outlives a restart and a power cut of the controller; a world inside the agent's process does so by a
file ([hal.sim] memory_file). Written at every change, and once a second while current flows. It restores mechanics
and registers only: the contactor opens by itself, and the firmware boots anew. Owned by `hal/factory.py`.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hal.ports import FaultCode
from hal.sim.evse import SimulatedEvse
from hal.sim.vehicle import Plug
from hal.sim.world import World

COUNTS_ON_S = 3.0
"""How long current flows on after the last word at most: the board opens when the host's lease ends."""
SAVE_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class WorldMemory:
    """`recall` puts a new world into the remembered state; from then on every change is written to `path`.

    `now` is wall time in s, which goes on while nothing runs. A file that cannot be read is as good as none."""

    def __init__(self, world: World, path: Path, now: Callable[[], float] = time.time) -> None:
        self._world = world
        self._path = path
        self._now = now
        self._saved = ""
        self._timer: Any = None
        self._stop_listening: Callable[[], None] = lambda: None

    def recall(self) -> None:
        """Before the firmware starts."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            down_s = min(max(0.0, self._now() - content["saved_at"]), COUNTS_ON_S)
            for evse_id, state in content["evses"].items():
                if int(evse_id) in self._world.evses:
                    _restore(self._world.evse(int(evse_id)), state, down_s)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the simulated world forgets what it was: %s: %s", self._path, error)
        self._stop_listening = self._world.subscribe(lambda _evse_id: self.save())
        self.save()

    def save(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        evses = self._world.evses.items()
        states = {str(evse_id): _state_of(evse) for evse_id, evse in evses}
        text = json.dumps(states)
        if text != self._saved:
            self._saved = text
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps({"saved_at": self._now(), "evses": states}), encoding="utf-8")
            os.replace(draft, self._path)
        if any(evse.power_w for _evse_id, evse in evses):
            self._timer = self._world.loop.call_later(SAVE_EVERY_S, self.save)

    def close(self) -> None:
        """Write for the last time."""
        self.save()
        self._stop_listening()
        if self._timer is not None:
            self._timer.cancel()


def _state_of(evse: SimulatedEvse) -> dict[str, Any]:
    vehicle = evse.vehicle
    return {
        "plug": None if vehicle is None else asdict(vehicle.plug),
        "wants_energy": vehicle is not None and vehicle.wants_energy,
        "cable_a": evse.cable_a,
        "is_locked": evse.is_locked,
        "energy_wh": evse.energy_wh,
        "power_w": evse.power_w,
        "faults": sorted(evse.faults),
    }


def _restore(evse: SimulatedEvse, state: dict[str, Any], down_s: float) -> None:
    """What the driver had planned for later is forgotten; an EV that wanted energy wants it at once."""
    plug = None
    if state["plug"] is not None:
        draw_after_s = 0.0 if state["wants_energy"] else None
        plug = Plug(**{**state["plug"], "draw_after_s": draw_after_s, "unplug_after_s": None})
    evse.recall(
        plug,
        cable_a=state["cable_a"],
        is_locked=state["is_locked"],
        energy_wh=state["energy_wh"] + state["power_w"] * down_s / 3600.0,
        faults={FaultCode(code) for code in state["faults"]},
    )
