"""The report: one HTML file with everything in it, for a screen, a phone or paper, light or dark.

It is well-formed XML, too, so that other programs may read it. Built from the ledger when the run is over.
"""

import platform
from datetime import datetime
from html import escape
from pathlib import Path

from agent.version import VERSION
from tests.rig.ledger import Entry, Ledger
from tests.rig.plot import draw
from tests.rig.script import Finding

WIDE = 880
NARROW = 360
STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def write(ledger: Ledger, path: Path) -> None:
    path.write_text(page(ledger), encoding="utf-8")


def page(ledger: Ledger) -> str:
    verdict = "failed" if ledger.has_failed else "passed"
    counts = ledger.counts
    title = f"Rig report: {ledger.hello.get('hw', 'board')} {verdict}"
    chips = "".join(
        f'<span class="chip {result}">{counts[result]} {result}</span>'
        for result in ("passed", "failed", "skipped")
        if counts[result]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f'<meta name="color-scheme" content="light dark"/><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="chips">{chips}</p>'
        f"{_identity(ledger)}{_failures(ledger)}{_tests(ledger)}{_sections(ledger)}"
        "</main></body></html>\n"
    )


def _identity(ledger: Ledger) -> str:
    began = datetime.fromtimestamp(ledger.began_at).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    rows = [
        *ledger.identity,
        ("Began", began),
        ("Lasted", f"{ledger.lasted_s:.0f} s"),
        ("Host", f"evse-agent {VERSION}, Python {platform.python_version()}, {platform.node()}"),
    ]
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="identity"><tbody>{cells}</tbody></table>'


def _failures(ledger: Ledger) -> str:
    failed = [entry for entry in ledger.entries if entry.result == "failed"]
    if not failed and not ledger.stopped:
        return ""
    stopped = f"<p>{escape(ledger.stopped)}</p>" if ledger.stopped else ""
    items = "".join(
        f'<li><a href="#{_anchor(entry)}">{escape(entry.title)}</a>: {escape(_why(entry))}</li>'
        for entry in failed
    )
    return f"<h2>What failed</h2><ul>{items}</ul>{stopped}"


def _why(entry: Entry) -> str:
    missed = [f"{_text(finding)} {finding.measured} ({finding.limit})" for finding in entry.failed_findings]
    return "; ".join(missed) or next(reversed(entry.problem.splitlines() or ["no reason given"]))


def _text(finding: Finding) -> str:
    return finding.text.rpartition(": ")[2]


def _tests(ledger: Ledger) -> str:
    rows = "".join(_row(entry) for entry in ledger.entries)
    return (
        "<h2>Tests</h2><table class='tests'><thead><tr><th>Result</th><th>Test</th>"
        f"<th class='number'>s</th><th>Measured (limit)</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(entry: Entry) -> str:
    name = escape(entry.title)
    if entry.suite == "scenario" and entry.result != "skipped":
        name = f'<a href="#{_anchor(entry)}">{name}</a>'
    elif entry.result != "skipped":
        name = f'<span id="{_anchor(entry)}">{name}</span>'
    return (
        f'<tr><td><span class="chip {entry.result}">{entry.result}</span></td><td>{name}</td>'
        f'<td class="number">{entry.seconds:.1f}</td><td>{_measured(entry)}</td></tr>'
    )


def _measured(entry: Entry) -> str:
    if entry.result == "failed":
        return escape(_why(entry))
    if entry.result == "skipped":
        return f'<span class="quiet">{escape(entry.problem)}</span>'
    figures = [finding for finding in entry.findings if finding.limit]
    # The contactor's times are what most readers come for; the rest stands behind a click.
    figures.sort(key=lambda finding: "contactor open" not in finding.text)
    if not figures:
        return ""
    lines = [escape(f"{_text(finding)} {finding.measured} ({finding.limit})") for finding in figures]
    if len(lines) == 1:
        return lines[0]
    rest = "".join(f"<li>{line}</li>" for line in lines[1:])
    more = f"<span class='quiet'>+{len(lines) - 1}</span>"
    return f"<details><summary>{lines[0]} {more}</summary><ul>{rest}</ul></details>"


def _anchor(entry: Entry) -> str:
    return "test-" + "".join(letter if letter.isalnum() else "-" for letter in entry.name)


def _sections(ledger: Ledger) -> str:
    scenarios = [entry for entry in ledger.entries if entry.suite == "scenario" and entry.result != "skipped"]
    contract = [entry for entry in ledger.entries if entry.suite == "contract" and entry.result == "failed"]
    parts = ["<h2>Recordings</h2>"] if scenarios or contract else []
    parts += [_section(entry) for entry in contract + scenarios]
    return "".join(parts)


def _section(entry: Entry) -> str:
    anchor = f' id="{_anchor(entry)}"' if entry.suite == "scenario" else ""
    head = f'<h3{anchor}>{escape(entry.title)} <span class="chip {entry.result}">{entry.result}</span></h3>'
    problem = f"<pre>{escape(entry.problem)}</pre>" if entry.result == "failed" else ""
    return f"<section>{head}{_drawing(entry)}{_steps(entry)}{problem}</section>"


def _drawing(entry: Entry) -> str:
    if entry.recording is None:
        return ""
    wide, narrow = draw(entry.recording, WIDE), draw(entry.recording, NARROW)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>' if wide else ""


def _steps(entry: Entry) -> str:
    if not entry.findings:
        return ""
    rows = []
    last = ""
    for finding in entry.findings:
        mark = "passed" if finding.passed else "failed"
        number = finding.step if finding.step != last else ""
        last = finding.step
        rows.append(
            f'<tr class="{mark}"><td class="number">{number}</td><td>{escape(finding.text)}</td>'
            f"<td>{escape(finding.measured)}</td><td>{escape(finding.limit)}</td>"
            f'<td><span class="mark-{mark}">{"ok" if finding.passed else "FAIL"}</span></td></tr>'
        )
    return (
        "<table class='steps'><thead><tr><th>Step</th><th>What</th><th>Measured</th><th>Limit</th><th></th></tr>"
        "</thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
