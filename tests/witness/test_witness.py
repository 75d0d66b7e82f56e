"""The witness is complete, and independent: every case of the tool is played, and nothing of the agent is imported."""

import ast
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
    assert cases == {rule_id for rule_id in collect(HERE).tests if rule_id.startswith("TC_")}


def test_nothing_of_the_agent_is_imported() -> None:
    found = set()
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    assert "ocpp" in found
    assert not found & OURS
