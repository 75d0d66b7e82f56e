"""`python -m tests.mutants`: the table of rules, then the systematic changes. Exit code 1 if anything goes unnoticed.

`--rules` stops after the table; `--json` writes it for the tests; `--table FILE` takes another table. `FILE.py ...`
limits the systematic changes to those files of board/, `--only TEXT` to changes whose name holds the text.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from tests.mutants import rules, sweep
from tests.mutants.tables import RULES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--table", type=Path, default=RULES)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cpu", type=int, default=20, help="seconds for the tests of one removal")
    given = parser.parse_args()
    is_bad = False
    if not given.files and not given.only:
        findings = rules.check(given.table, jobs=given.jobs, cpu_s=given.cpu)
        if given.json:
            json.dump([asdict(finding) for finding in findings], sys.stdout)
            return 0
        is_bad = any(finding.problem for finding in findings)
        print(_table(findings))
    if not given.rules:
        swept = sweep.run(given.files or None, given.jobs, given.only)
        print(swept)
        is_bad = is_bad or bool(swept.bad)
    return 1 if is_bad else 0


def _table(findings: "list[rules.Finding]") -> str:
    width = max(len(finding.rule) for finding in findings)
    lines = []
    for finding in findings:
        said = f"NOT NOTICED  {finding.problem}" if finding.problem else ", ".join(finding.noticed_by)
        if finding.rule_id == "-":
            said = (
                f"NOT CLEAN  {finding.problem}"
                if finding.problem
                else f"{len(finding.noticed_by)} tests pass"
            )
        lines.append(f"{finding.rule_id:5} {finding.rule:{width}}  {said}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
