"""`python -m tests.rig` as a person or CI starts it: on real MicroPython, on ports, and on a bad board."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from board.app import FIRMWARE_VERSION
from tests.helpers.wasm_board import WasmBoard
from tests.rig.box_on_pty import BoxOnPty, wired_to

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("wasm")]

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0


def rig(*words: str, before: str = "") -> list[str]:
    """The command; `before` is run in its process first."""
    code = f"{before}\nimport sys\nfrom tests.rig.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, *words]


def run(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        rig(*words, before=before), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def run_in_time(*words: str) -> subprocess.CompletedProcess[str]:
    """Until it passes, three times at most: with other tests on all cores, real time is not the board's alone."""
    for _ in range(3):
        done = run(*words)
        if done.returncode == 0:
            break
    return done


def report(folder: Path) -> str:
    """The report's text, which must be well-formed."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    return text


def properties(folder: Path) -> Iterator[tuple[str, str]]:
    for element in ElementTree.parse(folder / "report.xml").getroot().iter("property"):
        yield element.get("name", ""), element.get("value", "")


def opened_after_ms(folder: Path) -> list[int]:
    """What the JUnit file says of the contactor's opening."""
    found = [
        re.fullmatch(r"(\d+) ms \(at most 100 ms\)", value)
        for name, value in properties(folder)
        if "contactor open" in name or "own notes" in name
    ]
    return [int(match[1]) for match in found if match]


@pytest.mark.wasm
def test_the_short_script_on_real_micropython_writes_a_report_with_the_measured_figures(
    tmp_path: Path,
) -> None:
    done = run_in_time("--board", "wasm", "--short", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    suite = next(ElementTree.parse(tmp_path / "report.xml").getroot().iter("testsuite"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")
    assert len(opened_after_ms(tmp_path)) == 3, "the contract's, and one with two witnesses"
    assert ("Firmware", FIRMWARE_VERSION) in properties(tmp_path)
    text = report(tmp_path)
    for took_ms in opened_after_ms(tmp_path):
        assert f"{took_ms} ms (at most 100 ms)" in text
        assert re.search(
            rf"contactor open +{took_ms} ms +\(at most 100 ms\)|notes +{took_ms} ms", done.stdout
        )
    assert "26.66 % = 15.996 A" in text
    assert text.count("<svg") == 2, "one scenario, for screen and phone"
    assert done.stdout.rstrip().endswith(f"report: {tmp_path / 'report.xml'}")


@pytest.mark.wasm
async def test_a_board_and_an_ev_box_on_ports_are_tested_as_real_ones(tmp_path: Path) -> None:
    board = WasmBoard()
    await board.start()
    box = BoxOnPty(wired_to(board))
    try:
        address = f"socket://127.0.0.1:{board.uart_port}"
        words = rig(
            "--board", address, "--ev", box.port, "--only", "unplug_under_load", "--out", str(tmp_path)
        )
        process = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        process._transport.close()  # type: ignore[attr-defined]
    finally:
        await box.close()
        await board.stop()
    said = told.decode()
    assert process.returncode == 0, said
    assert re.search(r"from the word to the EV box +\d+ ms +\(at most 140 ms\)", said)
    assert re.search(r"frequency +1000\.0 Hz", said)
    assert "1 passed, 0 failed, 0 skipped" in said
    assert address in report(tmp_path)


def test_everything_passes_on_the_simulated_board_on_virtual_time(tmp_path: Path) -> None:
    done = run("--board", "sim", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "An idle board" in report(tmp_path)
    assert "pilot at 0 V" in report(tmp_path), "what takes minutes is played there, too"


def test_without_a_car_the_idle_board_is_tested_and_the_rest_skipped(tmp_path: Path) -> None:
    done = run("--board", "sim", "--ev", "none", "--only", "idle or charge_16", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "there is no EV" in report(tmp_path)
    assert "STATUS comes by itself" in report(tmp_path)


def test_a_board_that_misses_a_limit_fails_the_run_and_stands_in_the_report(tmp_path: Path) -> None:
    worn = "import board.interlock\nboard.interlock.FORCED_OPEN_MS = 9000"
    done = run("--board", "sim", "--only", "pause_ignored", "--out", str(tmp_path), before=worn)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED The car ignores the pause" in done.stdout
    text = report(tmp_path)
    assert "simulated failed" in text
    assert "contactor open 9030 ms (6000 to 7000 ms)" in text[text.index("What failed") :]
    failure = next(ElementTree.parse(tmp_path / "report.xml").getroot().iter("failure"))
    assert "9030 ms (6000 to 7000 ms)" in (failure.get("message") or "")


def test_a_board_that_goes_away_ends_the_run(tmp_path: Path) -> None:
    unplugged = """
from hal.errors import DeviceMissing
from tests.rig.player import Player
async def play(player, scenario): raise DeviceMissing("unplugged")
Player.play = play"""
    done = run("--board", "sim", "--only", "idle or charge_16", "--out", str(tmp_path), before=unplugged)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the board is gone: the rest was not run" in done.stdout
    assert "the board is gone: the rest was not run" in report(tmp_path)
    assert ", 1 failed, 0 skipped" in done.stdout


def test_a_port_that_is_not_there_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    done = run("--board", "/dev/ttyNONE", "--out", str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("rig: no such port: /dev/ttyNONE; ")
    assert not (tmp_path / "none").exists()


def test_a_name_that_no_test_has_is_exit_code_2(tmp_path: Path) -> None:
    done = run("--board", "sim", "--only", "nothing_like_it", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "no test is called 'nothing_like_it'" in done.stderr
