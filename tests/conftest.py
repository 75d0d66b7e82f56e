"""Guards on every test: virtual time, no leaked task or descriptor, no bad log call, loopback only."""

import asyncio
import gc
import ipaddress
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.virtual_time import VirtualTimeLoop

# No test asserts a wall-clock time, hypothesis's own limits for one example and for its input included.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--board", default=None, help="serial port or socket:// address of a real board to test")
    parser.addoption(
        "--ev", default=None, help="serial port or socket:// address of the EV test box at that board"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one xdist_group on one worker. pytest 9.2 hides the groups from xdist 3.8, which writes them into an
    attribute that is no more; so they are read from the files, where every group is one of whole files."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class ByFile(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group_of(config.rootpath / nodeid.partition("::")[0]) or nodeid

    return ByFile(config, log)


@cache
def _group_of(path: Path) -> str:
    found = re.search(r'xdist_group\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    return found[1] if found else ""


def _is_real_time(node: pytest.Item) -> bool:
    return any(node.get_closest_marker(name) for name in ("real_time", "system", "wasm"))


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time unless the test is marked real_time, system or wasm."""
    return {"real": asyncio.SelectorEventLoop} if _is_real_time(item) else {"virtual": VirtualTimeLoop}


def _open_descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def _no_leaked_descriptor() -> Iterator[None]:
    """A test closes every socket, pipe and pty that it opened (regular files of plugins are let be)."""
    before = _open_descriptors()
    yield
    leaked = _leaks(before)
    if leaked:
        gc.collect()  # exceptions caught by pytest.raises keep frames, and with them descriptors, alive
        leaked = _leaks(before)
    assert not leaked, f"descriptors left open: {leaked}"


def _leaks(before: dict[str, str]) -> dict[str, str]:
    kinds = ("socket:", "pipe:", "/dev/pts", "/dev/ptmx")
    now = _open_descriptors()
    return {fd: to for fd, to in now.items() if before.get(fd) != to and to.startswith(kinds)}


@pytest.fixture(autouse=True)
async def _no_leaked_task() -> object:
    """A test ends with no task but its own running."""
    before = asyncio.all_tasks()
    yield
    for _ in range(3):  # a task cancelled in the test's last line needs a turn of the loop to end
        await asyncio.sleep(0)
    left = {
        task
        for task in asyncio.all_tasks() - before
        if not task.done() and task is not asyncio.current_task()
    }
    for task in left:
        task.cancel()
    assert not left, f"tasks left running: {left}"


@pytest.fixture(autouse=True)
def _no_bad_log_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log call whose arguments do not fit its format raises instead of printing to stderr."""

    def fail(_handler: logging.Handler, record: logging.LogRecord) -> None:
        raise AssertionError(f"badly formatted log call: {record.msg!r} % {record.args!r}")

    monkeypatch.setattr(logging.Handler, "handleError", fail)


@pytest.fixture(autouse=True)
def _loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a host beyond loopback, but the board and the EV box that were named."""
    real_connect = socket.socket.connect
    named = {urlsplit(request.config.getoption(option) or "").hostname for option in ("--board", "--ev")}
    allowed = {"localhost", *(named - {None})}

    def connect(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])  # type: ignore[index]
            if host not in allowed and not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"a test tried to reach {host}")
        real_connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def _no_real_sleep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """time.sleep is for real-time tests only, and there for waiting on other processes."""
    if not _is_real_time(request.node):

        def fail(seconds: float) -> None:
            raise AssertionError(f"time.sleep({seconds}) in a test on virtual time")

        monkeypatch.setattr(time, "sleep", fail)
