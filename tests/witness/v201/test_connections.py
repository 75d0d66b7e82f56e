"""Core: a CSMS that does not answer, network profiles of 2.0.1 that lead nowhere or elsewhere, and new roots."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from tests.witness.authority import Authority
from tests.witness.central_system import SILENCE, CentralSystem, call
from tests.witness.v201.rig import Rig, built, event
from tests.witness.words import WORDS_201, Payload

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness201-connections"),
]
PASSWORD = "0123456789abcdef"
PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"
ATTEMPTS = "OCPPCommCtrlr.MessageAttempts.TransactionEvent"
PAUSE = "OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Example Operator Root")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("w")
    (folder / "root.pem").write_text(authority.root.pem)
    csms = f'security_profile = 2\npassword = "{PASSWORD}"\nca_file = "{folder}/root.pem"'
    central = CentralSystem(authority.server_context(folder), WORDS_201)
    settings = '"OCPPCommCtrlr.MessageTimeout.Default" = 2\n'
    async with built(folder, central, csms=csms, settings=settings) as rig:
        yield rig


def profile(url: str) -> Payload:
    return {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    }


async def move(rig: Rig, url: str, priority: str) -> None:
    await rig.asked("SetNetworkProfile", configurationSlot=2, connectionData=profile(url))
    assert await rig.set_(PRIORITY, priority) in ("Accepted", "RebootRequired")
    await rig.asked("Reset", type="OnIdle")


@pytest.mark.req("TC_E_41_CS", "TC_E_42_CS")
@pytest.mark.parametrize("silences", [1, 3])
async def test_a_transaction_message_without_an_answer_comes_again(rig: Rig, silences: int) -> None:
    """The next attempt comes after the time for the answer and the interval; the third one is the last."""
    await rig.configure({ATTEMPTS: 3, PAUSE: 1})
    rig.central.script("TransactionEvent", *[SILENCE] * silences)
    rig.central.tolerate(event("Started"), event("Updated"))
    await rig.plugged()
    await rig.authorized()
    attempts = silences + (silences < 3)

    def numbers() -> list[int]:
        return [seen["seqNo"] for seen in rig.central.calls("TransactionEvent")]

    await rig.central.until(lambda: 1 in numbers())
    assert numbers()[: attempts + 1] == [0] * attempts + [1]
    times = [seen.at for seen in rig.central.calls("TransactionEvent")[:attempts]]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap > 0.9 * (2 + number) for number, gap in enumerate(gaps, start=1)), gaps


@pytest.mark.req("TC_B_46_CS")
async def test_a_slot_that_leads_nowhere_is_left_for_the_next_one(rig: Rig) -> None:
    await rig.configure({"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 2})
    knocks: list[float] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocks.append(asyncio.get_running_loop().time())
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as nobody:
        port = nobody.sockets[0].getsockname()[1]
        await move(rig, f"wss://localhost:{port}/ocpp", "2,1")
        await rig.booted(reason="RemoteReset", within=30)
    assert len(knocks) == 2


@pytest.mark.req("TC_B_50_CS")
async def test_another_csms_with_a_root_of_its_own(
    rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority("Other Operator Root")
    root = other.root.pem
    await rig.asked("InstallCertificate", certificateType="CSMSRootCertificate", certificate=root)
    there = await rig.central.listen(other.server_context(tmp_path_factory.mktemp("other")))
    await move(rig, there, "2")
    await rig.booted(reason="RemoteReset", within=30)
    assert await rig.get("OCPPCommCtrlr.ActiveNetworkProfile") == "2"
    assert rig.central.calls("BootNotification")
    rig.central.tolerate(call("SecurityEventNotification"))
