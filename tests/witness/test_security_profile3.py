"""Security profile 3: TLS with a certificate of the station, and how it gets a new one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.witness.authority import ORGANIZATION, Authority
from tests.witness.central_system import CentralSystem, call
from tests.witness.rig import Rig, built

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-security-profile3"),
]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Example Operator Root")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("w")
    (folder / "root.pem").write_text(authority.root.pem)
    own = authority.station("SN-0001").write(folder / "station.pem")
    own.chmod(0o600)
    csms = f'security_profile = 3\nca_file = "{folder}/root.pem"\ncertificate_file = "{own}"'
    central = CentralSystem(authority.server_context(folder, asks_client=True))
    async with built(folder, central, csms=csms, settings=f'CpoName = "{ORGANIZATION}"') as rig:
        yield rig


def shown(rig: Rig) -> x509.Certificate:
    """The certificate of the latest connection."""
    return x509.load_der_x509_certificate(rig.central.handshakes[-1].getpeercert(binary_form=True))


def common_name(subject: x509.Name) -> str:
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


async def signing_request(rig: Rig) -> str:
    """Triggered without a connector: the CSR."""
    answer = await rig.central.ask("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    assert answer.status == "Accepted"
    seen = await rig.central.expect_one(call("SignCertificate"))
    assert seen.number > answer.number
    return str(seen["csr"])


@pytest.mark.req("TC_087_CS")
async def test_tls_with_a_certificate_of_the_station(rig: Rig) -> None:
    handshakes = len(rig.central.handshakes)
    await rig.asked("Reset", type="Hard")
    await rig.booted()
    (shaken,) = rig.central.handshakes[handshakes:]
    assert shaken.version() in ("TLSv1.2", "TLSv1.3")
    assert "Authorization" not in rig.central.requests[-1].headers
    certificate = shown(rig)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    assert key.key_size >= (224 if isinstance(key, ec.EllipticCurvePublicKey) else 2048)
    assert certificate.serial_number
    assert common_name(certificate.subject) == rig.station.serial


@pytest.mark.req("TC_077_CS")
async def test_a_certificate_of_a_stranger_is_refused(rig: Rig) -> None:
    before = shown(rig)
    stranger = Authority("Somebody Else").sign_request(await signing_request(rig))
    await rig.asked("CertificateSigned", "Rejected", certificateChain=stranger.pem)
    await rig.central.until(
        lambda: (
            "InvalidChargePointCertificate"
            in [seen["type"] for seen in rig.central.calls("SecurityEventNotification")]
        )
    )
    assert shown(rig) == before


@pytest.mark.req("TC_074_CS")
async def test_a_new_certificate_is_requested_and_used(rig: Rig, authority: Authority) -> None:
    request = await signing_request(rig)
    subject = x509.load_pem_x509_csr(request.encode()).subject
    assert common_name(subject) == rig.station.serial
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == ORGANIZATION
    signed = authority.sign_request(request)
    assert shown(rig) != signed.certificate
    await rig.asked("CertificateSigned", certificateChain=signed.pem)
    await rig.central.until(lambda: shown(rig) == signed.certificate)
    await rig.central.connected()
    await rig.charging()
