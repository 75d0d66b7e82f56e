"""An independent CSMS: the PyPI package `ocpp` on a websockets server, recording every call in order."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, DataTransferStatus, RegistrationStatus
from websockets.asyncio.server import Server, ServerConnection

Recorded = tuple[str, dict[str, Any]]


class _Peer(ChargePoint):  # type: ignore[misc]
    """One connected station; validates every payload against the official schemas."""

    def __init__(self, connection: ServerConnection, csms: "LibraryCsms") -> None:
        super().__init__("CP001", connection)
        self.csms = csms

    @on(Action.boot_notification)  # type: ignore[untyped-decorator]
    def boot(self, **payload: Any) -> call_result.BootNotification:
        self.csms.record("BootNotification", payload)
        return call_result.BootNotification(
            current_time=self.csms.now(), interval=300, status=self.csms.registration
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
        return call_result.Authorize(id_tag_info={"status": AuthorizationStatus.accepted})

    @on(Action.start_transaction)  # type: ignore[untyped-decorator]
    def start_transaction(self, **payload: Any) -> call_result.StartTransaction:
        self.csms.record("StartTransaction", payload)
        self.csms.transactions += 1
        return call_result.StartTransaction(
            transaction_id=self.csms.transactions, id_tag_info={"status": AuthorizationStatus.accepted}
        )

    @on(Action.stop_transaction)  # type: ignore[untyped-decorator]
    def stop_transaction(self, **payload: Any) -> call_result.StopTransaction:
        self.csms.record("StopTransaction", payload)
        return call_result.StopTransaction()

    @on(Action.meter_values)  # type: ignore[untyped-decorator]
    def meter_values(self, **payload: Any) -> call_result.MeterValues:
        self.csms.record("MeterValues", payload)
        return call_result.MeterValues()

    @on(Action.diagnostics_status_notification)  # type: ignore[untyped-decorator]
    def diagnostics(self, **payload: Any) -> call_result.DiagnosticsStatusNotification:
        self.csms.record("DiagnosticsStatusNotification", payload)
        return call_result.DiagnosticsStatusNotification()

    @on(Action.firmware_status_notification)  # type: ignore[untyped-decorator]
    def firmware(self, **payload: Any) -> call_result.FirmwareStatusNotification:
        self.csms.record("FirmwareStatusNotification", payload)
        return call_result.FirmwareStatusNotification()

    @on(Action.security_event_notification)  # type: ignore[untyped-decorator]
    def security_event(self, **payload: Any) -> call_result.SecurityEventNotification:
        self.csms.security_events.append(payload)
        return call_result.SecurityEventNotification()

    @on(Action.data_transfer)  # type: ignore[untyped-decorator]
    def data_transfer(self, **payload: Any) -> call_result.DataTransfer:
        self.csms.record("DataTransfer", payload)
        return call_result.DataTransfer(status=DataTransferStatus.accepted, data="noted")


class LibraryCsms:
    """`async with LibraryCsms() as csms`: serves on a free port; `csms.calls` is what came, in order."""

    def __init__(self) -> None:
        self.calls: list[Recorded] = []
        self.security_events: list[dict[str, Any]] = []
        """Apart from `calls`: every start is one."""
        self.registration = RegistrationStatus.accepted
        self.transactions = 0
        self.peer: _Peer | None = None
        self._server: Server | None = None
        self._recorded = asyncio.Event()

    def now(self) -> str:
        return datetime.now(UTC).isoformat()

    async def __aenter__(self) -> "LibraryCsms":
        self._server = await websockets.serve(self._serve, "127.0.0.1", 0, subprotocols=["ocpp1.6"])  # type: ignore[list-item]
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

    async def until(self, accept: Callable[["LibraryCsms"], object], timeout_s: float = 20.0) -> None:
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


__all__ = ["LibraryCsms", "call"]
