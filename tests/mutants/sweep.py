"""The systematic run: every change of the safety files against the board's tests, the likeliest tests first."""

import ast
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from tests.mutants.operators import Mutant, mutants
from tests.mutants.tables import load_equivalents, module_of
from tests.mutants.trial import ROOT, Outcome, TestId, Trial, Verdict, judge

SAFETY_FILES: dict[str, "set[str] | None"] = {
    "interlock.py": None,
    "residual.py": None,
    "faults.py": None,
    "latches.py": None,
    "lock.py": None,
    "pilot.py": None,
    "cable.py": None,
    "supply.py": None,
    "warmth.py": None,
    "wakeup.py": None,
    "limits.py": None,
    "connector.py": None,
    "link.py": None,
    "frames.py": None,
    "config.py": {"Config", "_narrowed"},
    "wire.py": {
        "_unpack",
        "unpack_json",
        "speaks_our_major",
        "FAULTS_LATCHED",
        "FAULTS_DERATE",
        "MAX_LEASE_MS",
        "MIN_LIMIT_DA",
        "EVENT_RESEND_MS",
        "EVENT_RING",
        "PULSE_MIN_MS",
        "PULSE_MAX_MS",
    },
    "app.py": {
        "Board.tick",
        "Board._finish_requests",
        "Board._release_outputs",
        "Board._handle",
        "Board._on_hello",
        "Board._on_setpoint",
        "Board._on_rcd_test",
        "Board._on_reboot",
        "Board._act_output",
    },
}
"""What is changed systematically: whole files, or these functions, classes and constants of them."""
NOT_CHANGED = {
    "__init__.py": "empty",
    "analog.py": "readings to volts; its tests are tables, and no rule stands here",
    "hw.py": "needs `machine`: tests/wasm_board and the rig run it",
    "hw_rp2.py": "needs the RP2040: the rig runs it",
    "light.py": "the status light",
    "main.py": "the loop; its rules are in rules.toml",
    "tunnel.py": "serial ports of card readers",
    "wiring.py": "checks a pin map before any pin is touched; its tests are tables",
}
_JUDGE_NO_BEHAVIOUR = {"test_package.py", "test_budgets.py", "test_reference_design.py"}


@dataclass(slots=True)
class Sweep:
    noticed: dict[str, str] = field(default_factory=dict)
    """Change to the test that noticed."""
    explained: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Cannot be imported: everything would notice."""
    bad: list[str] = field(default_factory=list)
    """Lines of what must not be: survived, hung, crashed, stale explanation."""

    def __str__(self) -> str:
        return (
            f"{len(self.noticed)} noticed, {len(self.explained)} explained, {len(self.broken)} cannot be imported, "
            f"{len(self.bad)} to look at"
        )


def board_tests() -> list[TestId]:
    """Every test function of tests/board that asks for nothing but its parameters."""
    found = []
    for path in sorted((ROOT / "tests/board").glob("test_*.py")):
        if path.name in _JUDGE_NO_BEHAVIOUR:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append(TestId(f"tests.board.{path.stem}", node.name))
    return found


class Suite:
    """The tests that pass on the unchanged firmware, quickest first, and what each of them calls.

    Raises RuntimeError if one fails."""

    def __init__(self, jobs: int) -> None:
        tests = {str(test): test for test in board_tests()}
        took_s: dict[str, float] = {}
        self._callers: dict[str, set[str]] = defaultdict(set)
        trials = (Trial(name, {}, (test,), watches_calls=True, cpu_s=200) for name, test in tests.items())
        for trial, outcome in judge(trials, jobs):
            if outcome.verdict is Verdict.CRASHED:  # it needs pytest
                continue
            if outcome.verdict is not Verdict.SURVIVED:
                raise RuntimeError(
                    f"{trial.key} fails on the unchanged firmware: {outcome.failed} {outcome.why}"
                )
            took_s.update(outcome.took_s)
            for function in outcome.called:
                self._callers[function].add(trial.key)
        self.tests = [tests[name] for name in sorted(took_s, key=lambda name: took_s[name])]

    def asked_about(self, mutant: Mutant) -> list[TestId]:
        """Every test for a constant; for a function those that call it."""
        if mutant.function.rpartition(".")[2].isupper() or mutant.function.endswith("__init__"):
            return self.tests
        callers = self._callers[f"{mutant.module} {mutant.function}"]
        return [test for test in self.tests if str(test) in callers]


def all_mutants(files: "list[str] | None" = None) -> Iterator[Mutant]:
    for file, only in SAFETY_FILES.items():
        if files is None or file in files:
            source = (ROOT / "board" / file).read_text(encoding="utf-8")
            yield from mutants(source, module_of(file), only)


class _Order:
    """Tests that have noticed a change of the same function come first, then the quick ones."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._killers: dict[tuple[str, str], list[str]] = defaultdict(list)

    def of(self, mutant: Mutant) -> list[TestId]:
        likely = [*self._killers[mutant.module, mutant.function], *self._killers[mutant.module, ""]]
        place = {name: nth for nth, name in enumerate(dict.fromkeys(likely))}
        return sorted(self._suite.asked_about(mutant), key=lambda test: place.get(str(test), len(place)))

    def noticed(self, mutant: Mutant, name: str) -> None:
        for key in ((mutant.module, mutant.function), (mutant.module, "")):
            killers = self._killers[key]
            if name in killers:
                killers.remove(name)
            killers.insert(0, name)


def run(
    files: "list[str] | None" = None, jobs: int = 2, only: str = "", say: Callable[[str], object] = print
) -> Sweep:
    """Judge every change, and say at once what must not be. `only`: those whose key holds this text."""
    sweep = Sweep()
    order = _Order(Suite(jobs))
    excused = {key for entry in load_equivalents() for key in entry.names()}
    found: dict[str, Mutant] = {}
    start = time.monotonic()

    def trials() -> Iterator[Trial]:
        for mutant in all_mutants(files):
            if only in mutant.key:
                found[mutant.key] = mutant
                yield Trial(mutant.key, {mutant.module: mutant.code}, order.of(mutant))

    def is_bad(line: str) -> None:
        sweep.bad.append(line)
        say(line)

    for count, (trial, outcome) in enumerate(judge(trials(), jobs), 1):
        _file(sweep, order, found[trial.key], outcome, trial.key in excused, is_bad)
        if count % 100 == 0:
            print(f"{count} changes, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    if not only:
        looked_at = {module_of(file) for file in SAFETY_FILES if files is None or file in files}
        gone = {key for key in excused if key.partition(" ")[0] in looked_at} - found.keys()
        for key in sorted(gone):
            is_bad(f"STALE     {key} (there is no such change any more)")
    return sweep


def _file(
    sweep: Sweep,
    order: _Order,
    mutant: Mutant,
    outcome: Outcome,
    is_excused: bool,
    is_bad: Callable[[str], None],
) -> None:
    key = mutant.key
    match outcome.verdict:
        case Verdict.NOTICED:
            test = next(iter(outcome.failed))
            order.noticed(mutant, test)
            sweep.noticed[key] = test
            if is_excused:
                is_bad(f"STALE     {key} (noticed by {test})")
        case Verdict.SURVIVED | Verdict.HUNG if is_excused:
            sweep.explained.append(key)
        case Verdict.SURVIVED | Verdict.HUNG | Verdict.CRASHED:
            is_bad(f"{outcome.verdict.upper():9} line {mutant.line} {key} {outcome.why}".rstrip())
        case Verdict.BROKEN:
            sweep.broken.append(key)
        case _:
            assert_never(outcome.verdict)
