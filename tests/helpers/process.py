"""`evse-agent run` as a real process, with its local API and simulator controls; SIGKILL is a power cut."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

CONFIG = """
[station]
identity = "CP001"
vendor = "Example"
model = "Wallbox 22"
serial_number = "0001"
[csms]
url = "{csms_url}"
subprotocols = {versions}
{csms_keys}
[agent]
state_dir = "{folder}/state"
[web]
listen = "127.0.0.1:{port}"
"""
SIMULATED = """
[hal]
driver = "sim"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class AgentProcess:
    """Starts, asks, kills. `extra` is TOML appended to the configuration; `hal` replaces its [hal] part; `program` is
    what is started instead of the installed command."""

    def __init__(
        self,
        folder: Path,
        csms_url: str,
        extra: str = "",
        hal: str = SIMULATED,
        program: Path = Path(sys.executable).parent / "evse-agent",
        csms_keys: str = "",
        version: str | tuple[str, ...] = "ocpp1.6",
    ) -> None:
        """`csms_keys` is TOML for the table [csms]; `version`: the only one offered, or several, best first."""
        self.program = program
        self.folder = folder
        self.port = free_port()
        self.config = folder / "agent.toml"
        versions = json.dumps([version] if isinstance(version, str) else version)
        text = CONFIG.format(
            csms_url=csms_url, folder=folder, port=self.port, csms_keys=csms_keys, versions=versions
        )
        self.config.write_text(text + hal + extra)
        self.process: asyncio.subprocess.Process | None = None
        self.log = folder / "agent.log"

    async def start(self) -> "AgentProcess":
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(self.program),
                "run",
                str(self.config),
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "default", "EVSE_AGENT_PYTHON": sys.executable},
            )
        return self

    async def kill(self) -> None:
        """Pull the plug: SIGKILL, nothing is flushed."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM and the exit code of an ordered shutdown."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 20)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the local API, retried while the agent is still starting."""
        for _ in range(200):
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.request(method, f"http://127.0.0.1:{self.port}{path}", json=body) as response,
                ):
                    answer = await response.json()
                    if response.status >= 400:
                        raise RuntimeError(f"{method} {path}: {response.status} {answer}")
                    return answer
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
        raise RuntimeError(f"the local API never answered; log:\n{self.log.read_text()}")

    async def status(self) -> Any:
        return await self.ask("GET", "/api/v1/status")

    async def status_until(self, accept: Callable[[Any], object], timeout_s: float = 20.0) -> Any:
        """The first status that `accept` likes."""
        status: Any = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    status = await self.status()
                    if accept(status):
                        return status
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(
                f"never reached; last status {status}\nlog:\n{self.log.read_text()}"
            ) from None

    async def logged(self, text: str, timeout_s: float = 20.0) -> None:
        """Wait until the log holds `text`."""
        async with asyncio.timeout(timeout_s):
            while text not in self.log.read_text():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)

    async def sim(self, path: str, body: Any = None) -> Any:
        return await self.ask("POST", f"/sim/v1/{path}", body if body is not None else {})
