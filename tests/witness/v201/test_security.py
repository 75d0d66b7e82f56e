"""Core: passwords of 2.0.1, and the way up to security profile 2 by a network profile."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
import pytest_asyncio
from websockets.http11 import Request

from tests.witness.authority import Authority
from tests.witness.central_system import CentralSystem
from tests.witness.v201.rig import Rig, built
from tests.witness.words import WORDS_201

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness201-security"),
]
FIRST = "0123456789abcdef"
SECOND = "a*longer=password@2.0.1"
PASSWORD = "SecurityCtrlr.BasicAuthPassword"
PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"


@dataclass
class Door:
    """Lets in who knows the password."""

    authority: Authority = field(default_factory=lambda: Authority("Example Operator Root"))
    password: str = FIRST
    users: list[str] = field(default_factory=list)
    secure_url: str = ""

    def admit(self, request: Request) -> HTTPStatus | None:
        scheme, _, content = request.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(content).partition(b":")
        self.users.append(user.decode())
        is_right = scheme == "Basic" and password.decode() == self.password
        return None if is_right else HTTPStatus.UNAUTHORIZED


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, door: Door) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("w")
    central = CentralSystem(words=WORDS_201)
    central.admit = door.admit
    door.secure_url = await central.listen(door.authority.server_context(folder))
    csms = f'security_profile = 1\npassword_hex = "{FIRST.encode().hex()}"'
    async with built(folder, central, csms=csms) as rig:
        yield rig


@pytest.mark.req("TC_A_01_CS")
async def test_the_password_is_in_every_upgrade_request(rig: Rig, door: Door) -> None:
    assert set(door.users) == {rig.station.identity}
    assert await rig.get("SecurityCtrlr.SecurityProfile") == "1"


@pytest.mark.req("TC_A_09_CS", "TC_A_10_CS")
async def test_a_new_password_counts_from_the_next_connection(rig: Rig, door: Door) -> None:
    assert await rig.set_(PASSWORD, "short") == "Rejected"
    peer = rig.central.peer
    door.password = SECOND
    assert await rig.set_(PASSWORD, SECOND) in ("Accepted", "RebootRequired")
    await rig.central.until(lambda: rig.central.peer not in (None, peer), within=20)
    answer = await rig.central.ask(
        "GetVariables",
        getVariableData=[{"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}],
    )
    (result,) = answer.payload["getVariableResult"]
    assert result["attributeStatus"] == "Rejected"
    assert SECOND not in rig.station.log.read_text()


@pytest.mark.req("TC_A_19_CS", "TC_A_22_CS", "TC_B_45_CS")
async def test_the_way_up_to_tls_and_never_down_again(rig: Rig, door: Door) -> None:
    door.password = SECOND
    root = door.authority.root.pem
    await rig.asked("InstallCertificate", certificateType="CSMSRootCertificate", certificate=root)
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": door.secure_url,
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    }
    await rig.asked("SetNetworkProfile", configurationSlot=2, connectionData=profile)
    assert await rig.set_(PRIORITY, "2") in ("Accepted", "RebootRequired")
    await rig.asked("Reset", type="Immediate")
    await rig.booted(reason="RemoteReset")
    assert rig.central.handshakes[-1] is not None, "TLS"
    async with asyncio.timeout(10):  # the first good connection makes it final
        while await rig.get("SecurityCtrlr.SecurityProfile") != "2":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    down = {**profile, "securityProfile": 1, "ocppCsmsUrl": rig.central.url}
    await rig.asked("SetNetworkProfile", "Rejected", configurationSlot=1, connectionData=down)
    await rig.power_cycle()
    await rig.booted(reason="PowerUp")
    assert rig.central.handshakes[-1] is not None, "still TLS"
