"""What goes onto the target: every file is in the package, and nothing in it that MicroPython has not."""

import ast
import json
from pathlib import Path

import pytest

import board
from board.app import FIRMWARE_VERSION

FOLDER = Path(board.__file__).parent
SOURCES = sorted(FOLDER.rglob("*.py"))
NAMES = [source.relative_to(FOLDER).as_posix() for source in SOURCES]
ON_THE_TARGET = {
    "array",
    "asyncio",
    "binascii",
    "gc",
    "io",
    "json",
    "logging",
    "micropython",
    "os",
    "select",
    "struct",
    "sys",
    "time",
}

TOUCHES_HARDWARE = {"hw.py": {"machine", "neopixel"}, "hw_rp2.py": {"machine", "rp2", "uctypes"}}


def _imports(tree: ast.Module) -> set[str]:
    """Top-level names of modules imported at run time; what stands under TYPE_CHECKING never runs."""
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        pending.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_only_modules_of_the_target_are_imported(source: Path) -> None:
    allowed = ON_THE_TARGET | {"board"} | TOUCHES_HARDWARE.get(source.name, set())
    assert _imports(ast.parse(source.read_text())) <= allowed


def test_the_package_holds_every_file_and_starts_with_main() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    installed = dict(package["urls"])
    assert installed.pop("main.py") == "main.py"
    assert installed == {f"board/{name}": name for name in NAMES if name != "main.py"}
    assert [name for name, _ in package["deps"]] == ["logging"]
    assert package["version"] == FIRMWARE_VERSION
