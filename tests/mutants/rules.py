"""The table of rules against the firmware: each removal must be noticed by every test that its row names."""

from dataclasses import dataclass
from pathlib import Path

from tests.mutants.tables import Removal, Rule, load_rules
from tests.mutants.trial import ROOT, TestId, Trial, Verdict, judge

UNCHANGED = "the unchanged firmware"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one rule. `problem` is "" when every removal was noticed by every test named."""

    rule_id: str
    rule: str
    problem: str
    noticed_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.rule}: {self.problem or 'noticed by ' + ', '.join(self.noticed_by)}"


def check(path: Path, jobs: int = 1, cpu_s: int = 20) -> list[Finding]:
    """One finding for each rule, and one for the unchanged firmware, whose tests must all pass.

    `cpu_s`: so much for the tests of one removal."""
    rules = load_rules(path)
    problems: dict[str, list[str]] = {rule.rule_id: [] for rule in rules}
    noticed: dict[str, list[str]] = {rule.rule_id: [] for rule in rules}
    trials: list[Trial] = [_unchanged(rules, cpu_s)]
    removals: dict[str, tuple[Rule, Removal]] = {}
    for rule in rules:
        for nth, removal in enumerate(rule.removals, 1):
            key = f"{rule.rule_id}/{nth}"
            try:
                code = removal.compile(ROOT)
            except (ValueError, SyntaxError, OSError) as error:
                problems[rule.rule_id].append(f"the table is wrong: {error}")
                continue
            removals[key] = rule, removal
            trials.append(Trial(key, {removal.module: code}, removal.tests, True, cpu_s))
    findings = []
    for trial, outcome in judge(trials, jobs):
        if trial.key == UNCHANGED:
            passed = outcome.verdict is Verdict.SURVIVED
            why = "" if passed else f"{outcome.verdict}: {outcome.failed or outcome.why}"
            findings.append(Finding("-", UNCHANGED, why, tuple(outcome.took_s)))
            continue
        rule, removal = removals[trial.key]
        noticed[rule.rule_id] += [name for name in outcome.failed if name not in noticed[rule.rule_id]]
        problem = _problem(removal, outcome.verdict, outcome.failed, outcome.why)
        if problem:
            problems[rule.rule_id].append(f"{removal.before!r} -> {removal.after!r}: {problem}")
    for rule in rules:
        problem = "; ".join(problems[rule.rule_id])
        findings.append(Finding(rule.rule_id, rule.rule, problem, tuple(noticed[rule.rule_id])))
    return findings


def _unchanged(rules: list[Rule], cpu_s: int) -> Trial:
    tests: dict[TestId, None] = {}
    for rule in rules:
        for removal in rule.removals:
            tests.update(dict.fromkeys(removal.tests))
    return Trial(UNCHANGED, {}, tuple(tests), True, cpu_s)


def _problem(removal: Removal, verdict: Verdict, failed: dict[str, str], why: str) -> str:
    if verdict is Verdict.HUNG and removal.may_hang:
        return ""
    if verdict in (Verdict.BROKEN, Verdict.CRASHED, Verdict.HUNG):
        return f"{verdict}, no test has judged it ({why}): the table is wrong"
    blind = [str(test) for test in removal.tests if str(test) not in failed]
    return f"not noticed by {', '.join(blind)}" if blind else ""
