"""/metrics: plain text for whoever may see the status, by a token or as loopback's rules say."""

import asyncio
from pathlib import Path

import aiohttp

from agent.config_web import WebConfig
from agent.web.server import LocalApi
from tests.web.conftest import WebBench


async def test_a_station_without_metrics_says_so(bench: WebBench) -> None:
    code, answer = await bench.ask("GET", "/metrics")
    assert code == 501
    assert "no metrics" in answer["error"]


async def test_a_scrape_is_text_that_nobody_stores_and_parameters_are_refused(tmp_path: Path) -> None:
    bench = WebBench(tmp_path)
    scrapes = 0

    async def scrape() -> bytes:
        nonlocal scrapes
        scrapes += 1
        return b"evse_csms_connected 1.0\n"

    settings = WebConfig(loopback_role="viewer")
    api = LocalApi(bench.ports(metrics=scrape), bench.socket_path, ("127.0.0.1", 0), settings)
    await api.start()
    try:
        (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert response.headers["Cache-Control"] == "no-store"
                assert await response.text() == "evse_csms_connected 1.0\n"
            async with http.get(f"http://127.0.0.1:{port}/metrics?name=x") as response:
                assert response.status == 400
        assert scrapes == 1
    finally:
        await api.close()
        bench.world.close()


async def test_loopback_without_a_role_gets_none(tmp_path: Path) -> None:
    bench = WebBench(tmp_path)

    async def scrape() -> bytes:
        raise AssertionError("nobody may ask")

    settings = WebConfig(loopback_role="none")
    api = LocalApi(bench.ports(metrics=scrape), bench.socket_path, ("127.0.0.1", 0), settings)
    await api.start()
    try:
        (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
    finally:
        await api.close()
        bench.world.close()
    await asyncio.sleep(0)
