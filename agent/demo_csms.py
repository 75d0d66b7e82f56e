"""A small CSMS for the demonstration: OCPP 1.6 on loopback, one station, everything accepted, nothing stored.

It is the other side of the wire, so it shares no code with `agent/ocpp`. Not for real stations. Used by
`demo.py` only.
"""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]
FIRST_TRANSACTION_ID = 1001
ANSWER_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One call of the station, with the answer it got."""

    action: str
    payload: Json
    answer: Json


class DemoCsms:
    """Serves one station. `on_call` hears each of its calls after the answer, `on_answer` its answers to ours."""

    def __init__(self, on_call: Callable[[Heard], None], on_answer: Callable[[Json], None]) -> None:
        self.heard: list[Heard] = []
        self._on_call = on_call
        self._on_answer = on_answer
        self._changed = asyncio.Event()
        self._transaction_ids = itertools.count(FIRST_TRANSACTION_ID)
        self._message_ids = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Json]] = {}
        self._socket: web.WebSocketResponse | None = None
        app = web.Application()
        app.add_routes([web.get("/ocpp/{identity}", self._serve)])
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self) -> int:
        """Listen on a free port of 127.0.0.1; returns it."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        await self._runner.cleanup()

    async def call(self, action: str, payload: Json) -> Json:
        """Ask the station. Raises ConnectionError without one, TimeoutError without an answer."""
        if self._socket is None:
            raise ConnectionError("no station is connected")
        message_id = f"demo-{next(self._message_ids)}"
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._answers[message_id] = answer
        try:
            await self._socket.send_str(json.dumps([2, message_id, action, payload]))
            return await asyncio.wait_for(answer, ANSWER_TIMEOUT_S)
        finally:
            del self._answers[message_id]

    async def expect(
        self, action: str, after: int = 0, where: Callable[[Json], bool] = lambda _payload: True
    ) -> Heard:
        """The first call of `action` among `heard[after:]` whose payload is as `where` says; waits for it.

        Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                for heard in self.heard[after:]:
                    if heard.action == action and where(heard.payload):
                        return heard
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("ocpp1.6",), autoping=True)
        await socket.prepare(request)
        self._socket = socket
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._receive(socket, json.loads(message.data))
        finally:
            if self._socket is socket:
                self._socket = None
        return socket

    async def _receive(self, socket: web.WebSocketResponse, frame: list[Any]) -> None:
        match frame:
            case [2, str(message_id), str(action), dict(payload)]:
                answer = self._answer(action, payload)
                if answer is None:
                    await socket.send_str(json.dumps([4, message_id, "NotImplemented", "", {}]))
                    return
                await socket.send_str(json.dumps([3, message_id, answer]))
                heard = Heard(action, payload, answer)
                self.heard.append(heard)
                self._on_call(heard)
                self._changed.set()
            case [3, str(message_id), dict(payload)]:
                waiting = self._answers.get(message_id)
                if waiting is not None and not waiting.done():
                    self._on_answer(payload)
                    waiting.set_result(payload)
            case [4, str(message_id), str(code), *_]:
                waiting = self._answers.get(message_id)
                if waiting is not None and not waiting.done():
                    waiting.set_exception(ConnectionError(f"the station answered with {code}"))

    def _answer(self, action: str, payload: Json) -> Json | None:
        """The answer of an easy-going CSMS; None: it does not know the action."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        accepted = {"idTagInfo": {"status": "Accepted"}}
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": now, "interval": 60}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return accepted
            case "StartTransaction":
                return {**accepted, "transactionId": next(self._transaction_ids)}
            case "StopTransaction":
                return accepted if "idTag" in payload else {}
            case "DataTransfer":
                return {"status": "Accepted"}
            case (
                "StatusNotification"
                | "MeterValues"
                | "DiagnosticsStatusNotification"
                | "FirmwareStatusNotification"
            ):
                return {}
            case _:
                return None
