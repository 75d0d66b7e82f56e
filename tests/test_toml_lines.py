"""Every key of a TOML text is found on the line where it stands."""

import tomllib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from agent.toml_lines import KeyPath, scan

TEXT = '''# a comment with "quotes" and [brackets]
top = 1

[first]
plain = "a # no comment"
"quoted key" = """several
lines = with
= signs"""
list = [
  1, # one
  [2, 3],
]
after = true
dotted.inner.key = 'x'
inline = { a = 1, b = "}" }

[[tables]]
name = "one"
[[tables]]
name = "two"
[tables.child]
deep = 1
[[tables.grandchildren]]
x = 1
'''


def test_every_key_has_the_line_on_which_it_stands() -> None:
    lines = scan(TEXT)
    expected: dict[KeyPath, int] = {
        ("top",): 2,
        ("first",): 4,
        ("first", "plain"): 5,
        ("first", "quoted key"): 6,
        ("first", "list"): 9,
        ("first", "after"): 13,
        ("first", "dotted", "inner", "key"): 14,
        ("first", "inline"): 15,
        ("tables", 0): 17,
        ("tables", 0, "name"): 18,
        ("tables", 1, "name"): 20,
        ("tables", 1, "child", "deep"): 22,
        ("tables", 1, "grandchildren", 0, "x"): 24,
    }
    assert {path: lines.line_of(path) for path in expected} == expected


def test_a_key_that_is_not_there_has_the_line_of_its_nearest_parent() -> None:
    lines = scan(TEXT)
    assert lines.line_of(("first", "missing")) == 4
    assert lines.line_of(("first", "inline", "a")) == 15
    assert lines.line_of(("nowhere",)) is None


_names = st.text("abcXYZ09_-", min_size=1, max_size=6)
_values = st.sampled_from(
    ["1", '"text"', "'# no comment'", "[1, 2]", '"""a\n=\n"""', "{ x = 1 }", "true # c"]
)


@st.composite
def _documents(draw: st.DrawFn) -> str:
    tables = draw(st.lists(_names, min_size=1, max_size=4, unique=True))
    parts = []
    for table in tables:
        parts.append(f"[{table}]")
        for key in draw(st.lists(_names, max_size=4, unique=True)):
            parts.append(f"{key} = {draw(_values)}")
        parts.extend([""] * draw(st.integers(0, 2)))
    return "\n".join(parts)


def _paths(table: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(table, dict):
        for name, value in table.items():
            yield (*path, name)
            if len(path) == 0:
                yield from _paths(value, (*path, name))


@given(_documents())
def test_the_line_of_each_key_holds_that_key(text: str) -> None:
    lines = scan(text)
    rows = text.split("\n")
    for path in _paths(tomllib.loads(text)):
        line = lines.line_of(path)
        assert line is not None
        wanted = f"[{path[0]}]" if len(path) == 1 else f"{path[-1]} ="
        assert rows[line - 1].startswith(wanted)
