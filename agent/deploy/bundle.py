"""The half of `deploy.sh` that is easier said in Python: the lock of all wheels, and the release tree out of a wheel.

Standard library only, and no import of the agent: it runs on whatever Python the installer's computer has.
`python3 agent/deploy/bundle.py identity|lock|release ...`, called by deploy.sh.
"""

import hashlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("requirements.lock")
PACKAGES = ("agent", "hal", "board")
TOOLS = ("pip", "mpremote")
"""Beside the agent's own dependencies: what installs them, and what flashes the board."""
MACHINES = ("aarch64", "x86_64")
PYTHONS = ("3.11", "3.12", "3.13")
GLIBC = range(17, 37)
"""Minor versions of glibc 2 that Debian 12 satisfies."""


def identity(source: Path) -> str:
    """SHA-256 over everything that a release is made of: the same source is the same release."""
    digest = hashlib.sha256()
    for path in _sources(source):
        digest.update(f"{path.relative_to(source).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(source: Path) -> Iterator[Path]:
    yield source / "pyproject.toml"
    for package in PACKAGES:
        for path in sorted((source / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".mpy"):
                yield path


def release(wheel: Path, folder: Path, version: str) -> None:
    """Unpack `wheel` into `folder` as a release: the packages, the wheel's metadata, a manifest and SHA256SUMS."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    digests = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "format": 1,
        "name": "evse-agent",
        "version": version,
        "machines": ["any"],
        "models": [],
        "python": "3.11",
        "files": digests,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (folder / "SHA256SUMS").write_text(sums)


# --- the lock ----------------------------------------------------------------------------------------------


def platform_arguments(machine: str, python: str) -> list[str]:
    """What makes pip choose wheels for another machine: a Debian 12 or later with that Python."""
    tags = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC)]
    tagged = [word for tag in tags for word in ("--platform", tag)]
    return [*tagged, "--python-version", python, "--implementation", "cp", "--only-binary=:all:"]


def wanted(source: Path) -> list[str]:
    """Requirements of the agent with GPIO and MQTT, and the tools; the lock is for CPython on Linux, so without
    markers."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["gpio"], *extras["mqtt"], *TOOLS]
    return [requirement.split(";")[0].strip() for requirement in asked]


def lock(source: Path, target: Path) -> None:
    """Write the newest versions that satisfy `wanted`, with the hashes of their wheels for every kind of target."""
    if platform.python_version_tuple()[:2] != ("3", "11"):
        raise SystemExit("make the lock with Python 3.11, the oldest one: later ones need fewer packages")
    hashes: dict[tuple[str, str], set[str]] = {}
    constraints: dict[str, str] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for name, version, digest in _resolve(wanted(source), constraints, machine, python):
                constraints[name] = version
                hashes.setdefault((name, version), set()).add(digest)
    target.write_text(_lock_text(hashes))


def _resolve(
    requirements: Iterable[str], constraints: dict[str, str], machine: str, python: str
) -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "constraints.txt")
        known.write_text("".join(f"{name}=={version}\n" for name, version in constraints.items()))
        report = Path(folder, "report.json")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"),
                *("--target", folder, "--report", str(report), "--constraint", str(known)),
                *platform_arguments(machine, python),
                *requirements,
            ],
            check=True,
        )
        for found in json.loads(report.read_text())["install"]:
            name = re.sub(r"[-_.]+", "-", found["metadata"]["name"]).lower()
            yield (
                name,
                found["metadata"]["version"],
                found["download_info"]["archive_info"]["hashes"]["sha256"],
            )


def _lock_text(hashes: dict[tuple[str, str], set[str]]) -> str:
    lines = [
        "# Written by `./deploy.sh lock`: every wheel that may go onto a charger, for " + ", ".join(MACHINES)
    ]
    lines += ["# and Python " + ", ".join(PYTHONS) + "."]
    for (name, version), digests in sorted(hashes.items()):
        lines.append(f"{name}=={version} \\")
        lines.append(" \\\n".join(f"    --hash=sha256:{digest}" for digest in sorted(digests)))
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> None:
    match words:
        case ["identity"]:
            print(identity(SOURCE))
        case ["release", wheel, folder, version]:
            release(Path(wheel), Path(folder), version)
        case ["platform", machine, python]:
            print("\n".join(platform_arguments(machine, python)))
        case ["lock"]:
            lock(SOURCE, LOCK)
        case _:
            raise SystemExit(
                "usage: bundle.py identity | release WHEEL FOLDER VERSION | platform MACHINE PYTHON | lock"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
