"""A file server on loopback in the test's own loop, with whatever moods a test wants.

async with MoodyServer() as server:
    location = server.serve(file)
    server.before = lambda request: web.Response(status=503)   # every request fails from now on
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web


class MoodyServer:
    """HTTP on loopback in the test's own loop. `files` by name; `before` may look at each request, and fail it."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.requests: list[web.Request] = []
        self.before: Callable[[web.Request], web.StreamResponse | None] = lambda _request: None
        self.answer_post: Callable[[bytes], bytes] = lambda _body: b""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{name}", self._get)
        application.router.add_post("/{name}", self._post)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def serve(self, file: Path) -> str:
        """The location of `file`."""
        self.files[file.name] = file
        return f"{self.url}/{file.name}"

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        refused = self.before(request)
        if refused is not None:
            return refused
        file = self.files.get(request.match_info["name"])
        return web.Response(status=404) if file is None else web.FileResponse(file)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return web.Response(body=self.answer_post(await request.read()))
