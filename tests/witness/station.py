"""`evse-agent run` as a process, and the hands of a driver on it: the local API on its unix socket.

SIGKILL is a power cut; with a memory file the cars stay plugged in meanwhile. Used by `rig`.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

CONFIG = """
[station]
identity = "{identity}"
vendor = "Example"
model = "Wallbox 22"
serial_number = "{serial}"
[csms]
url = "{url}"
backoff_first_s = 0.1
backoff_max_s = 1
{csms}
[agent]
state_dir = "{folder}/state"
on_reset = "restart"
{agent}
[hal]
driver = "sim"
[hal.sim]
evses = 2
memory_file = "{folder}/world.json"
{sim}
[settings]
ConnectionTimeOut = 3
WebSocketPingInterval = 0
TransactionMessageRetryInterval = 1
{settings}
"""


class Station:
    """One station: its configuration, its process, its local API."""

    def __init__(
        self, folder: Path, url: str, identity: str = "WITNESS1", launcher: Path | None = None, **parts: str
    ) -> None:
        """`parts`: lines for the tables csms, agent, sim and settings; `more`: whole tables."""
        self.folder = folder
        self._command = launcher or Path(sys.executable).parent / "evse-agent"
        self.identity = identity
        self.serial = "SN-0001"
        self.log = folder / "agent.log"
        tables = {name: parts.pop(name, "") for name in ("csms", "agent", "sim", "settings")}
        text = CONFIG.format(identity=identity, serial=self.serial, url=url, folder=folder, **tables)
        (folder / "agent.toml").write_text(text + parts.pop("more", ""))
        assert not parts, parts
        self._process: asyncio.subprocess.Process | None = None

    # ---- the process -------------------------------------------------------------------------------------

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._command),
                "run",
                str(self.folder / "agent.toml"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "default", "EVSE_AGENT_PYTHON": sys.executable},
            )

    async def kill(self) -> None:
        """The power is cut: nothing is flushed, nobody is told."""
        await self._end(signal.SIGKILL)

    async def wipe(self) -> None:
        """Killed, and everything that it remembers is gone, the simulated world included."""
        await self.kill()
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        (self.folder / "world.json").unlink(missing_ok=True)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def send_signal(self, number: signal.Signals) -> None:
        """And wait for the end of the process."""
        await self._end(number)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._process.send_signal(number)
            await asyncio.wait_for(self._process.wait(), 20)
            self._process = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    # ---- the local API -----------------------------------------------------------------------------------

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request, tried again while the socket is not there yet."""
        for _ in range(200):
            try:
                async with (
                    aiohttp.ClientSession(
                        connector=aiohttp.UnixConnector(f"{self.folder}/state/api.sock")
                    ) as session,
                    session.request(method, f"http://station{path}", json=body) as response,
                ):
                    answer = json.loads(await response.text())
                    assert response.status < 400, f"{method} {path} {body}: {response.status} {answer}"
                    return answer
            except (aiohttp.ClientConnectionError, FileNotFoundError):
                await asyncio.sleep(0.05)
        raise AssertionError(f"the local API never answered; log:\n{self.log.read_text()[-3000:]}")

    async def status(self) -> Any:
        return await self.ask("GET", "/api/v1/status")

    async def evse(self, evse_id: int = 1) -> Any:
        return (await self.status())["evses"][evse_id - 1]

    async def until(self, is_so: Callable[[Any], object], within: float = 15.0) -> Any:
        """The first status that `is_so` likes."""
        answer: Any = None
        try:
            async with asyncio.timeout(within):
                while not is_so(answer := await self.status()):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never so within {within} s: {answer}") from None
        return answer

    async def plug(self, evse_id: int = 1, **ev: Any) -> None:
        """A hungry EV."""
        await self.ask("POST", f"/sim/v1/evse/{evse_id}/plug", {"draw_after_s": 0, **ev})

    async def unplug(self, evse_id: int = 1, *, is_torn_out: bool = False) -> None:
        """At the EV's side; the other end follows as soon as the lock lets it go."""
        await self.ask("POST", f"/sim/v1/evse/{evse_id}/unplug", {"is_torn_out": is_torn_out})

    async def tap(self, id_tag: str, evse_id: int = 1) -> None:
        await self.ask("POST", "/sim/v1/tap", {"id_token": id_tag, "evses": [evse_id]})

    async def break_(self, code: str, evse_id: int = 1) -> None:
        await self.ask("POST", f"/sim/v1/evse/{evse_id}/fault", {"code": code})

    async def mend(self, code: str, evse_id: int = 1) -> None:
        await self.ask("DELETE", f"/sim/v1/evse/{evse_id}/fault/{code}")
