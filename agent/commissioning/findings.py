"""What a check of the doctor says: fine, a warning or a failure; what was found; what to do about it.

Pure values. A warning or a failure always comes with advice: one plain sentence that names the thing to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, or will, but somebody should know."""
    FAILURE = "failure"
    """The station cannot charge, bill or reach its CSMS because of this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    """What was looked at: "board", "meter 1", "certificate of the CSMS"."""
    verdict: Verdict
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        if bool(self.advice) is (self.verdict is Verdict.OK):
            raise ValueError(f"{self.subject}: advice goes with a warning or a failure, and only with them")


def ok(subject: str, found: str) -> Finding:
    return Finding(subject, Verdict.OK, found)


def warning(subject: str, found: str, advice: str) -> Finding:
    return Finding(subject, Verdict.WARNING, found, advice)


def failure(subject: str, found: str, advice: str) -> Finding:
    return Finding(subject, Verdict.FAILURE, found, advice)


def failures(findings: Iterable[Finding]) -> list[Finding]:
    return [each for each in findings if each.verdict is Verdict.FAILURE]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    return [each for each in findings if each.verdict is Verdict.WARNING]
