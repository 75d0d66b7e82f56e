"""The real server on a unix socket and a loopback port, over the real simulated world and a station picture."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.charging.certificates import CertificateHash
from agent.charging.facts import Fact
from agent.charging.requests import (
    Answer,
    LiftExternalLimit,
    LimitExternally,
    Request,
    Result,
    TransferData,
    TransferResult,
    TransferStatus,
    Verdict,
)
from agent.charging.snapshot import StationSnapshot
from agent.log import MessageJournal
from agent.web.ports import ApiPorts
from agent.web.server import LocalApi
from hal.sim.world import World
from tests.helpers import snapshots


class PictureStation:
    """Shows `picture`; facts are published by the test."""

    def __init__(self) -> None:
        self.picture: StationSnapshot = snapshots.station(snapshots.evse(1), snapshots.evse(2))
        self.listeners: list[Callable[[Fact], None]] = []
        self.asked: list[Request] = []
        self.crashes = False
        self.answer = Answer(Verdict.ACCEPTED)
        self.results: dict[type[Request], Result] = {}
        """What is answered to a kind of request."""

    def snapshot(self) -> StationSnapshot:
        return self.picture

    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def publish(self, fact: Fact) -> None:
        for listener in list(self.listeners):
            listener(fact)

    async def execute(self, request: Request) -> Result:
        self.asked.append(request)
        if type(request) in self.results:
            return self.results[type(request)]
        if self.crashes:
            raise RuntimeError("vendor handler failed")
        if isinstance(request, LimitExternally | LiftExternalLimit):
            return self.answer
        assert isinstance(request, TransferData)
        return TransferResult(TransferStatus.REJECTED, {"result": "busy"}, "try later")


class PictureCsms:
    """A connection of which the test says how it stands."""

    def __init__(self) -> None:
        self.is_connected = True
        self.subprotocol: str | None = "ocpp1.6"
        self.registration: str | None = "Accepted"
        self.failure: Exception | None = None
        self.sent: list[tuple[str, str | None, object]] = []
        self.status: str | None = "MIIB"
        self.statuses: list[tuple[CertificateHash, str]] = []

    def connect(self) -> None:
        self.is_connected = True

    def disconnect(self) -> None:
        self.is_connected = False

    async def transfer_data(self, vendor_id: str, message_id: str | None, data: object) -> TransferResult:
        if self.failure is not None:
            raise self.failure
        self.sent.append((vendor_id, message_id, data))
        return TransferResult(TransferStatus.ACCEPTED, {"thanks": True})

    async def certificate_status(self, certificate: CertificateHash, responder_url: str) -> str | None:
        if self.failure is not None:
            raise self.failure
        self.statuses.append((certificate, responder_url))
        return self.status


class WebBench:
    def __init__(self, state_dir: Path) -> None:
        self.station = PictureStation()
        self.csms = PictureCsms()
        self.journal = MessageJournal(100)
        self.world = World(evses=2)
        self.socket_path = state_dir / "api.sock"
        self.http: aiohttp.ClientSession
        self.archive = bytes(300_000)
        self.periods: list[tuple[datetime | None, datetime | None]] = []
        self.disk_failure: OSError | None = None

    def ports(self, **changes: Any) -> ApiPorts:
        given = {
            "about": {
                "identity": "CP001",
                "vendor": "Example",
                "model": "Wallbox 22",
                "serial_number": "0001",
                "agent_version": "0.1.0",
                "csms_url": "ws://127.0.0.1:9000/ocpp/CP001",
            },
            "station": self.station,
            "csms": self.csms,
            "messages": self.journal,
            "outbox_depth": self.outbox_depth,
            "time": asyncio.get_running_loop().time,
            "simulation": self.world,
            "diagnostics": self.make_diagnostics,
        }
        return ApiPorts(**{**given, **changes})

    async def make_diagnostics(self, oldest: datetime | None, latest: datetime | None) -> Path:
        if self.disk_failure is not None:
            raise self.disk_failure
        self.periods.append((oldest, latest))
        path = self.socket_path.parent / "CP001_diagnostics.tar.gz"
        path.write_bytes(self.archive)
        return path

    async def outbox_depth(self) -> int:
        return 3

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self.http.request(method, f"http://localhost{path}", json=body) as response:
            return response.status, await response.json()


async def read_events(response: aiohttp.ClientResponse, count: int) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    name = ""
    async for line in response.content:
        if line.startswith(b"event: "):
            name = line[7:].decode().strip()
        elif line.startswith(b"data: "):
            events.append((name, json.loads(line[6:])))
            if len(events) == count:
                break
    return events


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[WebBench]:
    bench = WebBench(tmp_path)
    api = LocalApi(bench.ports(), bench.socket_path, ("127.0.0.1", 0))
    await api.start()
    bench.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(bench.socket_path)))
    yield bench
    await bench.http.close()
    await api.close()
    bench.world.close()


@pytest.fixture
async def tcp_url(tmp_path: Path) -> AsyncIterator[str]:
    bench = WebBench(tmp_path)
    api = LocalApi(bench.ports(), bench.socket_path, ("127.0.0.1", 0))
    await api.start()
    (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
    yield f"http://127.0.0.1:{port}"
    await api.close()
    bench.world.close()
