"""deploy.sh before it touches anything: what it says of machines that are not fit, and of words it does not know.

The machine's answers are given by a stand-in for ssh; the real way is in test_deploy.py."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.conftest import CONFIG, REPOSITORY

pytestmark = pytest.mark.system

FIT = {
    "root": "yes",
    "os": "debian",
    "os_version": "12",
    "os_name": "Debian GNU/Linux 12 (bookworm)",
    "machine": "aarch64",
    "bits": "64",
    "python": "3.11",
    "venv": "yes",
    "clock": "NOW",
    "systemd": "yes",
    "serial_group": "yes",
    "free_opt_mb": "2000",
    "free_state_mb": "2000",
    "user": "no",
    "current": "",
    "previous": "",
    "identities": "",
    "versions": "",
    "venvs": "",
    "launch": "none",
    "config": "none",
    "active": "inactive",
    "enabled": "",
    "unfinished": "no",
    "file.evse-agent.service": "none",
    "file.60-evse-agent.rules": "none",
    "file.journald.conf": "none",
    "file.evse-agent.sh": "none",
    "board": "",
    "driver": "",
}
SSH = """#!/bin/bash
case "${*: -1}" in
    'id -u && command -v bash') echo "$FAKE_UID"; echo /bin/bash ;;
    'sudo -n true') [ "$FAKE_SUDO" = yes ] || { echo 'sudo: a password is required' >&2; exit 1; } ;;
    *facts*) echo "${*: -1}" >>"$FAKE_LOG"; cat "$FAKE_FACTS" ;;
    *) echo "${*: -1}" >>"$FAKE_LOG" ;;
esac
"""


class Answer:
    def __init__(self, code: int, out: str, err: str, commands: str) -> None:
        self.code, self.out, self.err, self.commands = code, out, err, commands


def run(tmp_path: Path, *words: str, uid: str = "0", sudo: str = "yes", **facts: str) -> Answer:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    known = {**FIT, "clock": str(int(time.time())), **facts}
    (tmp_path / "facts").write_text("".join(f"{name}={value}\n" for name, value in known.items()))
    log = tmp_path / "log"
    log.touch()
    fake = {"FAKE_UID": uid, "FAKE_SUDO": sudo, "FAKE_FACTS": str(tmp_path / "facts"), "FAKE_LOG": str(log)}
    done = subprocess.run(
        [REPOSITORY / "deploy.sh", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={**os.environ, "PATH": f"{ssh.parent}:{os.environ['PATH']}", **fake},
    )
    return Answer(done.returncode, done.stdout, done.stderr, log.read_text())


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (
            {"os": "ubuntu", "os_name": "Ubuntu 24.04"},
            "it runs Ubuntu 24.04; needed is Raspberry Pi OS or Debian",
        ),
        ({"os_version": "11", "os_name": "Debian 11"}, "it runs Debian 11"),
        ({"machine": "armv7l", "bits": "32"}, "32-bit system (armv7l): install the 64-bit Raspberry Pi OS"),
        ({"bits": "32"}, "its programs are 32-bit"),
        ({"machine": "riscv64"}, "its processor is riscv64"),
        ({"python": "3.9"}, "it has Python 3.9; needed is 3.11, 3.12 or 3.13"),
        ({"python": "none"}, "it has no Python: sudo apt install python3"),
        ({"venv": "no"}, "sudo apt install python3-venv"),
        ({"clock": "1000000000"}, "its clock is off by"),
        ({"systemd": "no"}, "systemd does not run there"),
        ({"serial_group": "no"}, "it has no group dialout"),
        ({"free_opt_mb": "120"}, "only 120 MB are free for /opt, 400 are needed"),
        ({"free_state_mb": "9"}, "only 9 MB are free for /var/lib"),
    ],
)
def test_what_is_not_fit_is_said_in_plain_words(tmp_path: Path, facts: dict[str, str], word: str) -> None:
    answer = run(tmp_path, "check", "pi@charger", **facts)
    assert answer.code == 1
    assert word in answer.err
    assert "install" not in answer.commands.replace("bash -s -- facts", "")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    answer = run(tmp_path, "pi@charger", python="3.9", systemd="no", free_opt_mb="0")
    assert answer.code == 1
    assert answer.err.count("\n  - ") == 3


def test_a_fit_machine_is_called_fit(tmp_path: Path) -> None:
    answer = run(tmp_path, "check", "pi@charger")
    assert (answer.code, "aarch64, Python 3.11, 2000 MB free: fit" in answer.out) == (0, True), answer.err


def test_without_a_configuration_nothing_begins(tmp_path: Path) -> None:
    answer = run(tmp_path, "pi@charger")
    assert answer.code == 1
    assert "has no configuration yet" in answer.err


def test_who_is_not_root_goes_by_sudo(tmp_path: Path) -> None:
    config = tmp_path / "station.toml"
    config.write_text(CONFIG)
    answer = run(tmp_path, "--dry-run", "-c", str(config), "pi@charger", uid="1000")
    assert answer.code == 0, answer.err
    assert answer.commands.splitlines()[0].startswith("sudo -n bash -s -- facts")


def test_sudo_with_a_password_is_said(tmp_path: Path) -> None:
    answer = run(tmp_path, "pi@charger", uid="1000", sudo="no")
    assert answer.code == 1
    assert "may not use sudo without a password: sudo: a password is required" in answer.err


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        ([], 2, "Usage: ./deploy.sh"),
        (["--nonsense", "pi@charger"], 2, "unknown option --nonsense"),
        (["reinstall", "pi@charger"], 2, "unknown verb reinstall"),
        (["--wait", "long", "pi@charger"], 2, "--wait needs whole seconds"),
        (["--config", "/nowhere.toml", "pi@charger"], 1, "cannot read /nowhere.toml"),
    ],
)
def test_wrong_words_are_answered(tmp_path: Path, words: list[str], code: int, word: str) -> None:
    answer = run(tmp_path, *words)
    assert (answer.code, word in answer.err) == (code, True), answer.err
    assert answer.commands == ""


def test_help_names_every_verb(tmp_path: Path) -> None:
    answer = run(tmp_path, "--help")
    assert answer.code == 0
    for verb in (
        "check",
        "status",
        "logs",
        "rollback",
        "firmware",
        "uninstall",
        "lock",
        "--dry-run",
        "--purge",
    ):
        assert verb in answer.out
