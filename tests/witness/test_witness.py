"""The witness is complete, and independent: every case of the tool is played, and nothing of the agent is imported."""

import ast
import csv
import tomllib
from pathlib import Path

from tests.conformance.markers import collect

HERE = Path(__file__).parent
RULES = HERE.parent / "conformance" / "ocpp16.toml"
OURS = {"agent", "hal", "board"}


def test_every_case_of_the_tool_is_played() -> None:
    sections = tomllib.loads(RULES.read_text())["sections"]
    cases = {rule[0] for section in sections for rule in section["rules"] if rule[0].startswith("TC_")}
    assert len(cases) == 102
    marked = collect(HERE).tests
    assert cases == {rule_id for rule_id in marked if any("v201/" not in test for test in marked[rule_id])}


def test_the_core_of_2_0_1_is_played() -> None:
    """Not here, because other tests show them: bad TLS servers, secure firmware updates, two CSMSs at once."""
    rows = csv.DictReader((HERE.parent / "conformance" / "ocpp201.csv").read_text().splitlines())
    known = {row["id"] for row in rows if row["id"].startswith("TC_")}
    played = {rule_id for rule_id in collect(HERE / "v201").tests if rule_id.startswith("TC_")}
    assert played <= known
    assert len(played) > 130
    assert {rule_id[3] for rule_id in played} == set("ABCDEFGJKMNP"), "functional blocks"


def test_nothing_of_the_agent_is_imported() -> None:
    found = set()
    for path in HERE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    assert "ocpp" in found
    assert not found & OURS
