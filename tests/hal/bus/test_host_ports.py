"""The serial ports of a machine: their lasting names, and why one cannot be had."""

import fcntl
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.bus.host_ports import HostPort, gpio_chips, lasting_name, obstacle, serial_ports


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Pico, two equal adapters and the UART of a Raspberry Pi, with the links that udev and our rules make."""
    dev = tmp_path / "dev"
    for folder in ("evse", "serial/by-id"):
        (dev / folder).mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    for name in (
        "ttyACM0",
        "ttyUSB0",
        "ttyUSB1",
        "ttyUSB10",
        "ttyAMA0",
        "ttyS0",
        "tty1",
        "gpiochip0",
        "gpiochip4",
    ):
        (dev / name).touch()
    for link, target in (
        ("serial0", "ttyAMA0"),
        ("evse/board", "../ttyACM0"),
        ("evse/board-e660", "../ttyACM0"),
        ("evse/serial-1_2", "../ttyUSB0"),
        ("serial/by-id/usb-1a86_USB_Serial", "../../ttyUSB1"),
        ("serial/by-id/usb-MicroPython_e660", "../../ttyACM0"),
    ):
        (dev / link).symlink_to(target)
    device = tmp_path / "sys/devices/usb1/1-2"
    (device / "1-2:1.0/tty").mkdir(parents=True)
    for name, text in (
        ("idVendor", "2e8a"),
        ("manufacturer", "MicroPython\n"),
        ("product", "Board in FS mode\n"),
    ):
        (device / name).write_text(text)
    (tmp_path / "sys/class/tty/ttyACM0").mkdir(parents=True)
    (tmp_path / "sys/class/tty/ttyACM0/device").symlink_to(device / "1-2:1.0")
    return tmp_path


def test_each_port_has_the_best_name_that_lasts(root: Path) -> None:
    assert serial_ports(root) == [
        HostPort("/dev/ttyACM0", "/dev/evse/board", "MicroPython Board in FS mode"),
        HostPort("/dev/ttyAMA0", "/dev/serial0", ""),
        HostPort("/dev/ttyUSB0", "/dev/evse/serial-1_2", ""),
        HostPort("/dev/ttyUSB1", "/dev/serial/by-id/usb-1a86_USB_Serial", ""),
        HostPort("/dev/ttyUSB10", "/dev/ttyUSB10", ""),
    ]


def test_a_number_has_a_better_name_and_a_name_has_none(root: Path) -> None:
    assert lasting_name("/dev/ttyUSB0", root) == "/dev/evse/serial-1_2"
    assert lasting_name("/dev/ttyUSB10", root) is None
    assert lasting_name("/dev/evse/board", root) is None


def test_gpio_chips(root: Path) -> None:
    assert gpio_chips(root) == ["/dev/gpiochip0", "/dev/gpiochip4"]


def test_a_machine_without_devices_has_no_ports(tmp_path: Path) -> None:
    assert (serial_ports(tmp_path), gpio_chips(tmp_path)) == ([], [])


@pytest.fixture
def terminal(root: Path) -> Iterator[str]:
    """A real tty behind the name /dev/ttyUSB0."""
    ours, theirs = pty.openpty()
    (root / "dev/ttyUSB0").unlink()
    (root / "dev/ttyUSB0").symlink_to(os.ttyname(theirs))
    yield "/dev/ttyUSB0"
    os.close(ours)
    os.close(theirs)


def kind_of(port: str, root: Path) -> str | None:
    found = obstacle(port, root)
    return None if found is None else found.kind


def test_a_free_port_has_no_obstacle(terminal: str, root: Path) -> None:
    assert obstacle(terminal, root) is None
    assert obstacle("socket://127.0.0.1:9", root) is None, "nothing can be seen of a network port"


def test_what_is_not_there_or_no_tty_is_no_port(root: Path) -> None:
    assert kind_of("/dev/ttyUSB7", root) == "missing"
    assert kind_of("/dev/ttyUSB1", root) == "no_port"


def test_a_port_that_another_program_has_locked_is_busy(terminal: str, root: Path) -> None:
    other = os.open(root / "dev/ttyUSB0", os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert kind_of(terminal, root) == "busy"
    os.close(other)
    assert kind_of(terminal, root) is None


def test_a_port_that_another_program_has_open_is_busy_and_the_program_named(
    terminal: str, root: Path
) -> None:
    process = root / "proc/4711"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("minicom\n")
    (process / "fd/3").symlink_to(os.path.realpath(root / "dev/ttyUSB0"))
    found = obstacle(terminal, root)
    assert found is not None
    assert (found.kind, found.detail) == ("busy", "minicom (process 4711)")


def test_the_console_of_the_system_is_no_port_for_us(terminal: str, root: Path) -> None:
    name = os.path.basename(os.path.realpath(root / "dev/ttyUSB0"))
    (root / "proc/consoles").write_text(f"tty0 -WU (EC p) 4:2\n{name} -W- (E p) 136:1\n")
    assert kind_of(terminal, root) == "console"
