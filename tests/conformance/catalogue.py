"""The rules that the tests are traced to: one TOML file beside this module per document (`ocpp16.toml`, `field.toml`).

A file gives its page, its sections with rules `[id, level, source, title]`, the levels that must not stay open, and the
reasons for rules that no test here can show. It knows no OCPP version; a new version is a new file.
Called by `page` and by the tests beside it.
"""

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

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for section in self.sections for rule in section.rules)


def load(path: Path) -> Catalogue:
    """Raises KeyError or TypeError for a file that is not as described above."""
    content = _read(path)
    reasons = content.get("reasons", {})
    if isinstance(reasons, str):
        reasons = _read(path.with_name(reasons))
    sections = tuple(
        Section(section["title"], tuple(Rule(*rule) for rule in section["rules"]))
        for section in content["sections"]
    )
    required = frozenset(content["required"])
    return Catalogue(content["title"], content["page"], content["sources"], required, sections, reasons)


def catalogues() -> list[Catalogue]:
    """Every TOML file here that has sections."""
    return [load(path) for path in sorted(HERE.glob("*.toml")) if "sections" in _read(path)]


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
