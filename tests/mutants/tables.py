"""The tables: `rules.toml` (safety rules, how each is removed, who notices) and `equivalent.toml` (what none can)."""

import tomllib
import types
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.trial import ROOT, TestId, path_of

FOLDER = Path(__file__).parent
RULES = FOLDER / "rules.toml"
EQUIVALENT = FOLDER / "equivalent.toml"


@dataclass(frozen=True, slots=True)
class Removal:
    """One edit that takes the rule away, and the tests that must all notice it."""

    file: str
    before: str
    after: str
    tests: tuple[TestId, ...]
    may_hang: bool

    @property
    def module(self) -> str:
        return module_of(self.file)

    def compile(self, root: Path = ROOT) -> types.CodeType:
        """The changed module. Raises ValueError if `before` is not in the file exactly once."""
        source = (root / "board" / self.file).read_text(encoding="utf-8")
        count = source.count(self.before)
        if count != 1:
            where = "is not in" if not count else f"stands {count} times in"
            raise ValueError(
                f"{self.before!r} {where} board/{self.file}; the rule has moved: bring rules.toml up to date"
            )
        return compile(source.replace(self.before, self.after), path_of(self.module), "exec")


@dataclass(frozen=True, slots=True)
class Rule:
    rule_id: str
    rule: str
    source: str
    removals: tuple[Removal, ...]


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Changes of one function that alter nothing that a rule forbids, and why."""

    file: str
    function: str
    changes: tuple[str, ...]
    reason: str

    def names(self) -> list[str]:
        """As `operators.Mutant.key`."""
        return [f"{module_of(self.file)} {self.function}: {change}" for change in self.changes]


def module_of(file: str) -> str:
    return "board." + file.removesuffix(".py").replace("/", ".")


def test_id(name: str) -> TestId:
    """`test_lock::test_name` or `test_lock::test_name[case]`, of tests/board."""
    module, _, function = name.partition("::")
    function, _, case = function.partition("[")
    return TestId(f"tests.board.{module}", function, case.removesuffix("]"))


def load_rules(path: Path = RULES) -> list[Rule]:
    """Raises ValueError for a row that lacks something or an id given twice."""
    rules = []
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["rule"]:
        removals = tuple(
            Removal(
                removal.get("file", row.get("file", "")),
                removal["from"],
                removal["to"],
                tuple(test_id(name) for name in removal.get("noticed_by", row.get("noticed_by", ()))),
                removal.get("may_hang", False),
            )
            for removal in row["removal"]
        )
        if not removals or not all(removal.tests and removal.file for removal in removals):
            raise ValueError(f"{row['id']}: every removal needs a file and a test that notices")
        rules.append(Rule(row["id"], row["rule"], row["source"], removals))
    ids = [rule.rule_id for rule in rules]
    twice = {rule_id for rule_id in ids if ids.count(rule_id) > 1}
    if twice:
        raise ValueError(f"ids given twice: {sorted(twice)}")
    return rules


def load_equivalents(path: Path = EQUIVALENT) -> list[Equivalent]:
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
    return [Equivalent(row["file"], row["function"], tuple(row["changes"]), row["reason"]) for row in rows]
