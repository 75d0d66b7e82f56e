"""Where each key of a TOML text stands, so that a problem can name its line (tomllib gives none).

A light scan, not a second parser: it runs after tomllib accepted the text, so it may trust the grammar. Keys
inside inline tables and arrays have the line of the key that holds them. Called by `agent/config.py` only.
"""

import re
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""("hal", "meters", 0, "port"): indexes count the tables of an array of tables."""

_KEY_PART = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*",
    re.DOTALL,
)


class KeyLines:
    """Line numbers (from 1) by key path; a path that is not in the text has the line of its nearest parent."""

    def __init__(self, lines: Mapping[KeyPath, int]) -> None:
        self._lines = dict(lines)

    def line_of(self, path: KeyPath) -> int | None:
        while path:
            line = self._lines.get(path)
            if line is not None:
                return line
            path = path[:-1]
        return None


def scan(text: str) -> KeyLines:
    """Find the line of every key and table header of a valid TOML `text`."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    position, line = 0, 1
    while position < len(text):
        end = _end_of_statement(text, position)
        statement = text[position:end]
        stripped = statement.lstrip()
        first_line = line + statement[: len(statement) - len(stripped)].count("\n")
        if stripped.startswith("[["):
            table = _resolve(_split_key(stripped[2:]), counts)
            counts[table] = counts.get(table, -1) + 1
            table = (*table, counts[table])
            lines[table] = first_line
        elif stripped.startswith("["):
            table = _resolve(_split_key(stripped[1:]), counts)
            lines.setdefault(table, first_line)
        elif stripped and not stripped.startswith("#"):
            path = table
            for part in _split_key(stripped):
                path = (*path, part)
                lines.setdefault(path, first_line)
        line += statement.count("\n") + 1
        position = end + 1
    return KeyLines(lines)


def _end_of_statement(text: str, position: int) -> int:
    """The newline that ends the statement at `position`: not one within a string, comment, array or table."""
    depth = 0
    while position < len(text):
        char = text[position]
        if char in "\"'#":
            match = _STRING.match(text, position)
            position = match.end() if match else position + 1
            continue
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "\n" and depth <= 0:
            return position
        position += 1
    return position


def _split_key(text: str) -> list[str]:
    """The parts of the dotted key that `text` begins with, without their quotes."""
    parts: list[str] = []
    position = 0
    while match := _KEY_PART.match(text, position):
        part = match.group(1)
        parts.append(part[1:-1] if part[0] in "\"'" else part)
        position = match.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    return parts


def _resolve(parts: list[str], counts: Mapping[KeyPath, int]) -> KeyPath:
    """A header's path, with the index of the last table wherever a parent is an array of tables."""
    path: KeyPath = ()
    for number, part in enumerate(parts):
        path = (*path, part)
        if path in counts and number < len(parts) - 1:
            path = (*path, counts[path])
    return path
