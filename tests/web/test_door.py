"""The TCP side: limits of connections, and TLS with a certificate of its own that may change while it runs."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from agent.config_web import WebConfig
from agent.web import door
from agent.web.door import Certificate, CertificateError, Door
from agent.web.passwords import AccessFile, Cost
from agent.web.roles import Role
from agent.web.server import LocalApi
from tests.web.conftest import WebBench


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"hello")


@pytest.fixture
async def echo_door() -> AsyncIterator[Door]:
    opened = Door(("127.0.0.1", 0), Echo)
    opened.open()
    yield opened
    await opened.close()


async def greeting(opened: Door) -> tuple[bytes, asyncio.StreamWriter]:
    assert opened.address is not None
    reader, writer = await asyncio.open_connection(*opened.address)
    try:
        return await reader.read(5), writer
    except ConnectionError:
        return b"", writer


async def test_one_client_takes_so_many_connections_and_gets_more_when_it_lets_go(
    echo_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CONNECTIONS_PER_CLIENT", 3)
    writers = []
    for _ in range(3):
        text, writer = await greeting(echo_door)
        assert text == b"hello"
        writers.append(writer)
    text, refused = await greeting(echo_door)
    assert text == b""
    refused.close()
    writers.pop().close()
    await asyncio.sleep(1)
    text, writer = await greeting(echo_door)
    assert text == b"hello"
    for each in (*writers, writer):
        each.close()


async def test_closing_ends_connections_and_frees_the_address() -> None:
    opened = Door(("127.0.0.1", 0), Echo)
    opened.open()
    address = opened.address
    assert address is not None
    reader, writer = await asyncio.open_connection(*address)
    await reader.read(5)
    await opened.close()
    assert opened.address is None
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert reader.at_eof() or reader.exception() is not None
    writer.close()
    again = Door(address, Echo)
    again.open()
    await again.close()


async def test_a_handshake_that_is_not_finished_counts_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CONNECTIONS_PER_CLIENT", 2)
    certificate = Certificate(*written(tmp_path))
    certificate.load()
    opened = Door(("127.0.0.1", 0), Echo, certificate.context)
    opened.open()
    assert opened.address is not None
    silent = [await asyncio.open_connection(*opened.address) for _ in range(2)]
    await asyncio.sleep(1)
    reader, writer = await asyncio.open_connection(*opened.address)
    assert await reader.read() == b""
    writer.close()
    started = asyncio.get_running_loop().time()
    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()
    assert asyncio.get_running_loop().time() - started < door.HANDSHAKE_S + 1
    await opened.close()


AUTHORITY = trustme.CA()


def written(folder: Path, authority: trustme.CA = AUTHORITY) -> tuple[Path, Path]:
    leaf = authority.issue_cert("127.0.0.1")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    return certificate, key


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def ask(port: int, authority: trustme.CA, path: str = "/api/v1/session") -> aiohttp.ClientResponse:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"https://127.0.0.1:{port}{path}", ssl=trusting(authority), json={"password": "correct horse"}
        ) as response,
    ):
        return response


@pytest.mark.real_time
async def test_https_with_a_certificate_that_is_renewed_while_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    web = WebBench(tmp_path)
    certificate, key = written(tmp_path)
    settings = WebConfig(certificate_file=str(certificate), key_file=str(key))
    AccessFile(tmp_path, cost=Cost(n=2, r=1, p=1)).set_password(Role.INSTALLER, "correct horse")
    api = LocalApi(web.ports(), web.socket_path, ("127.0.0.1", 0), settings)
    await api.start()
    (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
    response = await ask(port, AUTHORITY)
    assert response.status == 200
    assert response.headers["Set-Cookie"].startswith(f"__Host-evse_agent_{port}=")
    assert "Secure" in response.headers["Set-Cookie"]

    other = trustme.CA()
    written(tmp_path, other)
    await api._tend_once()
    assert (await ask(port, other)).status == 200
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await ask(port, AUTHORITY)

    key.write_text("broken")
    await api._tend_once()
    await api._tend_once()
    assert caplog.text.count("the former one stays in use") == 1
    assert (await ask(port, other)).status == 200
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://127.0.0.1:{port}/api/v1/session")
    await api.close()
    web.world.close()


@pytest.mark.real_time
async def test_without_its_certificate_tcp_stays_closed_until_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    web = WebBench(tmp_path)
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    settings = WebConfig(certificate_file=str(certificate), key_file=str(key))
    api = LocalApi(web.ports(), web.socket_path, ("127.0.0.1", 0), settings)
    await api.start()
    assert [type(address) for address in api.addresses] == [str]
    assert f"{certificate}: No such file or directory; no TCP without it" in caplog.text
    written(tmp_path)
    await api._tend_once()
    assert len(api.addresses) == 2
    await api.close()
    web.world.close()


def test_what_is_wrong_with_a_certificate_is_said(tmp_path: Path) -> None:
    certificate, key = written(tmp_path)
    good_key = key.read_bytes()
    key.write_bytes(AUTHORITY.issue_cert("x.example").private_key_pem.bytes())
    with pytest.raises(CertificateError, match=r"key\.pem is not the key of .*cert\.pem"):
        Certificate(certificate, key).load()
    key.write_bytes(good_key)
    certificate.write_text("nothing")
    with pytest.raises(CertificateError, match="no PEM certificate"):
        Certificate(certificate, key).load()
