"""Systematic changes to a firmware file, one at a time, as compiled modules.

Comparisons are shifted and turned round, conditions forced, terms of `and` and `or` dropped, `not` removed, truth
values turned round, numbers and times doubled and set to 0, signs of sums turned round, statements left out. What a
change is called does not name a line, so that `equivalent.toml` holds while code moves.
"""

import ast
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.mutants.trial import path_of

NOT_FOR_SAFETY = {"next_due_ms", "__slots__"}
"""`next_due_ms` and every `due_in` serve simulators that skip idle ticks."""

_SHIFT: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """`key` names it for good; `line` is where it stands today."""

    module: str
    function: str
    before: str
    after: str
    nth: int
    line: int
    code: types.CodeType

    @property
    def change(self) -> str:
        again = f" #{self.nth}" if self.nth > 1 else ""
        return f"{self.before} => {self.after}{again}"

    @property
    def key(self) -> str:
        return f"{self.module} {self.function}: {self.change}"


@dataclass(frozen=True, slots=True)
class _Site:
    """Somewhere a node can be exchanged: `put` sets what stands there."""

    function: str
    node: ast.AST
    put: Callable[[ast.AST], None]


def _sites(tree: ast.Module) -> Iterator[_Site]:
    """Every node below the functions, and below the constants of the module and its classes."""
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        parent, function = pending.pop()
        for name, value in ast.iter_fields(parent):
            children = value if isinstance(value, list) else [value]
            for index, child in enumerate(children):
                if not isinstance(child, ast.AST) or name in ("decorator_list", "annotation", "returns"):
                    continue
                if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                    continue
                inner = function
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    inner = f"{function}.{child.name}" if function else child.name
                    if child.name in NOT_FOR_SAFETY or child.name.endswith("due_in"):
                        continue

                yield _Site(function, child, _putter(parent, name, index))
                pending.append((child, inner))


def _putter(parent: ast.AST, name: str, index: int) -> Callable[[ast.AST], None]:
    def put(new: ast.AST) -> None:
        value = getattr(parent, name)
        if isinstance(value, list):
            value[index] = new
        else:
            setattr(parent, name, new)

    return put


def _expressions(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(what is shown as before, what stands there instead) for one expression."""
    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                for other in _SHIFT[type(operator)]:
                    operators = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                    yield node, ast.Compare(node.left, operators, node.comparators)
        case ast.BoolOp(op=operator, values=terms):
            other_op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield node, ast.BoolOp(other_op, terms)
            for i in range(len(terms)):
                left = [*terms[:i], *terms[i + 1 :]]
                yield node, left[0] if len(left) == 1 else ast.BoolOp(operator, left)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, operand
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            yield node, operand
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
            if not isinstance(left, ast.Constant) or not isinstance(left.value, str | bytes):
                yield node, ast.BinOp(left, _ARITHMETIC[type(operator)](), right)
        case ast.Constant(value=bool() as value):
            yield node, ast.Constant(not value)
        case ast.IfExp(test=_, body=body, orelse=orelse):
            yield node, body
            yield node, orelse
        case ast.Call(func=ast.Name(id="min" | "max"), args=terms) if len(terms) > 1:
            for i in range(len(terms)):
                left = [*terms[:i], *terms[i + 1 :]]
                yield node, left[0] if len(left) == 1 else ast.Call(node.func, left, [])


def _statements(node: ast.AST, function: str) -> Iterator[tuple[ast.AST, ast.AST]]:
    match node:
        case ast.If(test=test):
            yield test, ast.If(ast.Constant(True), node.body, node.orelse)
            yield test, ast.If(ast.Constant(False), node.body, node.orelse)
        case ast.While(test=test) if not isinstance(test, ast.Constant):
            yield test, ast.While(ast.Constant(False), node.body, node.orelse)
        case ast.AugAssign(target=target, op=operator, value=value) if type(operator) in _ARITHMETIC:
            yield node, ast.AugAssign(target, _ARITHMETIC[type(operator)](), value)
    if not function or function.endswith("__init__"):
        return
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Continue | ast.Break) and not is_text:
        yield node, ast.Pass()
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Compare | ast.BoolOp):
        yield node, ast.Return(ast.Constant(True))
        yield node, ast.Return(ast.Constant(False))


def _changes(site: _Site) -> Iterator[tuple[str, str, ast.AST]]:
    """(before, after, the new node)"""
    for before, new in _expressions(site.node):
        yield ast.unparse(before), ast.unparse(new), new
    for before, new in _statements(site.node, site.function):
        if isinstance(new, ast.If | ast.While):
            yield f"if {ast.unparse(before)}", f"if {ast.unparse(new.test)}", new
        else:
            yield ast.unparse(before), ast.unparse(new), new


def _constants(site: _Site) -> Iterator[tuple[str, str, ast.AST]]:
    """Numbers, shown with the statement that they stand in, because a bare 150 says nothing."""
    shown: ast.AST
    match site.node:
        case ast.If(test=test) | ast.While(test=test):
            shown = test
        case ast.stmt() if not hasattr(site.node, "body"):
            shown = site.node
        case _:
            return
    for node in ast.walk(shown):
        match node:
            case ast.Constant(value=int() as value) if type(value) is int and value > 1:
                before = ast.unparse(shown)
                for other in (value * 2, 0):
                    node.value = other
                    yield before, ast.unparse(shown), site.node
                node.value = value


def mutants(source: str, module: str, only: "set[str] | None" = None) -> Iterator[Mutant]:
    """Every change of `source`, compiled. `only`: these functions, classes and constants of the module."""
    tree = ast.parse(source)
    seen: Counter[tuple[str, str, str]] = Counter()
    for site in sorted(_sites(tree), key=_where):
        name = site.function
        if isinstance(site.node, ast.Assign) and not name.rpartition(".")[2].islower():
            name = ast.unparse(site.node.targets[0])
        top = name.partition(".")[0]
        if not name or top in NOT_FOR_SAFETY or (only is not None and top not in only and name not in only):
            continue
        for changes in (_changes, _constants):
            for before, after, new in changes(site):
                yield _mutant(tree, site, (module, name, before, after), new, seen)


def _where(site: _Site) -> tuple[int, int]:
    return getattr(site.node, "lineno", 0), getattr(site.node, "col_offset", 0)


def _mutant(
    tree: ast.Module,
    site: _Site,
    names: tuple[str, str, str, str],
    new: ast.AST,
    seen: Counter[tuple[str, str, str]],
) -> Mutant:
    module, function, before, after = names
    seen[function, before, after] += 1
    site.put(ast.fix_missing_locations(ast.copy_location(new, site.node)))
    try:
        code = compile(tree, path_of(module), "exec")
    finally:
        site.put(site.node)
    line = getattr(site.node, "lineno", 0)
    nth = seen[function, before, after]
    return Mutant(module, function, " ".join(before.split()), " ".join(after.split()), nth, line, code)
