"""docs/ocpp-2.0.1.md names every action and every registration state."""

from pathlib import Path

import pytest

from agent.ocpp.frontend import Registration
from agent.ocpp.v201 import FRONT_END

PAGE = (Path(__file__).parents[3] / "docs" / "ocpp-2.0.1.md").read_text()


@pytest.mark.parametrize("action", sorted({*FRONT_END.routes, *FRONT_END.unsupported}))
def test_action_is_on_the_page(action: str) -> None:
    assert action in PAGE


@pytest.mark.parametrize("action", sorted(FRONT_END.routes))
def test_served_action_has_its_row(action: str) -> None:
    assert f"| {action} | {FRONT_END.routes[action].handler.__module__.split('.')[-1]} |" in PAGE


def test_every_registration_state_has_its_row() -> None:
    for registration in set(Registration) - {Registration.UNKNOWN}:
        assert f"| {registration} |" in PAGE
