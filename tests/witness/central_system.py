"""A central system made of the PyPI package `ocpp`: scripted answers, ordered expectations, strict schemas.

Every frame of the station is checked against the official JSON schemas and the framing rules as it arrives; what is
wrong with it is a violation, and a case with violations fails. `expect` consumes the station's calls in order: a call
that nobody expected fails the case, except for those of `Words.background`. `words` says which OCPP version it speaks
(a CSMS in 2.0.1). Knows nothing of the agent.
"""

import asyncio
import json
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import ocpp.messages
import websockets
from ocpp.charge_point import ChargePoint, camel_to_snake_case
from ocpp.exceptions import InternalError, OCPPError
from ocpp.messages import Call, CallResult, validate_payload
from ocpp.routing import on
from websockets.asyncio.server import Server, ServerConnection
from websockets.http11 import Request, Response

from tests.witness.words import WORDS_16, Payload, Reply, Words, now

ocpp.messages.ASYNC_VALIDATION = False
SILENCE = InternalError("never sent")
"""A scripted reply: none at all."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A call of the station. `number` counts all frames of both sides; `at` is the loop's time."""

    number: int
    at: float
    action: str
    payload: Payload

    def __getitem__(self, name: str) -> Any:
        return self.payload[name]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the station answered: a payload, or an error code (`""`: none)."""

    number: int
    payload: Payload
    error: str = ""

    @property
    def status(self) -> str:
        """The status, or "error:" and the code of a CALLERROR."""
        return f"error:{self.error}" if self.error else str(self.payload.get("status"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that may come: action, and fields that must be equal to a value or satisfy a predicate."""

    action: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, seen: Seen) -> bool:
        return seen.action == self.action and all(
            value(seen.payload.get(name)) if callable(value) else seen.payload.get(name) == value
            for name, value in self.fields.items()
        )

    def __str__(self) -> str:
        return f"{self.action} {dict(self.fields)}"


def call(action: str, **fields: Any) -> Wanted:
    return Wanted(action, fields)


def status(connector: int, state: str, **fields: Any) -> Wanted:
    return Wanted("StatusNotification", {"connectorId": connector, "status": state, **fields})


class _Recorded:
    """What the `ocpp` package takes for its connection: hands every frame to the central system first."""

    def __init__(self, connection: ServerConnection, central: "CentralSystem") -> None:
        self._connection = connection
        self._central = central

    async def recv(self) -> Any:
        text = await self._connection.recv()
        await self._central.received(text)
        return text

    async def send(self, text: str) -> None:
        if self._central.sending(text):
            await self._connection.send(text)


class _Peer(ChargePoint):  # type: ignore[misc]
    """One connection of the station."""

    def __init__(self, identity: str, connection: _Recorded, central: "CentralSystem") -> None:
        words = central.words
        self._call, self._call_result = words.call, words.call_result
        self._ocpp_version = words.version
        for action in words.from_station:
            setattr(self, f"answer_{action}", on(action)(self._handler(action, central)))
        super().__init__(identity, connection, response_timeout=20)

    @staticmethod
    def _handler(action: str, central: "CentralSystem") -> Callable[..., Any]:
        def answer(call_unique_id: str, **_snake: Any) -> Any:
            payload = central.reply_to(action, call_unique_id)
            return getattr(central.words.call_result, action)(**camel_to_snake_case(payload))

        answer.__name__ = f"answer_{action}"  # the package finds handlers by their names
        return answer

    async def ask(self, action: str, payload: Payload, is_valid: bool) -> CallResult | Any:
        """Send a CALL; the CALLRESULT or CALLERROR as the package unpacked it."""
        message = Call(str(uuid4()), action, payload)
        if is_valid:
            await validate_payload(message, self._ocpp_version)
        async with self._call_lock:
            await self._send(message.to_json())
            return await self._get_specific_response(message.unique_id, self._response_timeout)


class Running(Protocol):
    """A process that may end."""

    log: Path

    @property
    def is_running(self) -> bool: ...


