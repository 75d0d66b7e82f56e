"""deploy.sh and the board's firmware: flashed only if it is another one, never under a car; then HELLO is awaited.

The board is our firmware on a pseudo terminal, and mpremote a stand-in that notes its words and, at `reset`, gives the
board its new version: what mpremote does to a real MicroPython is not proved here."""

import re
from pathlib import Path

import pytest

from tests.deploy.conftest import CONFIG, REPOSITORY, Desk
from tests.helpers.charger import Charger

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("deploy")]

VERSION = re.findall(r'^FIRMWARE_VERSION = "(.+)"$', (REPOSITORY / "board/app.py").read_text(), re.MULTILINE)[
    0
]
BOARD = """
[hal]
driver = "board"
[hal.board]
port = "/dev/board"
"""
MPREMOTE = f"""import subprocess, sys
with open("/run/mpremote.log", "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[-1] == ":pcb.txt":
    open("/run/pcb", "w").write(open(sys.argv[-2]).read())
if sys.argv[-1] == "reset":
    open("/run/version", "w").write("{VERSION}")
    subprocess.run(["systemctl", "restart", "board"], check=True)
"""
IS_PLUGGED = "evse-agent status --json | grep -q '\"is_plugged\": true'"


@pytest.fixture
def boarded(charger: Charger, desk: Desk, tmp_path: Path) -> Charger:
    """A charger whose board runs an old firmware."""
    package = charger.ask("echo /opt/evse-agent/venv/lib/python3*/site-packages/mpremote")
    charger.ask(f"echo 0.0.9 >/run/version && echo reference >/run/pcb && rm -rf {package}/*")
    Path(f"/proc/{charger.first_process}/root{package}/__main__.py").write_text(MPREMOTE)
    start_board(charger)
    config = tmp_path / "station.toml"
    config.write_text(CONFIG + BOARD)
    ended = desk.deploy(charger, "--config", str(config), "--no-firmware")
    assert ended.code == 0, ended
    return charger


def start_board(charger: Charger, *words: str) -> None:
    charger.ask("systemctl stop board 2>/dev/null || true")
    charger.start_helper("board", "charger_board.py", "/dev/board", "/run", *words)


def test_an_old_firmware_is_flashed_and_the_same_is_left_alone(boarded: Charger, desk: Desk) -> None:
    ended = desk.deploy(boarded, "firmware")
    assert ended.code == 0, ended
    assert f"The board runs firmware 0.0.9, this source has {VERSION}" in ended.out
    assert f"the board says HELLO with firmware {VERSION}" in ended.out
    words = boarded.ask("cat /run/mpremote.log").splitlines()
    assert all(line.startswith("connect /dev/board ") for line in words)
    assert [line.split()[-1] for line in words] == [
        "logging",
        'os.remove("main.py")',
        ":board",
        ":",
        ":pcb.txt",
        ":main.py",
        "reset",
    ]
    ended = desk.deploy(boarded)
    assert (ended.code, "Nothing to do" in ended.out) == (0, True), ended
    assert boarded.ask("cat /run/mpremote.log").splitlines() == words


def test_another_circuit_in_the_configuration_is_flashed_though_the_version_is_the_same(
    boarded: Charger, desk: Desk, tmp_path: Path
) -> None:
    boarded.ask(f"echo {VERSION} >/run/version")
    start_board(boarded)
    config = tmp_path / "duo.toml"
    config.write_text(CONFIG + BOARD + 'pcb = "duo"\n')
    ended = desk.deploy(boarded, "--config", str(config))
    assert ended.code == 0, ended
    assert "The board has the pin map reference, the configuration wants duo" in ended.out
    assert boarded.ask("cat /run/pcb").strip() == "duo"


def test_under_a_car_nothing_is_flashed(boarded: Charger, desk: Desk) -> None:
    start_board(boarded, "plugged")
    boarded.ask(f"for i in $(seq 50); do {IS_PLUGGED} && exit 0; sleep 0.2; done; exit 1")
    ended = desk.deploy(boarded, "firmware")
    assert ended.code == 7, ended
    assert "a car is at EVSE 1" in ended.err
    assert boarded.ssh("cat /run/mpremote.log").returncode != 0
