"""The doors of the local API: who gets in, what an error looks like, and that nothing is left behind."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

from agent.web.server import BODY_LIMIT_BYTES, LocalApi
from agent.web.unix_socket import AlreadyServed, connect, listen
from tests.web.conftest import WebBench


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v2/status", 404),
        ("POST", "/api/v1/status", 405),
        ("GET", "/sim/v1/tap", 405),
    ],
)
async def test_every_error_is_json(bench: WebBench, method: str, path: str, code: int) -> None:
    answered, answer = await bench.ask(method, path)
    assert answered == code
    assert set(answer) == {"error", "field"}


async def test_a_body_that_is_no_json_or_too_large_is_refused(bench: WebBench) -> None:
    async with bench.http.post("http://localhost/api/v1/link", data=b"{") as response:
        assert (response.status, (await response.json())["field"]) == (400, "body")
    async with bench.http.post(
        "http://localhost/api/v1/link", data=b" " * (BODY_LIMIT_BYTES + 1)
    ) as response:
        assert response.status == 413


async def test_a_crash_of_the_api_is_an_answer_and_a_log_line(
    bench: WebBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.station.picture = None  # type: ignore[assignment]
    code, answer = await bench.ask("GET", "/api/v1/status")
    assert (code, answer["error"]) == (500, "the local API failed; see the log")
    assert "GET /api/v1/status crashed" in caplog.text


async def test_the_socket_is_for_owner_and_group_and_goes_with_the_server(
    bench: WebBench, tmp_path: Path
) -> None:
    path = tmp_path / "second.sock"
    api = LocalApi(bench.ports(), path)
    await api.start()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    await api.close()
    assert not path.exists()


async def test_a_dead_socket_is_replaced_and_a_living_agent_is_not(tmp_path: Path, bench: WebBench) -> None:
    path = tmp_path / "dead.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    api = LocalApi(bench.ports(), path)
    await api.start()
    with pytest.raises(AlreadyServed):
        listen(path)
    second = LocalApi(bench.ports(), path)
    with pytest.raises(AlreadyServed):
        await second.start()
    assert path.exists()
    await api.close()


async def test_a_deep_state_directory_is_fine(tmp_path: Path, bench: WebBench) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    api = LocalApi(bench.ports(), deep / "api.sock")
    await api.start()
    connect(deep / "api.sock").close()
    await api.close()


async def test_open_streams_do_not_hold_up_the_end(bench: WebBench, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    path = tmp_path / "second.sock"
    api = LocalApi(bench.ports(), path)
    await api.start()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get("http://localhost/api/v1/events") as response,
    ):
        await response.content.readline()
        started = loop.time()
        await api.close()
        assert loop.time() - started < 1
        assert await response.content.read() is not None


async def test_the_loopback_port_answers(tcp_url: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{tcp_url}/api/v1/status") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Host": "evil.example"}, "Host"),
        ({"Host": "evil.example:8080"}, "Host"),
        ({"Origin": "http://evil.example"}, "Origin"),
        ({"Origin": "null"}, "Origin"),
    ],
)
async def test_pages_of_other_sites_cannot_drive_the_station(
    tcp_url: str, headers: dict[str, str], field: str
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{tcp_url}/api/v1/link", json={"command": "disconnect"}, headers=headers) as response,
    ):
        assert (response.status, (await response.json())["field"]) == (403, field)


async def test_a_page_of_the_agent_itself_may(tcp_url: str) -> None:
    headers = {"Origin": tcp_url}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{tcp_url}/api/v1/status", headers=headers) as response,
    ):
        assert response.status == 200


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open(
    bench: WebBench, tmp_path: Path
) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    api = LocalApi(bench.ports(), tmp_path / "second.sock", ("127.0.0.1", taken.getsockname()[1]))
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        await api.start()
    taken.close()
    assert not (tmp_path / "second.sock").exists()
