"""Security profile 2: the link against a server whose certificate, TLS version or suites are right or wrong."""

import asyncio
import contextlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme

from tests.helpers.csms import Csms
from tests.ocpp.test_link import running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.RSA)


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    pem = authority.cert_pem.bytes().replace(b"\n", b"\r\n")
    path.write_bytes(b"# the operator's root\r\n" + pem)
    return str(path)


def server_context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


@pytest.fixture
def good_context(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority.issue_cert("localhost", key_type=trustme.KeyType.RSA))


@contextlib.asynccontextmanager
async def handshaking(context: ssl.SSLContext) -> AsyncIterator[str]:
    """A blocking server for one handshake: asyncio's own hangs up without the alert that tells the reason."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = asyncio.get_running_loop().run_in_executor(None, serve)
        yield f"wss://localhost:{listener.getsockname()[1]}/ocpp"
        await served


@pytest.mark.req("R16-314", "R16-317", "TC_086_CS")
async def test_profile_2_connects_to_the_verified_name_with_password(
    good_context: ssl.SSLContext, ca_file: str
) -> None:
    names: list[str | None] = []
    good_context.sni_callback = lambda _socket, name, _context: names.append(name)
    async with (
        Csms(ssl_context=good_context, host="localhost") as csms,
        running(csms.url, security_profile=2, password=b"0123456789abcdef", ca_file=ca_file) as (_, seen),
    ):
        await seen.opened()
        assert csms.handshakes[0].headers["Authorization"].startswith("Basic ")
    assert names == ["localhost"]


@pytest.mark.req("R16-317", "R16-324")
async def test_name_in_the_cn_alone_is_enough(authority: trustme.CA, ca_file: str) -> None:
    leaf = authority.issue_cert(common_name="localhost")
    async with (
        Csms(ssl_context=server_context(leaf), host="localhost") as csms,
        running(csms.url, ca_file=ca_file) as (_, seen),
    ):
        await seen.opened()


@pytest.mark.req("R16-317", "R16-318")
async def test_certificate_of_another_host_is_refused(authority: trustme.CA, ca_file: str) -> None:
    context = server_context(authority.issue_cert("csms.example.com"))
    async with (
        Csms(ssl_context=context, host="localhost") as csms,
        running(csms.url, ca_file=ca_file) as (_, seen),
    ):
        await seen.until(lambda: seen.failures)
        assert csms.handshakes == []
    assert seen.failures[0].kind == "TLS_CERTIFICATE"
    assert "ostname mismatch" in str(seen.failures[0])


@pytest.mark.req("R16-317", "R16-318")
@pytest.mark.parametrize("name_of_authority", ["stranger", "the system's"])
async def test_certificate_of_an_unknown_authority_is_refused(
    name_of_authority: str, good_context: ssl.SSLContext, tmp_path: Path
) -> None:
    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(path)
    ca_file = str(path) if name_of_authority == "stranger" else ""
    async with (
        Csms(ssl_context=good_context, host="localhost") as csms,
        running(csms.url, ca_file=ca_file) as (_, seen),
    ):
        await seen.until(lambda: seen.failures)
        assert csms.handshakes == []
    assert seen.failures[0].kind == "TLS_CERTIFICATE"


@pytest.mark.req("R16-319")
async def test_tls_1_1_is_not_spoken(good_context: ssl.SSLContext, ca_file: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        good_context.minimum_version = ssl.TLSVersion.TLSv1
        good_context.maximum_version = ssl.TLSVersion.TLSv1_1
    good_context.set_ciphers("ALL:@SECLEVEL=0")
    async with handshaking(good_context) as url, running(url, ca_file=ca_file) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "TLS_VERSION"


@pytest.mark.req("R16-320")
@pytest.mark.parametrize("suite", ["ECDHE-RSA-AES128-GCM-SHA256", "AES128-GCM-SHA256", "AES256-GCM-SHA384"])
async def test_required_suites_work(suite: str, good_context: ssl.SSLContext, ca_file: str) -> None:
    good_context.maximum_version = ssl.TLSVersion.TLSv1_2
    good_context.set_ciphers(suite)
    async with (
        Csms(ssl_context=good_context, host="localhost") as csms,
        running(csms.url, ca_file=ca_file) as (_, seen),
    ):
        await seen.opened()


@pytest.mark.req("R16-320")
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
async def test_required_ecdsa_suites_work(suite: str, authority: trustme.CA, ca_file: str) -> None:
    context = server_context(authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    async with (
        Csms(ssl_context=context, host="localhost") as csms,
        running(csms.url, ca_file=ca_file) as (_, seen),
    ):
        await seen.opened()


@pytest.mark.req("R16-321")
@pytest.mark.parametrize("suite", ["AES128-SHA", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"])
async def test_other_suites_are_not_spoken(suite: str, good_context: ssl.SSLContext, ca_file: str) -> None:
    good_context.maximum_version = ssl.TLSVersion.TLSv1_2
    good_context.set_ciphers(suite)
    async with handshaking(good_context) as url, running(url, ca_file=ca_file) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "TLS_CIPHER"


@pytest.mark.parametrize("write", [lambda path: None, lambda path: path.write_text("no certificate")])
async def test_unusable_ca_file_is_a_configuration_failure(
    write: Callable[[Path], object], tmp_path: Path
) -> None:
    write(tmp_path / "ca.pem")
    async with running("wss://localhost:1/", ca_file=str(tmp_path / "ca.pem")) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "CONFIGURATION"
    assert "ca.pem" in str(seen.failures[0])


async def test_plain_server_behind_wss_is_one_more_failure(ca_file: str) -> None:
    async with Csms() as csms:
        async with running(csms.url.replace("ws:", "wss:"), ca_file=ca_file) as (_, seen):
            await seen.until(lambda: seen.failures)
        assert csms.handshakes == []
    assert "TLS" in str(seen.failures[0])
