"""A machine that the doctor may look at: an empty file system, a set clock, no systemd; and devices behind ports."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.commissioning.machine import Disk, Machine
from tests.helpers.served_devices import ServedDevices

NOW = datetime(2026, 5, 4, 7, 0, 0, tzinfo=UTC)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "root"
    for folder in ("dev", "proc", "sys/class/rtc/rtc0", "etc/udev/rules.d"):
        (root / folder).mkdir(parents=True)
    return Machine(
        root=root,
        disk_of=lambda _path: Disk(10**10, is_read_only=False),
        run=lambda _words: None,
        now=lambda: NOW,
        is_clock_synchronized=lambda: True,
    )


@pytest.fixture
def devices() -> Iterator[ServedDevices]:
    with ServedDevices() as served:
        yield served


@pytest.fixture(autouse=True)
def _quick_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Played meters answer at once; real ones are given time."""
    monkeypatch.setattr("hal.commissioning.SCAN_TIMEOUT_S", 0.03)
    monkeypatch.setattr("hal.commissioning.SCAN_QUIET_S", 0.005)
    monkeypatch.setattr("hal.commissioning.common_units", lambda: (1, 2, 3))
    monkeypatch.setattr("hal.drivers.board_look.HELLO_S", 0.1)
    monkeypatch.setattr("hal.drivers.board_look.UNASKED_S", 0.1)
    monkeypatch.setattr("hal.drivers.pn532_reader.ANSWER_S", 0.1)
    # pyserial gives servers of socket:// 0.3 s of rest after each closing; ours need none.
    monkeypatch.setattr(
        "serial.urlhandler.protocol_socket.time", SimpleNamespace(sleep=lambda _s: None, time=time.time)
    )
