"""The board contract on the firmware under CPython, on virtual time."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.board_contract import *  # noqa: F403
from tests.helpers.board_rigs import SimulatedRig


@pytest.fixture
async def rig() -> AsyncIterator[SimulatedRig]:
    rig = SimulatedRig()
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()
