"""A station with its page on a stage: the real agent process with simulated hardware, a CSMS, and pages in one browser.

One process serves many tests: after each one the station is made as it was (`Station.tidy`).

    page = await stage.open()
    await page.get_by_role("button", name="Plug in").click()
    await stage.shot(page, "plugged")

A page that complains on its console or breaks fails the test. Screenshots are kept in build/page/ to be looked at.
"""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect

from tests.helpers.bench import friendly
from tests.helpers.csms import Csms
from tests.helpers.process import AgentProcess

SHOTS = Path(__file__).parents[2] / "build" / "page"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: ViewportSize = {"width": 1360, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
FAN = """
[vendor]
safe_while_charging = ["fan"]
"""
EXPECTED = (
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "401 (Unauthorized)",
)
"""What a browser itself says of a station that is gone, or wants a password."""


def simulated(evses: int) -> str:
    """The [hal] part of a configuration."""
    meters = [
        f'[[hal.meters]]\nevse = {number}\nmodel = "sdm630"\nport = "sim"\nunit = {number}\n'
        for number in range(1, evses + 1)
    ]
    return f'[hal]\ndriver = "sim"\n[hal.sim]\nevses = {evses}\n' + "".join(meters)


class Relay:
    """A network between browser and station that can fall silent: connections stay, and nothing comes through them."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.rewrites = (b"", b"")
        """What the station says, and what comes through instead; of the same length."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def fall_silent(self) -> None:
        """For every connection there is; new ones come through."""
        for pump in self._pumps:
            pump.cancel()

    def cut(self) -> None:
        """End every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self._server.close()
        pumps = list(self._pumps)
        self.fall_silent()
        await asyncio.gather(*pumps, return_exceptions=True)
        self.cut()
        await asyncio.sleep(0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data.replace(*self.rewrites) if self.rewrites[0] else data)
                await sink.drain()
            sink.close()


class Station:
    """The agent process and its CSMS; an asynchronous context."""

    def __init__(self, folder: Path, evses: int = 1) -> None:
        self.csms = Csms()
        self._folder = folder
        self._evses = evses
        self.agent: AgentProcess

    async def __aenter__(self) -> Self:
        await self.csms.__aenter__()
        friendly(self.csms).always("DiagnosticsStatusNotification")
        self.agent = AgentProcess(self._folder, self.csms.url, FAN, hal=simulated(self._evses))
        try:
            await self.agent.start()
            await self.agent.status_until(_is_ready)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.agent.stop()
        self.csms.drop()
        await self.csms.__aexit__(RuntimeError, None, None)

    async def tidy(self) -> None:
        """Connected, in service, unlimited, nothing plugged in and nothing broken: for the next test."""
        agent = self.agent
        assert agent.process is not None
        if agent.process.returncode is not None:
            await agent.start()
        status = await agent.status()
        if not status["link"]["is_connected"]:
            await agent.ask("POST", "/api/v1/link", {"command": "connect"})
        for limit in status["external_limits"]:
            await agent.ask("DELETE", f"/api/v1/external-limits/{limit['origin']}?evse_id={limit['evse_id']}")
        for evse in status["evses"]:
            path = f"evse/{evse['evse_id']}"
            for fault in evse["faults"]:
                await agent.ask("DELETE", f"/sim/v1/{path}/fault/{fault['code']}")
            if evse["is_plugged"]:
                await agent.sim(f"{path}/unplug")
            if not evse["is_operative"]:
                await agent.ask(
                    "PUT", f"/api/v1/evses/{evse['evse_id']}/availability", {"is_operative": True}
                )
        await agent.status_until(_is_ready)


def _is_ready(status: Any) -> bool:
    return status["registration"] == "Accepted" and all(
        evse["board_link"]
        and evse["is_operative"]
        and not (evse["is_plugged"] or evse["transaction"] or evse["faults"])
        for evse in status["evses"]
    )


class Stage:
    """`close()` is for the fixture; `agent`, `csms` and `complaints` for tests."""

    def __init__(self, browser: Browser, station: Station) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._heard_before = len(station.csms.received)
        self.complaints: list[str] = []
        self.csms = station.csms
        self.agent = station.agent

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.agent.port}/"

    async def open(self, view: str = "", *, phone: bool = False, **context: Any) -> Page:
        """A page of its own reader, live; `context` as Playwright's new_context (color_scheme, reduced_motion ...)."""
        page = await self.visit(view, phone=phone, **context)
        await expect(page.locator("#live-pill")).to_have_text("Live")
        return page

    async def visit(
        self, view: str = "", *, phone: bool = False, port: int = 0, has_clock: bool = False, **context: Any
    ) -> Page:
        """The same, for a reader who may not see anything yet. `port`: of a `Relay` instead of the agent's own;
        `has_clock`: `page.clock` may make its time run."""
        opened = await self._browser.new_context(viewport=PHONE if phone else DESKTOP, **context)
        opened.set_default_timeout(10_000)
        self._contexts.append(opened)
        page = await opened.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"broken: {error}"))
        if has_clock:
            await page.clock.install()
        url = f"http://127.0.0.1:{port}/" if port else self.url
        await page.goto(url + (f"#{view}" if view else ""))
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in EXPECTED):
            self.complaints.append(f"{message.type}: {message.text}")

    async def shot(self, page: Page, name: str, *, whole: bool = True) -> None:
        """`whole`: also what is to be scrolled to."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)

    async def violations(self, page: Page) -> list[str]:
        """What axe-core says against the page as it is now."""
        results = await Axe().run(page, options={"resultTypes": ["violations"]})
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes']][:3]}"
            for each in results.response["violations"]
        ]

    def calls(self, action: str) -> list[dict[str, Any]]:
        """Payloads of the CALLs of `action` that the CSMS got in this test."""
        frames = [json.loads(text) for _time, text in self.csms.received[self._heard_before :]]
        return [frame[3] for frame in frames if frame[0] == 2 and frame[2] == action]
