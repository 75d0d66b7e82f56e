"""LocalAuthListManagement: versions, updates, and what a listed tag may do."""

import pytest

from tests.witness.rig import OTHER_TAG, TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-local-list"),
]


@pytest.fixture(scope="module")
def parts() -> dict[str, str]:
    return {"settings": "SendLocalListMaxLength = 3"}


def entries(*tags: str) -> list[dict[str, object]]:
    return [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in tags]


async def version(rig: Rig) -> int:
    answer = await rig.central.ask("GetLocalListVersion")
    return int(answer.payload["listVersion"])


async def send(rig: Rig, number: int, kind: str, *tags: str, wanted: str = "Accepted") -> None:
    await rig.asked(
        "SendLocalList", wanted, listVersion=number, updateType=kind, localAuthorizationList=entries(*tags)
    )


@pytest.mark.req("TC_042_2_CS")
async def test_an_empty_list_has_version_0(rig: Rig) -> None:
    await rig.configure(LocalAuthListEnabled=True)
    await rig.asked("SendLocalList", listVersion=1, updateType="Full")
    assert await version(rig) == 0


@pytest.mark.req("TC_043_CS")
async def test_full_then_differential_and_a_listed_tag_starts(rig: Rig) -> None:
    await rig.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True)
    await send(rig, 1, "Full", TAG)
    await send(rig, 2, "Differential", OTHER_TAG)
    assert await version(rig) == 2
    before = rig.central.number
    await rig.charging(tag=TAG, connector=1)
    await rig.charging(tag=OTHER_TAG, connector=2)
    assert not rig.central.calls("Authorize", before)


@pytest.mark.req("TC_043_2_CS")
async def test_a_differential_update_that_is_too_old_changes_nothing(rig: Rig) -> None:
    await rig.configure(LocalAuthListEnabled=True)
    await send(rig, 2, "Full", TAG)
    assert await version(rig) == 2
    await send(rig, 5, "Differential", OTHER_TAG)
    assert await version(rig) == 5
    await send(rig, 4, "Differential", "WITNESS-TAG-3", wanted="VersionMismatch")
    assert await version(rig) == 5


@pytest.mark.req("TC_043_3_CS")
async def test_a_list_that_is_too_long_fails(rig: Rig) -> None:
    most = int(await rig.configuration("SendLocalListMaxLength"))
    tags = [f"WITNESS-TAG-{number}" for number in range(most + 1)]
    await send(rig, 2, "Full", *tags, wanted="Failed")
    assert await version(rig) == 0


@pytest.mark.req("TC_008_CS")
async def test_a_remote_start_with_a_listed_tag_asks_nobody(rig: Rig) -> None:
    await rig.configure(
        LocalPreAuthorize=True,
        LocalAuthListEnabled=True,
        AuthorizeRemoteTxRequests=True,
        AuthorizationCacheEnabled=False,
    )
    await send(rig, 1, "Full", TAG)
    await rig.plugged()
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await rig.started()
