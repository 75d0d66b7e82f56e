"""File servers of the operator: HTTP (aiohttp) and FTP (pyftpdlib, in a thread of its own), over one directory.

`http` and `ftp` are the URLs of the directory; what a station uploads lies in it afterwards.
"""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer


def closed_port() -> int:
    """Nobody listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def http_server(folder: Path) -> AsyncIterator[str]:
    """GET and PUT; the URL without a slash at its end."""

    async def put(request: web.Request) -> web.Response:
        (folder / request.match_info["name"]).write_bytes(await request.read())
        return web.Response(status=201)

    async def get(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(folder / request.match_info["name"])

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes([web.get("/{name}", get), web.put("/{name}", put)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@contextmanager
def ftp_server(folder: Path) -> Iterator[str]:
    """With a user and a password in the URL; without a slash at its end."""
    authorizer = DummyAuthorizer()
    authorizer.add_user("station", "secret", str(folder), perm="elradfmwMT")

    class Handler(FTPHandler):  # type: ignore[misc]
        pass

    Handler.authorizer = authorizer
    loop = IOLoop()
    server = FTPServer(("127.0.0.1", 0), Handler, ioloop=loop)
    port = server.address[1]
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            loop.loop(timeout=0.05, blocking=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"ftp://station:secret@127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join()
        server.close_all()
