"""What the doctor asks of the operating system: files, programs, users, the clock. Nothing here changes anything.

Tests give another `Machine`: a folder instead of the root of the file system, answers instead of programs.
"""

import ctypes
import grp
import os
import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

UNIT = "evse-agent.service"
COMMAND_S = 5.0
_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised (STA_UNSYNC)."""


@dataclass(frozen=True, slots=True)
class User:
    """Who the agent runs as."""

    name: str
    user_id: int
    group_ids: frozenset[int]

    def may(self, path: Path, want: int) -> bool:
        """`want`: os.R_OK | os.W_OK | os.X_OK, by the bits of owner, group and others. False: it is not there."""
        if self.user_id == 0:
            return path.exists()
        try:
            status = path.stat()
        except OSError:
            return False
        shift = 6 if status.st_uid == self.user_id else 3 if status.st_gid in self.group_ids else 0
        return (status.st_mode >> shift) & want == want


def run_command(words: Sequence[str]) -> str | None:
    """What a program prints; None: there is no such program, or it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def is_clock_synchronized() -> bool | None:
    """As the kernel was told by whoever sets its clock (timesyncd, chrony, ntpd); None: it does not say."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        state = libc.adjtimex(ctypes.byref(ctypes.create_string_buffer(512)))  # modes 0: only asks
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that something lies on."""

    free_bytes: int
    is_read_only: bool


def disk_of(path: Path) -> Disk:
    """Raises OSError."""
    found = os.statvfs(path)
    return Disk(found.f_bavail * found.f_frsize, bool(found.f_flag & os.ST_RDONLY))


@dataclass(frozen=True, slots=True)
class Machine:
    root: Path = Path("/")
    disk_of: Callable[[Path], Disk] = disk_of
    run: Callable[[Sequence[str]], str | None] = run_command
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    is_clock_synchronized: Callable[[], bool | None] = is_clock_synchronized

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    def unit(self) -> Mapping[str, str]:
        """Properties of our systemd service; empty: there is no systemd, or no such service."""
        names = "LoadState,ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,UnitFileState,User,MainPID"
        shown = self.run(["systemctl", "show", UNIT, "--property", names])
        properties = dict(line.split("=", 1) for line in (shown or "").splitlines() if "=" in line)
        return properties if properties.get("LoadState") == "loaded" else {}

    def programs(self) -> dict[int, str]:
        """Running processes and their names."""
        found = {}
        for folder in self.path("/proc").glob("[0-9]*"):
            try:
                found[int(folder.name)] = (folder / "comm").read_text().strip()
            except OSError:
                continue
        return found

    def agent_user(self) -> User:
        """Who the service runs as; without a service whoever asks."""
        name = self.unit().get("User", "")
        try:
            entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.geteuid())
        except KeyError:
            return User(str(os.geteuid()), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        return User(entry.pw_name, entry.pw_uid, frozenset(groups))


def group_name(group_id: int) -> str:
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)
