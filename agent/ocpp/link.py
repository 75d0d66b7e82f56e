"""One WebSocket to the CSMS, kept open: dial, negotiate, ping, notice the loss, wait, dial again.

It knows no OCPP message: text comes in through `on_text`, called synchronously from the one reading task, and goes out
through `send`, which writes at once and never waits (see `sender`). There is never more than one socket; the old one is
closed before a new one is opened. Called by `conversation` and `app`. OCPP-J 1.6 chapters 3, 5 and 6.

Frames: `LinkConfig.max_frame_bytes` is the polite limit that `rpc` enforces with an answer; here a message may take up
to `MEMORY_FACTOR` times that before aiohttp closes with 1009, since memory has to end somewhere. aiohttp's `heartbeat`
and `autoping` are off: the ping interval changes while the connection lives, and any frame proves the peer alive.
"""

import asyncio
import base64
import logging
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from agent.errors import ConnectFailed, LinkClosed
from agent.ocpp.backoff import BackOff, BackOffLimits, Doubling
from agent.ocpp.sender import FrameSender
from agent.ocpp.tls import client_context, failure_kind, verified_chain, wildcard_of
from agent.supervisor import Pulse

logger = logging.getLogger(__name__)

MEMORY_FACTOR = 16
_PATH_CHARACTERS = "/%:@!$&'()*+,;="
_NORMAL_CLOSURE, _GOING_AWAY = 1000, 1001
_CLOSE_REASON_BYTES = 123
_TRANSIENT_STATUS = frozenset({408, 425, 429})
_CREDENTIALS_STATUS = frozenset({401, 403})
_STEP_S = 60.0
"""Beyond its own time limits, no step of the link takes longer."""
_SETTLED_BY_HUMANS = frozenset({"REFUSED", "CREDENTIALS"})


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """Where and how to connect. Times in seconds."""

    url: str
    """ws:// or wss://; "/<identity>" is appended to the path unless {identity} stands in it."""
    identity: str
    subprotocols: tuple[str, ...] = ("ocpp1.6",)
    """Offered in this order."""
    accept_missing_subprotocol: bool = False
    """Speak the first subprotocol with a server that selects none, against OCPP-J 1.6 3.2 (R16-004)."""
    security_profile: int = 0
    """0 plain or any TLS without password, 1 password, 2 password over TLS, 3 own certificate (R16-311)."""
    password: bytes | None = None
    """The bytes of AuthorizationKey, already decoded from hex. None or empty: no Authorization header."""
    ca_file: str = ""
    """Trust anchors as PEM; empty: those of `roots`, or those of the system."""
    roots: str = ""
    """Installed root certificates as PEM text, trusted beside `ca_file`."""
    certificate_file: str = ""
    """Own certificate as PEM with its chain, for profile 3."""
    key_file: str = ""
    """Its private key; empty: in the same file."""
    checks_time: bool = True
    """False while nobody has told what time it is: validity periods cannot be judged (W 2.6.1)."""
    without_wildcards: frozenset[str] = frozenset()
    """Subprotocols that are not spoken with a CSMS whose certificate fits its host by a wildcard only (2.0.1 errata
    2025-02, AllowCSMSTLSWildcards)."""
    compression: bool = False
    """Offer permessage-deflate: saves mobile data, costs latency (R16-009)."""
    max_frame_bytes: int = 1_048_576
    ping_interval_s: float = 60.0
    """0: no pings (R16-010)."""
    pong_timeout_s: float = 20.0
    connect_timeout_s: float = 30.0
    """From the first packet to the finished upgrade."""
    close_timeout_s: float = 2.0
    back_off: BackOffLimits | Doubling = field(default_factory=BackOffLimits)


