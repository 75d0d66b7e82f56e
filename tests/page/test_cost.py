"""What open pages cost the agent: 20 of them under 2 % of a core while a car charges, and no memory that grows."""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from tests.page.stage import Stage

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.xdist_group("page"),
    pytest.mark.asyncio(loop_scope="session"),
]

PAGES = 20
LOOKED_AT_S = 2.0
MOST_SHARE = 0.02
MOST_GROWTH_KB = 1024


def processor_s(pid: int) -> float:
    """Time on a processor so far, of all threads, to the nanosecond: ticks of 10 ms are too coarse for 2 %."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def test_twenty_open_pages_cost_next_to_nothing(stage: Stage) -> None:
    agent = stage.agent
    assert agent.process is not None
    pid = agent.process.pid
    await agent.sim("evse/1/plug")
    await agent.status_until(lambda status: status["evses"][0]["is_plugged"])
    await agent.sim("tap", {"id_token": "TAG1"})
    await agent.status_until(lambda status: status["evses"][0]["contactor"] == "closed")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        heard = [0] * PAGES

        async def listen(number: int) -> None:
            url = f"{stage.url}api/v1/events?messages=true"
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=None)) as response:
                async for line in response.content:
                    heard[number] += line.startswith(b"event: status")

        async def share() -> float:
            before = processor_s(pid)
            await asyncio.sleep(LOOKED_AT_S)
            return (processor_s(pid) - before) / LOOKED_AT_S

        alone = await share()
        pages = [asyncio.create_task(listen(number)) for number in range(PAGES)]
        while min(heard) < 2:  # noqa: ASYNC110 - the agent's time, not ours
            await asyncio.sleep(0.05)
        memory = memory_kb(pid)
        with_pages = await share()
        grown = memory_kb(pid) - memory
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
    print(f"{PAGES} pages: {100 * (with_pages - alone):.2f} % of a core, {grown} kB")
    assert min(heard) >= 3
    assert with_pages - alone < MOST_SHARE
    assert grown < MOST_GROWTH_KB
