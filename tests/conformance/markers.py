"""Finds `@pytest.mark.req("R16-152", ...)` in test files without running them.

Markers count wherever pytest takes them from: on functions and classes, in `pytest.param(..., marks=...)` of a
parametrization, in a named list of such parameters, and in a module's `pytestmark`. What stands in a marker has to be
a literal, and every marker has to belong to a test; else it is reported as a problem. Called by `page`.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Markers:
    tests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Rule id -> tests as file::name, the file relative to `tests`, in the order found."""
    problems: list[str] = field(default_factory=list)


def collect(root: Path = TESTS) -> Markers:
    """All markers of the Python files below `root`."""
    markers = Markers()
    for path in sorted(root.rglob("*.py")):
        if "node_modules" not in path.parts:
            _File(path.relative_to(root).as_posix(), markers).read(path.read_text(encoding="utf-8"))
    return markers


class _File:
    def __init__(self, name: str, markers: Markers) -> None:
        self._name = name
        self._markers = markers
        self._named: dict[str, ast.expr] = {}
        self._used: set[ast.Call] = set()

    def read(self, text: str) -> None:
        tree = ast.parse(text)
        for target, value in _assignments(tree):
            self._named[target] = value
        functions = [test for test, _ in _tests(tree, ())]
        if "pytestmark" in self._named and functions:
            self._note(self._name, [self._named["pytestmark"]])
        for name, value in _class_marks(tree):
            self._note(f"{self._name}::{name}", [value])
        for function, decorators in _tests(tree, ()):
            self._note(f"{self._name}::{function.name}", decorators)
        for call in _marker_calls([tree]):
            if call not in self._used:
                self._markers.problems.append(f"{self._name}:{call.lineno}: a marker that belongs to no test")

    def _note(self, test: str, expressions: Iterable[ast.AST]) -> None:
        for call in self._calls(expressions, set()):
            self._used.add(call)
            for argument in call.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    self._markers.problems.append(f"{self._name}:{call.lineno}: an id that is no literal")
                elif test not in self._markers.tests[argument.value]:
                    self._markers.tests[argument.value].append(test)

    def _calls(self, expressions: Iterable[ast.AST], seen: set[str]) -> Iterator[ast.Call]:
        """The marker calls in these expressions and in the module's names that they use."""
        for expression in expressions:
            yield from _marker_calls([expression])
            for node in ast.walk(expression):
                if isinstance(node, ast.Name) and node.id in self._named and node.id not in seen:
                    yield from self._calls([self._named[node.id]], seen | {node.id})


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value
        ):
            yield statement.target.id, statement.value


def _class_marks(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """`TestThing.pytestmark = [...]`, as for the test case of a state machine."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr="pytestmark")], value=value):
                yield name, value


def _tests(
    scope: ast.Module | ast.ClassDef, outer: tuple[ast.expr, ...]
) -> Iterator[tuple[Function, tuple[ast.expr, ...]]]:
    """Every test function with its decorators and those of its classes."""
    for node in scope.body:
        if isinstance(node, ast.ClassDef):
            yield from _tests(node, (*outer, *node.decorator_list))
        elif isinstance(node, Function) and node.name.startswith("test"):
            yield node, (*outer, *node.decorator_list)


def _marker_calls(trees: Iterable[ast.AST]) -> Iterator[ast.Call]:
    """`pytest.mark.req(...)`, and `mark.req(...)` after an import of `mark`."""
    for tree in trees:
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="req", value=ast.Attribute(attr="mark"))):
                    yield node
                case ast.Call(func=ast.Attribute(attr="req", value=ast.Name(id="mark"))):
                    yield node
