"""What the rig is pointed at: BOARD and EV from the command line, turned into a rig, or into a plain word why not.

`meet` opens the board before the tests begin, so that a wrong port is one clear message and not thirty failures.
Used by `__main__.py`; the suites get their rigs here.
"""

import asyncio
import errno
import grp
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from board import wire
from hal.bus.serial_port import LineSettings, SerialPort
from hal.errors import DeviceMissing, HalError
from tests.helpers.board_client import BoardClient
from tests.helpers.board_rigs import ExternalEv, RealRig, Rig, SimulatedRig, WasmRig
from tests.helpers.wasm_board import ensure_wasm_packages
from tests.rig.external_ev import BoxEv, ManualEv

SIMULATIONS = ("sim", "wasm")
HELLO_EVERY_S = 0.5
BY_ID = Path("/dev/serial/by-id")


class Unusable(Exception):
    """The rig cannot begin; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """BOARD and EV as asked for. Raises Unusable where they do not go together."""

    board: str = "wasm"
    ev: str = ""
    connector: int = 1

    def __post_init__(self) -> None:
        if self.ev == "sim" and not self.is_simulated:
            raise Unusable(
                f"EV=sim is the car of a simulated board; {self.board} needs EV=manual, a box's port, or none"
            )
        if self.is_simulated and self.car not in ("sim", "none"):
            raise Unusable(f"BOARD={self.board} brings a car of its own; EV={self.ev} needs a real board")
        if self.is_simulated and self.connector not in (1, 2):
            raise Unusable(f"BOARD={self.board} has connectors 1 and 2, and no {self.connector}")
        if self.ev == "manual" and not sys.stdin.isatty():
            raise Unusable("EV=manual asks a person: run it in a terminal")

    @property
    def is_simulated(self) -> bool:
        return self.board in SIMULATIONS

    @property
    def is_virtual(self) -> bool:
        """Time is virtual there."""
        return self.board == "sim"

    @property
    def car(self) -> str:
        return self.ev or ("sim" if self.is_simulated else "none")

    def rig(self) -> Rig:
        """A rig that is not started yet; a new board each time where it is simulated."""
        if self.is_simulated:
            rig = self._simulation()
            if self.car == "none":
                rig.can, rig.has_electricity = frozenset(), False
            return rig
        return RealRig(self.board, self._external_ev(), self.connector)

    def _simulation(self) -> SimulatedRig | WasmRig:
        if self.is_virtual:
            return SimulatedRig(self.connector, connectors=self.connector)
        return WasmRig(self.connector, pcb="reference" if self.connector == 1 else "duo")

    def _external_ev(self) -> ExternalEv | None:
        match self.car:
            case "none":
                return None
            case "manual":
                return _person()
            case port:
                return BoxEv(port)


@cache
def _person() -> ManualEv:
    """One for the whole run: it knows how the person has left the box."""
    return ManualEv(sys.stdout, sys.stdin.fileno())


# ---- the first meeting -------------------------------------------------------------------------------------


async def meet(target: Target, timeout_s: float) -> dict[str, Any]:
    """The board's HELLO. Raises Unusable if there is none, or if the board cannot be tested now."""
    if target.is_simulated:
        return await _meet_simulation(target)
    hello = await _say_hello(target.board, timeout_s)
    if not wire.speaks_our_major(hello):
        raise Unusable(
            f"the board speaks protocol {_version(hello)}, this rig {wire.PROTOCOL_MAJOR}.{wire.PROTOCOL_MINOR}: "
            "install the firmware of this version (docs/board.md)"
        )
    if not 1 <= target.connector <= hello["connectors"]:
        raise Unusable(
            f"the board has {hello['connectors']} connector(s); there is no connector {target.connector}"
        )
    await _meet_car(target)
    return hello


async def _meet_simulation(target: Target) -> dict[str, Any]:
    try:
        if target.board == "wasm":
            ensure_wasm_packages()
        rig = target.rig()
        await rig.start()
        try:
            client = BoardClient(rig.stream)
            await client.open()
            client.close()
        finally:
            await rig.stop()
    except (RuntimeError, TimeoutError) as error:
        raise Unusable(f"the {target.board} board does not start: {error or 'no HELLO'}") from error
    return client.hello


