"""The rules that the tests are traced to: one TOML file beside this module per document (`ocpp16.toml`, `field.toml`).

A file gives its page, its sections with rules `[id, level, source, title]` (or names a CSV file that has them, and
gives the titles of the sections), the levels that must not stay open, and the reasons for rules that no test can show.
It knows no OCPP version; a new version is a new file.
Called by `page` and by the tests beside it.
"""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Rule:
    rule_id: str
    level: str
    source: str
    title: str


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    title: str
    page: str
    """Path of the generated page, relative to the repository."""
    sources: str
    """What the abbreviations in `Rule.source` stand for."""
    required: frozenset[str]
    """Levels of which every rule needs a test or a reason."""
    sections: tuple[Section, ...]
    reasons: Mapping[str, str]
    """Rule id -> why no test shows it."""
    hidden_if_open: frozenset[str] = frozenset()
    """Levels of rules that are none of ours: on the page when a test looks at them all the same."""
    is_complete: bool = True
    """False: open rules are shown, and fail no test yet."""
    incomplete_because: str = ""

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for section in self.sections for rule in section.rules)


def load(path: Path) -> Catalogue:
    """Raises KeyError or TypeError for a file that is not as described above."""
    content = _read(path)
    reasons = content.get("reasons", {})
    if isinstance(reasons, str):
        reasons = _read(path.with_name(reasons))
    return Catalogue(
        title=content["title"],
        page=content["page"],
        sources=content["sources"],
        required=frozenset(content["required"]),
        sections=_sections(content, path),
        reasons=reasons,
        hidden_if_open=frozenset(content.get("hidden_if_open", ())),
        is_complete=content.get("is_complete", True),
        incomplete_because=content.get("incomplete_because", ""),
    )


def _sections(content: Mapping[str, Any], path: Path) -> tuple[Section, ...]:
    if "sections" in content:
        return tuple(
            Section(section["title"], tuple(Rule(*rule) for rule in section["rules"]))
            for section in content["sections"]
        )
    rules: dict[str, list[Rule]] = {name: [] for name in content["titles"]}
    with path.with_name(content["rules"]).open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            rules[row["section"]].append(Rule(row["id"], row["level"], row["source"], ""))
    return tuple(Section(content["titles"][name], tuple(found)) for name, found in rules.items())


def catalogues() -> list[Catalogue]:
    """Every TOML file here that has a page."""
    return [load(path) for path in sorted(HERE.glob("*.toml")) if "page" in _read(path)]


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
