"""Security profiles 2 and 3: the link against a server whose certificate, version or suites are right or wrong."""

import asyncio
import contextlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from agent.ocpp.tls import client_context, verified_chain
from tests.helpers.authorities import YEAR, Authority, Issued
from tests.helpers.csms import Csms
from tests.ocpp.test_link import running


@pytest.fixture(scope="module", autouse=True)
def _no_news_from_uvloop() -> None:
    """Its first loop opens a pipe for good, which is no test's leak."""
    uvloop.new_event_loop().close()


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
        tls = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with tls, contextlib.suppress(OSError):
            try:
                tls.do_handshake()
            except OSError:
                # Bytes that nobody has read would turn the close into a reset, and the alert would be lost.
                while socket.socket.recv(tls, 4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = asyncio.get_running_loop().run_in_executor(None, serve)
        yield f"wss://localhost:{listener.getsockname()[1]}/ocpp"
        await served


@pytest.mark.req("R16-314", "R16-317", "TC_086_CS", "FIELD-9")
@pytest.mark.req("A00.FR.301", "A00.FR.302", "A00.FR.308", "A00.FR.309", "A00.FR.312", "TC_A_04_CS")
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
@pytest.mark.req("A00.FR.309", "A00.FR.310", "A00.FR.311", "A00.FR.412", "A00.FR.413", "A00.FR.414")
@pytest.mark.req("TC_A_05_CS")
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


@pytest.fixture
def named_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """csms.example.com is here."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host == "csms.example.com" else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


STRICT = {"without_wildcards": frozenset({"ocpp2.0.1"})}


@pytest.mark.req("A00.FR.309", "A00.FR.310", "A00.FR.311", "A00.FR.412", "A00.FR.413", "TC_A_05_CS")
@pytest.mark.parametrize("offered", [("ocpp2.0.1",), ("ocpp2.0.1", "ocpp1.6")])
@pytest.mark.parametrize("is_in_cn", [False, True])
async def test_a_wildcard_is_not_the_name_of_the_csms_in_2_0_1(
    authority: trustme.CA, ca_file: str, named_hosts: None, offered: tuple[str, ...], is_in_cn: bool
) -> None:
    """Where 1.6 is offered beside it, that is known after the upgrade only; else before the password is sent."""
    names = {"common_name": "*.example.com"} if is_in_cn else {}
    leaf = authority.issue_cert(*(() if is_in_cn else ["*.example.com"]), **names)
    async with Csms(ssl_context=server_context(leaf), host="localhost", subprotocols=("ocpp2.0.1",)) as csms:
        url = csms.url.replace("localhost", "csms.example.com")
        async with running(url, ca_file=ca_file, subprotocols=offered, **STRICT) as (_, seen):
            await seen.until(lambda: seen.failures)
        assert seen.failures[0].kind == "TLS_CERTIFICATE"
        assert len(csms.handshakes) <= len(offered) - 1
        async with running(url, ca_file=ca_file, subprotocols=offered) as (_, seen):
            await seen.opened()  # AllowCSMSTLSWildcards


@pytest.mark.req("A00.FR.309")
@pytest.mark.parametrize("names", [("*.example.com", "CSMS.example.com"), ("*.example.com",)])
async def test_1_6_and_a_certificate_that_names_the_host_too_are_fine(
    authority: trustme.CA, ca_file: str, named_hosts: None, names: tuple[str, ...]
) -> None:
    context = server_context(authority.issue_cert(*names))
    speaks = "ocpp1.6" if len(names) == 1 else "ocpp2.0.1"
    async with Csms(ssl_context=context, host="localhost", subprotocols=(speaks,)) as csms:
        url = csms.url.replace("localhost", "csms.example.com")
        for offered in (("ocpp2.0.1", "ocpp1.6"), (speaks,)):
            async with running(url, ca_file=ca_file, subprotocols=offered, **STRICT) as (_, seen):
                await seen.opened()


@pytest.mark.req("A00.FR.308", "A00.FR.310", "A00.FR.311", "A00.FR.411", "A00.FR.413", "TC_A_05_CS")
@pytest.mark.parametrize("odd", [{"ends": -YEAR}, {"begins": YEAR}], ids=["expired", "of the future"])
async def test_a_certificate_that_is_not_valid_now_is_refused(
    operator: Authority, odd: dict[str, Any]
) -> None:
    context = operator.issue(**odd).server_context()
    async with (
        Csms(ssl_context=context, host="localhost") as csms,
        running(csms.url, roots=operator.pem) as (_, seen),
    ):
        await seen.until(lambda: seen.failures)
        assert csms.handshakes == []
    assert seen.failures[0].kind == "TLS_CERTIFICATE"


@pytest.mark.req("A00.FR.505", "A00.FR.506")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_certificates_signed_with_rsa_pss_are_taken(version: ssl.TLSVersion) -> None:
    root = Authority.root(key_kind="2048", is_pss=True)
    context = root.issue(key_kind="2048", is_pss=True).server_context()
    context.minimum_version = context.maximum_version = version
    async with (
        Csms(ssl_context=context, host="localhost") as csms,
        running(csms.url, roots=root.pem) as (_, seen),
    ):
        await seen.opened()


@pytest.mark.req("R16-317", "R16-318", "FIELD-9")
@pytest.mark.req("A00.FR.308", "A00.FR.310", "A00.FR.311", "A00.FR.411", "A00.FR.413", "A00.FR.414")
@pytest.mark.req("TC_A_05_CS")
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
@pytest.mark.req("A00.FR.313", "A00.FR.314", "A00.FR.316", "A00.FR.416", "A00.FR.417", "A00.FR.419")
@pytest.mark.req("TC_A_06_CS")
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
@pytest.mark.req("A00.FR.319", "A00.FR.422")
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
@pytest.mark.req("A00.FR.319", "A00.FR.422")
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
@pytest.mark.req("A00.FR.320", "A00.FR.323", "A00.FR.423", "A00.FR.426")
@pytest.mark.parametrize("suite", ["AES128-SHA", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"])
async def test_other_suites_are_not_spoken(suite: str, good_context: ssl.SSLContext, ca_file: str) -> None:
    good_context.maximum_version = ssl.TLSVersion.TLSv1_2
    good_context.set_ciphers(suite)
    async with handshaking(good_context) as url, running(url, ca_file=ca_file) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "TLS_CIPHER"


@pytest.mark.req("A00.FR.321", "A00.FR.424")
def test_tls_compresses_nothing(ca_file: str) -> None:
    assert client_context(ca_file).options & ssl.OP_NO_COMPRESSION


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


# --- profile 3 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operator() -> Authority:
    return Authority.root("Operator")


def own_file(leaf: Issued, folder: Path) -> str:
    path = folder / "own.pem"
    path.write_text(leaf.chain_pem + leaf.key_pem)
    return str(path)


@pytest.mark.req("R16-316", "R16-320", "TC_087_CS")
@pytest.mark.req("A00.FR.411", "A00.FR.415")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("key_kind", ["P256", "2048"])
async def test_profile_3_shows_its_certificate_with_the_chain_and_sends_no_password(
    version: ssl.TLSVersion, key_kind: str, operator: Authority, tmp_path: Path
) -> None:
    context = operator.issue().server_context(client_roots=operator.pem)
    context.minimum_version = context.maximum_version = version
    leaf = operator.authority("Sub").issue("0001", key_kind=key_kind)
    async with (
        Csms(ssl_context=context, host="localhost") as csms,
        running(
            csms.url,
            security_profile=3,
            password=b"0123456789abcdef",
            roots=operator.pem,
            certificate_file=own_file(leaf, tmp_path),
        ) as (_, seen),
    ):
        await seen.opened()
        assert "Authorization" not in csms.handshakes[0].headers


@pytest.mark.real_time  # the server has a thread of its own, whose alert takes real time
@pytest.mark.req("R16-316")
@pytest.mark.req("A00.FR.430")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    "leaf",
    [Authority.root("Stranger").issue("0001"), None],
    ids=["of a stranger", "expired"],
)
async def test_a_server_that_does_not_take_our_certificate_is_told_from_one_without_cipher(
    version: ssl.TLSVersion, leaf: Issued | None, operator: Authority, tmp_path: Path
) -> None:
    context = operator.issue().server_context(client_roots=operator.pem)
    context.minimum_version = context.maximum_version = version
    shown = leaf or operator.issue("0001", ends=-YEAR)
    async with (
        handshaking(context) as url,
        running(url, security_profile=3, roots=operator.pem, certificate_file=own_file(shown, tmp_path)) as (
            _,
            seen,
        ),
    ):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "TLS_OWN_CERTIFICATE"


async def test_a_key_of_another_certificate_is_a_configuration_failure(
    operator: Authority, tmp_path: Path
) -> None:
    (tmp_path / "own.pem").write_text(operator.issue("0001").pem)
    (tmp_path / "own.key").write_text(operator.issue("0001").key_pem)
    async with running(
        "wss://localhost:1/",
        security_profile=3,
        roots=operator.pem,
        certificate_file=str(tmp_path / "own.pem"),
        key_file=str(tmp_path / "own.key"),
    ) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "CONFIGURATION"


@pytest.mark.req("R16-348", "R16-352")
async def test_the_link_tells_who_vouched_for_the_csms_while_it_is_connected(operator: Authority) -> None:
    other = Authority.root("Other")
    sub = operator.authority("Sub")
    async with (
        Csms(ssl_context=sub.issue().server_context(), host="localhost") as csms,
        running(csms.url, roots=other.pem + operator.pem) as (link, seen),
    ):
        await seen.opened()
        assert [len(each) > 100 for each in link.peer_chain] == [True] * 3
        assert link.peer_chain[-1] == operator.der
        assert other.der not in link.peer_chain
        csms.drop()
        await seen.closed()
        assert link.peer_chain == ()


@pytest.mark.req("R16-348", "R16-352")
def test_the_link_tells_it_on_uvloop_too(operator: Authority) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_the_link_tells_who_vouched_for_the_csms_while_it_is_connected(operator))


class _Silent:
    """A connection of a Python that has neither the public nor the hidden call."""


class _Broken:
    """One whose hidden call gives what nobody expects."""

    class _sslobj:
        @staticmethod
        def get_verified_chain() -> list[object]:
            return [object()]


class _Unverified:
    def get_verified_chain(self) -> list[bytes]:
        return []


@pytest.mark.req("R16-348")
@pytest.mark.parametrize("tls", [_Silent(), _Broken(), _Unverified()])
def test_a_python_that_does_not_tell_is_told_from_a_connection_without_tls(tls: Any) -> None:
    assert verified_chain(tls) is None
    assert verified_chain(None) == ()


@pytest.mark.req("R16-351")
async def test_a_root_signed_by_another_one_is_an_anchor_without_it(operator: Authority) -> None:
    new = operator.renewed()
    async with (
        Csms(ssl_context=new.issue().server_context(), host="localhost") as csms,
        running(csms.url, roots=new.pem) as (link, seen),
    ):
        await seen.opened()
        assert link.peer_chain[-1] == new.der


@pytest.mark.req("FIELD-9", "R16-317")
@pytest.mark.parametrize("checks_time", [True, False])
async def test_only_a_station_without_a_clock_is_indulgent_about_validity(
    checks_time: bool, operator: Authority
) -> None:
    async with (
        Csms(ssl_context=operator.issue(ends=-YEAR).server_context(), host="localhost") as csms,
        running(csms.url, roots=operator.pem, checks_time=checks_time) as (_, seen),
    ):
        if checks_time:
            await seen.until(lambda: seen.failures)
            assert seen.failures[0].kind == "TLS_CERTIFICATE"
        else:
            await seen.opened()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_password_is_told_from_other_refusals(status: int) -> None:
    async with Csms(refuse_status=status) as csms, running(csms.url) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert seen.failures[0].kind == "CREDENTIALS"
