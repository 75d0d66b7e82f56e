"""The board contract on a real board: pytest --board=/dev/ttyACM0"""

from collections.abc import AsyncIterator

import pytest

from tests.contract.board_contract import *  # noqa: F403
from tests.helpers.board_rigs import RealRig

pytestmark = pytest.mark.real_time


@pytest.fixture
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[RealRig]:
    port = request.config.getoption("--board")
    if not port:
        pytest.skip("a real board needs --board=PORT")
    rig = RealRig(port)
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()