class CentralSystem:
    """`async with CentralSystem() as central`: serves on a free port of loopback until the end."""

    def __init__(self, tls: ssl.SSLContext | None = None, words: Words = WORDS_16) -> None:
        self.tls = tls
        self.words = words
        self.tags: dict[str, Payload] = {}
        """Token in capitals -> its idTagInfo or idTokenInfo; others are Accepted."""
        self.admit: Callable[[Request], HTTPStatus | None] = lambda _request: None
        """Looks at an upgrade request; a status refuses it."""
        self.interval_s = 300
        self.violations: list[str] = []
        self.statuses: dict[int, str] = {}
        """Connector (1.6) or EVSE -> status last reported."""
        self.transactions: dict[int, Payload] = {}
        """transactionId -> its StartTransaction."""
        self.requests: list[Request] = []
        """Upgrade requests, refused ones included."""
        self.handshakes: list[Any] = []
        """SSL objects of the accepted connections."""
        self.peer: _Peer | None = None
        self._connection: ServerConnection | None = None
        self._servers: list[Server] = []
        self.url = ""
        self._is_online = True
        self._scripts: dict[str, deque[Reply]] = defaultdict(deque)
        self._number = 0
        self._begun = 0
        self._calls: list[Seen] = []
        self._next = 0
        self._tolerated: list[Wanted] = []
        self._changed = asyncio.Event()
        self._asked: dict[str, str] = {}
        self._answered: dict[str, int] = {}
        self._unanswered: dict[str, Seen] = {}
        self._ids: set[str] = set()
        self._silenced: set[str] = set()
        self._nonsense = 0

    # ---- the server --------------------------------------------------------------------------------------

    async def __aenter__(self) -> "CentralSystem":
        self.url = await self.listen(self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shut()

    async def listen(self, tls: ssl.SSLContext | None = None) -> str:
        """On one more port; its URL."""
        server = await websockets.serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=[self.words.subprotocol],  # type: ignore[list-item]
            ssl=tls,
            process_request=self._look_at,
            ping_interval=None,
        )
        self._servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return f"{'wss' if tls else 'ws'}://localhost:{port}/ocpp"

    async def shut(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()

    async def go_offline(self) -> None:
        """Close the connection and refuse new ones."""
        self._is_online = False
        if self._connection is not None:
            await self._connection.close(1001)
        await self.until(lambda: self.peer is None)

    def go_online(self) -> None:
        self._is_online = True

    async def connected(self, within: float = 20.0) -> None:
        await self.until(lambda: self.peer is not None, within)

    async def met(self, station: "Running") -> None:
        """It is connected; fails with its log when it ended instead."""
        await self.until(lambda: self.peer is not None or not station.is_running)
        assert station.is_running, station.log.read_text()

    async def disconnected(self, within: float = 20.0) -> None:
        await self.until(lambda: self.peer is None, within)

    def _look_at(self, _connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        refusal = self.admit(request) if self._is_online else HTTPStatus.SERVICE_UNAVAILABLE
        self._changed.set()
        return None if refusal is None else _connection.respond(refusal, refusal.phrase)

    async def _serve(self, connection: ServerConnection) -> None:
        self.handshakes.append(connection.transport.get_extra_info("ssl_object"))
        if connection.request is None or connection.subprotocol != self.words.subprotocol:
            self.violations.append(f"connected with subprotocol {connection.subprotocol}")
            return
        peer = _Peer(connection.request.path.rpartition("/")[2], _Recorded(connection, self), self)
        self.peer, self._connection = peer, connection
        self._ids.clear()
        self._unanswered.clear()
        self._changed.set()
        try:
            await peer.start()
        except websockets.ConnectionClosed:
            pass
        finally:
            if self.peer is peer:
                self.peer = None
            self._changed.set()

    # ---- frames ------------------------------------------------------------------------------------------

    async def received(self, text: str | bytes) -> None:
        """Check a frame of the station and file it."""
        self._number += 1
        try:
            frame = json.loads(text)
            await self._check(frame)
        except (OCPPError, ValueError, KeyError, TypeError, IndexError) as error:
            self.violations.append(f"{text!r}: {error!r}")
        self._changed.set()

    async def _check(self, frame: list[Any]) -> None:
        match frame:
            case [2, str(message_id), str(action), dict(payload)]:
                if not 0 < len(message_id) <= 36 or message_id in self._ids:
                    raise ValueError("message id used before, or too long")
                if self._unanswered:
                    raise ValueError(f"a second call while {list(self._unanswered.values())} are unanswered")
                self._ids.add(message_id)
                seen = Seen(self._number, asyncio.get_running_loop().time(), action, payload)
                self._unanswered[message_id] = seen
                self._calls.append(seen)
                if action == "StatusNotification":
                    self.statuses[payload[self.words.place]] = payload[self.words.status]
                await validate_payload(Call(message_id, action, payload), self.words.version)
            case [3, str(message_id), dict(payload)]:
                result = CallResult(message_id, payload)
                result.action = self._asked.pop(message_id)
                self._answered[message_id] = self._number
                await validate_payload(result, self.words.version)
            case [4, "-1", "RpcFrameworkError", str(), dict()] if self._nonsense:
                self._nonsense -= 1
            case [4, str(message_id), str(code), str(), dict()]:
                self._asked.pop(message_id)
                self._answered[message_id] = self._number
                if code not in self.words.error_codes:
                    raise ValueError(f"unknown error code {code}")
            case _:
                raise ValueError("not a frame of OCPP-J")

    def sending(self, text: str) -> bool:
        """Whether it goes out at all."""
        frame = json.loads(text)
        if frame[0] == 2:
            self._asked[frame[1]] = frame[2]
        else:
            self._unanswered.pop(frame[1], None)
        is_kept_back = frame[1] in self._silenced
        self._silenced.discard(frame[1])
        return not is_kept_back

    # ---- answers -----------------------------------------------------------------------------------------

    def script(self, action: str, *replies: Reply) -> None:
        """Answer the next calls of this action so, one reply each; afterwards as always."""
        self._scripts[action].extend(replies)

    def reply_to(self, action: str, message_id: str) -> Payload:
        payload = self._unanswered[message_id].payload
        script = self._scripts[action]
        if script:
            reply = script.popleft()
            if reply is SILENCE:
                self._silenced.add(message_id)
            if isinstance(reply, Exception):
                raise reply
            return reply(payload) if callable(reply) else reply
        return self._usual(action, payload)

    def _usual(self, action: str, payload: Payload) -> Payload:
        usual = self.words.answers(action, payload, self._token)
        match action:
            case "BootNotification":
                return {"currentTime": now(), "interval": self.interval_s, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now()}
            case "StartTransaction":
                number = 1001 + len(self.transactions)
                self.transactions[number] = payload
                return {"transactionId": number, **usual}
        return usual

    def _token(self, payload: Payload) -> Payload:
        token = payload["idTag"] if "idTag" in payload else payload["idToken"]["idToken"]
        return self.tags.get(token.upper(), {"status": "Accepted"})

    async def ask(self, action: str, *, is_valid: bool = True, **payload: Any) -> Answer:
        """A CALL to the station and its answer. `is_valid=False`: against the schema on purpose."""
        await self.connected()
        assert self.peer is not None
        message = await self.peer.ask(action, payload, is_valid)
        number = self._answered.pop(message.unique_id)
        if isinstance(message, CallResult):
            return Answer(number, message.payload)
        return Answer(number, {}, message.error_code)

    async def send_nonsense(self, text: str) -> None:
        """What is no message at all; in 2.0.1 it may be answered with the id -1 (part 4, 4.2.3)."""
        assert self._connection is not None
        self._nonsense += 1
        await self._connection.send(text)

    # ---- expectations ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new case: what came before is forgotten."""
        self._begun = self._number
        self._next = len(self._calls)
        self._tolerated.clear()
        self._scripts.clear()
        self.violations.clear()
        self.tags.clear()

    async def until(self, is_so: Callable[[], object], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not is_so():
                self._changed.clear()
                with suppress(TimeoutError):  # also looks at what changes without a frame
                    await asyncio.wait_for(self._changed.wait(), 0.1)

    async def expect(self, *wanted: Wanted, within: float = 10.0) -> list[Seen]:
        """The next calls, in any order among `wanted`; they are returned in the order of `wanted`."""
        found: dict[int, Seen] = {}

        def take() -> bool:
            while len(found) < len(wanted) and self._next < len(self._calls):
                seen = self._calls[self._next]
                index = next(
                    (i for i, one in enumerate(wanted) if i not in found and one.matches(seen)), None
                )
                if index is not None:
                    found[index] = seen
                elif not self._is_let_pass(seen):
                    left = [str(one) for i, one in enumerate(wanted) if i not in found]
                    raise AssertionError(f"expected {left}, but came {seen.action} {seen.payload}")
                self._next += 1
            return len(found) == len(wanted)

        try:
            await self.until(take, within)
        except TimeoutError:
            left = [str(one) for i, one in enumerate(wanted) if i not in found]
            raise AssertionError(f"never came within {within} s: {left}; last {self._last()}") from None
        return [found[index] for index in range(len(wanted))]

    async def expect_one(self, wanted: Wanted, within: float = 10.0) -> Seen:
        (seen,) = await self.expect(wanted, within=within)
        return seen

    def tolerate(self, *wanted: Wanted) -> None:
        """These may come from now on until the end of the case."""
        self._tolerated += wanted

    def _is_let_pass(self, seen: Seen) -> bool:
        return seen.action in self.words.background or any(one.matches(seen) for one in self._tolerated)

    async def quiet(self, for_s: float) -> None:
        """Nothing unexpected has come, and nothing does for a while."""
        await asyncio.sleep(for_s)
        left = [seen for seen in self._calls[self._next :] if not self._is_let_pass(seen)]
        assert not left, f"unexpected: {[(seen.action, seen.payload) for seen in left]}"
        self._next = len(self._calls)

    def calls(self, action: str, after: int | None = None) -> list[Seen]:
        """All calls of this action since the frame of this number (None: in this case), consumed or not."""
        since = self._begun if after is None else after
        return [seen for seen in self._calls if seen.action == action and seen.number > since]

    @property
    def number(self) -> int:
        """Of the last frame that came."""
        return self._number

    def _last(self) -> list[Any]:
        return [(seen.action, seen.payload) for seen in self._calls[-4:]]
