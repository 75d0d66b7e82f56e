"""Every rule that must be kept has a test or a reason, and the pages say so."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.catalogue import Catalogue, Rule, Section, catalogues
from tests.conformance.markers import Markers, collect
from tests.conformance.page import ROOT, State, open_rules, rendered, state_of

CATALOGUES = catalogues()


@pytest.fixture(scope="module")
def markers() -> Markers:
    """Reading every test takes seconds: only for the tests that need it."""
    return collect()


by_page = pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda each: each.title)


@by_page
def test_no_required_rule_is_open(catalogue: Catalogue, markers: Markers) -> None:
    if not catalogue.is_complete:
        assert f"**Not complete**: {catalogue.incomplete_because}." in rendered(catalogue, markers.tests)
        return
    left = [rule.rule_id for rule in open_rules(catalogue, markers.tests) if rule.level in catalogue.required]
    assert not left, f"{len(left)} rules have neither test nor reason"


def test_every_marker_names_a_known_rule(markers: Markers) -> None:
    known = {rule.rule_id for catalogue in CATALOGUES for rule in catalogue.rules}
    assert not {rule_id: tests for rule_id, tests in markers.tests.items() if rule_id not in known}


def test_every_marker_is_literal_and_belongs_to_a_test(markers: Markers) -> None:
    assert not markers.problems


@by_page
def test_the_page_is_what_make_conformance_writes(catalogue: Catalogue, markers: Markers) -> None:
    page = (ROOT / catalogue.page).read_text(encoding="utf-8")
    is_current = page == rendered(catalogue, markers.tests)
    assert is_current, "run `make conformance`"


@by_page
def test_reasons_are_given_for_known_and_untested_rules_only(catalogue: Catalogue, markers: Markers) -> None:
    assert set(catalogue.reasons) <= {rule.rule_id for rule in catalogue.rules}
    tested = [rule_id for rule_id in catalogue.reasons if markers.tests.get(rule_id)]
    assert not tested, f"there is a test, so no reason is needed: {tested}"
    assert all(len(reason) >= 20 and "|" not in reason for reason in catalogue.reasons.values())


def test_the_catalogues_are_complete() -> None:
    ids = Counter(rule.rule_id for catalogue in CATALOGUES for rule in catalogue.rules)
    assert [rule_id for rule_id, times in ids.items() if times > 1] == []
    assert {f"R16-{number:03}" for number in range(1, 373)} <= set(ids)
    assert {f"FIELD-{number}" for number in range(1, 81)} <= set(ids)
    assert {f"TOLERATE-{number}" for number in range(1, 19)} <= set(ids)
    cases = Counter(
        catalogue.title for catalogue in CATALOGUES for rule in catalogue.rules if rule.rule_id[:3] == "TC_"
    )
    assert cases == {"OCPP 1.6-J": 102, "OCPP 2.0.1": 424}


# --- the tool itself -------------------------------------------------------------------------------------

EXAMPLE = """
import pytest
from pytest import mark

{marks}
CASES = [pytest.param(1, marks=pytest.mark.req("A-3")), 2]

@pytest.mark.req("A-1", "A-2")
def test_one(): ...

@pytest.mark.parametrize("x", CASES)
@pytest.mark.parametrize("y", [pytest.param(1, marks=[mark.req("A-4")])])
async def test_two(): ...

@pytest.mark.req("A-5")
class TestGroup:
    def test_three(self): ...

TestMachine = Machine.TestCase
TestMachine.pytestmark = [pytest.mark.req("A-8")]
"""


def test_markers_are_found_wherever_pytest_takes_them_from(tmp_path: Path) -> None:
    marks = 'pytestmark = [pytest.mark.asyncio, pytest.mark.req("A-6")]'
    (tmp_path / "test_it.py").write_text(EXAMPLE.format(marks=marks), encoding="utf-8")
    markers = collect(tmp_path)
    assert markers.problems == []
    assert markers.tests == {
        "A-1": ["test_it.py::test_one"],
        "A-2": ["test_it.py::test_one"],
        "A-3": ["test_it.py::test_two"],
        "A-4": ["test_it.py::test_two"],
        "A-5": ["test_it.py::test_three"],
        "A-6": ["test_it.py"],
        "A-8": ["test_it.py::TestMachine"],
    }


@pytest.mark.parametrize(
    "line",
    [
        'stray = pytest.mark.req("A-7")',
        '@pytest.mark.req("A-7")\ndef not_a_test(): ...',
        'NAME = "A-7"\n@pytest.mark.req(NAME)\ndef test_x(): ...',
    ],
)
def test_a_marker_that_nobody_can_trace_is_a_problem(tmp_path: Path, line: str) -> None:
    (tmp_path / "test_it.py").write_text(EXAMPLE.format(marks=line), encoding="utf-8")
    assert len(collect(tmp_path).problems) == 1


def test_a_rule_is_tested_or_reasoned_or_open_and_the_page_says_which() -> None:
    rules = tuple(Rule(f"A-{number}", level, "", "t") for number, level in enumerate("MMOM"))
    catalogue = Catalogue("x", "x.md", "", frozenset("M"), (Section("s", rules),), {"A-1": "because"})
    tests = {"A-0": ["test_it.py::test_one", "test_it.py::test_two"]}
    states = [state_of(rule, catalogue, tests) for rule in rules]
    assert states == [State.TESTED, State.REASON, State.OPEN, State.OPEN]
    assert [rule.rule_id for rule in open_rules(catalogue, tests)] == ["A-2", "A-3"]
    page = rendered(catalogue, tests)
    assert "| **all** | 1 | 1 | 2 | 1 | 1 |" in page
    assert "| A-0 | M |  | t | tested | `test_it.py::test_one`<br>`test_it.py::test_two` |" in page
    assert "| A-1 | M |  | t | reason | because |" in page


def test_a_catalogue_that_is_not_complete_says_why_and_hides_what_is_none_of_ours() -> None:
    rules = (Rule("A-0", "M", "", ""), Rule("A-1", "P", "", ""), Rule("A-2", "P", "", ""))
    catalogue = Catalogue(
        "x",
        "x.md",
        "",
        frozenset("M"),
        (Section("s", rules),),
        {},
        frozenset("P"),
        False,
        "half of it is there",
    )
    tests = {"A-2": ["test_it.py::test_two"]}
    page = rendered(catalogue, tests)
    assert "**Not complete**: half of it is there." in page
    assert "| **all** | 1 | 0 | 1 | 1 |" in page
    assert "A-1" not in page
    assert [rule.rule_id for rule in open_rules(catalogue, tests)] == ["A-0"]
