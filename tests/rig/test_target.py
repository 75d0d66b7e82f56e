"""What the rig says when it cannot begin: one plain message, and exit code 2."""

import asyncio
import errno
import grp
import os
import socket
import sys
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from board import wire
from tests.rig import target as target_module
from tests.rig.target import Target, Unusable, explain, meet


class Pty:
    """A serial port with something else than a board behind it: each line that comes in is answered by `lines`."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.lines: list[bytes] = []

    def listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._master, self._answer)

    def _answer(self) -> None:
        os.read(self._master, 4096)
        for line in self.lines:
            os.write(self._master, line)

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def pty() -> Iterator[Pty]:
    pty = Pty()
    yield pty
    pty.close()


def hello(major: int = wire.PROTOCOL_MAJOR, connectors: int = 1) -> bytes:
    reply = wire.hello_reply("9.9", "fake", "1", 1, 5000, connectors, {})
    reply["proto"] = [major, 0]
    return wire.encode(wire.HELLO | wire.REPLY, 1, wire.pack_json(reply))


async def refusal(pty: Pty, **asked: object) -> str:
    pty.listen()
    try:
        with pytest.raises(Unusable) as caught:
            await meet(Target(pty.port, **asked), 0.3)  # type: ignore[arg-type]
    finally:
        asyncio.get_running_loop().remove_reader(pty._master)
    return str(caught.value)


@pytest.mark.real_time
async def test_a_silent_port_says_what_to_check(pty: Pty) -> None:
    said = await refusal(pty)
    assert said.startswith(f"no HELLO from {pty.port} within 0.3 s. Check:")
    assert "It said" not in said


@pytest.mark.real_time
async def test_the_prompt_of_micropython_is_recognised(pty: Pty) -> None:
    pty.lines = [b'Type "help()" for more information.\r\n', b">>> \r\n"]
    assert "the firmware is not running" in await refusal(pty)


@pytest.mark.real_time
async def test_another_major_version_is_refused(pty: Pty) -> None:
    pty.lines = [hello(major=9)]
    assert "the board speaks protocol 9.0, this rig 1." in await refusal(pty)


@pytest.mark.real_time
async def test_a_connector_that_is_not_there_is_refused(pty: Pty) -> None:
    pty.lines = [hello(connectors=2)]
    assert "there is no connector 3" in await refusal(pty, connector=3)


@pytest.mark.real_time
async def test_a_car_that_nobody_has_named_is_refused(pty: Pty) -> None:
    status = wire.Status(1)
    status.pilot = wire.PILOT_B
    pty.lines = [hello(), wire.encode(wire.STATUS, 1, status.pack())]
    assert "sees a car (state B): unplug it" in await refusal(pty)


@pytest.mark.real_time
async def test_an_ev_box_that_is_silent_is_named(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.rig.external_ev.ANSWER_S", 0.05)
    box = Pty()
    pty.lines = [hello()]
    said = await refusal(pty, ev=box.port)
    box.close()
    assert f"the EV box at {box.port} does not answer 'who'" in said


async def test_a_port_that_is_not_there_lists_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path
    (known / "usb-MicroPython_Board-if00").touch()
    monkeypatch.setattr(target_module, "BY_ID", known)
    with pytest.raises(
        Unusable, match=r"no such port: /dev/ttyNONE; there are: .*usb-MicroPython_Board-if00"
    ):
        await meet(Target("/dev/ttyNONE"), 0.3)
    monkeypatch.setattr(target_module, "BY_ID", known / "none")
    with pytest.raises(Unusable, match="no USB serial port is plugged into this machine"):
        await meet(Target("/dev/ttyNONE"), 0.3)


@pytest.mark.real_time
async def test_nobody_at_an_address_is_said() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unusable, match="is the other side listening"):
        await meet(Target(f"socket://127.0.0.1:{port}"), 0.3)


def wrapped(number: int) -> Exception:
    """As pyserial and hal.bus hand it on."""
    error = Exception("could not open port")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


def test_a_port_without_permission_names_the_group(pty: Pty) -> None:
    group = grp.getgrgid(os.stat(pty.port).st_gid).gr_name
    said = explain(pty.port, wrapped(errno.EACCES))
    assert said.startswith(f"permission denied: {pty.port}. It belongs to the group {group}: ")
    assert f"sudo usermod -aG {group} $USER" in said
    assert "usermod -aG dialout $USER" in explain("/dev/ttyNONE", wrapped(errno.EACCES))


def test_a_busy_port_names_who_has_it_or_asks_for_the_agent(
    pty: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Is the agent running?" in explain("/dev/ttyNONE", wrapped(errno.EAGAIN))
    me = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert f"(process {me}) has it open: stop it first" in explain(pty.port, wrapped(errno.EBUSY))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("/dev/ttyACM0", "sim"), "EV=sim is the car of a simulated board"),
        (("wasm", "/dev/ttyACM1"), "brings a car of its own"),
        (("sim", "manual"), "brings a car of its own"),
        (("sim", "", 3), "has connectors 1 and 2"),
    ],
)
def test_what_does_not_go_together_is_said(asked: tuple[str, ...], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        Target(*asked)  # type: ignore[arg-type]


def test_a_person_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(Unusable, match="run it in a terminal"):
        Target("/dev/ttyACM0", "manual")


@pytest.mark.parametrize(
    ("board", "ev", "expected"), [("sim", "", "sim"), ("/dev/x", "", "none"), ("sim", "none", "none")]
)
def test_the_car_follows_from_the_board_unless_it_is_named(board: str, ev: str, expected: str) -> None:
    assert Target(board, ev).car == expected
