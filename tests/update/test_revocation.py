"""The authority's word on a signing certificate, from a real responder on loopback."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from agent.update.revocation import is_revoked
from tests.helpers.firmware import Manufacturer, ocsp_at
from tests.helpers.moody_server import MoodyServer
from tests.helpers.update_yard import Yard

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


class Authority:
    """Answers OCSP requests; what it says may be changed."""

    def __init__(self, maker: Manufacturer) -> None:
        self.maker = maker
        self.status = ocsp.OCSPCertStatus.GOOD
        self.known: x509.Certificate | None = None
        self.signing_key: Any = maker.key
        self.made_at = NOW

    def answer(self, body: bytes) -> bytes:
        asked = ocsp.load_der_ocsp_request(body)
        assert self.known is not None
        assert asked.serial_number == self.known.serial_number
        revoked = self.status is ocsp.OCSPCertStatus.REVOKED
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                self.known,
                self.maker.root,
                hashes.SHA256(),
                self.status,
                self.made_at,
                self.made_at + HOUR,
                NOW - HOUR if revoked else None,
                x509.ReasonFlags.key_compromise if revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self.maker.root)
        )
        return builder.sign(self.signing_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def certificate(self, url: str) -> str:
        self.known = self.maker.signer(extensions=(ocsp_at(url),))
        return self.known.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
async def server() -> AsyncIterator[MoodyServer]:
    async with MoodyServer() as made:
        yield made


@pytest.fixture
def authority(server: MoodyServer) -> Authority:
    made = Authority(Manufacturer())
    server.answer_post = made.answer
    return made


@pytest.mark.req("R16-363")
@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (ocsp.OCSPCertStatus.GOOD, False),
        (ocsp.OCSPCertStatus.REVOKED, True),
        (ocsp.OCSPCertStatus.UNKNOWN, None),
    ],
)
async def test_the_authority_is_asked_and_believed(
    server: MoodyServer, authority: Authority, status: ocsp.OCSPCertStatus, verdict: bool | None
) -> None:
    authority.status = status
    text = authority.certificate(f"{server.url}/ocsp")
    assert await is_revoked(text, authority.maker.root, NOW) is verdict
    assert len(server.requests) == 1


async def test_an_answer_that_proves_nothing_decides_nothing(
    server: MoodyServer, authority: Authority
) -> None:
    text = authority.certificate(f"{server.url}/ocsp")
    authority.status = ocsp.OCSPCertStatus.REVOKED
    authority.signing_key = ec.generate_private_key(ec.SECP256R1())
    assert await is_revoked(text, authority.maker.root, NOW) is None, "signed by somebody else"
    authority.signing_key = authority.maker.key
    authority.made_at = NOW - 48 * HOUR
    assert await is_revoked(text, authority.maker.root, NOW) is None, "an old answer, played again"
    for answer in (
        b"",
        b"nonsense",
        ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
            serialization.Encoding.DER
        ),
    ):
        server.answer_post = lambda _body, given=answer: given  # type: ignore[misc]
        assert await is_revoked(text, authority.maker.root, NOW) is None


async def test_no_responder_or_none_that_answers_leaves_it_open(authority: Authority) -> None:
    maker = authority.maker
    assert await is_revoked(maker.signer_text(), maker.root, NOW) is None
    assert await is_revoked(authority.certificate("http://127.0.0.1:9/ocsp"), maker.root, NOW) is None
    assert await is_revoked(authority.certificate("ldap://127.0.0.1/x"), maker.root, NOW) is None


@pytest.mark.req("R16-363")
async def test_an_answer_that_comes_in_pieces_is_read_to_its_end(authority: Authority) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        answer = authority.answer(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + answer[:100])
        await asyncio.sleep(0.1)
        writer.write(answer[100:])
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        text = authority.certificate(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocsp")
        authority.status = ocsp.OCSPCertStatus.REVOKED
        assert await is_revoked(text, authority.maker.root, NOW) is True
        await asyncio.sleep(0.1)


async def test_an_endless_answer_is_given_up(server: MoodyServer, authority: Authority) -> None:
    text = authority.certificate(f"{server.url}/ocsp")
    authority.status = ocsp.OCSPCertStatus.REVOKED
    server.answer_post = lambda body: authority.answer(body) + bytes(70_000)
    assert await is_revoked(text, authority.maker.root, NOW) is None


@pytest.mark.req("R16-363")
async def test_a_revoked_certificate_is_refused_with_its_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Yard(tmp_path, monkeypatch) as yard, yard.bench() as bench:
        await yard.online(bench)
        authority = Authority(yard.maker)
        authority.status = ocsp.OCSPCertStatus.REVOKED
        authority.made_at = bench.agent.clock.now().replace(microsecond=0)
        yard.files.answer_post = authority.answer
        text = authority.certificate(f"{yard.files.url}/ocsp")
        answer = await yard.order_signed(bench, yard.release(), signingCertificate=text)
        assert answer.payload == {"status": "RevokedCertificate"}
        await bench.run_for(seconds=30)
        assert yard.told(bench) == ["boot", "InvalidFirmwareSigningCertificate"]
