"""The scripted EV at the rig's board: one test per scenario of `scenarios.py`. Run by `python -m tests.rig`."""

from collections.abc import Callable

import pytest

from tests.helpers.board_rigs import Rig
from tests.rig.fixtures import *  # noqa: F403
from tests.rig.player import Player
from tests.rig.plugin import Run
from tests.rig.recording import Recorder
from tests.rig.script import Finding, Scenario


async def test_scenario(
    scenario: Scenario, rig: Rig, recorder: Recorder, run: Run, record_property: Callable[[str, object], None]
) -> None:
    lacking = sorted(scenario.needs - rig.can)
    if lacking:
        pytest.skip(f"this EV cannot do: {', '.join(lacking)}" if rig.can else "there is no EV")
    caps = run.ledger.hello["caps"]
    unlike = [name for name, value in scenario.caps.items() if bool(caps.get(name)) != value]
    if unlike:
        pytest.skip(f"not for this board: {', '.join(f'{name} = {caps.get(name)}' for name in unlike)}")
    assert run.entry is not None
    findings = run.entry.findings

    def tell(finding: Finding) -> None:
        findings.append(finding)
        run.account.tell(finding)
        limit = f" ({finding.limit})" if finding.limit else ""
        record_property(f"{finding.step}. {finding.text}", f"{finding.measured}{limit}")

    await Player(rig, recorder, tell).play(scenario)
    missed = [
        f"{finding.text}: {finding.measured} ({finding.limit})" for finding in findings if not finding.passed
    ]
    assert not missed, "\n".join(missed)
