"""An independent CSMS of OCPP 2.0.1: the PyPI package `ocpp` on a websockets server, recording every call in order."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201.enums import Action
from websockets.asyncio.server import Server, ServerConnection

Recorded = tuple[str, dict[str, Any]]


class _Peer(ChargePoint):  # type: ignore[misc]
    """One connected station; validates every payload against the official schemas."""

    def __init__(self, connection: ServerConnection, csms: "LibraryCsms201") -> None:
        super().__init__("CP001", connection)
        self.csms = csms

    @on(Action.boot_notification)  # type: ignore[untyped-decorator]
    def boot(self, **payload: Any) -> call_result.BootNotification:
        self.csms.record("BootNotification", payload)
        return call_result.BootNotification(
            current_time=self.csms.now(), interval=self.csms.interval_s, status=self.csms.registration
        )

    @on(Action.heartbeat)  # type: ignore[untyped-decorator]
    def heartbeat(self, **payload: Any) -> call_result.Heartbeat:
        self.csms.record("Heartbeat", payload)
        return call_result.Heartbeat(current_time=self.csms.now())

    @on(Action.status_notification)  # type: ignore[untyped-decorator]
    def status(self, **payload: Any) -> call_result.StatusNotification:
        self.csms.record("StatusNotification", payload)
        return call_result.StatusNotification()

    @on(Action.authorize)  # type: ignore[untyped-decorator]
    def authorize(self, **payload: Any) -> call_result.Authorize:
        self.csms.record("Authorize", payload)
        return call_result.Authorize(id_token_info={"status": self.csms.token_status})

    @on(Action.transaction_event)  # type: ignore[untyped-decorator]
    def transaction_event(self, **payload: Any) -> call_result.TransactionEvent:
        self.csms.record("TransactionEvent", payload)
        return call_result.TransactionEvent()

    @on(Action.meter_values)  # type: ignore[untyped-decorator]
    def meter_values(self, **payload: Any) -> call_result.MeterValues:
        self.csms.record("MeterValues", payload)
        return call_result.MeterValues()

    @on(Action.log_status_notification)  # type: ignore[untyped-decorator]
    def log_status(self, **payload: Any) -> call_result.LogStatusNotification:
        self.csms.record("LogStatusNotification", payload)
        return call_result.LogStatusNotification()

    @on(Action.firmware_status_notification)  # type: ignore[untyped-decorator]
    def firmware_status(self, **payload: Any) -> call_result.FirmwareStatusNotification:
        self.csms.record("FirmwareStatusNotification", payload)
        return call_result.FirmwareStatusNotification()

    @on(Action.notify_report)  # type: ignore[untyped-decorator]
    def notify_report(self, **payload: Any) -> call_result.NotifyReport:
        self.csms.record("NotifyReport", payload)
        return call_result.NotifyReport()

    @on(Action.notify_event)  # type: ignore[untyped-decorator]
    def notify_event(self, **payload: Any) -> call_result.NotifyEvent:
        self.csms.record("NotifyEvent", payload)
        return call_result.NotifyEvent()

    @on(Action.security_event_notification)  # type: ignore[untyped-decorator]
    def security_event(self, **payload: Any) -> call_result.SecurityEventNotification:
        self.csms.security_events.append(payload)
        return call_result.SecurityEventNotification()

    @on(Action.data_transfer)  # type: ignore[untyped-decorator]
    def data_transfer(self, **payload: Any) -> call_result.DataTransfer:
        self.csms.record("DataTransfer", payload)
        return call_result.DataTransfer(status="Accepted", data={"noted": payload.get("data")})


class LibraryCsms201:
    """`async with LibraryCsms201() as csms`: serves on a free port; `csms.calls` is what came, in order."""

    def __init__(self, interval_s: int = 300) -> None:
        self.calls: list[Recorded] = []
        self.security_events: list[dict[str, Any]] = []
        """Apart from `calls`: every start is one."""
        self.registration = "Accepted"
        self.token_status = "Accepted"
        self.interval_s = interval_s
        self.peer: _Peer | None = None
        self._server: Server | None = None
        self._recorded = asyncio.Event()

    def now(self) -> str:
        return datetime.now(UTC).isoformat()

    async def __aenter__(self) -> "LibraryCsms201":
        subprotocols: Any = ["ocpp2.0.1"]
        self._server = await websockets.serve(self._serve, "127.0.0.1", 0, subprotocols=subprotocols)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ocpp"

    async def _serve(self, connection: ServerConnection) -> None:
        self.peer = _Peer(connection, self)
        try:
            await self.peer.start()
        except websockets.ConnectionClosed:
            self.record("(closed)", {})

    def record(self, action: str, payload: dict[str, Any]) -> None:
        self.calls.append((action, payload))
        self._recorded.set()

    def of(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.calls if name == action]

    async def until(self, accept: Callable[["LibraryCsms201"], object], timeout_s: float = 20.0) -> None:
        """Wait until `accept(csms)` is true; the failure shows what came instead."""
        try:
            async with asyncio.timeout(timeout_s):
                while not accept(self):
                    self._recorded.clear()
                    await self._recorded.wait()
        except TimeoutError:
            names = [name for name, _ in self.calls]
            raise AssertionError(f"never came; so far {names}, the last being {self.calls[-3:]}") from None

    async def call(self, request: Any) -> Any:
        """A CALL of ours; the library checks the answer against the schema."""
        assert self.peer is not None
        return await self.peer.call(request)


__all__ = ["LibraryCsms201", "call"]
