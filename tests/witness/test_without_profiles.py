"""The cases for a station that offers the profile Core only."""

import pytest

from tests.witness.rig import TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-without-profiles"),
]

LATER = "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def parts() -> dict[str, str]:
    return {"settings": 'SupportedFeatureProfiles = "Core"'}


@pytest.mark.req("TC_042_1_CS")
async def test_there_is_no_list_version(rig: Rig) -> None:
    answer = await rig.central.ask("GetLocalListVersion")
    assert answer.error == "NotSupported" or answer.payload == {"listVersion": -1}


@pytest.mark.req("TC_043_1_CS")
async def test_no_list_is_taken(rig: Rig) -> None:
    entry = {"idTag": TAG, "idTagInfo": {"status": "Accepted"}}
    answer = await rig.central.ask(
        "SendLocalList", listVersion=1, updateType="Full", localAuthorizationList=[entry]
    )
    assert answer.status in ("NotSupported", "error:NotSupported")


@pytest.mark.parametrize(
    "connector",
    [
        pytest.param(1, marks=pytest.mark.req("TC_048_4_CS")),
        pytest.param(0, marks=pytest.mark.req("TC_050_4_CS")),
    ],
)
async def test_nothing_is_reserved(rig: Rig, connector: int) -> None:
    answer = await rig.central.ask(
        "ReserveNow", connectorId=connector, expiryDate=LATER, idTag=TAG, reservationId=1
    )
    assert answer.status == "Rejected"
    await rig.central.quiet(0.5)
