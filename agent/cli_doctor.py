"""`evse-agent doctor`: what is wrong with this station, and what to do about it. Parses, calls and prints.

The checks are in `agent/commissioning/`. Changes nothing. docs/commissioning.md.
"""

import logging
import shutil
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli_options import DEFAULT_CONFIG, config_option
from agent.exit_codes import ExitCode
from agent.printable import printable, printable_json

if TYPE_CHECKING:
    from agent.commissioning.doctor import Report
    from agent.commissioning.findings import Finding

MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "failure": ("FAILED", "red")}
MARK_WIDTH, SUBJECT_WIDTH = 7, 15
NARROWEST = 30
"""Folded into less, text is harder to read than lines that the terminal breaks."""


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Leave the network and the CSMS alone.")
@click.option("--json", "as_json", is_flag=True, help="All findings as JSON.")
def doctor(config_path: Path | None, offline: bool, as_json: bool) -> None:
    """Check board, meters, clock, certificates, CSMS and the rest, and say what to do.

    It changes nothing. A running agent is asked for what it owns."""
    import asyncio

    from agent.commissioning.doctor import examine
    from agent.commissioning.machine import Machine

    path = config_path or DEFAULT_CONFIG
    quiet = logging.NullHandler()  # what goes wrong is told as a finding
    logging.getLogger().addHandler(quiet)
    warnings.simplefilter("ignore")  # of libraries, on certificates that are none of ours
    try:
        report = asyncio.run(
            examine(
                path, Machine(), offline=offline, on_finding=lambda each: None if as_json else _print(each)
            )
        )
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
        sys.exit(ExitCode.FAILED)
    finally:
        logging.getLogger().removeHandler(quiet)
    if as_json:
        click.echo(report_json(report))
    else:
        click.echo(closing_words(report))
    sys.exit(ExitCode.OK if report.is_fine else ExitCode.FAILED)


def _print(finding: "Finding") -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    click.echo(finding_text(finding, width))


def finding_text(finding: "Finding", width: int = 0) -> str:
    """One aligned line; under a warning or a failure what to do. `width` folds them (0: as long as they are)."""
    mark, colour = MARKS[finding.verdict]
    indent = " " * (MARK_WIDTH + SUBJECT_WIDTH + 4)
    lines = _folded(printable(finding.found), width - len(indent)) + [
        ("-> " if number == 0 else "   ") + line
        for number, line in enumerate(_folded(printable(finding.advice), width - len(indent) - 3))
    ]
    head = f"{click.style(mark.ljust(MARK_WIDTH), fg=colour)}  {finding.subject.ljust(SUBJECT_WIDTH)}  {lines[0]}"
    return "\n".join([head, *(indent + line for line in lines[1:])])


def _folded(text: str, width: int) -> list[str]:
    if not text:
        return []
    return (
        [text]
        if width < NARROWEST
        else textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    )


def closing_words(report: "Report") -> str:
    from agent.commissioning.findings import failures, warnings

    failed, warned = len(failures(report.findings)), len(warnings(report.findings))
    first = report.first
    if first is None:
        return "\nAll is well."
    counts = " and ".join(
        f"{count} {name}{'s' * (count > 1)}"
        for count, name in ((failed, "problem"), (warned, "warning"))
        if count
    )
    what = f"  {first.subject}: {printable(first.found)}\n  -> {printable(first.advice)}"
    if failed:
        return f"\n{counts}. Do this first:\n{what}"
    return f"\nNo problem, {counts}. When you have time:\n{what}"


def report_json(report: "Report") -> str:
    first = report.first
    content = {
        "is_fine": report.is_fine,
        "is_agent_running": report.is_agent_running,
        "do_first": first.advice if first is not None else None,
        "findings": [
            {
                "subject": each.subject,
                "verdict": each.verdict,
                "found": each.found,
                "advice": each.advice or None,
            }
            for each in report.findings
        ],
    }
    return printable_json(content, indent=2)
