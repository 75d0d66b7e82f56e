"""Core: the cases for a station with a fixed cable."""

import pytest

from tests.witness.rig import Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-core-fixed-cable"),
]


@pytest.fixture(scope="module")
def parts() -> dict[str, str]:
    return {"sim": "has_lock = false"}


@pytest.mark.req("TC_017_2_CS")
async def test_unlock_without_a_session_is_not_supported(rig: Rig) -> None:
    await rig.asked("UnlockConnector", "NotSupported", connectorId=1)


@pytest.mark.req("TC_018_2_CS")
async def test_unlock_with_a_session_is_not_supported_and_charging_goes_on(rig: Rig) -> None:
    await rig.charging()
    await rig.asked("UnlockConnector", "NotSupported", connectorId=1)
    await rig.central.quiet(0.5)
