"""Long operations: asked for at /api/v1/progress, told as `progress` events."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.progress import Progress, ProgressFeed
from agent.web.server import LocalApi
from tests.web.conftest import WebBench, read_events

UPLOAD = Progress("upload of a.gz", "uploading", 500_000, 2_000_000, "B")


@pytest.fixture
def feed() -> ProgressFeed:
    return ProgressFeed()


@pytest.fixture
async def bench(tmp_path: Path, feed: ProgressFeed) -> AsyncIterator[WebBench]:
    bench = WebBench(tmp_path)
    api = LocalApi(bench.ports(progress=feed), bench.socket_path)
    await api.start()
    bench.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(bench.socket_path)))
    yield bench
    await bench.http.close()
    await api.close()
    bench.world.close()


async def test_what_is_under_way_is_shown_with_amount_and_share(bench: WebBench, feed: ProgressFeed) -> None:
    assert await bench.ask("GET", "/api/v1/progress") == (200, {"operations": []})
    feed.report(UPLOAD)
    _status, answer = await bench.ask("GET", "/api/v1/progress")
    assert answer["operations"] == [
        {
            "name": "upload of a.gz",
            "stage": "uploading",
            "done": 500_000,
            "total": 2_000_000,
            "unit": "B",
            "share": 0.25,
            "outcome": "running",
            "is_finished": False,
            "is_failed": False,
            "text": "uploading 500.0 kB of 2.0 MB",
        }
    ]


async def test_a_listener_hears_what_is_under_way_and_how_it_ends(
    bench: WebBench, feed: ProgressFeed
) -> None:
    feed.report(UPLOAD)
    async with bench.http.get("http://localhost/api/v1/events") as response:
        events = await read_events(response, 2)
        assert [(name, content["stage"]) for name, content in events if name == "progress"] == [
            ("progress", "uploading")
        ]
        feed.report(Progress(UPLOAD.name, "not uploaded", outcome="failed", detail="no route"))
        while (event := (await read_events(response, 1))[0])[0] != "progress":
            pass
        assert (event[1]["is_failed"], event[1]["text"]) == (True, "not uploaded: no route")
