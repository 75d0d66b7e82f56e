"""A real HTTP(S) server on loopback over one directory, and what it has in common with those of FTP and SFTP.

async with HttpFiles(root) as server:
    await download(server.url("image.bin"), target)

User "cs", password "s3cr3t!@/" (`CREDENTIALS` in a URL) unless `password` is None. `cut_after_bytes`: the connection
of the next transfer is cut there, once; `hangs`: it falls silent there instead. What was asked for is in `requests`.
"""

import asyncio
import base64
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme
from aiohttp import web

USER, PASSWORD = "cs", "s3cr3t!@/"
CREDENTIALS = "cs:s3cr3t!%40%2F@"
BLOCK = 16 * 1024


class Files:
    """What all servers have in common."""

    scheme = ""

    def __init__(self, root: Path, *, ca: trustme.CA | None = None, password: str | None = PASSWORD) -> None:
        self.root = root
        self.ca = ca
        self.password = password
        self.port = 0
        self.cut_after_bytes: int | None = None
        self.hangs = False
        self.requests: list[str] = []

    @property
    def trust(self) -> ssl.SSLContext:
        """For the client."""
        assert self.ca is not None
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def url(self, path: str, credentials: str | None = None) -> str:
        given = CREDENTIALS if credentials is None and self.password is not None else credentials or ""
        return f"{self.scheme}://{given}localhost:{self.port}/{path}"

    def take_cut(self) -> int | None:
        """Where to cut the transfer that begins now."""
        cut, self.cut_after_bytes = self.cut_after_bytes, None
        return cut


class HttpFiles(Files):
    """GET with Range and If-Range; PUT, or (`takes_put` False) POST of a form; the tables go by path."""

    takes_put = True
    has_versions = True

    async def __aenter__(self) -> Self:
        self.scheme = "https" if self.ca else "http"
        self.redirects: dict[str, str] = {}
        self.content: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self.forms: dict[str, bytes] = {}
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True, lingering_time=0
        )
        await self._runner.setup()
        context = None
        if self.ca:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.ca.issue_cert("localhost").configure_cert(context)
        await web.TCPSite(self._runner, "localhost", 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        for _ in range(10):  # what it cancelled needs some turns to end
            await asyncio.sleep(0)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.requests.append(f"{request.method} {request.path_qs} {request.headers.get('Range', '')}".strip())
        if path in self.redirects:
            return web.Response(status=307, headers={"Location": self.redirects[path]})
        if path in self.statuses:
            return web.Response(status=self.statuses[path])
        expected = f"Basic {base64.b64encode(f'{USER}:{self.password}'.encode()).decode()}"
        if self.password is not None and request.headers.get("Authorization") != expected:
            return web.Response(status=401)
        match request.method:
            case "PUT" if self.takes_put:
                return await self._receive(request, self.root / path)
            case "POST":
                async for part in await request.multipart():
                    self.forms[str(getattr(part, "filename", ""))] = await part.read()  # type: ignore[union-attr]
                return web.Response(status=201)
            case "GET" if path in self.content:
                return await self._give(request, self.content[path])
            case "GET" if (self.root / path).is_file():
                return await self._give(request, (self.root / path).read_bytes())
            case "GET":
                return web.Response(status=404)
        return web.Response(status=405)

    async def _receive(self, request: web.Request, file: Path) -> web.Response:
        cut, size = self.take_cut(), 0
        with file.open("wb") as out:
            async for block in request.content.iter_chunked(BLOCK):
                size += out.write(block)
                if cut is not None and size >= cut:
                    if self.hangs:
                        await asyncio.get_running_loop().create_future()
                    assert request.transport is not None
                    request.transport.abort()
        return web.Response(status=201)

    async def _give(self, request: web.Request, content: bytes) -> web.StreamResponse:
        tag = f'"{hash(content):x}"'
        first = 0
        headers = {"ETag": tag} if self.has_versions else {}
        if "Range" in request.headers and request.headers.get("If-Range") == tag:
            first = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if first >= len(content):
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        response.content_length = len(content) - first
        await response.prepare(request)
        cut = self.take_cut()
        await response.write(content[first : None if cut is None else first + cut])
        if cut is not None:
            if self.hangs:
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(
                0.05
            )  # aiohttp's client forgets what it has not handed out when the connection breaks
            assert request.transport is not None
            request.transport.close()
        return response