def connection_url(config: LinkConfig) -> str:
    """The URL to dial; ConnectFailed (CONFIGURATION) if it and the security profile cannot go together.

    OCPP-J 1.6 3.1.1 (R16-002): identity percent-encoded, one slash before it.
    """
    url = urlsplit(config.url)
    reason = ""
    if url.scheme not in ("ws", "wss") or not url.hostname or not _has_port(url):
        reason = "a ws:// or wss:// URL with a host is needed"
    elif url.username is not None or url.fragment:
        reason = "neither credentials nor a fragment may stand in the URL"
    elif config.security_profile == 1 and url.scheme == "wss":
        reason = "security profile 1 is without TLS: use ws:// or profile 2"
    elif config.security_profile in (2, 3) and url.scheme == "ws":
        reason = f"security profile {config.security_profile} needs wss://"
    elif config.security_profile not in (0, 1, 2, 3):
        reason = f"security profile {config.security_profile} is not supported"
    elif config.security_profile == 3 and not config.certificate_file:
        reason = "security profile 3 needs a certificate of the station"
    elif config.security_profile in (1, 2) and ":" in config.identity:
        reason = "an identity with a colon cannot be a user name (RFC 7617)"
    if reason:
        raise ConnectFailed(f"{config.url}: {reason}", "CONFIGURATION")
    identity = quote(config.identity, safe="")
    template = url.path if "{identity}" in config.url else url.path + "/{identity}"
    path = quote(re.sub("/{2,}", "/", template), safe=_PATH_CHARACTERS + "{}").replace("{identity}", identity)
    return urlunsplit((url.scheme, url.netloc, path, url.query.replace("{identity}", identity), ""))


def _has_port(url: SplitResult) -> bool:
    """None is the one of the scheme."""
    try:
        return url.port != 0
    except ValueError:
        return False


