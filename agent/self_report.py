"""What the running agent tells `evse-agent doctor`: how board, EVSEs, meters, store and connection stand right now.

Serial ports and the connection have one owner, the agent: the doctor asks it instead of opening them a second time.
Meters are read for the answer, nothing else is touched. Part of the composition root, built by `agent/app.py`; shown by
`web/station_api.py`. docs/local-api.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.charging.snapshot import StationSnapshot
from agent.errors import ConnectFailed, StoreError
from agent.version import VERSION
from agent.web.status import faults_json, meter_json
from hal.errors import HalError
from hal.ports import BoardFacts, EnergyMeter, EvseState, Hardware

Json = dict[str, Any]

READ_S = 3.0
"""Each meter may take so long; a silent one has then been asked as often as its driver asks."""


@dataclass(frozen=True, slots=True)
class SelfReport:
    """`await report()` takes as long as the meters do."""

    hardware: Hardware
    snapshot: Callable[[], StationSnapshot]
    probe_store: Callable[[], Awaitable[object]]
    last_failure: Callable[[], ConnectFailed | None]
    """Of the connection to the CSMS; None while connected."""
    security_profile: Callable[[], int]
    """The one in force, which the CSMS may have raised."""
    crashes: Callable[[], Mapping[str, int]]

    async def __call__(self) -> Json:
        failure = self.last_failure()
        snapshot = self.snapshot()
        board = self.hardware.board
        return {
            "agent_version": VERSION,
            "board": board_json(board.facts if board is not None and board.is_linked else None),
            "faults": faults_json(snapshot.faults),
            "evses": [
                {**state_json(evse.hardware), "evse_id": evse_id, "faults": faults_json(evse.faults)}
                for evse_id, evse in sorted(snapshot.evses.items())
            ],
            "meters": [await self._read(evse_id, meter) for evse_id, meter in self._meters()],
            "csms": {
                "security_profile": self.security_profile(),
                "failure": None
                if failure is None
                else {
                    "kind": failure.kind,
                    "status": failure.status,
                    "reason": str(failure),
                },
            },
            "store_problem": await self._store_problem(),
            "crashed_tasks": dict(self.crashes()),
        }

    def _meters(self) -> list[tuple[int, EnergyMeter]]:
        main = [(0, self.hardware.main_meter)]
        own = [(evse_id, ports.meter) for evse_id, ports in sorted(self.hardware.evses.items())]
        return [(evse_id, meter) for evse_id, meter in [*main, *own] if meter is not None]

    async def _read(self, evse_id: int, meter: EnergyMeter) -> Json:
        problem, reading = "", None
        try:
            async with asyncio.timeout(READ_S):
                reading = await meter.read()
        except TimeoutError:
            problem = f"no reading within {READ_S:g} s"
        except HalError as error:
            problem = str(error) or type(error).__name__
        return {
            "evse_id": evse_id,
            "name": meter.name,
            "serial_number": meter.serial_number,
            "problem": problem,
            "reading": meter_json(reading, asyncio.get_running_loop().time()),
        }

    async def _store_problem(self) -> str:
        try:
            await self.probe_store()
        except StoreError as error:
            return str(error)
        return ""


def board_json(facts: BoardFacts | None) -> Json | None:
    return None if facts is None else asdict(facts)


def state_json(state: EvseState) -> Json:
    """What the board measures at one EVSE."""
    return {
        "board_link": state.link_ok,
        "pilot": state.pilot,
        "pilot_high_mv": state.pilot_high_mv,
        "pilot_low_mv": state.pilot_low_mv,
        "contactor": state.contactor,
        "residual_current_a": state.residual_current_a,
        "temperature_c": state.temperature_c,
    }
