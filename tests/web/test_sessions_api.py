"""/api/v1/sessions: the list, one session with its samples, who sees which token, and what bad questions get."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from agent.charging.ids import IdToken, IdTokenType
from agent.charging.recording import RecordedSession, SessionQuery
from agent.errors import StoreError
from agent.web import sessions_api
from agent.web.roles import Role
from agent.web.server import LocalApi
from agent.web.sessions_api import session_json
from agent.web.shown_tokens import shown_token
from tests.helpers.recorded_sessions import SESSION, Recorder
from tests.helpers.snapshots import T0
from tests.web.conftest import WebBench


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def bench(tmp_path: Path, recorder: Recorder) -> AsyncIterator[WebBench]:
    bench = WebBench(tmp_path)
    api = LocalApi(bench.ports(sessions=recorder), bench.socket_path)
    await api.start()
    bench.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(bench.socket_path)))
    yield bench
    await bench.http.close()
    await api.close()
    bench.world.close()


async def test_the_list_has_what_was_charged_in_words_of_the_documentation(
    bench: WebBench, recorder: Recorder
) -> None:
    status, answer = await bench.ask("GET", "/api/v1/sessions")
    assert status == 200
    assert answer["sessions"] == [
        {
            "session_id": SESSION.session_id,
            "evse_id": 1,
            "connector_id": 1,
            "is_running": False,
            "started_at": "2026-01-01T00:00:00Z",
            "stopped_at": "2026-01-01T01:00:00Z",
            "duration_s": 3600.0,
            "id_token": "04A1B2C3D4",
            "id_token_type": "ISO14443",
            "reference": "42",
            "energy_wh": 11_000.0,
            "meter_start_wh": 1000,
            "meter_stop_wh": 12_000,
            "stop_reason": "Local",
            "charging_s": 3500.0,
            "suspended_ev_s": 60.0,
            "suspended_evse_s": 30.0,
            "max_power_w": 11_040.0,
            "cost": "3.30",
        }
    ]
    assert recorder.asked == [SessionQuery()]


async def test_a_question_is_passed_on_with_times_in_utc(bench: WebBench, recorder: Recorder) -> None:
    query = "since=2026-01-01T02:00:00%2B02:00&until=2026-02-01&evse=2&limit=7"
    await bench.ask("GET", f"/api/v1/sessions?{query}")
    assert recorder.asked == [SessionQuery(T0, datetime(2026, 2, 1, tzinfo=UTC), 2, 7)]


async def test_one_session_comes_with_its_samples(bench: WebBench) -> None:
    status, answer = await bench.ask("GET", f"/api/v1/sessions/{SESSION.session_id}")
    assert (status, answer["pace_s"]) == (200, 4)
    assert len(answer["samples"]) == 2
    assert answer["samples"][:1] == [
        {
            "at": "2026-01-01T00:00:01.500000Z",
            "power_w": 11_040.0,
            "current_a": [16.0, 16.0, None],
            "offered_a": 16.0,
            "energy_wh": 3.1,
        }
    ]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/nothing", 404, "session_id"),
        ("?since=yesterday", 400, "since"),
        ("?until=0001-01-01T00:00:00%2B14:00", 400, "until"),
        ("?limit=0", 400, "limit"),
        ("?evse=one", 400, "evse"),
        ("?colour=red", 400, "colour"),
    ],
)
async def test_a_bad_question_is_answered_with_its_field(
    bench: WebBench, path: str, status: int, field: str
) -> None:
    code, answer = await bench.ask("GET", f"/api/v1/sessions{path}")
    assert (code, answer["field"]) == (status, field)


async def test_a_store_that_does_not_answer_is_told(bench: WebBench, recorder: Recorder) -> None:
    recorder.failure = StoreError("the disk is gone")
    for path in ("", f"/{SESSION.session_id}"):
        assert await bench.ask("GET", f"/api/v1/sessions{path}") == (
            500,
            {"error": "the disk is gone", "field": None},
        )


@pytest.mark.parametrize(
    ("token", "role", "shown"),
    [
        (IdToken("04A1B2C3D4"), Role.VIEWER, "…C3D4"),
        (IdToken("TAG1"), Role.VIEWER, "…"),
        (IdToken("04A1B2C3D4"), Role.OPERATOR, "04A1B2C3D4"),
        (IdToken("1234", IdTokenType.KEY_CODE), Role.INSTALLER, "(key code)"),
        (IdToken("1234", IdTokenType.KEY_CODE), Role.VIEWER, "(key code)"),
    ],
)
def test_a_viewer_sees_the_end_of_a_token_and_nobody_a_key_code(
    token: IdToken, role: Role, shown: str
) -> None:
    assert shown_token(token, role) == shown
    assert session_json(SESSION, Role.VIEWER)["id_token"] == "…C3D4"


class LongRecorder(Recorder):
    """Has as many sessions as anybody asks for."""

    async def sessions(self, query: SessionQuery) -> Sequence[RecordedSession]:
        await super().sessions(query)
        return [SESSION] * query.limit


async def test_long_lists_for_clients_that_do_not_read_are_few_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is megabytes of memory: a hundred of them would end the agent on a small computer."""
    bench, recorder = WebBench(tmp_path), LongRecorder()
    api = LocalApi(bench.ports(sessions=recorder), bench.socket_path, ("127.0.0.1", 0))
    await api.start()
    (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
    writers = []
    for _ in range(6):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /api/v1/sessions?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writers.append(writer)
    await asyncio.sleep(5)
    assert len(recorder.asked) == sessions_api.LONG_AT_ONCE
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        async with http.get("/api/v1/sessions?limit=250") as response:
            assert response.status == 200, "a short one waits for nobody"
        await asyncio.sleep(sessions_api.LONG_S + 5)
        assert len(recorder.asked) == 2 * sessions_api.LONG_AT_ONCE + 1, "who does not read is cut off"
        for writer in writers:
            writer.transport.abort()
        async with http.get("/api/v1/sessions?limit=10000") as response:
            assert len((await response.json())["sessions"]) == 10_000
    assert [record.getMessage() for record in caplog.records] == [], "who leaves does not fill the log"
    await api.close()
    bench.world.close()


async def test_the_command_line_waits_for_no_client_of_the_network(tmp_path: Path) -> None:
    bench, recorder = WebBench(tmp_path), LongRecorder()
    api = LocalApi(bench.ports(sessions=recorder), bench.socket_path, ("127.0.0.1", 0))
    await api.start()
    (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
    writers = []
    for _ in range(sessions_api.LONG_AT_ONCE + 1):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /api/v1/sessions?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writers.append(writer)
    await asyncio.sleep(1)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(bench.socket_path))) as http,
        asyncio.timeout(20),
        http.get("http://localhost/api/v1/sessions?limit=10000") as response,
    ):
        assert len((await response.json())["sessions"]) == 10_000
    for writer in writers:
        writer.close()
    await api.close()
    bench.world.close()
