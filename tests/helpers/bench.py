"""The whole station in one process on virtual time: real agent, real firmware on simulated electricity, scripted CSMS.

async with Bench(tmp_path) as bench:
    bench.plug_in()
    bench.tap("TAG1")
    await bench.run_for(minutes=15)
    assert bench.sent("StartTransaction")
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent import config
from agent.app import Agent
from agent.charging.snapshot import EvseSnapshot
from agent.exit_codes import ExitCode
from hal.sim.world import World
from tests.helpers.csms import Csms

CONFIG = """
[station]
identity = "CP001"
vendor = "Example"
model = "Wallbox 22"
serial_number = "0001"
[csms]
url = "{url}"
{csms_keys}
[agent]
state_dir = "{state_dir}"
on_reset = "{on_reset}"
"""
FRIENDLY = (
    "BootNotification",
    "Heartbeat",
    "StatusNotification",
    "Authorize",
    "StartTransaction",
    "StopTransaction",
    "MeterValues",
    "DataTransfer",
    "SecurityEventNotification",
    "TransactionEvent",
    "NotifyEvent",
    "NotifyReport",
    "NotifyMonitoringReport",
    "NotifyCustomerInformation",
    "ReservationStatusUpdate",
    "NotifyChargingLimit",
    "ClearedChargingLimit",
    "ReportChargingProfiles",
    "NotifyDisplayMessages",
)


def friendly(csms: Csms) -> Csms:
    """Every call of a station is welcome."""
    for action in FRIENDLY:
        csms.always(action)
    return csms


class Bench:
    """`extra` is TOML put after the station's configuration; `csms` may be shared between two benches."""

    def __init__(
        self,
        state_dir: Path,
        extra: str = "",
        csms: Csms | None = None,
        *,
        url: str = "",
        csms_keys: str = "",
        on_reset: str = "exit",
        version: str = "ocpp1.6",
    ) -> None:
        """`url` replaces the CSMS's own; `csms_keys` is TOML for the table [csms]; `version`: the only one offered."""
        self._state_dir = state_dir
        self._extra = extra
        self._given = csms
        self._on_reset = on_reset
        self._url = url
        self._csms_keys = csms_keys if version == "ocpp1.6" else f'subprotocols = ["{version}"]\n{csms_keys}'
        self._stack = AsyncExitStack()
        self._ended: asyncio.Task[ExitCode]
        self.csms: Csms
        self.agent: Agent

    async def __aenter__(self) -> Self:
        self.csms = self._given or friendly(await self._stack.enter_async_context(Csms()))
        text = CONFIG.format(
            url=self._url or self.csms.url,
            state_dir=self._state_dir,
            csms_keys=self._csms_keys,
            on_reset=self._on_reset,
        )
        self.agent = await Agent.build(config.parse(text + self._extra), asyncio.get_running_loop())
        self._ended = asyncio.create_task(self.agent.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.agent.stop()
        await asyncio.wait([self._ended])
        await self._stack.aclose()
        if kind is None:
            self._ended.result()

    @property
    def world(self) -> World:
        assert self.agent.opened.simulation is not None
        return self.agent.opened.simulation

    def evse(self, evse_id: int = 1) -> EvseSnapshot:
        return self.agent.station.snapshot().evses[evse_id]

    def plug_in(self, evse_id: int = 1, **ev: Any) -> None:
        self.world.plug(evse_id, **ev)

    def unplug(self, evse_id: int = 1) -> None:
        self.world.unplug(evse_id)

    def tap(self, id_token: str, *evse_ids: int) -> None:
        self.world.tap(id_token, evses=evse_ids)

    async def run_for(self, *, minutes: float = 0, seconds: float = 0) -> None:
        await asyncio.sleep(minutes * 60 + seconds)

    async def until(self, happened: Callable[[], object], minutes: float = 10) -> None:
        """Let time pass until `happened()`; fails after `minutes` of virtual time."""
        async with asyncio.timeout(minutes * 60):
            while not happened():  # noqa: ASYNC110 - time is virtual, polling costs nothing
                await asyncio.sleep(0.05)

    async def ended(self, minutes: float = 60) -> ExitCode:
        """Wait for the process to end by itself, e.g. after a reset; fails after `minutes` of virtual time."""
        async with asyncio.timeout(minutes * 60):
            return await asyncio.shield(self._ended)

    @property
    def has_ended(self) -> bool:
        return self._ended.done()

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Every CALL that the CSMS got, in order."""
        frames = [json.loads(text) for _, text in self.csms.received]
        return [(frame[2], frame[3]) for frame in frames if frame[0] == 2]

    def sent(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.calls() if name == action]

    def statuses(self, connector_id: int) -> list[str]:
        """Connector statuses in the order told."""
        told = self.sent("StatusNotification")
        return [payload["status"] for payload in told if payload["connectorId"] == connector_id]
