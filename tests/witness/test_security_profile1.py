"""Security profile 1: passwords, and the way up to profile 2."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
import pytest_asyncio
from websockets.http11 import Request

from tests.witness.authority import Authority
from tests.witness.central_system import CentralSystem
from tests.witness.rig import Rig, built

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-security-profile1"),
]

FIRST_KEY = "00112233445566778899AABBCCDDEEFF"
SECOND_KEY = "FFEEDDCCBBAA99887766554433221100FFEEDDCC"


@dataclass
class Door:
    """Lets in who knows the key."""

    authority: Authority = field(default_factory=lambda: Authority("Example Operator Root"))
    key: str = FIRST_KEY
    users: list[str] = field(default_factory=list)

    def admit(self, request: Request) -> HTTPStatus | None:
        scheme, _, content = request.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(content).partition(b":")
        self.users.append(user.decode())
        is_right = scheme == "Basic" and password == bytes.fromhex(self.key)
        return None if is_right else HTTPStatus.UNAUTHORIZED


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, door: Door) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("w")
    central = CentralSystem()
    central.admit = door.admit
    secure_url = await central.listen(door.authority.server_context(folder))
    csms = f'security_profile = 1\npassword_hex = "{FIRST_KEY}"\nsecure_url = "{secure_url}"'
    async with built(folder, central, csms=csms) as rig:
        yield rig


@pytest.mark.req("TC_085_CS")
async def test_the_password_is_in_every_upgrade_request(rig: Rig, door: Door) -> None:
    before = len(rig.central.requests)
    await rig.asked("Reset", type="Hard")
    await rig.booted()
    requests = rig.central.requests[before:]
    assert requests
    assert {request.path.rpartition("/")[2] for request in requests} == {rig.station.identity}
    assert set(door.users[before:]) == {rig.station.identity}
    assert 20 <= len(FIRST_KEY) <= 40
    assert len(bytes.fromhex(FIRST_KEY)) >= 16


@pytest.mark.req("TC_073_CS")
async def test_a_new_password_is_used_at_once(rig: Rig, door: Door) -> None:
    before = len(rig.central.requests)
    await rig.asked("ChangeConfiguration", key="AuthorizationKey", value=SECOND_KEY)
    door.key = SECOND_KEY
    await rig.central.until(lambda: len(rig.central.requests) > before)
    await rig.central.connected()
    assert door.admit(rig.central.requests[-1]) is None


@pytest.mark.req("TC_083_CS")
async def test_the_profile_is_raised(rig: Rig, door: Door) -> None:
    await rig.asked(
        "InstallCertificate",
        certificateType="CentralSystemRootCertificate",
        certificate=door.authority.root.pem,
    )
    assert rig.central.handshakes[-1] is None
    answer = await rig.central.ask("ChangeConfiguration", key="SecurityProfile", value="2")
    assert answer.status in ("Accepted", "RebootRequired")
    if answer.status == "RebootRequired":
        await rig.asked("Reset", type="Hard")
    await rig.central.until(lambda: rig.central.handshakes[-1] is not None)
    await rig.central.connected()
    assert door.admit(rig.central.requests[-1]) is None
    assert await rig.configuration("SecurityProfile") == "2"
