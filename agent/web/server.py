"""The HTTP server of the local API: a unix socket always, a loopback port if configured.

Starts before and without any CSMS. Imported late (aiohttp's server half is heavy). On TCP a web page of
somebody else must not drive the station: requests with a foreign Host or Origin are refused. Started and
closed by `app.py`.
"""

import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from agent.web.board_api import BoardApi
from agent.web.bodies import Refusal, error_response
from agent.web.ports import ApiPorts
from agent.web.simulation import SimulationApi
from agent.web.station_api import StationApi
from agent.web.stream import EventStreams
from agent.web.unix_socket import listen

log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 256 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LocalApi:
    """`await start()`, later `await close()`. The socket is in the state directory; `address` is (host, port)."""

    def __init__(self, ports: ApiPorts, socket_path: Path, address: tuple[str, int] | None = None) -> None:
        self._socket_path = socket_path
        self._address = address
        self._streams = EventStreams()
        app = web.Application(
            middlewares=[_answer_errors, _refuse_foreign_pages], client_max_size=BODY_LIMIT_BYTES
        )
        app.add_routes(StationApi(ports, self._streams).routes())
        app.add_routes(SimulationApi(ports).routes())
        app.add_routes(BoardApi(ports).routes())
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Open both doors. Raises AlreadyServed when another agent has the socket, OSError when a port is taken."""
        await self._runner.setup()
        try:
            await web.SockSite(self._runner, listen(self._socket_path)).start()
            if self._address is not None:
                host, port = self._address
                await web.TCPSite(self._runner, host, port).start()
        except BaseException:
            await self.close()
            raise
        log.info("the local API answers on %s", self._socket_path)

    async def close(self) -> None:
        """End streams, then connections, then remove the socket."""
        self._streams.close()
        served = bool(self._runner.addresses)
        await self._runner.cleanup()
        if served:
            self._socket_path.unlink(missing_ok=True)

    @property
    def addresses(self) -> list[object]:
        """Where it listens, as the sockets say."""
        return list(self._runner.addresses)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON: {"error", "field"}."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return error_response(refusal.status, str(refusal), refusal.field)
    except web.HTTPNotFound:
        return error_response(404, f"there is no {request.path}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return error_response(405, f"{request.path} takes {allowed}, not {request.method}")
    except web.HTTPException as error:
        return error_response(error.status, error.reason)
    except Exception:  # a bug of the API must not look like one of the station, nor take it down
        log.exception("%s %s crashed", request.method, request.path)
        return error_response(500, "the local API failed; see the log")


@web.middleware
async def _refuse_foreign_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keeps pages of other sites (and names rebound to loopback) from using the TCP port."""
    if request.transport is not None and isinstance(request.transport.get_extra_info("peername"), tuple):
        if not _is_loopback(urlsplit(f"//{request.host}").hostname):
            raise Refusal(403, "the Host header must name a loopback address", "Host")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise Refusal(403, "pages of other sites may not use this API", "Origin")
    return await handler(request)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:
        return False
