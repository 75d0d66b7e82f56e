"""The link over real sockets on loopback, in virtual time."""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agent.errors import ConnectFailed, LinkClosed
from agent.ocpp.link import Link, LinkConfig, connection_url
from tests.helpers.csms import Csms


@dataclass
class Seen:
    """What the link told its owner."""

    events: list[tuple[str, str]] = field(default_factory=list)
    failures: list[ConnectFailed] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, kind: str) -> Callable[[str], None]:
        def listener(text: str) -> None:
            self.events.append((kind, text))
            self.changed.set()

        return listener

    def failed(self, failure: ConnectFailed) -> None:
        self.failures.append(failure)
        self.changed.set()

    def of(self, kind: str) -> list[str]:
        return [text for name, text in self.events if name == kind]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(36_000):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def opened(self, times: int = 1) -> None:
        await self.until(lambda: len(self.of("open")) >= times)

    async def closed(self, times: int = 1) -> None:
        await self.until(lambda: len(self.of("closed")) >= times)


@contextlib.asynccontextmanager
async def running(url: str, **settings: Any) -> AsyncIterator[tuple[Link, Seen]]:
    """A link that runs for the duration of the block."""
    seen = Seen()
    config = replace(LinkConfig(url, "CP001"), **settings)
    link = Link(config, seen.note("open"), seen.note("text"), seen.note("closed"), seen.failed)
    task = asyncio.create_task(link.run())
    try:
        yield link, seen
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        assert len(seen.of("open")) == len(seen.of("closed"))