class Link:
    """Owns the connection. `run` does the work; everything else is synchronous and may be called at any time."""

    def __init__(
        self,
        config: LinkConfig,
        on_open: Callable[[str], None],
        on_text: Callable[[str], None],
        on_closed: Callable[[str], None],
        on_failed: Callable[[ConnectFailed], None] = lambda _failure: None,
    ) -> None:
        """`on_open(subprotocol)` and `on_closed(reason)` come in pairs; `on_failed` reports each fruitless attempt."""
        self.config = config
        """May be replaced; counts from the next attempt on (see `reconnect`)."""
        self.last_failure: ConnectFailed | None = None
        """Of the latest attempt; None once connected."""
        self.peer_chain: tuple[bytes, ...] | None = ()
        """The certificates (DER) by which the present connection was verified, from that of the CSMS to the root;
        () without TLS or connection, None where they cannot be told."""
        self._on_open, self._on_text, self._on_closed = on_open, on_text, on_closed
        self._on_failed = on_failed
        self._back_off = BackOff(config.back_off)
        self._ping_interval_s = config.ping_interval_s
        self.pulse = Pulse()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._nudged = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._subprotocol = ""
        self._sender: FrameSender
        self._closing_reason: str | None = None
        self._closer: asyncio.Task[bool] | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._pong_timer: asyncio.TimerHandle | None = None
        self._has_heard = False

    @property
    def is_connected(self) -> bool:
        """A subprotocol is agreed and the connection is not being closed."""
        return self._socket is not None and self._closing_reason is None

    @property
    def subprotocol(self) -> str | None:
        """The one in use."""
        return self._subprotocol if self._socket is not None else None

    def send(self, text: str) -> None:
        """Write one text frame to the socket's buffer; LinkClosed when there is no connection."""
        if self._socket is None or self._closing_reason is not None:
            raise LinkClosed("not connected")
        self._sender.send(self._socket.send_str(text), len(text))

    def connect(self) -> None:
        """Be online: ends what `disconnect` began, and ends a wait between two attempts."""
        self._wanted.set()
        self._nudged.set()

    def disconnect(self) -> None:
        """Close and stay offline until `connect`."""
        self._wanted.clear()
        self._begin_close("disconnected on request")
        self._nudged.set()

    def reconnect(self, reason: str) -> None:
        """Close and dial again after the usual wait, with the `config` of then."""
        self._begin_close(reason)

    def set_ping_interval(self, seconds: float) -> None:
        """Ping every so many seconds from now on; 0 stops pinging (R16-010, R16-013)."""
        self._ping_interval_s = seconds
        self._schedule_ping()

    async def run(self) -> None:
        """Until cancelled; then the connection is closed with 1001 and `on_closed` has been called."""
        while True:
            self.pulse.rest()
            await self._wanted.wait()
            self.pulse.within(self.config.connect_timeout_s + self.config.close_timeout_s + _STEP_S)
            self._closing_reason = None
            self._nudged.clear()
            wait_s = 0.0
            try:
                await self._attempt()
                self._back_off.limits = self.config.back_off
                wait_s = self._back_off.next_wait_s()
            except ConnectFailed as failure:
                if self._wanted.is_set():
                    self._report(failure)
                    self._back_off.limits = self.config.back_off
                    wait_s = self._back_off.next_wait_s(
                        failure.kind in _SETTLED_BY_HUMANS, failure.retry_after_s
                    )
            if self._wanted.is_set():
                logger.debug("next attempt in %.1f s", wait_s)
                self.pulse.within(wait_s + _STEP_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._nudged.wait()

    def _report(self, failure: ConnectFailed) -> None:
        # An outage of a night is one line in the log, not a thousand.
        is_new = self.last_failure is None or str(self.last_failure) != str(failure)
        logger.log(logging.WARNING if is_new else logging.DEBUG, "no connection: %s", failure)
        self.last_failure = failure
        self._on_failed(failure)

    async def _attempt(self) -> None:
        """One connection from dial to loss; ConnectFailed if it did not come to be."""
        config = self.config
        url = connection_url(config)
        chosen: list[str] = []
        session = _session(chosen)
        try:
            web_socket = await self._dial(session, url, config)
            if web_socket.protocol is not None:
                self._subprotocol = web_socket.protocol
            elif config.accept_missing_subprotocol and not any(chosen):
                self._subprotocol = config.subprotocols[0]
            else:
                await web_socket.close(code=_NORMAL_CLOSURE)
                offered = ", ".join(config.subprotocols)
                raise ConnectFailed(f"the server selected none of {offered}", "REFUSED", status=101)
            if self._subprotocol in config.without_wildcards:
                await _refuse_wildcard(web_socket, url)
            await self._serve(web_socket, config)
        finally:
            # A peer that is gone acknowledges nothing: the kernel drops the socket (TCP_USER_TIMEOUT), nobody waits.
            with suppress(TimeoutError):
                async with asyncio.timeout(config.close_timeout_s):
                    await session.close()

    async def _dial(
        self, session: aiohttp.ClientSession, url: str, config: LinkConfig
    ) -> aiohttp.ClientWebSocketResponse:
        headers = {"User-Agent": "evse-agent"}
        if config.security_profile in (1, 2) and config.password:
            credentials = config.identity.encode() + b":" + config.password
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
        try:
            async with asyncio.timeout(config.connect_timeout_s) as self._scope:
                return await session.ws_connect(
                    URL(url, encoded=True),
                    protocols=config.subprotocols,
                    headers=headers,
                    ssl=await _trust(config) if url.startswith("wss:") else True,
                    autoping=False,
                    autoclose=False,
                    compress=15 if config.compression else 0,
                    max_msg_size=MEMORY_FACTOR * config.max_frame_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=config.close_timeout_s),
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if self._closing_reason is not None:
                raise ConnectFailed(self._closing_reason) from error
            raise _explain(error, config.connect_timeout_s) from error
        finally:
            self._scope = None

    async def _serve(self, web_socket: aiohttp.ClientWebSocketResponse, config: LinkConfig) -> None:
        loop = asyncio.get_running_loop()
        opened_time = loop.time()
        _tune(web_socket, config)
        self._sender = FrameSender(
            lambda: self._begin_close("the CSMS does not read"), MEMORY_FACTOR * config.max_frame_bytes
        )
        self._socket = web_socket
        self.peer_chain = verified_chain(web_socket.get_extra_info("ssl_object"))
        self.last_failure = None
        logger.info("connected to %s with %s", config.url, self._subprotocol)
        reason = "stopped"
        try:
            self.pulse.rest()  # whether the peer lives is asked by pings; a close sets the next limit
            self._schedule_ping()
            self._on_open(self._subprotocol)
            reason = await self._read(web_socket)
        finally:
            self._stop_timers()
            self._begin_close(reason, _GOING_AWAY)
            reason = self._closing_reason or reason
            self._back_off.note_connection(loop.time() - opened_time)
            try:
                await self._finish_close(config)
            finally:
                self._socket = None
                self.peer_chain = ()
                logger.info("connection closed: %s", reason)
                self._on_closed(reason)

    async def _read(self, web_socket: aiohttp.ClientWebSocketResponse) -> str:
        """Deliver what comes; the reason when nothing more can come."""
        receive, on_text = web_socket.receive, self._on_text
        is_text, is_ping, is_pong = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG
        while True:
            message = await receive()
            self._has_heard = True
            kind = message.type
            if kind is is_text:
                if self._closing_reason is None:
                    on_text(message.data)
            elif kind is is_ping:  # always answered, whatever our own interval is (R16-011)
                with suppress(LinkClosed):
                    self._sender.send(web_socket.pong(message.data), len(message.data))
            elif kind is is_pong:
                continue
            elif kind is aiohttp.WSMsgType.BINARY:
                logger.warning("a binary frame of %d bytes was ignored", len(message.data))
            elif kind is aiohttp.WSMsgType.CLOSE:
                reason = f"closed by the CSMS with {message.data} {message.extra or ''}".rstrip()
                self._begin_close(reason)  # RFC 6455 5.5.1: a close is answered by a close
                return reason
            else:
                cause = web_socket.exception() or (message.data if kind is aiohttp.WSMsgType.ERROR else None)
                if cause is None or isinstance(cause, aiohttp.ClientConnectionResetError):
                    return "connection lost"
                return f"connection lost: {cause}"

    def _begin_close(self, reason: str, code: int = _NORMAL_CLOSURE) -> None:
        """Say goodbye (`_serve` waits a moment for the peer to agree); an attempt under way is abandoned."""
        if self._closing_reason is not None:
            return
        if self._socket is None:
            if self._scope is not None:
                self._closing_reason = reason
                self._scope.reschedule(0)
            return
        self._closing_reason = reason
        self.pulse.within(4 * self.config.close_timeout_s + _STEP_S)
        message = reason.encode("ascii", "replace")[:_CLOSE_REASON_BYTES]
        self._closer = asyncio.ensure_future(self._socket.close(code=code, message=message))

    async def _finish_close(self, config: LinkConfig) -> None:
        try:
            if self._closer is not None:
                # aiohttp limits its wait for the peer's close frame, but not its wait for room to write ours.
                with suppress(TimeoutError):
                    async with asyncio.timeout(2 * config.close_timeout_s):
                        await self._closer
        finally:
            self._closer = None
            await self._sender.close()

    def _schedule_ping(self) -> None:
        self._stop_timers()
        if self._socket is not None and self._ping_interval_s > 0:
            loop = asyncio.get_running_loop()
            self._ping_timer = loop.call_later(self._ping_interval_s, self._ping)

    def _stop_timers(self) -> None:
        for timer in (self._ping_timer, self._pong_timer):
            if timer is not None:
                timer.cancel()
        self._ping_timer = self._pong_timer = None

    def _ping(self) -> None:
        if not self.is_connected or self._socket is None:
            return
        loop = asyncio.get_running_loop()
        self._ping_timer = loop.call_later(self._ping_interval_s, self._ping)
        if self._pong_timer is None:
            self._has_heard = False
            self._pong_timer = loop.call_later(self.config.pong_timeout_s, self._check_pong)
        with suppress(LinkClosed):
            self._sender.send(self._socket.ping())

    def _check_pong(self) -> None:
        """Half-open connections look alive until somebody asks (R16-012)."""
        self._pong_timer = None
        if not self._has_heard:
            self._begin_close(f"no pong within {self.config.pong_timeout_s:g} s", _GOING_AWAY)


def _tune(web_socket: aiohttp.ClientWebSocketResponse, config: LinkConfig) -> None:
    """Unacknowledged data ends the connection; TCP_NODELAY is aiohttp's default."""
    transport_socket = web_socket.get_extra_info("socket")
    if transport_socket is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(2000 * config.pong_timeout_s)
        with suppress(OSError):
            transport_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _session(chosen: list[str]) -> aiohttp.ClientSession:
    """For one attempt: no pooled socket, cookie or cached address outlives it.

    `chosen` receives what the server selected, in case it is none of ours.
    """

    async def refuse_redirect(_session: object, _context: object, params: Any) -> None:
        # Following one could carry the password, and the session, from wss to ws.
        status = int(params.response.status)
        raise ConnectFailed(f"HTTP {status}: redirects are not followed", "REFUSED", status=status)

    async def note_chosen(_session: object, _context: object, params: Any) -> None:
        chosen.append(params.response.headers.get("Sec-WebSocket-Protocol", ""))

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse_redirect)
    trace.on_request_end.append(note_chosen)
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), trace_configs=[trace])
    # aiohttp would dial a second time, at once, when the first connection ends without an answer (R16-006).
    session._retry_connection = False
    return session


