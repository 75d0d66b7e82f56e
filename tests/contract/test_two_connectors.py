"""Two connectors on one board, under CPython on virtual time."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.two_connectors_contract import *  # noqa: F403
from tests.helpers.board_rigs import SimulatedRig


@pytest.fixture
async def rig() -> AsyncIterator[SimulatedRig]:
    rig = SimulatedRig(connectors=2, has_lock=False)
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()
