"""Every safety rule of the firmware has a test that notices its removal; and the tool that says so can fail.

The rules are taken out in a process of their own (`python -m tests.mutants --rules`), because this one has the
firmware imported already.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.mutants.operators import mutants
from tests.mutants.page import PAGE, text
from tests.mutants.sweep import NOT_CHANGED, SAFETY_FILES
from tests.mutants.tables import RULES, load_equivalents, load_rules, module_of
from tests.mutants.trial import ROOT

pytestmark = pytest.mark.xdist_group("mutants")
_RULES = load_rules()
_BOARD_PAGE = ROOT / "docs/board.md"


def _check(table: Path, cpu_s: int = 20) -> Mapping[str, dict[str, str]]:
    """Findings by rule id; "-" is the unchanged firmware."""
    options = ["--rules", "--json", "--jobs", "1", "--table", str(table), "--cpu", str(cpu_s)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {finding["rule_id"]: finding for finding in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def findings() -> Mapping[str, dict[str, str]]:
    return _check(RULES)


def test_the_named_tests_pass_on_the_unchanged_firmware(findings: Mapping[str, dict[str, str]]) -> None:
    assert findings["-"]["problem"] == ""


@pytest.mark.parametrize("rule", _RULES, ids=[rule.rule_id for rule in _RULES])
def test_the_removal_of_a_rule_is_noticed(rule: object, findings: Mapping[str, dict[str, str]]) -> None:
    finding = findings[rule.rule_id]  # type: ignore[attr-defined]
    assert finding["problem"] == "", f"{finding['rule_id']} {finding['rule']}: {finding['problem']}"


def test_the_page_of_rules_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == text(_RULES), "run `make docs`"


def test_the_board_page_names_every_rule_and_no_other() -> None:
    named = set(re.findall(r"\bB-\d+\b", _BOARD_PAGE.read_text(encoding="utf-8")))
    assert named == {rule.rule_id for rule in _RULES}


def test_every_explained_change_has_its_reason_once() -> None:
    keys = [key for entry in load_equivalents() for key in entry.names()]
    assert len(keys) == len(set(keys))
    assert all(len(entry.reason) > 20 for entry in load_equivalents())


_ROW = """
[[rule]]
id = "{nth}"
rule = "{what}"
source = "-"
file = "{file}"
noticed_by = ["test_interlock::test_stays_open_in_b"]
removal = [{{ from = '''{before}''', to = '''{after}''' }}]
"""
_STEP = "        power_state = pilot == PILOT_C"
_BLIND = "not noticed by test_interlock::test_stays_open_in_b"
_ODD_ROWS = {
    "closes in any state": ("interlock.py", _STEP, "        power_state = True or pilot == PILOT_C", ""),
    "nothing is changed": ("interlock.py", _STEP, _STEP, _BLIND),
    "not what the test sees": ("interlock.py", "= const(6000)", "= const(6001)", _BLIND),
    "a comment": ("interlock.py", "May the contactor be closed?", "May it?", _BLIND),
    "does not compile": ("interlock.py", _STEP, "        power_state = = ", "the table is wrong"),
    "cannot be imported": ("interlock.py", "class Lease:", "class Lease(Nothing):", "the table is wrong"),
    "has moved": ("interlock.py", "pilot in POWER_STATES", "pass", "is not in board/interlock.py"),
    "stands twice": ("interlock.py", "self._forced_at = -1", "pass", "times in board/interlock.py"),
    "hangs": ("interlock.py", _STEP, "        while True: pass\n" + _STEP, "hung, no test has judged it"),
    "no such file": ("nothing.py", "a", "b", "the table is wrong"),
}


@pytest.fixture(scope="module")
def odd_findings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, str]]:
    """A table of rows that the tool must judge as `_ODD_ROWS` says."""
    table = tmp_path_factory.mktemp("mutants") / "rules.toml"
    rows = [
        _ROW.format(nth=f"X-{nth}", what=what, file=row[0], before=row[1], after=row[2])
        for nth, (what, row) in enumerate(_ODD_ROWS.items())
    ]
    table.write_text("".join(rows))
    return {finding["rule"]: finding for finding in _check(table, cpu_s=2).values()}


@pytest.mark.parametrize("what", _ODD_ROWS)
def test_the_tool_itself_can_fail(what: str, odd_findings: Mapping[str, dict[str, str]]) -> None:
    problem, found = _ODD_ROWS[what][3], odd_findings[what]["problem"]
    assert problem in found if problem else found == ""


def test_a_row_without_a_test_that_notices_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "rules.toml"
    table.write_text('[[rule]]\nid = "X-1"\nrule = ""\nsource = ""\nremoval = [{ from = "a", to = "b" }]')
    with pytest.raises(ValueError, match="every removal needs"):
        load_rules(table)


_SOURCE = """
LIMIT_MS = const(100)
class Rule:
    def may(self, a, b):
        if a > LIMIT_MS and not b:
            self.count += 1
            return True
        return min(a, 7) == 7 or b
    def due_in(self, a):
        return a > 3
"""


def test_systematic_changes_leave_no_term_comparison_number_or_statement_out() -> None:
    found = {mutant.change for mutant in mutants(_SOURCE, "board.rule")}
    assert found == {
        "LIMIT_MS = const(100) => LIMIT_MS = const(200)",
        "LIMIT_MS = const(100) => LIMIT_MS = const(0)",
        "if a > LIMIT_MS and (not b) => if True",
        "if a > LIMIT_MS and (not b) => if False",
        "a > LIMIT_MS and (not b) => a > LIMIT_MS or not b",
        "a > LIMIT_MS and (not b) => a > LIMIT_MS",
        "a > LIMIT_MS and (not b) => not b",
        "a > LIMIT_MS => a >= LIMIT_MS",
        "a > LIMIT_MS => a <= LIMIT_MS",
        "not b => b",
        "self.count += 1 => self.count -= 1",
        "self.count += 1 => pass",
        "True => False",
        "return min(a, 7) == 7 or b => return True",
        "return min(a, 7) == 7 or b => return False",
        "min(a, 7) == 7 or b => min(a, 7) == 7 and b",
        "min(a, 7) == 7 or b => min(a, 7) == 7",
        "min(a, 7) == 7 or b => b",
        "min(a, 7) == 7 => min(a, 7) != 7",
        "min(a, 7) => a",
        "min(a, 7) => 7",
        "return min(a, 7) == 7 or b => return min(a, 14) == 7 or b",
        "return min(a, 7) == 7 or b => return min(a, 0) == 7 or b",
        "return min(a, 7) == 7 or b => return min(a, 7) == 14 or b",
        "return min(a, 7) == 7 or b => return min(a, 7) == 0 or b",
    }


def test_every_systematic_change_has_a_name_of_its_own() -> None:
    for file, only in SAFETY_FILES.items():
        source = (ROOT / "board" / file).read_text(encoding="utf-8")
        keys = [mutant.key for mutant in mutants(source, module_of(file), only)]
        assert len(keys) == len(set(keys)), file


def test_every_firmware_file_is_changed_systematically_or_has_a_reason() -> None:
    files = {path.name for path in (ROOT / "board").glob("*.py")}
    assert files == SAFETY_FILES.keys() | NOT_CHANGED.keys()
