"""One browser and one station for all tests of the page, in one loop; the station is tidied up after each test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.helpers.debian_packages import program
from tests.page.stage import CHROMIUM_ARGS, Relay, Stage, Station


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = program("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def station(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Station]:
    """Up, accepted and ready."""
    async with Station(tmp_path_factory.mktemp("station")) as station:
        yield station


@pytest.fixture(autouse=True)
def _no_leaked_descriptor(browser: Browser, station: Station) -> Iterator[None]:
    """Sockets only, and only their number: the browser's pipes stay, a station's connections come and go."""

    def sockets() -> int:
        names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return sum(os.readlink(name).startswith("socket:") for name in names if os.path.lexists(name))

    before = sockets()
    yield
    assert sockets() <= before + 1, "sockets left open"  # a station that began anew has its line to the CSMS


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _no_leaked_task(browser: Browser, station: Station) -> AsyncIterator[None]:
    """Playwright's own tasks stay, and those of the CSMS."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0.05)
    left = [
        task
        for task in asyncio.all_tasks() - before
        if not task.done()
        and task is not asyncio.current_task()
        and "playwright" not in repr(task)
        and "aiohttp" not in repr(task)
    ]
    assert not left, f"tasks left running: {left}"


@pytest_asyncio.fixture(loop_scope="session")
async def stage(browser: Browser, station: Station) -> AsyncIterator[Stage]:
    """The station of all tests, ready."""
    stage = Stage(browser, station)
    yield stage
    await stage.close()
    await station.tidy()
    assert stage.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def relay(stage: Stage) -> AsyncIterator[Relay]:
    """Before the station of `stage`."""
    relay = Relay(stage.agent.port)
    await relay.start()
    yield relay
    await relay.close()
