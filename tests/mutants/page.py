"""docs/board-rules.md: the safety rules with their tests, written from `rules.toml` (`make docs`)."""

from pathlib import Path

from tests.mutants.tables import Rule, load_rules
from tests.mutants.trial import ROOT

PAGE = ROOT / "docs/board-rules.md"
_HEAD = """# Safety rules of the I/O board

Written by `make docs` from `tests/mutants/rules.toml`; do not edit. Each rule is taken out of the firmware by a small
edit, in memory, and every test named here must fail then; `make test` does that for all of them. What
[board.md](board.md) says in words carries the same ids.

| id | rule | source | taken out of | noticed by |
|---|---|---|---|---|
"""


def text(rules: list[Rule]) -> str:
    return _HEAD + "".join(_row(rule) for rule in rules)


def _row(rule: Rule) -> str:
    files = dict.fromkeys(f"`{removal.file}`" for removal in rule.removals)
    tests = dict.fromkeys(f"`{test}`" for removal in rule.removals for test in removal.tests)
    return f"| {rule.rule_id} | {rule.rule} | {rule.source} | {', '.join(files)} | {', '.join(tests)} |\n"


def write(path: Path = PAGE) -> None:
    path.write_text(text(load_rules()), encoding="utf-8")


if __name__ == "__main__":
    write()