async def _refuse_wildcard(web_socket: aiohttp.ClientWebSocketResponse, url: str) -> None:
    """Only now it is known which version it would be. Raises ConnectFailed."""
    name = wildcard_of(web_socket.get_extra_info("ssl_object"), urlsplit(url).hostname or "")
    if name is not None:
        await web_socket.close(code=_NORMAL_CLOSURE)
        raise ConnectFailed(
            f"certificate of the CSMS: {name} has a wildcard (AllowCSMSTLSWildcards is false)",
            "TLS_CERTIFICATE",
        )


async def _trust(config: LinkConfig) -> ssl.SSLContext:
    own = (config.certificate_file, config.key_file) if config.security_profile == 3 else None
    try:
        return await asyncio.to_thread(
            client_context,
            config.ca_file,
            config.roots,
            own,
            checks_time=config.checks_time,
            allows_wildcards=not config.without_wildcards.issuperset(config.subprotocols),
        )
    except OSError as error:
        where = ", ".join(filter(None, (config.ca_file, config.certificate_file))) or "trust anchors"
        raise ConnectFailed(f"{where}: {error}", "CONFIGURATION") from error


def _explain(error: Exception, timeout_s: float) -> ConnectFailed:
    """The one place that says why an attempt failed."""
    match error:
        case aiohttp.WSServerHandshakeError(status=status):
            retry_after = error.headers.get("Retry-After", "") if error.headers else ""
            kind = "UNREACHABLE"
            if status in _CREDENTIALS_STATUS:
                kind = "CREDENTIALS"
            elif 300 <= status < 500 and status not in _TRANSIENT_STATUS:
                kind = "REFUSED"
            return ConnectFailed(
                f"HTTP {status} on the upgrade" if status != 101 else error.message,
                kind,
                float(retry_after) if retry_after.isdecimal() else 0.0,
                status,
            )
        case aiohttp.ClientConnectorCertificateError():
            return ConnectFailed(f"certificate of the CSMS: {error.certificate_error}", "TLS_CERTIFICATE")
        case aiohttp.ClientConnectorSSLError(os_error=ssl.SSLError() as tls_error):
            return ConnectFailed(f"TLS: {tls_error}", failure_kind(tls_error))
        case aiohttp.ClientError() if (tls_cause := _tls_cause(error)) is not None:
            # In TLS 1.3 the server judges our certificate after the handshake.
            return ConnectFailed(f"TLS: {tls_cause}", failure_kind(tls_cause))
        case aiohttp.ClientConnectorError(host=host, port=port, os_error=cause):
            reason = cause.strerror or str(cause) or type(cause).__name__
            return ConnectFailed(f"{host}:{port}: {reason}")
        case TimeoutError():
            return ConnectFailed(f"no connection within {timeout_s:g} s")
    return ConnectFailed(str(error) or type(error).__name__)


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    """The TLS alert behind an error of the HTTP client."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        inner = getattr(cause, "os_error", None)
        cause = inner if isinstance(inner, ssl.SSLError) else cause.__cause__ or cause.__context__
    return cause
