"""Installs Debian packages that tests need: `python -m tests.helpers.debian_packages chromium mosquitto`.

Does nothing when they are there. Without root or sudo it says what to install and leaves it at that: a test without its
program is skipped on a developer's machine, and fails where CI is set (`program`).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

PROGRAMS = {"chromium": "chromium", "mosquitto": "mosquitto"}
"""Package -> its program; a package that is not here counts as missing unless dpkg knows it."""
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Daemons are in directories that are not on everybody's PATH."""


def path_of(package: str) -> str | None:
    """Of the program of `package`; None: it is not installed."""
    return shutil.which(PROGRAMS.get(package, package), path=PLACES)


def program(package: str) -> str:
    """The path of the program of `package`. Without it the test is skipped, and fails where CI is set."""
    found = path_of(package)
    if found is None:
        reason = f"needs {PROGRAMS.get(package, package)} (apt-get install {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def install(packages: Sequence[str]) -> bool:
    """What is missing of `packages`; True: everything is there now."""
    missing = [package for package in packages if path_of(package) is None]
    if not missing:
        return True
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    if shutil.which("apt-get") and (before := _as_root()) is not None:
        print(f"Installing {' '.join(missing)} (Debian) ...", flush=True)
        subprocess.run([*before, *apt, "update"], check=False, stdout=subprocess.DEVNULL)
        command = [*before, *apt, "install", "--no-install-recommends", "--yes", *missing]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    left = [package for package in missing if path_of(package) is None]
    if left:
        print(
            f"not installed: {' '.join(left)}; tests that need them are skipped (apt-get install {' '.join(left)})"
        )
    return not left


def _as_root() -> list[str] | None:
    """What to put before a command so that it runs as root; None: there is no way without a password."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], check=False, capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


if __name__ == "__main__":
    sys.exit(0 if install(sys.argv[1:]) or not os.environ.get("CI") else 1)
