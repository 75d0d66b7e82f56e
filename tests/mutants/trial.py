"""One changed firmware in one forked process: which of the given tests notice?

The parent has pytest and hypothesis imported, but nothing of `board`: each child imports the firmware anew, with the
changed modules taken from memory, and calls the test functions itself. That takes tens of milliseconds, where a
pytest of its own would take a second. Tests that need a fixture or a loop are not for this runner.
"""

import asyncio  # noqa: F401  (imported here, so that not every child does it)
import gc
import importlib
import importlib.abc
import importlib.util
import inspect
import itertools
import json
import logging  # noqa: F401
import os
import resource
import signal
import sys
import time
import tomllib  # noqa: F401
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
_MEMORY = 3 << 30
_WALL_FACTOR = 6
_WHY_LENGTH = 160
_MOST_EXAMPLES = 20
"""Of a property, instead of its own number: what is noticed by luck only is not noticed."""
_NEEDS_MACHINE = {"board.main", "board.hw", "board.hw_rp2"}
"""Cannot be imported here without what a test pretends."""

hypothesis.settings.register_profile(
    "mutants",
    print_blob=False,
    database=None,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def path_of(module: str) -> str:
    """Changed or not, code says that it stands in its file: some tests look at frames."""
    return str(ROOT.joinpath(*module.split(".")).with_suffix(".py"))


class Verdict(StrEnum):
    NOTICED = "noticed"
    SURVIVED = "survived"
    BROKEN = "broken"
    """The changed firmware cannot even be imported: no test has been asked."""
    HUNG = "hung"
    """Out of its time or memory: nobody can say that a test would have noticed."""
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class TestId:
    """A function of a test module; `case`: only the one with this parameter id."""

    __test__ = False  # not a test class, whatever its name says
    module: str
    function: str
    case: str = ""

    def __str__(self) -> str:
        name = f"{self.module.rpartition('.')[2]}::{self.function}"
        return f"{name}[{self.case}]" if self.case else name


@dataclass(frozen=True, slots=True)
class Trial:
    """`changed`: module name to compiled module. `is_thorough`: ask every test, else stop at the first that fails."""

    key: str
    changed: dict[str, types.CodeType]
    tests: Sequence[TestId]
    is_thorough: bool = False
    cpu_s: int = 40
    watches_calls: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    failed: dict[str, str] = field(default_factory=dict)
    """Test to the first line of its failure."""
    took_s: dict[str, float] = field(default_factory=dict)
    why: str = ""
    called: list[str] = field(default_factory=list)
    """`board.module function` of all that the tests called, if the trial was to watch it."""


@cache
def _tree() -> dict[str, types.CodeType]:
    """The firmware, its tests and what these import of the helpers, compiled once for all children."""
    paths = [*(ROOT / "board").glob("*.py"), *(ROOT / "tests/board").glob("test_*.py")]
    paths += [ROOT / "tests/helpers" / name for name in ("board_bench.py", "fake_pins.py")]
    compiled = {}
    for path in paths:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.name != "__init__.py":
            compiled[name] = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    return compiled


class _Overlay(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the changed modules from memory, the others as they are in the tree."""

    def __init__(self, changed: dict[str, types.CodeType]) -> None:
        self._modules = {**_tree(), **changed}
        self._changed = changed
        self.problem = ""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        if fullname not in self._modules:
            return None
        file = ROOT.joinpath(*fullname.split(".")).with_suffix(".py")
        return importlib.util.spec_from_file_location(fullname, file, loader=self)

    def exec_module(self, module: types.ModuleType) -> None:
        try:
            exec(self._modules[module.__name__], module.__dict__)
        except Exception as error:
            if module.__name__ in self._changed:
                self.problem = f"{type(error).__name__}: {error}"
            raise


class NotForThisRunner(Exception):
    """The test needs pytest itself: a fixture, or a loop."""


def _axis(mark: Any) -> list[tuple[str, dict[str, object]]]:
    """(id, arguments) of each value of one parametrize mark; ids as pytest makes them for strings and `ids=str`."""
    names = mark.args[0]
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    ids = mark.kwargs.get("ids")
    axis = []
    for nth, given in enumerate(mark.args[1]):
        values = given.values if isinstance(given, type(pytest.param())) else given
        if len(names) == 1 and values is given:
            values = (given,)
        name = "-".join(map(ids or str, values)) if ids is None or callable(ids) else ids[nth]
        axis.append((name, dict(zip(names, values, strict=True))))
    return axis


def _cases(function: Callable[..., object], only: str) -> Iterator[dict[str, object]]:
    """The arguments of every case, or of the one called `only`."""
    marks = getattr(function, "pytestmark", [])
    axes = [_axis(mark) for mark in marks if mark.name == "parametrize"]
    known = {name for axis in axes for name in axis[0][1]}
    wanted = set(inspect.signature(function).parameters)
    if inspect.iscoroutinefunction(function) or wanted != known:
        raise NotForThisRunner(f"{function.__name__} needs {sorted(wanted - known) or 'a loop'}")
    found = False
    for picks in itertools.product(*axes):
        if not only or only == "-".join(name for name, _ in picks):
            found = True
            yield {name: value for _, pick in picks for name, value in pick.items()}
    if not found:
        raise NotForThisRunner(f"{function.__name__} has no case {only!r}")


def _ask(test: TestId) -> str:
    """Run all cases of one test; "" if they pass, else why the first one failed."""
    try:
        module = importlib.import_module(test.module)
    except Exception as error:  # its parameters already ask the firmware
        return f"cannot be collected: {type(error).__name__}: {error}"[:_WHY_LENGTH]
    function = getattr(module, test.function, None)
    if function is None:
        raise NotForThisRunner(f"{test.module} has no {test.function}")
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples > _MOST_EXAMPLES:
        function._hypothesis_internal_use_settings = hypothesis.settings(own, max_examples=_MOST_EXAMPLES)
    for case in _cases(function, test.case):
        try:
            function(**case)
        except (NotForThisRunner, KeyboardInterrupt, MemoryError):
            raise
        except pytest.skip.Exception:
            continue
        except BaseException as error:
            text = str(error).strip().splitlines() or [""]
            return f"{type(error).__name__}: {text[0]}"[:_WHY_LENGTH]
    return ""


def _run(trial: Trial) -> dict[str, object]:
    hypothesis.settings.load_profile("mutants")
    overlay = _Overlay(trial.changed)
    sys.meta_path.insert(0, overlay)
    try:
        for name in trial.changed.keys() - _NEEDS_MACHINE:
            importlib.import_module(name)
        importlib.import_module("board.app")
    except Exception as error:
        return {"verdict": Verdict.BROKEN, "why": f"{type(error).__name__}: {error}"}
    failed: dict[str, str] = {}
    took_s: dict[str, float] = {}
    called: set[types.CodeType] = set()
    if trial.watches_calls:
        sys.setprofile(lambda frame, event, _: called.add(frame.f_code) if event == "call" else None)
    try:
        for test in trial.tests:
            start = time.process_time()
            try:
                why = _ask(test)
            except NotForThisRunner as error:
                return {"verdict": Verdict.CRASHED, "why": f"{test}: {error}"}
            took_s[str(test)] = time.process_time() - start
            if why:
                failed[str(test)] = why
                if not trial.is_thorough:
                    break
    except MemoryError:
        return {"verdict": Verdict.HUNG, "failed": failed, "why": "out of memory"}
    sys.setprofile(None)
    if overlay.problem:
        return {"verdict": Verdict.BROKEN, "why": overlay.problem}
    names = sorted({name for name in map(_board_function, called) if name})
    verdict = Verdict.NOTICED if failed else Verdict.SURVIVED
    return {"verdict": verdict, "failed": failed, "took_s": took_s, "called": names}


def _board_function(code: types.CodeType) -> str:
    path = Path(code.co_filename)
    if path.parent.name != "board" or path.parent.parent.name == "tests":
        return ""
    return f"board.{path.stem} {code.co_qualname.replace('.<locals>', '')}"


def _child(trial: Trial, pipe: int) -> None:
    """Never returns."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (trial.cpu_s, trial.cpu_s + 1))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        signal.alarm(trial.cpu_s * _WALL_FACTOR)
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silent, descriptor)
        with os.fdopen(pipe, "w") as out:
            json.dump(_run(trial), out)
    finally:
        os._exit(0)


@hypothesis.settings(database=None, max_examples=2)
@hypothesis.given(st.lists(st.binary()), st.floats())
def _warm_up(_some: object, _number: float) -> None:
    """Hypothesis imports much at its first use: once here instead of in every child."""


def judge(trials: Iterable[Trial], jobs: int = 1) -> Iterator[tuple[Trial, Outcome]]:
    """Run the trials, `jobs` at a time, each in its own process; the order of the answers is that of their ends."""
    if any(name == "board" or name.startswith("board.") for name in sys.modules):
        raise RuntimeError("the firmware is imported already; children would inherit the unchanged one")
    _warm_up()
    _tree()
    pending = iter(trials)
    running: dict[int, tuple[Trial, int]] = {}
    gc.freeze()
    while True:
        while len(running) < jobs and (trial := next(pending, None)) is not None:
            reader, writer = os.pipe()
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                os.close(reader)
                _child(trial, writer)
            os.close(writer)
            running[pid] = (trial, reader)
        if not running:
            return
        pid, status = os.wait()
        trial, reader = running.pop(pid)
        with os.fdopen(reader) as pipe:
            answer = pipe.read()
        if os.WIFSIGNALED(status):
            by = os.WTERMSIG(status)
            timed_out = by in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL)
            verdict = Verdict.HUNG if timed_out else Verdict.CRASHED
            yield trial, Outcome(verdict, why=f"ended by {signal.Signals(by).name}")
        elif not answer:
            yield trial, Outcome(Verdict.CRASHED, why="no answer")
        else:
            fields = json.loads(answer)
            yield trial, Outcome(Verdict(fields.pop("verdict")), **fields)
