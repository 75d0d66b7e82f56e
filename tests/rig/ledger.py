"""Keeps what every test of a run has found, and tells it on the terminal as it happens: one line per step.

Filled by `plugin.py` and the suites; `page.py` makes the report from it.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from tests.rig.recording import Recording
from tests.rig.script import Finding

Result = Literal["passed", "failed", "skipped"]
_COLOURS = {"passed": "32", "failed": "31", "skipped": "33", "bold": "1"}
_TEXT_WIDTH = 58
_MEASURED_WIDTH = 22


@dataclass(slots=True)
class Entry:
    """One test."""

    name: str
    title: str
    suite: Literal["contract", "scenario"]
    result: Result = "passed"
    seconds: float = 0.0
    """On the board's clock where that is known: virtual time counts."""
    findings: list[Finding] = field(default_factory=list)
    problem: str = ""
    """Why it failed or was skipped."""
    recording: Recording | None = None

    @property
    def failed_findings(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.passed]


@dataclass(slots=True)
class Ledger:
    """All tests of one run, and what was tested."""

    board: str
    ev: str
    connector: int
    hello: dict[str, Any]
    began_at: float = field(default_factory=time.time)
    lasted_s: float = 0.0
    entries: list[Entry] = field(default_factory=list)
    stopped: str = ""
    """Why the run ended before its end."""

    @property
    def counts(self) -> Counter[Result]:
        return Counter(entry.result for entry in self.entries)

    @property
    def has_failed(self) -> bool:
        return self.counts["failed"] > 0

    @property
    def identity(self) -> list[tuple[str, str]]:
        """What the board says of itself, in the order of the report."""
        hello, caps = self.hello, self.hello.get("caps", {})
        abilities = [f"{caps.get('min_a')} to {caps.get('max_a')} A", f"{caps.get('phases')} phases"]
        names = {
            "lock": "lock",
            "rcd": "RCD",
            "rcd_test": "RCD self-test",
            "vent": "ventilation",
            "wake": "wake-up",
        }
        abilities += [word for cap, word in names.items() if caps.get(cap)]
        abilities += [f"outputs: {', '.join(caps['aux'])}"] if caps.get("aux") else []
        rows = [
            ("Board", self.board),
            ("Hardware", str(hello.get("hw", "unknown"))),
            ("Unique id", str(hello.get("uid", "unknown"))),
            ("Firmware", str(hello.get("fw", "unknown"))),
            ("Protocol", ".".join(map(str, hello.get("proto", ["unknown"])))),
            ("Connector", f"{self.connector} of {hello.get('connectors', '?')}"),
            ("Can do", ", ".join(abilities)),
            ("EV", self.ev),
        ]
        if config_hash := hello.get("cfg_hash") or hello.get("cfg"):
            rows.insert(5, ("Config hash", str(config_hash)))
        return rows


class Account:
    """The live account on a terminal."""

    def __init__(self, screen: TextIO | None = None) -> None:
        self._screen = screen or sys.stdout
        self._has_colours = self._screen.isatty()
        self._heading = ""

    def say(self, text: str = "") -> None:
        self._screen.write(text + "\n")
        self._screen.flush()

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._has_colours else text

    def begin(self, entry: Entry, *, is_first: bool = False) -> None:
        self._heading = entry.title if entry.suite == "scenario" else ""
        if entry.suite == "contract" and is_first:
            self.say("\n" + self.paint("The contract of every board", "bold"))

    def tell(self, finding: Finding) -> None:
        self._head()
        mark = self.paint("ok  ", "passed") if finding.passed else self.paint("FAIL", "failed")
        limit = f"({finding.limit})" if finding.limit else ""
        text = f"{finding.step:>3}. {finding.text}" if finding.step else f"     {finding.text}"
        line = f"  {mark}{text:<{_TEXT_WIDTH}} {finding.measured:<{_MEASURED_WIDTH}} {limit}"
        self.say(line.rstrip())

    def _head(self) -> None:
        """Once a scenario has something to say, or has failed without a word."""
        if self._heading:
            self.say("\n" + self.paint(self._heading, "bold"))
            self._heading = ""

    def end(self, entry: Entry) -> None:
        word = self.paint(entry.result.upper(), entry.result)
        if entry.suite == "contract":
            marks = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}
            self.say(
                f"  {self.paint(marks[entry.result], entry.result)} {entry.title} ({entry.seconds:.1f} s)"
            )
            for finding in entry.findings:
                self.tell(finding)
        elif entry.result != "skipped":
            self._head()
            self.say(f"  {word} in {entry.seconds:.1f} s")
        elif self._heading:
            self.say(f"  {self.paint('skip', 'skipped')} {entry.title}: {entry.problem}")
        else:
            self.say(f"  {word}: {entry.problem}")
        if entry.result == "failed":
            self.say("".join(f"       {line}\n" for line in entry.problem.splitlines()[-12:]).rstrip())

    def close(self, ledger: Ledger, paths: list[str]) -> None:
        counts = ledger.counts
        total = ", ".join(f"{counts[result]} {result}" for result in ("passed", "failed", "skipped"))
        colour = "failed" if ledger.has_failed else "passed"
        self.say(f"\n{self.paint(total, colour)} in {ledger.lasted_s:.0f} s")
        for entry in ledger.entries:
            if entry.result == "failed":
                missed = "; ".join(
                    f"{finding.text} {finding.measured} ({finding.limit})"
                    for finding in entry.failed_findings
                )
                self.say(
                    f"  {self.paint('FAILED', 'failed')} {entry.title}: {missed or entry.problem.splitlines()[-1]}"
                )
        if ledger.stopped:
            self.say(f"  {ledger.stopped}")
        for path in paths:
            self.say(f"report: {path}")
