"""Joins rules and markers into the generated pages (`make conformance`): rule, level, title, tests, state.

The page says where each rule is shown, never whether the test passes: that is pytest's word. Called from the command
line (`python -m tests.conformance`) and by the tests beside it, which fail on a stale page.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum, unique
from pathlib import Path

from tests.conformance.catalogue import Catalogue, Rule, Section

ROOT = Path(__file__).parents[2]


@unique
class State(StrEnum):
    TESTED = "tested"
    REASON = "reason"
    OPEN = "open"


Tests = Mapping[str, Sequence[str]]
"""Rule id -> tests."""


def state_of(rule: Rule, catalogue: Catalogue, tests: Tests) -> State:
    """A test counts more than a reason."""
    if tests.get(rule.rule_id):
        return State.TESTED
    return State.REASON if rule.rule_id in catalogue.reasons else State.OPEN


def open_rules(catalogue: Catalogue, tests: Tests) -> list[Rule]:
    return [
        rule
        for rule in catalogue.rules
        if state_of(rule, catalogue, tests) is State.OPEN and rule.level not in catalogue.hidden_if_open
    ]


def shown(catalogue: Catalogue, tests: Tests) -> list[Section]:
    """The sections with the rules that the page has."""
    return [
        Section(
            section.title,
            tuple(
                rule
                for rule in section.rules
                if rule.level not in catalogue.hidden_if_open
                or state_of(rule, catalogue, tests) is not State.OPEN
            ),
        )
        for section in catalogue.sections
    ]


def rendered(catalogue: Catalogue, tests: Tests) -> str:
    """The whole page as Markdown."""
    sections = shown(catalogue, tests)
    notice = [] if catalogue.is_complete else [f"**Not complete**: {catalogue.incomplete_because}.", ""]
    lines = [
        f"# Conformance: {catalogue.title}",
        "",
        "Written by `make conformance` from the markers of the tests; do not edit. **tested** = the tests named fail",
        "when the rule is broken; **reason** = why no test of ours shows it; **open** = neither. Paths: below `tests`.",
        "",
        *notice,
        catalogue.sources,
        "",
        *_summary(sections, catalogue, tests),
    ]
    for section in sections:
        lines += [
            f"## {section.title}",
            "",
            "| rule | level | source | title | state | tests or reason |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(rule, catalogue, tests) for rule in section.rules]
        lines.append("")
    return "\n".join(lines)


def _summary(sections: Sequence[Section], catalogue: Catalogue, tests: Tests) -> list[str]:
    every = [rule for section in sections for rule in section.rules]
    levels = [
        level
        for level in dict.fromkeys(rule.level for rule in every)
        if level not in catalogue.hidden_if_open
    ]
    lines = [
        f"| section | {' | '.join(State)} | {' | '.join(f'open {level}' for level in levels)} |",
        "|---" * (1 + len(State) + len(levels)) + "|",
    ]
    groups: list[tuple[str, Sequence[Rule]]] = [(section.title, section.rules) for section in sections]
    for title, rules in [*groups, ("**all**", every)]:
        states = Counter(state_of(rule, catalogue, tests) for rule in rules)
        left = Counter(rule.level for rule in rules if state_of(rule, catalogue, tests) is State.OPEN)
        cells = [title, *(str(states[state]) for state in State), *(str(left[level]) for level in levels)]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _row(rule: Rule, catalogue: Catalogue, tests: Tests) -> str:
    state = state_of(rule, catalogue, tests)
    match state:
        case State.TESTED:
            shown = "<br>".join(f"`{test}`" for test in tests[rule.rule_id])
        case State.REASON:
            shown = catalogue.reasons[rule.rule_id]
        case State.OPEN:
            shown = ""
    return f"| {rule.rule_id} | {rule.level} | {rule.source} | {rule.title} | {state} | {shown} |"


def write(catalogues: Iterable[Catalogue], tests: Tests, root: Path = ROOT) -> None:
    for catalogue in catalogues:
        (root / catalogue.page).write_text(rendered(catalogue, tests), encoding="utf-8")
