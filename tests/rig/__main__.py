"""`make rig`: python -m tests.rig --board PORT --ev EV --out FOLDER.

Exit code: 0 all passed, 1 something failed, 2 usage or connection.
It meets the board, lets pytest run both suites with the live account, and writes report.html and report.xml.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.rig import page
from tests.rig.ledger import Account, Ledger
from tests.rig.plugin import Run
from tests.rig.target import Target, Unusable, meet

FOLDER = Path(__file__).parent
SUITES = [str(FOLDER / "suite_contract.py"), str(FOLDER / "suite_scenarios.py")]
OK, FAILED, UNUSABLE = 0, 1, 2


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.rig",
        description="Contract suite and scripted EV at a board; writes report.html and report.xml. See docs/rig.md.",
    )
    parser.add_argument(
        "--board",
        default="wasm",
        help="a serial port, socket://host:port, wasm (real MicroPython, the default), or sim",
    )
    parser.add_argument(
        "--ev",
        default="",
        help="sim, manual, none, or the port of an EV box; default: sim for wasm and sim, else none",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/rig"), help="folder of the report (build/rig)"
    )
    parser.add_argument("--connector", type=int, default=1, help="which connector of the board (1)")
    parser.add_argument("--only", default="", help="only tests with this in their name (pytest -k)")
    parser.add_argument("--short", action="store_true", help="the short script")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes: waking a sleeping car")
    parser.add_argument(
        "--hello-timeout", type=float, default=8.0, help="s to wait for the board's HELLO (8)"
    )
    return parser


def main(words: list[str] | None = None) -> int:
    asked = _arguments().parse_args(words)
    account = Account()
    try:
        target = Target(asked.board, asked.ev, asked.connector)
        hello = asyncio.run(meet(target, asked.hello_timeout))
    except Unusable as problem:
        print(f"rig: {problem}", file=sys.stderr)
        return UNUSABLE
    ledger = Ledger(target.board, target.car, target.connector, hello)
    for name, value in ledger.identity:
        account.say(f"{name:<12} {value}")
    folder = asked.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    junit, report = folder / "report.xml", folder / "report.html"
    run = Run(target, ledger, account, is_short=asked.short, is_slow=asked.slow)
    began = time.monotonic()
    code = pytest.main(_pytest_words(target, asked.only, junit), plugins=[run])
    ledger.lasted_s = time.monotonic() - began
    if not ledger.entries:
        print(
            f"rig: no test is called {asked.only!r}" if asked.only else "rig: pytest did not start",
            file=sys.stderr,
        )
        return UNUSABLE
    if code == pytest.ExitCode.INTERRUPTED and not ledger.stopped:
        ledger.stopped = "interrupted: the rest was not run"
    page.write(ledger, report)
    account.close(ledger, [str(report), str(junit)])
    return OK if code == pytest.ExitCode.OK else FAILED


def _pytest_words(target: Target, only: str, junit: Path) -> list[str]:
    words = [
        *SUITES,
        "--capture=no",
        "-p",
        "no:cacheprovider",
        f"--junitxml={junit}",
        "-o",
        "junit_suite_name=rig",
        "-o",
        "junit_family=xunit1",
    ]
    words += [f"--board={target.board}"] + ([f"--ev={target.ev}"] if target.ev else [])
    return words + (["-k", only] if only else [])


if __name__ == "__main__":
    sys.exit(main())
