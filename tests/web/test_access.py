"""Who gets in and may do what, over real sockets: docs/access.md as tests."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.charging.facts import VendorActionRun
from agent.config_web import WebConfig
from agent.errors import StoreFull
from agent.web import gate
from agent.web.attempts import FREE_FAILURES
from agent.web.passwords import FILE_NAME, AccessFile, Cost
from agent.web.roles import Role
from agent.web.server import LocalApi
from tests.web.conftest import WebBench

CHEAP = Cost(n=2, r=1, p=1)
GOOD, VIEWERS = "correct horse", "just looking"
CUSTOM = {"X-Requested-With": "evse-agent"}
LINK = {"command": "disconnect"}

Answer = tuple[int, Any]


class Doors:
    """The server with both doors, and clients of it."""

    def __init__(self, web: WebBench, settings: WebConfig, host: str) -> None:
        self.web = web
        self.file = AccessFile(web.socket_path.parent, cost=CHEAP)
        self.rows: list[VendorActionRun] = []
        self.logins: list[tuple[str, str, bool]] = []
        ports = web.ports(note_action=self.note, audit=self.latest, note_login=self.note_login)
        self.api = LocalApi(ports, web.socket_path, (host, 0), settings)

    async def note(self, source: str, action: str, evse_id: int, outcome: str, detail: str) -> None:
        self.rows.append(
            VendorActionRun(datetime(2026, 1, 1, tzinfo=UTC), source, action, evse_id, outcome, detail)
        )

    async def note_login(self, user: str, origin: str, *, is_accepted: bool) -> None:
        self.logins.append((user, origin, is_accepted))

    async def latest(self, limit: int) -> list[VendorActionRun]:
        return self.rows[::-1][:limit]

    @property
    def port(self) -> int | None:
        found = [address[1] for address in self.api.addresses if isinstance(address, tuple)]
        return found[0] if found else None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def browser(self) -> AsyncIterator["Client"]:
        jar = aiohttp.CookieJar(unsafe=True)  # of an address without a name, too
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            yield Client(http, self)


class Client:
    def __init__(self, http: aiohttp.ClientSession, doors: Doors) -> None:
        self.http = http
        self.doors = doors
        self.headers: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        sent = {**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        async with self.http.request(method, self.doors.url + path, json=body, headers=sent) as response:
            self.headers_of_answer = response.headers
            return response.status, await response.json()

    async def log_in(self, password: str, **more: str) -> Answer:
        return await self.ask("POST", "/api/v1/session", {"password": password, **more}, **CUSTOM)


Open = Callable[..., Any]


@pytest.fixture
async def open_doors(tmp_path: Path) -> AsyncIterator[Open]:
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(settings: WebConfig | None = None, host: str = "127.0.0.1") -> Doors:
            web = WebBench(tmp_path)
            doors = Doors(web, settings or WebConfig(), host)
            await doors.api.start()
            tending = asyncio.create_task(doors.api.tend())

            async def close() -> None:
                tending.cancel()
                await asyncio.gather(tending, return_exceptions=True)
                await doors.api.close()
                web.world.close()

            stack.push_async_callback(close)
            return doors

        yield open_one


async def test_this_machine_needs_no_password_until_one_is_set(open_doors: Open) -> None:
    doors = await open_doors()
    async with doors.browser() as client:
        _, me = await client.ask("GET", "/api/v1/session")
        assert (me["role"], me["means"], me["has_password"]) == ("installer", "open", False)
        code, answer = await client.log_in(GOOD)
        assert (code, "evse-agent passwd" in answer["error"]) == (409, True)
        doors.file.set_password(Role.INSTALLER, GOOD)
        _, me = await client.ask("GET", "/api/v1/session")
        assert (me["role"], me["means"], me["has_password"]) == ("nobody", "none", True)
        code, _ = await client.ask("GET", "/api/v1/status")
        assert (code, client.headers_of_answer["WWW-Authenticate"]) == (401, "Bearer")


async def test_the_unix_socket_is_the_installer_whatever_is_set(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    connector = aiohttp.UnixConnector(str(doors.web.socket_path))
    async with aiohttp.ClientSession(connector=connector) as http:
        response = await http.get("http://localhost/api/v1/session")
        me = await response.json()
        assert (me["role"], me["means"]) == ("installer", "socket")
        response = await http.post("http://localhost/api/v1/link", json=LINK)
        assert response.status == 200
    assert doors.rows[-1].source == f"installer socket:{me['name']}"


@pytest.mark.parametrize(("word", "reads", "acts"), [("viewer", 200, 403), ("none", 401, 401)])
async def test_loopback_may_be_given_a_smaller_role(
    open_doors: Open, word: str, reads: int, acts: int
) -> None:
    doors = await open_doors(WebConfig(loopback_role=word))
    async with doors.browser() as client:
        assert (await client.ask("GET", "/api/v1/status"))[0] == reads
        assert (await client.ask("POST", "/api/v1/link", LINK))[0] == acts
    assert doors.web.csms.is_connected


async def test_loopback_may_stay_open_beside_a_password(open_doors: Open) -> None:
    doors = await open_doors(WebConfig(loopback_role="viewer", password_on_loopback=False))
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        assert (await client.ask("GET", "/api/v1/status"))[0] == 200
        assert (await client.ask("GET", "/api/v1/status", Host="evil.example"))[0] == 403
        assert (await client.ask("POST", "/api/v1/link", LINK))[0] == 403
        assert (await client.log_in(GOOD))[0] == 200
        assert (await client.ask("POST", "/api/v1/link", LINK, **CUSTOM))[0] == 200


async def test_other_addresses_open_with_the_password_and_close_with_it(
    open_doors: Open, caplog: pytest.LogCaptureFixture
) -> None:
    doors = await open_doors(host="0.0.0.0")
    assert doors.port is None
    assert caplog.text.count("is not opened until a password is set: evse-agent passwd") == 1
    await asyncio.sleep(30)
    assert caplog.text.count("is not opened until a password is set") == 1
    doors.file.set_password(Role.VIEWER, VIEWERS)
    await asyncio.sleep(2)
    async with doors.browser() as client:
        assert (await client.ask("GET", "/api/v1/status"))[0] == 401
        assert (await client.log_in(VIEWERS))[0] == 200
        assert (await client.ask("GET", "/api/v1/status", Host="charger.example"))[0] == 200
        doors.file.remove_password(Role.VIEWER)
        await asyncio.sleep(2)
        assert doors.port is None


async def test_a_session_has_the_role_of_its_password(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.VIEWER, VIEWERS)
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        code, me = await client.log_in(VIEWERS)
        assert (code, me["role"], me["means"]) == (200, "viewer", "session")
        code, answer = await client.ask("POST", "/api/v1/link", LINK, **CUSTOM)
        assert (code, answer["error"]) == (403, "needs the role installer, this is a viewer")
        code, answer = await client.log_in(GOOD, role="viewer")
        assert (code, answer["field"]) == (401, "password")
        assert (await client.log_in(GOOD, role="installer"))[1]["role"] == "installer"
        assert (await client.ask("POST", "/api/v1/link", LINK, **CUSTOM))[0] == 200
        assert (await client.ask("DELETE", "/api/v1/session", **CUSTOM))[1]["role"] == "nobody"
        assert (await client.ask("GET", "/api/v1/status"))[0] == 401
    said = [(row.source, row.action, row.outcome, row.detail) for row in doors.rows]
    name = me["name"]
    assert said[0] == ("nobody none 127.0.0.1", "Log in", "ok", f"as viewer, session {name}")
    assert said[1][0] == f"viewer session:{name} 127.0.0.1"
    assert said[1][2] == "needs the role installer, this is a viewer"
    assert said[2][2:] == ("wrong password", "as viewer")
    assert [row[1] for row in said[3:]] == ["Log in", "Connect to the CSMS, or stay offline", "Log out"]
    assert GOOD not in str(doors.rows)


@pytest.mark.req("A04.FR.01")
async def test_who_signs_in_to_operate_is_told_and_who_failed_until_he_has_to_wait(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    doors.file.set_password(Role.VIEWER, VIEWERS)
    async with doors.browser() as client:
        for password, role in (
            (VIEWERS, "viewer"),
            (GOOD, "viewer"),
            (GOOD, "installer"),
            (VIEWERS, "installer"),
        ):
            await client.log_in(password, role=role)
        await client.log_in(GOOD)
        assert doors.logins == [
            ("installer", "127.0.0.1", True),
            ("installer", "127.0.0.1", False),
            ("installer", "127.0.0.1", True),
        ]
        for _ in range(FREE_FAILURES + 3):
            code, _ = await client.log_in("guess")
        assert code == 429
        assert doors.logins[3:] == [("anyone", "127.0.0.1", False)] * FREE_FAILURES


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        await client.log_in(GOOD)
        cookie = client.headers_of_answer["Set-Cookie"]
        name, _, rest = cookie.partition("=")
        assert name == f"evse_agent_{doors.port}"
        flags = {part.strip() for part in rest.split(";")[1:]}
        assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=86400"} <= flags
        assert "Domain" not in cookie


async def test_a_session_alone_changes_nothing_without_the_page_behind_it(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        await client.log_in(GOOD)
        code, answer = await client.ask("POST", "/api/v1/link", LINK)
        assert (code, answer["field"]) == (403, "X-Requested-With")
        for site in ("cross-site", "same-site"):
            code, answer = await client.ask("POST", "/api/v1/link", LINK, Sec_Fetch_Site=site)
            assert (code, answer["field"]) == (403, "Sec-Fetch-Site")
        code, answer = await client.ask("POST", "/api/v1/link", LINK, Origin="http://evil.example", **CUSTOM)
        assert (code, answer["field"]) == (403, "Origin")
        code, answer = await client.ask(
            "POST", "/api/v1/session", {"password": GOOD}, Origin="http://evil.example"
        )
        assert code == 403, "nobody is logged in by another site"
        assert doors.web.csms.is_connected
        origin = {"Origin": doors.url, "Sec_Fetch_Site": "same-origin"}
        assert (await client.ask("POST", "/api/v1/link", LINK, **origin))[0] == 200


async def test_another_site_cannot_read_what_this_machine_may(open_doors: Open) -> None:
    doors = await open_doors()
    async with doors.browser() as client:
        assert (await client.ask("GET", "/api/v1/status", Sec_Fetch_Site="cross-site"))[0] == 403
        assert (await client.ask("GET", "/api/v1/status", Host="evil.example"))[0] == 403
        assert (await client.ask("GET", "/api/v1/status", Sec_Fetch_Site="none"))[0] == 200


async def test_tokens_have_their_role_and_need_no_header(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    token = doors.file.create_token("building", Role.OPERATOR)
    async with doors.browser() as client:
        client.headers = {"Authorization": f"Bearer {token}"}
        _, me = await client.ask("GET", "/api/v1/session")
        assert (me["role"], me["means"], me["name"]) == ("operator", "token", "building")
        assert (await client.ask("PUT", "/api/v1/external-limits/EMS", {"limit": 10}))[0] == 200
        assert doors.rows[-1].source == "operator token:building 127.0.0.1"
        assert (await client.ask("POST", "/api/v1/link", LINK))[0] == 403
        doors.file.revoke_token("building")
        code, answer = await client.ask("GET", "/api/v1/status")
        assert (code, "revoked" in answer["error"]) == (401, True)
        for text in ("Bearer", "Bearer ", "Bearer \xff", "bearer x"):
            assert (await client.ask("GET", "/api/v1/status", Authorization=text))[0] == 401


async def test_a_session_ends_idle_old_and_with_its_password(open_doors: Open) -> None:
    doors = await open_doors(WebConfig(session_idle_minutes=10, session_hours=1))
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        await client.log_in(GOOD)
        for _ in range(6):
            assert (await client.ask("GET", "/api/v1/status"))[0] == 200
            await asyncio.sleep(9.9 * 60)
        await asyncio.sleep(60)
        assert (await client.ask("GET", "/api/v1/status"))[0] == 401, "an hour is over"
        await client.log_in(GOOD)
        await asyncio.sleep(601)
        assert (await client.ask("GET", "/api/v1/status"))[0] == 401, "idle"
        await client.log_in(GOOD)
        doors.file.set_password(Role.INSTALLER, "a new password")
        assert (await client.ask("GET", "/api/v1/status"))[0] == 401


async def test_an_open_stream_ends_with_its_session(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        await client.log_in(GOOD)
        async with client.http.get(f"{doors.url}/api/v1/events") as stream:
            await stream.content.readline()
            await asyncio.sleep(2 * 3600)
            assert (await client.ask("GET", "/api/v1/status"))[0] == 200, "watching is using"
            doors.file.set_password(Role.INSTALLER, "a new password")
            await asyncio.sleep(3)
            with contextlib.suppress(aiohttp.ClientError):
                while await stream.content.readline():
                    pass
            assert stream.content.at_eof() or stream.content.exception() is not None
        await asyncio.sleep(20)
        assert doors.web.station.listeners == []


async def test_wrong_passwords_are_slowed_down_and_the_owner_gets_in_again(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        for _ in range(FREE_FAILURES):
            assert (await client.log_in("guess"))[0] == 401
        code, answer = await client.log_in(GOOD)
        assert code == 429, "even the right one has to wait"
        assert int(client.headers_of_answer["Retry-After"]) in (2, 3)
        assert "try again in" in answer["error"]
        await asyncio.sleep(3)
        assert (await client.log_in(GOOD))[0] == 200


async def test_guessing_all_at_once_is_no_way_around(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        codes = [code for code, _ in await asyncio.gather(*(client.log_in("guess") for _ in range(40)))]
    assert codes.count(401) == FREE_FAILURES
    assert set(codes) == {401, 429}


async def test_a_damaged_file_lets_nobody_in_from_the_network(open_doors: Open) -> None:
    doors = await open_doors()
    (doors.web.socket_path.parent / FILE_NAME).write_text("{")
    async with doors.browser() as client:
        assert (await client.ask("GET", "/api/v1/status"))[0] == 401
        assert (await client.log_in(GOOD))[0] == 401


async def test_every_answer_has_the_headers_that_keep_browsers_careful(open_doors: Open) -> None:
    doors = await open_doors()
    async with doors.browser() as client:
        for path in ("/api/v1/status", "/nothing", "/api/v1/messages?limit=x"):
            await client.ask("GET", path)
            headers = client.headers_of_answer
            assert headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Server"] == "evse-agent"
            if path.startswith("/api/"):
                assert headers["Cache-Control"] == "no-store"
        await client.ask("POST", "/api/v1/status")
        assert "GET" in client.headers_of_answer["Allow"]


async def test_nobody_takes_all_streams(open_doors: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "STREAMS_PER_CLIENT", 3)
    doors = await open_doors()
    async with doors.browser() as client, contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            stream = await stack.enter_async_context(client.http.get(f"{doors.url}/api/v1/events"))
            await stream.content.readline()
        code, _ = await client.ask("GET", "/api/v1/messages?follow=true")
        assert (code, client.headers_of_answer["Retry-After"]) == (429, "10")
        stream.close()
        await asyncio.sleep(30)
        again = await stack.enter_async_context(client.http.get(f"{doors.url}/api/v1/events"))
        assert again.status == 200


async def test_a_body_that_does_not_come_is_given_up(open_doors: Open) -> None:
    doors = await open_doors()
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
    writer.write(b"POST /api/v1/link HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
    writer.write(b"GET /api/v1/status HT")
    started = asyncio.get_running_loop().time()
    assert await reader.read() == b""
    assert asyncio.get_running_loop().time() - started < 61, "and half a request, too"
    writer.close()


async def test_what_is_no_http_is_told_and_does_not_fill_the_log(
    open_doors: Open, caplog: pytest.LogCaptureFixture
) -> None:
    doors = await open_doors()
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert not [record for record in caplog.records if record.exc_info]


async def test_the_audit_is_shown_newest_first_to_installers(open_doors: Open) -> None:
    doors = await open_doors()
    async with doors.browser() as client:
        await client.ask("POST", "/api/v1/link", LINK)
        await client.ask("POST", "/sim/v1/evse/2/plug", {})
        await client.ask("POST", "/sim/v1/evse/9/plug", {})
        await client.ask("POST", "/api/v1/link", {"command": "dance"})
        code, answer = await client.ask("GET", "/api/v1/audit?limit=2")
        assert code == 200
        assert answer["audit"] == [
            {
                "at": "2026-01-01T00:00:00Z",
                "source": "installer open 127.0.0.1",
                "action": "Plug a simulated car in",
                "evse_id": 2,
                "outcome": "ok",
                "detail": "",
            },
            {
                "at": "2026-01-01T00:00:00Z",
                "source": "installer open 127.0.0.1",
                "action": "Connect to the CSMS, or stay offline",
                "evse_id": 0,
                "outcome": "ok",
                "detail": "disconnect",
            },
        ]


async def test_what_a_client_writes_is_one_short_line_of_the_audit(open_doors: Open) -> None:
    doors = await open_doors()
    async with doors.browser() as client:
        body = {"vendor_id": "a\n<3>root: all is well\x1b[2J", "data": "secret"}
        assert (await client.ask("POST", "/api/v1/data-transfer", body))[0] == 200
    assert doors.rows[0].detail == "a <3>root: all is well [2J  to the csms"
    assert gate._one_line("x" * 1000) == "x" * gate.DETAIL_LONGEST


async def test_a_full_disk_neither_undoes_nor_hides_an_action(
    open_doors: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_row: object) -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(Doors, "note", fail)
    doors = await open_doors()
    caplog.set_level(logging.INFO)
    async with doors.browser() as client:
        assert (await client.ask("POST", "/api/v1/link", LINK))[0] == 200
    assert not doors.web.csms.is_connected
    assert "installer open 127.0.0.1: Connect to the CSMS, or stay offline disconnect: ok" in caplog.text


@pytest.mark.parametrize("origin", ["http://[x", "http://[::1", "null", "//", "http://a]b"])
async def test_an_origin_that_is_no_address_is_foreign(
    open_doors: Open, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    doors = await open_doors()
    async with doors.browser() as client:
        code, answer = await client.ask("GET", "/api/v1/status", Origin=origin)
        assert (code, answer["field"]) == (403, "Origin")
        code, answer = await client.ask("GET", "/api/v1/status", Host="[::1")
        assert (code, answer["field"]) == (403, "Host")
    assert not caplog.records, "nobody fills the log with it"


async def test_another_site_cannot_log_anybody_in_even_without_naming_its_origin(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.VIEWER, VIEWERS)
    async with doors.browser() as client:
        for method in ("POST", "DELETE"):
            code, answer = await client.ask(
                method, "/api/v1/session", {"password": VIEWERS}, Sec_Fetch_Site="cross-site"
            )
            assert (code, answer["field"]) == (403, "Sec-Fetch-Site")
        assert (await client.ask("GET", "/api/v1/session", Sec_Fetch_Site="cross-site"))[0] == 200


async def test_who_is_nobody_leaves_no_row_by_logging_out(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    async with doors.browser() as client:
        for _ in range(3):
            assert (await client.ask("DELETE", "/api/v1/session"))[0] == 200
    assert doors.rows == []


async def test_nobody_pushes_the_audit_out_with_what_is_refused(open_doors: Open) -> None:
    """Each row is a commit on the disk that charging uses, and the oldest rows make room."""
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    token = doors.file.create_token("display", Role.VIEWER)
    async with doors.browser() as client, doors.browser() as owner:
        client.headers = {"Authorization": f"Bearer {token}"}
        for _ in range(100):
            assert (await client.ask("POST", "/api/v1/link", LINK))[0] == 403
        assert len(doors.rows) == gate.ROWS_AT_ONCE
        await owner.log_in(GOOD)
        assert doors.rows[-1].detail.startswith("as installer"), "who gets in is never left out"
        await asyncio.sleep(gate.ROW_EVERY_S + 1)
        assert (await client.ask("POST", "/api/v1/link", LINK))[0] == 403
        assert doors.rows[-1].outcome.endswith("(70 more were not written)")
        for _ in range(100):
            assert (await owner.ask("POST", "/api/v1/link", LINK, **CUSTOM))[0] == 200
        assert len(doors.rows) == gate.ROWS_AT_ONCE + 2 + 100, "all that was done"


POST = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}--\r\n0\r\n\r\n",
        POST + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot zips!",
        POST + b"Content-Encoding: deflate\r\nContent-Length: 9\r\n\r\nnot zips!",
        POST
        + b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        POST + b"Content-Type: text/plain; charset=nonsense\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("is_patient", [True, False])
async def test_a_body_that_breaks_off_or_is_garbled_does_not_fill_the_log(
    open_doors: Open, sent: bytes, is_patient: bool, caplog: pytest.LogCaptureFixture
) -> None:
    doors = await open_doors()
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
    writer.write(sent)
    await writer.drain()
    await asyncio.sleep(0.2)
    if not is_patient:
        writer.transport.abort()
    await asyncio.sleep(30)
    if is_patient:
        assert (await reader.read(12))[-3:] in (b"400", b"408")
    writer.close()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_who_knows_a_small_password_cannot_guess_the_great_one_without_pauses(open_doors: Open) -> None:
    doors = await open_doors()
    doors.file.set_password(Role.INSTALLER, GOOD)
    doors.file.set_password(Role.VIEWER, VIEWERS)
    codes = []
    async with doors.browser() as client:
        for number in range(4 * FREE_FAILURES):
            codes.append((await client.log_in(f"guess {number}", role="installer"))[0])
            if number % 3 == 2:
                codes.append((await client.log_in(VIEWERS))[0])
        assert codes.count(401) == FREE_FAILURES
        assert codes[-1] == 429
        await asyncio.sleep(301)
        assert (await client.log_in(VIEWERS))[0] == 200, "a pause ends"
        assert (await client.log_in(GOOD))[0] == 200
        assert [(await client.log_in("guess"))[0] for _ in range(FREE_FAILURES)] == [401] * FREE_FAILURES


async def test_who_leaves_in_the_middle_of_an_archive_does_not_fill_the_log(
    open_doors: Open, caplog: pytest.LogCaptureFixture
) -> None:
    doors = await open_doors()
    doors.web.archive = bytes(20_000_000)
    for _ in range(3):
        _reader, writer = await asyncio.open_connection("127.0.0.1", doors.port, limit=1024)
        writer.write(b"GET /api/v1/diagnostics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(2)
        writer.transport.abort()
        await asyncio.sleep(2)
    assert [record.getMessage() for record in caplog.records] == []