@contextlib.asynccontextmanager
async def upgrading(subprotocol: str) -> AsyncIterator[str]:
    """A server that upgrades by the book and is never heard of again; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        key = next(line.split(b": ")[1] for line in head if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: " + subprotocol.encode() + b"\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


# --- URL and headers -------------------------------------------------------------------------------------


@pytest.mark.req("R16-002", "TOLERATE-14", "FIELD-4", "FIELD-5")
@pytest.mark.parametrize(
    ("url", "identity", "dialled"),
    [
        ("ws://h/ocpp", "CP001", "ws://h/ocpp/CP001"),
        ("ws://h/ocpp/", "CP001", "ws://h/ocpp/CP001"),
        ("ws://h", "CP001", "ws://h/CP001"),
        ("ws://h:9000/", "CP001", "ws://h:9000/CP001"),
        ("wss://h/ocppj", "RDAM 123", "wss://h/ocppj/RDAM%20123"),
        ("ws://h/ocpp", "a/b?c#d%e:ü", "ws://h/ocpp/a%2Fb%3Fc%23d%25e%3A%C3%BC"),
        ("ws://h/a/{identity}/ws/", "CP 1", "ws://h/a/CP%201/ws/"),
        ("ws://h/a//b", "CP001", "ws://h/a/b/CP001"),
        ("ws://h/ws?tenant=7", "CP001", "ws://h/ws/CP001?tenant=7"),
        ("ws://h/ws?id={identity}", "CP 1", "ws://h/ws?id=CP%201"),
        ("ws://[::1]:8080/é", "CP001", "ws://[::1]:8080/%C3%A9/CP001"),
        ("ws://h/already%20quoted", "CP001", "ws://h/already%20quoted/CP001"),
    ],
)
def test_identity_is_appended_once_percent_encoded_behind_one_slash(
    url: str, identity: str, dialled: str
) -> None:
    assert connection_url(LinkConfig(url, identity)) == dialled


@pytest.mark.req("R16-311")
@pytest.mark.req("A00.FR.001", "A00.FR.004")
@pytest.mark.parametrize(
    ("url", "profile", "identity", "reason"),
    [
        ("http://h/ocpp", 0, "CP001", "ws:// or wss://"),
        ("ws:///ocpp", 0, "CP001", "host"),
        ("ws://user:secret@h/ocpp", 0, "CP001", "credentials"),
        ("wss://h/ocpp", 1, "CP001", "profile 1"),
        ("ws://h/ocpp", 2, "CP001", "needs wss"),
        ("wss://h/ocpp", 4, "CP001", "not supported"),
        ("wss://h/ocpp", 3, "CP001", "needs a certificate"),
        ("ws://h/ocpp", 3, "CP001", "needs wss"),
        ("ws://h/ocpp", 1, "CP:1", "colon"),
    ],
)
def test_contradictory_configuration_is_refused_before_dialling(
    url: str, profile: int, identity: str, reason: str
) -> None:
    with pytest.raises(ConnectFailed, match=reason) as refused:
        connection_url(LinkConfig(url, identity, security_profile=profile))
    assert refused.value.kind == "CONFIGURATION"


async def test_the_encoded_identity_goes_over_the_wire_untouched() -> None:
    async with Csms() as csms, running(csms.url, identity="a/b c:d") as (_, seen):
        await seen.opened()
    assert csms.handshakes[0].path == "/ocpp/a%2Fb%20c%3Ad"


@pytest.mark.req("R16-003", "FIELD-1")
async def test_subprotocols_are_offered_in_the_configured_order() -> None:
    offer = ("ocpp2.1", "ocpp1.6")
    async with Csms(subprotocols=("ocpp1.6",)) as csms, running(csms.url, subprotocols=offer) as (link, seen):
        await seen.opened()
        assert link.subprotocol == "ocpp1.6"
    offered = csms.handshakes[0].headers["Sec-WebSocket-Protocol"]
    assert [name.strip() for name in offered.split(",")] == ["ocpp2.1", "ocpp1.6"]
    assert seen.of("open") == ["ocpp1.6"]


@pytest.mark.req("R16-004")
async def test_server_that_selects_no_subprotocol_is_closed_and_tried_again() -> None:
    async with Csms(subprotocols=()) as csms, running(csms.url) as (_, seen):
        await seen.until(lambda: len(seen.failures) >= 2)
        assert csms.close_code == 1000
        assert seen.of("open") == []
        csms.subprotocols = ("ocpp1.6",)
        await seen.opened()
    assert {failure.kind for failure in seen.failures} == {"REFUSED"}
    assert csms.received == []


async def test_a_missing_subprotocol_can_be_taken_as_the_first_one() -> None:
    async with (
        Csms(subprotocols=()) as csms,
        running(csms.url, accept_missing_subprotocol=True) as (link, seen),
    ):
        await seen.opened()
        assert link.subprotocol == "ocpp1.6"


@pytest.mark.req("FIELD-3")
async def test_a_foreign_subprotocol_is_never_taken() -> None:
    async with (
        upgrading("soap") as url,
        running(url, accept_missing_subprotocol=True) as (_, seen),
    ):
        await seen.until(lambda: seen.failures)
    assert "selected none" in str(seen.failures[0])
    assert seen.of("open") == []


@pytest.mark.req("R16-314", "R16-315", "FIELD-7")
@pytest.mark.req("A00.FR.302", "A00.FR.303")
async def test_password_is_sent_as_raw_bytes_in_every_upgrade() -> None:
    password = bytes(range(240, 256))
    async with (
        Csms() as csms,
        running(csms.url, security_profile=1, password=password, identity="AL 1000") as (_, seen),
    ):
        await seen.opened()
        csms.drop()
        await seen.opened(2)
    for handshake in csms.handshakes:
        scheme, credentials = handshake.headers["Authorization"].split(" ")
        assert scheme == "Basic"
        assert base64.b64decode(credentials) == b"AL 1000:" + password


@pytest.mark.req("FIELD-8")
@pytest.mark.parametrize(("profile", "password"), [(0, b"secret"), (1, b""), (1, None)])
async def test_no_authorization_header_without_a_password_or_a_profile(
    profile: int, password: bytes | None
) -> None:
    async with Csms() as csms, running(csms.url, security_profile=profile, password=password) as (_, seen):
        await seen.opened()
    assert "Authorization" not in csms.handshakes[0].headers


# --- frames ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-014")
async def test_text_goes_both_ways_in_order() -> None:
    async with Csms() as csms, running(csms.url) as (link, seen):
        csms.always("Heartbeat")
        await seen.opened()
        sent = [f'[2,"{number}","Heartbeat",{{"ü":"{"x" * number}"}}]' for number in range(200)]
        for text in sent:
            link.send(text)
        await seen.until(lambda: len(seen.of("text")) == 200)
        assert [text for _, text in csms.received] == sent
        assert [text.split('"')[1] for text in seen.of("text")] == [str(number) for number in range(200)]


async def test_what_a_slow_peer_does_not_take_at_once_arrives_complete_and_in_order() -> None:
    async with Csms() as csms, running(csms.url) as (link, seen):
        csms.always("Big")
        await seen.opened()
        sent = [f'[2,"{number}","Big",{{"x":"{"x" * 300_000}"}}]' for number in range(20)]
        for text in sent:
            link.send(text)
        await seen.until(lambda: len(seen.of("text")) == 20)
        assert [text for _, text in csms.received] == sent
        link.send('[2,"last","Big",{}]')
        await seen.until(lambda: len(seen.of("text")) == 21)


async def test_a_peer_that_reads_nothing_is_dropped_before_memory_grows() -> None:
    accepted = asyncio.Event()

    class Deaf(Csms):
        def _take(self, text: str) -> None:
            for _, transport in self._open:
                transport.pause_reading()  # type: ignore[attr-defined]
            accepted.set()

    async with Deaf() as csms, running(csms.url, max_frame_bytes=100_000) as (link, seen):
        await seen.opened()
        link.send("[]")
        await accepted.wait()
        sent = 0
        while link.is_connected and sent < 20_000_000:
            link.send("x" * 90_000)
            sent += 90_000
        assert not link.is_connected
        await seen.closed()
    assert seen.of("closed") == ["the CSMS does not read"]


async def test_sending_without_a_connection_is_an_error() -> None:
    async with Csms(refuse_status=503) as csms, running(csms.url) as (link, seen):
        await seen.until(lambda: seen.failures)
        assert not link.is_connected
        with pytest.raises(LinkClosed):
            link.send("[]")


@pytest.mark.req("FIELD-15")
async def test_a_large_message_does_not_cost_the_connection() -> None:
    async with Csms() as csms, running(csms.url, max_frame_bytes=100_000) as (link, seen):
        await seen.opened()
        csms.send_text("x" * 1_000_000)
        csms.send_text("still here")
        await seen.until(lambda: len(seen.of("text")) == 2)
        assert link.is_connected
        csms.send_text("x" * 2_000_000)  # beyond all memory that is set aside
        await seen.closed()
        assert csms.close_code == 1009


async def test_binary_frames_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async with Csms() as csms, running(csms.url) as (_, seen):
        await seen.opened()
        await csms._open[0][0].send_bytes(b"[]")
        csms.send_text("after")
        await seen.until(lambda: seen.of("text"))
    assert seen.of("text") == ["after"]
    assert "binary frame of 2 bytes" in caplog.text


@pytest.mark.req("R16-009")
async def test_compression_is_negotiated_only_when_configured() -> None:
    async with Csms(compress=True) as csms:
        csms.always("Heartbeat")
        for compression in (False, True):
            async with running(csms.url, compression=compression) as (link, seen):
                await seen.opened()
                for number in range(50):
                    link.send(f'[2,"{number}","Heartbeat",{{"x":"{"ab" * 200 * number}"}}]')
                await seen.until(lambda seen=seen: len(seen.of("text")) == 50)
            assert ("Sec-WebSocket-Extensions" in csms.handshakes[-1].headers) is compression
    ids = [text.split('"')[1] for _, text in csms.received]
    assert ids == [str(number) for number in range(50)] * 2


# --- loss and return -------------------------------------------------------------------------------------


@pytest.mark.req("R16-005", "R16-006", "FIELD-12")
@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_refused_upgrade_is_tried_again_for_ever_and_ever_more_slowly(status: int) -> None:
    async with Csms(refuse_status=status) as csms, running(csms.url) as (_, seen):
        await seen.until(lambda: len(seen.failures) >= 14)
        times = [handshake.time for handshake in csms.handshakes]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(wait <= 300 for wait in waits)
        assert min(waits[8:]) >= 75
        assert min(waits) >= (4 if status < 500 else 1)
        csms.refuse_status = None
        await seen.opened()


@pytest.mark.req("R16-006")
async def test_wait_that_the_server_asks_for_is_kept() -> None:
    async with (
        Csms(refuse_status=503, refuse_headers={"Retry-After": "120"}) as csms,
        running(csms.url) as (_, seen),
    ):
        await seen.until(lambda: len(seen.failures) >= 2)
    assert csms.handshakes[1].time - csms.handshakes[0].time >= 120


@pytest.mark.req("R16-006")
async def test_unreachable_server_is_reported_once_and_found_when_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Csms() as csms:
        await csms.stop_listening()
        with caplog.at_level(logging.INFO):
            async with running(csms.url) as (_, seen):
                await seen.until(lambda: len(seen.failures) >= 6)
                assert sum("no connection" in record.message for record in caplog.records) == 1
                await csms.listen(csms.port)
                await seen.opened()
    assert seen.failures[0].kind == "UNREACHABLE"


async def test_unknown_host_is_one_more_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    async with running("ws://csms.invalid/ocpp") as (_, seen):
        await seen.until(lambda: len(seen.failures) == 2)
    assert seen.failures[0].kind == "UNREACHABLE"
    assert "Name or service not known" in str(seen.failures[0])


async def test_server_that_never_answers_the_upgrade_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, running(url, connect_timeout_s=30) as (_, seen):
        await seen.until(lambda: seen.failures)
    assert str(seen.failures[0]) == "no connection within 30 s"


async def test_redirects_are_not_followed() -> None:
    async with Csms() as other, Csms(refuse_status=302, refuse_headers={"Location": other.url}) as csms:
        async with running(csms.url) as (_, seen):
            await seen.until(lambda: seen.failures)
        assert "redirect" in str(seen.failures[0])
        assert other.handshakes == []


@pytest.mark.req("FIELD-11")
async def test_dropped_connection_is_dialled_again_soon_when_it_was_stable() -> None:
    async with Csms() as csms, running(csms.url) as (_, seen):
        for number in range(1, 6):
            await seen.opened(number)
            await asyncio.sleep(600)
            dropped_time = asyncio.get_running_loop().time()
            csms.drop()
            await seen.opened(number + 1)
            assert seen.of("closed")[-1] == "connection lost"
            assert 1 <= csms.handshakes[-1].time - dropped_time <= 4.1
    assert csms.most_open == 1


async def test_connection_closed_right_after_the_upgrade_slows_the_attempts_down() -> None:
    for code in (1000, 1008, 1011):
        async with Csms(close_at_once=code) as csms, running(csms.url) as (_, seen):
            await seen.closed(12)
            times = [handshake.time for handshake in csms.handshakes]
            assert times[11] - times[10] >= 75
            assert str(code) in seen.of("closed")[0]


async def test_close_by_the_server_is_answered_and_its_code_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Csms() as csms, running(csms.url) as (_, seen):
        await seen.opened()
        with caplog.at_level(logging.INFO):
            csms.close(1012, "restart")
            await seen.closed()
        await csms.connected(False)
        assert csms.close_code == 1000
    assert seen.of("closed") == ["closed by the CSMS with 1012 restart"]
    assert "1012 restart" in caplog.text


async def test_disconnect_stays_offline_until_connect() -> None:
    async with Csms() as csms, running(csms.url) as (link, seen):
        await seen.opened()
        link.disconnect()
        assert not link.is_connected
        await seen.closed()
        await csms.connected(False)
        assert csms.close_code == 1000
        await asyncio.sleep(3600)
        assert len(csms.handshakes) == 1
        asked_time = asyncio.get_running_loop().time()
        link.connect()
        await seen.opened(2)
        assert csms.handshakes[1].time - asked_time < 0.1


async def test_disconnect_while_dialling_or_waiting_abandons_the_attempt() -> None:
    async with Csms(refuse_status=404) as csms, running(csms.url) as (link, seen):
        link.disconnect()
        await asyncio.sleep(100)
        assert csms.handshakes == []
        link.connect()
        await asyncio.sleep(0)
        link.disconnect()
        await asyncio.sleep(100)
        assert seen.failures == []
        link.connect()
        await seen.until(lambda: seen.failures)
        link.disconnect()
        count = len(csms.handshakes)
        await asyncio.sleep(3600)
        assert len(csms.handshakes) == count


async def test_connect_ends_a_long_wait_between_attempts() -> None:
    async with Csms(refuse_status=404) as csms, running(csms.url) as (link, seen):
        await seen.until(lambda: len(seen.failures) >= 8)
        csms.refuse_status = None
        asked_time = asyncio.get_running_loop().time()
        link.connect()
        await seen.opened()
        assert csms.handshakes[-1].time - asked_time < 0.1


@pytest.mark.req("R16-327", "FIELD-10")
async def test_reconnect_uses_the_new_password_and_never_two_sockets() -> None:
    async with Csms() as csms, running(csms.url, security_profile=1, password=b"old") as (link, seen):
        await seen.opened()
        link.config = replace(link.config, password=b"new")
        link.reconnect("new password")
        await seen.opened(2)
    assert base64.b64decode(csms.handshakes[1].headers["Authorization"][6:]) == b"CP001:new"
    assert seen.of("closed")[0] == "new password"
    assert csms.most_open == 1


async def test_text_that_arrives_after_we_began_to_close_is_not_delivered() -> None:
    async with Csms() as csms, running(csms.url) as (link, seen):
        await seen.opened()
        csms.send_text("on its way")
        link.disconnect()
        await seen.closed()
    assert seen.of("text") == []


async def test_stopping_says_goodbye() -> None:
    async with Csms() as csms:
        async with running(csms.url) as (_, seen):
            await seen.opened()
        await csms.connected(False)
        assert csms.close_code == 1001


@pytest.mark.parametrize("failure", [RuntimeError("boom"), TimeoutError("boom")])
async def test_a_listener_that_fails_ends_run_with_the_socket_closed(failure: Exception) -> None:
    async with Csms() as csms:
        closed: list[str] = []

        def fail(_text: str) -> None:
            raise failure

        link = Link(LinkConfig(csms.url, "CP001"), lambda _: csms.send_text("[]"), fail, closed.append)
        with pytest.raises(type(failure), match="boom"):
            await link.run()
        await csms.connected(False)
        assert closed == ["stopped"]


async def test_listener_may_disconnect_at_once() -> None:
    async with Csms() as csms:
        seen = Seen()
        link = Link(
            LinkConfig(csms.url, "CP001"), lambda _: link.disconnect(), seen.note("text"), seen.note("closed")
        )
        task = asyncio.create_task(link.run())
        await seen.closed()
        task.cancel()
    assert seen.of("closed") == ["disconnected on request"]


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
)
async def test_what_is_no_websocket_server_is_one_more_failure(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, running(url) as (_, seen):
        await seen.until(lambda: len(seen.failures) == 2)
    assert str(seen.failures[0])
    assert seen.of("open") == []


# --- ping ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-010")
async def test_a_ping_goes_out_every_interval() -> None:
    async with Csms() as csms, running(csms.url, ping_interval_s=30) as (_, seen):
        await seen.opened()
        await asyncio.sleep(301)
        gaps = [later - earlier for earlier, later in itertools.pairwise(csms.ping_times)]
        assert len(csms.ping_times) == 10
        assert gaps == pytest.approx([30] * 9, abs=0.01)
        assert len(csms.handshakes) == 1


@pytest.mark.req("R16-010")
async def test_interval_zero_sends_no_pings() -> None:
    async with Csms() as csms, running(csms.url, ping_interval_s=0) as (_, seen):
        await seen.opened()
        await asyncio.sleep(86_400)
        assert csms.ping_times == []
        assert csms.is_connected


@pytest.mark.req("R16-013")
async def test_a_new_interval_counts_at_once_and_after_a_reconnect() -> None:
    async with Csms() as csms, running(csms.url, ping_interval_s=1000) as (link, seen):
        await seen.opened()
        link.set_ping_interval(10)
        await asyncio.sleep(11)
        assert len(csms.ping_times) == 1
        csms.drop()
        await seen.opened(2)
        await asyncio.sleep(11)
        assert len(csms.ping_times) == 2
        link.set_ping_interval(0)
        await asyncio.sleep(1000)
        assert len(csms.ping_times) == 2


@pytest.mark.req("R16-011", "FIELD-13")
async def test_server_pings_are_always_answered() -> None:
    async with Csms() as csms, running(csms.url, ping_interval_s=0) as (_, seen):
        await seen.opened()
        csms.ping(b"one")
        csms.ping(b"two")
        csms.send_text("after the pings")
        await seen.until(lambda: seen.of("text"))
        await asyncio.sleep(1)
        assert csms.pongs == [b"one", b"two"]


@pytest.mark.req("R16-012")
async def test_silence_after_a_ping_closes_and_redials() -> None:
    async with (
        Csms(answers_pings=False) as csms,
        running(csms.url, ping_interval_s=60, pong_timeout_s=20) as (_, seen),
    ):
        await seen.opened()
        opened_time = csms.handshakes[0].time
        await seen.closed()
        assert asyncio.get_running_loop().time() - opened_time == pytest.approx(80, abs=3)
        assert seen.of("closed") == ["no pong within 20 s"]
        await seen.opened(2)
    assert csms.most_open == 1


async def test_any_frame_counts_as_a_sign_of_life() -> None:
    async with (
        Csms(answers_pings=False) as csms,
        running(csms.url, ping_interval_s=60, pong_timeout_s=20) as (_, seen),
    ):
        await seen.opened()
        for _ in range(60):
            await asyncio.sleep(10)
            csms.send_text("[]")
        assert len(csms.handshakes) == 1


@pytest.mark.req("R16-012")
async def test_a_peer_that_does_not_even_close_is_left_behind() -> None:
    async with upgrading("ocpp1.6") as url, running(url, ping_interval_s=60, pong_timeout_s=20) as (_, seen):
        await seen.opened(2)
    assert seen.of("closed")[0] == "no pong within 20 s"


@pytest.mark.req("R16-006")
async def test_a_server_that_hangs_up_without_an_answer_is_dialled_once_per_attempt() -> None:
    dials = 0

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dials
        dials += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, running(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as (_, seen):
        await seen.until(lambda: len(seen.failures) >= 4)
        assert dials == len(seen.failures)
