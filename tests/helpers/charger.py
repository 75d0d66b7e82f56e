"""A charger's controller on this machine: root file system, processes, network and systemd of its own, reached by SSH.

The file system is this machine's with a layer of changes on top, so one installed charger can be the start of many.
Needs root on Linux with cgroup v2, overlayfs and Debian's systemd; `why_not()` tells what is missing. The power is
cut by killing its first process: everything in it dies at once.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import asyncssh

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")
BOOT_S = 20.0


def why_not() -> str | None:
    """Why no charger can be simulated here; None: one can."""
    if os.geteuid() != 0:
        return "needs root for namespaces and mounts"
    for program in ("unshare", "nsenter", "ssh", "mount"):
        if shutil.which(program) is None:
            return f"needs {program}"
    if not SYSTEMD.exists():
        return "needs systemd"
    if cgroups() is None:
        return "needs a writable cgroup v2"
    if not Path("/usr/bin/python3").exists():
        return "needs Debian's own Python"
    if os.stat(sys.prefix).st_dev != os.stat("/").st_dev:
        return "needs its Python environment on the root file system"
    return None


def cgroups() -> Path | None:
    for place in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (place / "cgroup.procs").exists() and os.access(place, os.W_OK):
            return place
    return None


class Yard:
    """Where chargers stand: a file system in memory, and the keys to all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "charger", folder], check=True)
        self.keys = folder / "keys"
        self.keys.mkdir(mode=0o700)
        for name in ("host", "user"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(str(self.keys / name))
            (self.keys / name).chmod(0o600)
            key.write_public_key(str(self.keys / f"{name}.pub"))

    def close(self) -> None:
        subprocess.run(["umount", "-l", self.folder], check=True)


class Charger:
    """`start` it, `ssh` into it, `cut_power`; `of` names the charger whose disk it begins with."""

    def __init__(self, yard: Yard, name: str, of: "Charger | None" = None) -> None:
        self.yard = yard
        self.name = name
        self.changes = yard.folder / name / "changes"
        self.changes.mkdir(parents=True)
        self._lower: list[str] = ["/"] if of is None else [str(of.changes), *of._lower]
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._cgroup: Path | None = None
        self.ssh_config = yard.folder / name / "ssh_config"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut_power()

    def start(self) -> None:
        """Until it can be reached. Raises RuntimeError."""
        self._starts += 1
        run = self.yard.folder / self.name / f"run{self._starts}"
        for part in ("work", "root"):
            (run / part).mkdir(parents=True)
        place = cgroups()
        assert place is not None
        self._cgroup = place / f"charger-{os.getpid()}-{self.name}-{self._starts}"
        self._cgroup.mkdir()
        boot = [str(HERE / "charger_boot.sh"), ":".join(self._lower), str(self.changes)]
        inner = ["unshare", "-mpuin", "--cgroup", "--fork", "--kill-child", "bash", *boot]
        script = f'echo $$ >"{self._cgroup}/cgroup.procs" && exec "$@"'
        seen = (HERE.parents[1], sys.prefix)
        log = (run / "boot.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                ["bash", "-c", script, "-", *inner, *map(str, (run / "work", run / "root", *seen))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._await(lambda: self._inside("systemctl", "is-active", "charger.target") == 0, run)
            self._write_ssh_config()
            shutil.copytree(self.yard.keys, f"/proc/{self.first_process}/root/run/keys")
            self.start_helper("sshd", "charger_sshd.py", "/run/keys")
            self._await(lambda: self.ssh("true").returncode == 0, run)
        except BaseException:
            self.cut_power()
            raise

    def cut_power(self) -> None:
        """Everything in it dies at once; its disk stays."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first_process, signal.SIGKILL)
        self._process.wait()
        self._process = None
        assert self._cgroup is not None
        for _ in range(100):
            try:
                for folder, _folders, _files in os.walk(self._cgroup, topdown=False):
                    os.rmdir(folder)
                return
            except OSError:  # the last of its processes is just going
                time.sleep(0.05)

    @property
    def first_process(self) -> int:
        """Its process 1, by our own count."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else pid

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", "-F", str(self.ssh_config), "root@charger", command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    def ask(self, command: str) -> str:
        """What a command in it says; it must succeed."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start_csms(self) -> None:
        self.start_helper("csms", "charger_csms.py")

    def start_helper(self, name: str, script: str, *words: str) -> None:
        """Run a script of this folder in it, as a service."""
        command = [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={name}",
            f"--setenv=PYTHONPATH={HERE.parents[1]}",
        ]
        assert self._inside(*command, sys.executable, str(HERE / script), *words) == 0

    def _inside(self, *command: str) -> int:
        enter = ["nsenter", "-t", str(self.first_process), "-a", *command]
        quiet = subprocess.DEVNULL
        return subprocess.run(enter, stdin=quiet, stdout=quiet, stderr=quiet, timeout=30).returncode

    def _await(self, condition: Callable[[], bool], run: Path) -> None:
        until = time.monotonic() + BOOT_S
        while not condition():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the charger does not start: {(run / 'boot.log').read_text()}")
            time.sleep(0.05)

    def _write_ssh_config(self) -> None:
        enter = f"nsenter --net=/proc/{self.first_process}/ns/net"
        pipe = f"{enter} {sys.executable} {HERE / 'charger_pipe.py'}"
        lines = [
            "Host charger",
            f"  ProxyCommand {pipe}",
            f"  IdentityFile {self.yard.keys / 'user'}",
            "  IdentitiesOnly yes",
            "  StrictHostKeyChecking no",
            "  UserKnownHostsFile /dev/null",
            "  LogLevel ERROR",
        ]
        self.ssh_config.write_text("\n".join(lines) + "\n")
