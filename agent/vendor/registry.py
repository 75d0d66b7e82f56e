"""The registry of vendor commands: vendorId -> messageId -> handler, and nothing that is not registered.

Implements `charging.ports.VendorCommands`. It treats what it gets as hostile: size and depth are capped,
handlers have a timeout, a crash touches nothing else. The decision table is OCPP 1.6 4.3 and 5.6, 2.0.1 P01.
Ids compare case-insensitively (1.6: CiString; in 2.x a kindness). Built by `loading.py`; called by the
station.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.charging.requests import TransferData, TransferResult, TransferStatus

log = logging.getLogger(__name__)

IN_FLIGHT_PER_VENDOR = 8


@dataclass(frozen=True, slots=True)
class VendorCall:
    """One message for vendor code. `content` is JSON already parsed when it came as JSON in a string."""

    message_id: str | None
    content: object
    source: str
    """"csms" or "local"."""


Handler = Callable[[VendorCall], Awaitable[TransferResult]]


@dataclass(frozen=True, slots=True)
class Vendor:
    """What one vendorId answers to. `default` takes the messages without messageId."""

    vendor_id: str
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    default: Handler | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    max_text_bytes: int = 16_384
    max_depth: int = 8
    timeout_s: float = 10.0


class DuplicateCommand(ValueError):
    """Two vendors claim the same vendorId and messageId."""


class VendorRegistry:
    """Looks up and runs vendor commands; default-deny."""

    def __init__(
        self, vendors: Iterable[Vendor] = (), *, disabled: Iterable[str] = (), limits: Limits = Limits()
    ) -> None:
        """`disabled` vendor ids answer as if they were unknown. Raises DuplicateCommand."""
        self._handlers: dict[str, dict[str | None, Handler]] = {}
        self._limits = limits
        self._disabled = frozenset(name.casefold() for name in disabled)
        self._in_flight: dict[str, int] = {}
        for vendor in vendors:
            self._add(vendor)

    def _add(self, vendor: Vendor) -> None:
        handlers = self._handlers.setdefault(vendor.vendor_id.casefold(), {})
        offered: list[tuple[str | None, Handler]] = [
            (message_id.casefold(), handler) for message_id, handler in vendor.handlers.items()
        ]
        if vendor.default is not None:
            offered.append((None, vendor.default))
        for message_id, handler in offered:
            if message_id in handlers:
                raise DuplicateCommand(
                    f"{vendor.vendor_id}: {message_id or 'no message id'} is registered twice"
                )
            handlers[message_id] = handler

    @property
    def vendor_ids(self) -> tuple[str, ...]:
        """Enabled vendor ids, in lower case, in order of registration."""
        return tuple(name for name in self._handlers if name not in self._disabled)

    async def execute(self, transfer: TransferData) -> TransferResult:
        """Answer one vendor message; see the port. Raises RuntimeError when a handler crashes."""
        vendor_key = transfer.vendor_id.casefold()
        handlers = self._handlers.get(vendor_key)
        if handlers is None or vendor_key in self._disabled:
            log.info("message for vendor %r, which is not enabled here", transfer.vendor_id)
            return TransferResult(TransferStatus.UNKNOWN_VENDOR_ID, reason="vendor not enabled here")
        handler = handlers.get(transfer.message_id.casefold() if transfer.message_id else None)
        if handler is None:
            return TransferResult(TransferStatus.UNKNOWN_MESSAGE_ID, reason="no such message of this vendor")
        content, problem = read_content(transfer.data, self._limits)
        if problem:
            log.warning("malformed message for vendor %r: %s", transfer.vendor_id, problem)
            return rejected("bad_args", problem)
        if self._in_flight.get(vendor_key, 0) >= IN_FLIGHT_PER_VENDOR:
            return rejected("busy", "too many messages of this vendor are under way")
        self._in_flight[vendor_key] = self._in_flight.get(vendor_key, 0) + 1
        try:
            return await self._run(
                handler, VendorCall(transfer.message_id, content, transfer.source), transfer
            )
        finally:
            self._in_flight[vendor_key] -= 1

    async def _run(self, handler: Handler, call: VendorCall, transfer: TransferData) -> TransferResult:
        deadline = asyncio.timeout(self._limits.timeout_s)
        try:
            async with deadline:
                result = await handler(call)
            if not isinstance(result, TransferResult):
                raise TypeError(f"a vendor handler returned {type(result).__name__}, not a TransferResult")
            msgspec.json.encode(result.data)  # what cannot be sent fails here, in the vendor's name
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                log.warning(
                    "vendor %s, message %s: no result in time", transfer.vendor_id, transfer.message_id
                )
                return rejected("timeout", f"no result within {self._limits.timeout_s:g} s")
            log.exception(
                "vendor %s, message %s: the handler crashed", transfer.vendor_id, transfer.message_id
            )
            raise RuntimeError("vendor handler failed") from error
        return result


def rejected(code: str, detail: str) -> TransferResult:
    """Understood but refused, with an action code as the machine-readable reason."""
    return TransferResult(TransferStatus.REJECTED, {"result": code, "detail": detail}, detail)


def accepted(content: object = None) -> TransferResult:
    return TransferResult(TransferStatus.ACCEPTED, content)


def read_content(data: object, limits: Limits) -> tuple[object, str]:
    """The message's content, and what is wrong with it ("" = nothing).

    Text that begins like a JSON object or array must be one (1.6 has no other way to carry structure); any other
    text is left as it is."""
    size = len(data.encode()) if isinstance(data, str) else len(msgspec.json.encode(data))
    if size > limits.max_text_bytes:
        return None, f"{size} bytes are more than the {limits.max_text_bytes} allowed"
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        try:
            data = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            return None, f"not valid JSON: {error}"
    if _is_deeper_than(data, limits.max_depth):
        return None, f"nested deeper than {limits.max_depth} levels"
    return data, ""


def _is_deeper_than(value: object, levels: int) -> bool:
    """Whether arrays and objects are nested in more than `levels` levels; without recursion."""
    level: list[Any] = [value]
    for _ in range(levels + 1):
        containers = [member for member in level if isinstance(member, (dict, list))]
        if not containers:
            return False
        level = [
            member
            for container in containers
            for member in (container.values() if isinstance(container, dict) else container)
        ]
    return True
