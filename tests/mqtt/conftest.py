"""A bridge in this process, over a picture of a station, to whatever broker the test gives it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from agent.charging.facts import EvseChanged, Fact
from agent.charging.requests import Answer, Request, Result, Verdict
from agent.charging.snapshot import StationSnapshot
from agent.config_mqtt import MqttConfig
from agent.mqtt.bridge import Bridge
from agent.mqtt.building import build_bridge
from tests.helpers import snapshots
from tests.helpers.fake_stores import FakeAuditLog

ABOUT = {
    "identity": "CP001",
    "vendor": "Example",
    "model": "Wallbox 22",
    "serial_number": "",
    "firmware_version": "1",
    "agent_version": "1",
}


class LoopClock:
    """Time of the running loop; wall time stands still."""

    def now(self) -> Any:
        return snapshots.T0

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def is_trusted(self) -> bool:
        return True

    def synchronize(self, csms_time: Any) -> float:
        raise NotImplementedError

    def not_before(self, at: Any) -> None:
        raise NotImplementedError


class PictureStation:
    def __init__(self) -> None:
        self.picture: StationSnapshot = snapshots.station(snapshots.evse(1))
        self.asked: list[Request] = []
        self.answer: Result = Answer(Verdict.ACCEPTED)
        self.failure: Exception | None = None
        self.may_go_on = asyncio.Event()
        """Cleared: a request takes until it is set."""
        self.may_go_on.set()
        self.done: list[Request] = []
        self._listeners: list[Callable[[Fact], None]] = []

    def snapshot(self) -> StationSnapshot:
        return self.picture

    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def execute(self, request: Request) -> Result:
        self.asked.append(request)
        await self.may_go_on.wait()
        if self.failure is not None:
            raise self.failure
        self.done.append(request)
        return self.answer

    def show(self, *evses: Any) -> None:
        """A new picture, and the fact that makes everybody look."""
        self.picture = snapshots.station(*evses)
        for listener in list(self._listeners):
            listener(EvseChanged(1, snapshots.T0))


class PictureActions:
    def __init__(self) -> None:
        self.runs: list[tuple[str, Mapping[str, Any], str]] = []
        self.detail = ""

    def catalogue(self) -> Mapping[str, Any]:
        return {"actions": []}

    async def run(
        self, name: str, parameters: Mapping[str, Any], *, source: str, is_installer: bool
    ) -> tuple[str, str, Mapping[str, Any]]:
        self.runs.append((name, parameters, source))
        return "ok", self.detail, {"power_w": 5}


class BridgeBench:
    def __init__(self) -> None:
        self.station = PictureStation()
        self.actions = PictureActions()
        self.audit = FakeAuditLog()
        self.bridge: Bridge

    @contextlib.asynccontextmanager
    async def running(self, url: str, **keys: Any) -> AsyncIterator[Bridge]:
        self.bridge = build_bridge(
            MqttConfig(url=url, **keys),
            about=ABOUT,
            station=self.station,
            actions=self.actions,
            audit=self.audit,
            clock=LoopClock(),
            is_connected=lambda: True,
            registration=lambda: "Accepted",
            outputs=lambda: {"fan": False},
        )
        task = asyncio.create_task(self.bridge.run())
        try:
            yield self.bridge
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def connected(self, times: int = 1) -> None:
        """Until it has connected so many times and is."""
        async with asyncio.timeout(20):
            while self.bridge.connects < times or not self.bridge.is_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
def bench() -> BridgeBench:
    return BridgeBench()
