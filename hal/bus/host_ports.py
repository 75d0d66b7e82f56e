"""The serial ports and GPIO chips of this machine: which there are, their lasting names, and whether one can be had.

Looks at names below /dev, /sys and /proc. `obstacle` opens a port for a moment and sends nothing; everything else opens
nothing. It knows no device: who answers on a port is asked by `hal.commissioning`, its only caller.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path("/")
DEVICES: Final = ("ttyACM*", "ttyUSB*", "ttyAMA*")
LINKS: Final = ("evse/*", "serial/by-id/*", "serial0")
"""The lasting names, the best first: those of our udev rules, those of udev, that of the Raspberry Pi's UART."""
USB_LEVELS: Final = 5
"""How far above a tty the USB device stands in sysfs, at most."""

ObstacleKind = Literal["missing", "forbidden", "busy", "console", "no_port"]


@dataclass(frozen=True, slots=True)
class HostPort:
    """One serial port."""

    device: str
    """/dev/ttyUSB0"""
    name: str
    """What to write into a configuration: a name that stays when something else is plugged in, if there is one."""
    description: str
    """What it says of itself (USB), or nothing."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a port cannot be had."""

    kind: ObstacleKind
    detail: str
    """Who holds it, or what the system says."""


def serial_ports(root: Path = ROOT) -> list[HostPort]:
    """All serial ports that could be a board, a meter line or a reader; `root` is the file system to look at."""
    dev = root / "dev"
    links: dict[str, str] = {}
    for pattern in LINKS:
        for link in sorted(dev.glob(pattern)):
            target = link.resolve()
            if link.is_symlink() and target.exists():
                links.setdefault(target.name, f"/dev/{link.relative_to(dev)}")
    devices = {path.name for pattern in DEVICES for path in dev.glob(pattern)} | links.keys()
    return [
        HostPort(f"/dev/{name}", links.get(name, f"/dev/{name}"), _description(root, name))
        for name in sorted(devices, key=_natural)
        if (dev / name).exists()
    ]


def lasting_name(port: str, root: Path = ROOT) -> str | None:
    """Another name of `port` that stays the same after replugging; None: it is one already, or has none."""
    for found in serial_ports(root):
        if port == found.device and found.name != port:
            return found.name
    return None


def gpio_chips(root: Path = ROOT) -> list[str]:
    return [f"/dev/{path.name}" for path in sorted((root / "dev").glob("gpiochip*"))]


def obstacle(port: str, root: Path = ROOT) -> Obstacle | None:
    """Why a device path cannot be opened now, or None. Network ports have none that could be seen here."""
    if "://" in port:
        return None
    path = root / port.lstrip("/")
    name = os.path.basename(os.path.realpath(path))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        return Obstacle("forbidden", _owners(path) or str(error.strerror))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return Obstacle("busy", _holders_text(path, root))
        return Obstacle("missing", error.strerror or "cannot be opened")
    try:
        if not os.isatty(descriptor):
            return Obstacle("no_port", "no serial port")
        if name in _consoles(root):
            return Obstacle("console", name)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Obstacle("busy", _holders_text(path, root))
    finally:
        os.close(descriptor)
    others = list(_holders(path, root))
    return Obstacle("busy", ", ".join(others)) if others else None


def _natural(name: str) -> tuple[str, int]:
    digits = name[len(name.rstrip("0123456789")) :]
    return name.rstrip("0123456789"), int(digits or 0)


def _description(root: Path, name: str) -> str:
    """Manufacturer and product of the USB device behind a tty."""
    place = (root / "sys/class/tty" / name / "device").resolve()
    for folder in (place, *place.parents)[:USB_LEVELS]:
        if (folder / "idVendor").exists():
            words = [_line(folder / "manufacturer"), _line(folder / "product")]
            return " ".join(word for word in words if word)
    return ""


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _consoles(root: Path) -> set[str]:
    """Where the kernel writes its messages and a login waits: proc(5), /proc/consoles."""
    return {line.split()[0] for line in _line(root / "proc/consoles").splitlines() if line.strip()}


def _owners(path: Path) -> str:
    import grp

    try:
        status = path.stat()
        return f"it belongs to group {grp.getgrgid(status.st_gid).gr_name}"
    except (OSError, KeyError):
        return ""


def _holders_text(path: Path, root: Path) -> str:
    return ", ".join(_holders(path, root)) or "another program"


def _holders(path: Path, root: Path) -> Iterator[str]:
    """Programs that have the device open, as far as this user may see them; never this one."""
    wanted = os.path.realpath(path)
    for folder in sorted((root / "proc").glob("[0-9]*"), key=lambda each: int(each.name)):
        if int(folder.name) == os.getpid():
            continue
        try:
            descriptors = [os.readlink(link) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if wanted in descriptors:
            yield f"{_line(folder / 'comm') or 'a program'} (process {folder.name})"
