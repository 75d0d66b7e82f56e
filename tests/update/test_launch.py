"""The launcher as a process: it needs none of our code, and its decision holds wherever the power goes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.firmware import make_release, make_root, unpack_beside

pytestmark = pytest.mark.system

TELL = {
    "agent/__main__.py": "import os, sys\nfrom agent.version import VERSION\n"
    "print(VERSION, os.environ['EVSE_AGENT_LAUNCHER'], *sys.argv[1:])\n"
}
DOES_NOT_IMPORT = {"agent/__init__.py": "raise RuntimeError('broken')\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """1.0 is current and tells who it is."""
    made = make_root(tmp_path, "0.9")
    shutil.rmtree(made / "releases")
    (made / "releases").mkdir()
    unpack_beside(made, make_release(tmp_path, "1.0", TELL))
    point(made / "current", "1.0")
    return made


def point(link: Path, version: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(f"releases/{version}")


def on_trial(root: Path, files: dict[str, str], starts: str = "3") -> None:
    unpack_beside(root, make_release(root.parent, "1.1", files))
    (root / "trial").write_text(f"1.1\n1.0\n{starts}\n")
    point(root / "current", "1.1")


def launch(root: Path, *words: str, shell: str = "sh") -> tuple[int, str, str]:
    ended = subprocess.run(
        [shell, root / "launch", *words],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "EVSE_AGENT_PYTHON": sys.executable, "PYTHONPATH": "/nowhere"},
        cwd=root.parent,
        timeout=60,
    )
    return ended.returncode, ended.stdout.strip(), ended.stderr


def test_the_current_release_is_started_with_the_arguments(root: Path) -> None:
    code, out, _err = launch(root, "run", "a b.toml")
    assert (code, out) == (0, f"1.0 {root.resolve()}/launch run a b.toml")


def test_each_start_on_trial_is_counted_before_anything_of_the_release_runs(root: Path) -> None:
    on_trial(root, DOES_NOT_IMPORT)
    for left in (2, 1, 0):
        code, _out, err = launch(root)
        assert code != 0
        assert "broken" in err
        assert (root / "trial").read_text() == f"1.1\n1.0\n{left}\n"
    code, out, err = launch(root)
    assert (code, out.split()[0]) == (0, "1.0")
    assert "rolled back to 1.0" in err
    assert os.readlink(root / "current") == "releases/1.0"
    assert (root / "failed").read_text().splitlines()[0] == "1.1"
    assert not (root / "trial").exists()


def test_a_release_on_trial_that_works_is_only_counted(root: Path) -> None:
    on_trial(root, TELL)
    assert launch(root)[1].split()[0] == "1.1"
    assert (root / "trial").read_text() == "1.1\n1.0\n2\n"


def test_a_trial_that_was_never_switched_to_is_left_alone(root: Path) -> None:
    (root / "trial").write_text("1.1\n1.0\n3\n")
    assert launch(root)[1].split()[0] == "1.0"
    assert (root / "trial").read_text() == "1.1\n1.0\n3\n"


def test_a_rollback_that_was_cut_by_the_power_is_finished(root: Path) -> None:
    on_trial(root, TELL)
    (root / "failed").write_text("1.1\nthe CSMS was silent\n")
    assert launch(root)[1].split()[0] == "1.0"
    assert (root / "failed").read_text() == "1.1\nthe CSMS was silent\n"
    assert not (root / "trial").exists()


@pytest.mark.parametrize("starts", ["", "x", "-1", "1 2"])
def test_a_count_that_cannot_be_read_rolls_back(root: Path, starts: str) -> None:
    on_trial(root, TELL, starts)
    assert launch(root)[1].split()[0] == "1.0"


def test_without_a_release_to_go_back_to_the_one_on_trial_goes_on(root: Path) -> None:
    on_trial(root, TELL, "0")
    shutil.rmtree(root / "releases/1.0")
    assert launch(root)[1].split()[0] == "1.1"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no second shell here")
def test_it_is_plain_sh(root: Path) -> None:
    on_trial(root, DOES_NOT_IMPORT, "0")
    assert launch(root, shell="bash")[1].split()[0] == "1.0"


def test_the_interpreter_is_the_release_s_own_then_that_of_the_last_deploy(root: Path) -> None:
    for place in ("releases/1.0/venv", "venv"):
        python = root / place / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\necho {place}\n")
        python.chmod(0o755)

    def interpreter() -> str:
        bare = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            [root / "launch"], capture_output=True, text=True, env=bare, timeout=60
        ).stdout.strip()

    assert interpreter() == "releases/1.0/venv"
    shutil.rmtree(root / "releases/1.0/venv")
    assert interpreter() == "venv"
    assert launch(root)[1].startswith("1.0 ")  # named by EVSE_AGENT_PYTHON, which goes first
