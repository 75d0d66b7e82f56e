"""The board contract on the firmware under CPython, on virtual time."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.board_contract import *  # noqa: F403
from tests.helpers.board_rigs import SimulatedRig


@pytest.fixture(params=["socket", "first of two cables", "second of two cables"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[SimulatedRig]:
    if request.param == "socket":
        rig = SimulatedRig()
    else:
        rig = SimulatedRig(2 if "second" in request.param else 1, connectors=2, has_lock=False)
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()
