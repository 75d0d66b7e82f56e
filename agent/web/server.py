"""The HTTP server of the local API: a unix socket always, a TCP address if configured.

Starts before and without any CSMS. Imported late (aiohttp's server half is heavy). An address beyond loopback is open
only while a password is set; `tend()` opens and closes it, and keeps certificate, logins and streams current. Started,
tended and closed by `operating.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from agent.config_web import WebConfig, is_loopback
from agent.errors import StoreError
from agent.web.access import Access
from agent.web.actions_api import ActionsApi
from agent.web.audit_api import AuditApi
from agent.web.board_api import BoardApi
from agent.web.bodies import Refusal, error_response
from agent.web.door import Certificate, CertificateError, Door
from agent.web.endpoints import Api, Endpoint
from agent.web.events_api import EventsApi
from agent.web.evse_api import EvseApi
from agent.web.gate import Gate
from agent.web.live import LiveFeed
from agent.web.metrics_api import MetricsApi
from agent.web.openapi import OpenApi
from agent.web.page import PageApi
from agent.web.passwords import AccessFile
from agent.web.ports import ApiPorts
from agent.web.progress_api import ProgressApi
from agent.web.sessions_api import SessionsApi
from agent.web.settings_api import SettingsApi
from agent.web.simulation import SimulationApi
from agent.web.station_api import StationApi
from agent.web.stream import EventStreams
from agent.web.unix_socket import listen

log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 256 * 1024
TEND_S = 1.0
RETRY_S = 10.0
UNUSED_CONNECTION_S = 30.0
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LocalApi:
    """`await start()`, `await tend()` for as long as it serves, later `await close()`. The socket is in the state
    directory, beside the file of passwords and tokens; `address` is (host, port)."""

    def __init__(
        self,
        ports: ApiPorts,
        socket_path: Path,
        address: tuple[str, int] | None = None,
        settings: WebConfig | None = None,
    ) -> None:
        settings = settings or WebConfig()
        self._socket_path = socket_path
        self._address = address
        self._streams = EventStreams()
        self.feed = LiveFeed(ports)
        self._access = Access(
            settings,
            AccessFile(socket_path.parent),
            lambda: asyncio.get_running_loop().time(),
            ports.note_login,
        )
        self._certificate = (
            Certificate(Path(settings.certificate_file), Path(settings.key_file))
            if settings.certificate_file
            else None
        )
        self._door: Door | None = None
        self._said = ""
        self._retry_time = 0.0
        app = web.Application(middlewares=[_answer_errors], client_max_size=BODY_LIMIT_BYTES)
        app.on_response_prepare.append(_add_headers)
        self.endpoints: list[Endpoint] = []
        apis: list[Api] = [
            StationApi(ports, self._streams),
            SimulationApi(ports),
            BoardApi(ports),
            SessionsApi(ports),
            ProgressApi(ports),
            AuditApi(ports),
            EventsApi(self.feed, self._streams),
            EvseApi(ports),
            SettingsApi(ports),
            ActionsApi(ports),
            MetricsApi(ports),
            PageApi(),
            self._access,
            OpenApi(self.endpoints),
        ]
        self.endpoints += [each for api in apis for each in api.endpoints()]
        self._gate = Gate(self._access.who, ports.note_action)
        app.add_routes(self._gate.routes(self.endpoints))
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            keepalive_timeout=UNUSED_CONNECTION_S,
            logger=_http_log(),
        )

    async def start(self) -> None:
        """Open both doors. Raises AlreadyServed when another agent has the socket, OSError when a port is taken."""
        await self._runner.setup()
        try:
            await web.SockSite(self._runner, listen(self._socket_path)).start()
            self._load_certificate()
            if self._may_open():
                self._open()
        except BaseException:
            await self.close()
            raise
        log.info("the local API answers on %s", self._socket_path)

    async def tend(self) -> None:
        """Until cancelled: what changed on the disk (passwords, certificate) and what has expired takes effect."""
        while True:
            await asyncio.sleep(TEND_S)
            try:
                await self._tend_once()
            except Exception:  # must go on: a revoked password has to close the door tomorrow, too
                log.exception("tending the local API failed")

    async def _tend_once(self) -> None:
        self._load_certificate()
        if self._door is not None and not self._may_open():
            await self._door.close()
            self._door = None
            log.warning("no longer on TCP: the password was removed")
        if self._door is None and self._may_open():
            self._open_again()
        self._access.prune()
        self._gate.end_stale_streams()

    def _may_open(self) -> bool:
        if self._address is None:
            return False
        host, port = self._address
        if self._certificate is not None and self._certificate.context is None:
            return False  # said when it was loaded
        if is_loopback(host) or self._access.is_protected:
            return True
        self._say(f"{host}:{port} is not opened until a password is set: evse-agent passwd")
        return False

    def _open(self) -> None:
        assert self._address is not None
        assert self._runner.server is not None
        context = None if self._certificate is None else self._certificate.context
        door = Door(self._address, self._runner.server, context)
        door.open()
        self._door = door
        self._said = ""
        log.info(
            "the live page and the local API answer on %s://%s:%d/",
            "https" if context else "http",
            *(door.address or ()),
        )

    def _open_again(self) -> None:
        now_time = asyncio.get_running_loop().time()
        if now_time < self._retry_time:
            return
        try:
            self._open()
        except OSError as error:
            self._retry_time = now_time + RETRY_S
            self._say(f"the local API cannot listen on {self._address}: {error.strerror}")

    def _load_certificate(self) -> None:
        if self._certificate is None:
            return
        try:
            if self._certificate.load():
                log.info("the certificate of the local API is loaded")
        except CertificateError as error:
            former = "the former one stays in use" if self._certificate.context else "no TCP without it"
            log.error("the certificate of the local API: %s; %s", error, former)

    def _say(self, text: str) -> None:
        """Once, not every second."""
        if text != self._said:
            self._said = text
            log.warning("%s", text)

    async def close(self) -> None:
        """End streams, then connections, then remove the socket."""
        await self.feed.close()
        self._streams.close()
        if self._door is not None:
            await self._door.close()
            self._door = None
        served = bool(self._runner.addresses)
        await self._runner.cleanup()
        if served:
            self._socket_path.unlink(missing_ok=True)

    @property
    def addresses(self) -> list[object]:
        """Where it listens, as the sockets say."""
        own = None if self._door is None else self._door.address
        return [*self._runner.addresses, *([] if own is None else [own])]


def _http_log() -> logging.Logger:
    """aiohttp's, without what clients do wrong: they are told, and nobody fills the log of the station."""
    logger = logging.getLogger("agent.web.http")
    logger.addFilter(_is_own_fault)
    return logger


def _is_own_fault(record: logging.LogRecord) -> bool:
    faults = (HttpProcessingError, web.RequestPayloadError, ConnectionError)
    return not (record.exc_info and isinstance(record.exc_info[1], faults))


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "evse-agent"  # no versions
    for name, text in HEADERS.items():
        response.headers.setdefault(name, text)
    if request.path.startswith(("/api/", "/sim/", "/metrics")):
        response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON: {"error", "field"}."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return error_response(refusal.status, str(refusal), refusal.field, refusal.headers)
    except web.HTTPNotFound:
        return error_response(404, f"there is no {request.path}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.path} takes {allowed}, not {request.method}"
        return error_response(405, text, headers={"Allow": allowed})
    except web.HTTPException as error:
        return error_response(error.status, error.reason)
    except StoreError as error:
        return error_response(503, f"the store does not answer: {error}")
    except Exception as error:  # a bug of the API must not look like one of the station, nor take it down
        if isinstance(error, ConnectionError) and (
            request.transport is None or request.transport.is_closing()
        ):
            return error_response(400, "the client has left")  # nobody hears it
        log.exception("%s %s crashed", request.method, request.path)
        return error_response(500, "the local API failed; see the log")
