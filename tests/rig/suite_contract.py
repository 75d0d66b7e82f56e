"""The contract of every board (tests/contract/board_contract.py) on the rig's board. Run by `python -m tests.rig`."""

from collections.abc import Callable

import pytest

from tests.contract.board_contract import *  # noqa: F403
from tests.contract.board_contract import Measured
from tests.rig.fixtures import *  # noqa: F403
from tests.rig.plugin import Run
from tests.rig.script import Finding


@pytest.fixture  # type: ignore[no-redef]
def measured(run: Run, record_property: Callable[[str, object], None]) -> Measured:
    """In the place of the contract's own: into the ledger, too."""

    def keep(what: str, value: float, most: float, unit: str) -> None:
        assert run.entry is not None
        finding = Finding("", what, f"{value:.0f} {unit}", f"at most {most:.0f} {unit}", value <= most)
        run.entry.findings.append(finding)
        record_property(what, f"{finding.measured} ({finding.limit})")

    return keep
