"""A CSMS that does what the test says, on a real WebSocket on loopback in the test's own loop.

    async with Csms() as csms:                       # csms.url goes into the configuration
        (await csms.expect("BootNotification")).accept(interval=300)
        answer = await csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})

A call that was neither expected nor granted by `always` fails the test when the CSMS ends.
"""

import asyncio
import itertools
import json
import re
import ssl
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from tests.helpers.csms_calls import Answer, Call, Handshake

_LONG_TIME = re.compile(r"T\d\d:\d\d:\d\d\.\d{4}")
"""2.0.1 part 2, 3.1: a time has at most three decimals."""
PATIENCE_S = 3600.0
"""Seconds of loop time before `expect`, `call` and `connected` give up."""


@dataclass
class Csms:
    """Settings may be changed at any time; they count from the next connection or answer on."""

    subprotocols: tuple[str, ...] = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
    ssl_context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    refuse_status: int | None = None
    refuse_headers: dict[str, str] = field(default_factory=dict)
    close_at_once: int | None = None
    """Upgrade, then close with this code."""
    answers_pings: bool = True
    answer_delay_s: float = 0.0
    compress: bool = False
    first_look: Callable[[str], bool] | None = None
    """Sees every text of the station first; True = nothing else shall be done with it."""
    handshakes: list[Handshake] = field(default_factory=list)
    received: list[tuple[float, str]] = field(default_factory=list)
    """(loop time, text) of every text frame."""
    ping_times: list[float] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close_code: int | None = None
    """With which the station closed the latest connection that ended."""
    most_open: int = 0
    """Connections that were open at the same time."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        # Every start is a security event; a test that is about them looks into `received`.
        self._granted: dict[str, dict[str, Any]] = {"SecurityEventNotification": {}}
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._open: list[tuple[web.WebSocketResponse, asyncio.Transport]] = []
        self._changed = asyncio.Condition()
        self._next_id = 0
        self._transaction_ids = itertools.count(1)
        application = web.Application()
        application.router.add_get("/{path:.*}", self._accept)
        self._runner = web.AppRunner(application, shutdown_timeout=1, access_log=None)
        await self._runner.setup()
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        await self._runner.cleanup()
        left = [call.action for call in self._calls._queue]  # type: ignore[attr-defined]
        assert not left or kind is not None, f"calls that nobody expected: {left}"
        long = [text for _, text in self.received if _LONG_TIME.search(text)]
        assert not long or kind is not None, f"more than three decimals in a time: {long[0]}"

    async def listen(self, port: int = 0) -> None:
        self._site = web.TCPSite(self._runner, self.host, port, ssl_context=self.ssl_context)
        await self._site.start()
        self.port = int(self._runner.addresses[0][1])
        self.url = f"{'wss' if self.ssl_context else 'ws'}://{self.host}:{self.port}/ocpp"

    async def stop_listening(self) -> None:
        """New connections are refused by the kernel until `listen(port)`."""
        await self._site.stop()

    @property
    def is_connected(self) -> bool:
        return bool(self._open)

    @property
    def sockets(self) -> list[web.WebSocketResponse]:
        """The open connections, the latest last."""
        return [web_socket for web_socket, _ in self._open]

    @property
    def transports(self) -> list[asyncio.Transport]:
        """Their bytes, for what no library would send."""
        return [transport for _, transport in self._open]

    async def connected(self, is_connected: bool = True) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: bool(self._open) is is_connected)

    async def expect(self, action: str) -> Call:
        """The station's next call (apart from granted ones), which must be `action`."""
        async with asyncio.timeout(PATIENCE_S):
            call = await self._calls.get()
        assert call.action == action, f"expected {action}, got {call.action} {call.payload}"
        return call

    def always(self, action: str, **fields: Any) -> None:
        """From now on answer every `action` in a friendly way, with `fields` put over it."""
        self._granted[action] = fields

    def never(self, action: str) -> None:
        """Take back what `always` granted: it has to be expected again."""
        self._granted.pop(action, None)

    async def call(self, action: str, payload: dict[str, Any] | None = None) -> Answer:
        self._next_id += 1
        message_id = f"csms-{self._next_id}"
        self._answers[message_id] = self._loop.create_future()
        self.send_text(json.dumps([2, message_id, action, payload or {}]))
        async with asyncio.timeout(PATIENCE_S):
            return await self._answers[message_id]

    def send_text(self, text: str, delay_s: float = 0.0) -> None:
        """Anything at all, to the latest connection; into the void if there is none."""
        if delay_s:
            self._loop.call_later(delay_s, self.send_text, text)
        elif self._open:
            write_now(self._open[-1][0].send_str(text))

    def ping(self, content: bytes = b"") -> None:
        write_now(self._open[-1][0].ping(content))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """A WebSocket close frame; the station has to answer it."""
        write_now(self._open[-1][0].send_frame(struct.pack("!H", code) + reason.encode(), WSMsgType.CLOSE))

    def drop(self) -> None:
        """Cut every TCP connection without a word."""
        for _, transport in self._open:
            transport.abort()

    def _answer(self, text: str) -> None:
        self.send_text(text, self.answer_delay_s)

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        self.handshakes.append(Handshake(request.raw_path, dict(request.headers), self._loop.time()))
        if self.refuse_status is not None:
            return web.Response(status=self.refuse_status, headers=self.refuse_headers)
        web_socket = web.WebSocketResponse(
            protocols=self.subprotocols, autoping=False, compress=self.compress, max_msg_size=0
        )
        await web_socket.prepare(request)
        assert request.transport is not None
        entry = (web_socket, request.transport)
        await self._note(lambda: self._open.append(entry))
        self.most_open = max(self.most_open, len(self._open))
        try:
            if self.close_at_once is not None:
                await web_socket.close(code=self.close_at_once)
            async for message in web_socket:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
                elif message.type is WSMsgType.PING:
                    self.ping_times.append(self._loop.time())
                    if self.answers_pings:
                        await web_socket.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    self.pongs.append(message.data)
        finally:
            self.close_code = web_socket.close_code
            await self._note(lambda: self._open.remove(entry))
        return web_socket

    async def _note(self, change: Any) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()

    def _take(self, text: str) -> None:
        self.received.append((self._loop.time(), text))
        if self.first_look is not None and self.first_look(text):
            return
        kind, message_id, *rest = json.loads(text)
        if kind == 2:
            call = Call(self._answer, self._transaction_ids, message_id, rest[0], rest[1], self._loop.time())
            fields = self._granted.get(call.action)
            self._calls.put_nowait(call) if fields is None else call.accept(**fields)
        elif message_id in self._answers and not self._answers[message_id].done():
            code, description = (None, "") if kind == 3 else (rest[0], rest[1])
            payload = rest[0] if kind == 3 else rest[2]
            self._answers[message_id].set_result(Answer(payload, code, description, self._loop.time()))


def write_now(send: Coroutine[Any, Any, None]) -> None:
    """Run a send of aiohttp to its end: it writes at once and waits only for a full socket buffer."""
    with suppress(StopIteration, ConnectionError):
        waits_for = send.send(None)
        waits_for.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # nobody else will look
        send.close()