async def _say_hello(url: str, timeout_s: float) -> dict[str, Any]:
    port = SerialPort(url, LineSettings(115200))
    reader = wire.Reader()
    heard: list[bytes] = []
    answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def on_bytes(octets: bytes) -> None:
        frames, console = reader.feed(octets)
        heard.extend(console)
        for message_type, _, payload in frames:
            if message_type == wire.HELLO | wire.REPLY and not answer.done():
                answer.set_result(wire.unpack_json(payload))

    def on_lost(error: DeviceMissing) -> None:
        if not answer.done():
            answer.set_exception(Unusable(f"{error}: the board went away while it was being asked"))

    await _open(port, url, on_bytes, on_lost)
    question = wire.encode(wire.HELLO, 1, wire.pack_json(wire.hello_request("rig")))
    try:
        async with asyncio.timeout(timeout_s):
            while not answer.done():
                port.write(question)
                await asyncio.wait({answer}, timeout=HELLO_EVERY_S)
        return answer.result()
    except TimeoutError:
        raise Unusable(_no_hello(url, timeout_s, heard)) from None
    finally:
        port.close()


async def _open(
    port: SerialPort, url: str, on_bytes: Callable[[bytes], None], on_lost: Callable[[DeviceMissing], None]
) -> None:
    try:
        await port.open(on_bytes, on_lost)
    except DeviceMissing as error:
        raise Unusable(explain(url, error)) from error


def explain(url: str, error: BaseException) -> str:
    """Why a port cannot be opened, and what to do about it."""
    if "://" in url:
        return f"{error}. Is the address right, and is the other side listening?"
    match _errno(error):
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            there = sorted(str(path) for path in BY_ID.glob("*")) if BY_ID.is_dir() else []
            known = (
                "there are: " + ", ".join(there)
                if there
                else "no USB serial port is plugged into this machine"
            )
            return f"no such port: {url}; {known}"
        case errno.EACCES | errno.EPERM:
            return (
                f"permission denied: {url}. It belongs to the group {_group(url)}: "
                f"sudo usermod -aG {_group(url)} $USER, then log in again"
            )
        case errno.EBUSY | errno.EAGAIN:
            return f"port busy: {url}. {_holder(url)}"
        case _:
            return f"{error}. Is it a serial port?"


def _errno(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def _group(path: str) -> str:
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def _holder(path: str) -> str:
    """Who has the port open, as far as this user may know."""
    real = os.path.realpath(path)
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            is_open = any(os.path.realpath(descriptor) == real for descriptor in descriptors.iterdir())
            name = (descriptors.parent / "comm").read_text().strip() if is_open else ""
        except OSError:
            continue
        if is_open and descriptors.parent.name != str(os.getpid()):
            return f"{name} (process {descriptors.parent.name}) has it open: stop it first"
    return "Another program has it open. Is the agent running? sudo systemctl stop evse-agent"


def _no_hello(url: str, timeout_s: float, heard: list[bytes]) -> str:
    lines = [
        f"no HELLO from {url} within {timeout_s:g} s. Check:",
        "  - has the board power, and is the firmware on it? (docs/board.md: mpremote mip install)",
        "  - is the board's link on this port (its pin map says USB or UART), and are RX and TX of a UART crossed?",
        "  - is this the board, and not the meter, the EV box or the console? ls -l /dev/serial/by-id",
    ]
    if heard:
        text = b" | ".join(heard[-3:]).decode("ascii", "replace")[:200]
        lines.append(f"  It said: {text}")
        if b">>>" in b"".join(heard):
            lines.append(
                "  That is MicroPython's prompt: the firmware is not running. mpremote connect PORT reset"
            )
    return "\n".join(lines)


async def _meet_car(target: Target) -> None:
    """The EV box answers; without one, nothing may be plugged in."""
    if target.car not in ("none", "manual"):
        box = BoxEv(target.car)
        try:
            await box.start(lambda: None)
        except DeviceMissing as error:
            raise Unusable(f"the EV box: {explain(target.car, error)}") from error
        except HalError as error:
            raise Unusable(f"{error}. Is tests/rig/ev_box.py on it? (docs/rig.md)") from error
        finally:
            await box.stop()
    if target.car == "none":
        client = BoardClient(SerialPort(target.board, LineSettings(115200)), target.connector)
        await client.open()
        try:
            status = await client.until(lambda status: True, 3)
            if status.pilot != wire.PILOT_A:
                raise Unusable(
                    f"the board sees a car (state {wire.PILOT_NAMES[status.pilot]}): unplug it, or say which EV it is"
                )
        except AssertionError as error:
            raise Unusable(f"the board sends no STATUS: {error}") from error
        finally:
            client.close()


def _version(hello: dict[str, Any]) -> str:
    proto = hello.get("proto")
    return ".".join(map(str, proto)) if isinstance(proto, list) else "unknown"
