"""CONFIG of the board: the limits that an installer may set on it, read and written.

Names and units are the board's own (board/limits.py); it checks every value against its circuit, and writes only while
it is idle. Called by `IoBoard` (board_evse.py). Wire: docs/board.md, "CONFIG".
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from board import wire
from hal.errors import DeviceFault, DeviceProtocolError
from hal.ports import BoardLimits

Ask = Callable[[bytes], Awaitable[bytes]]
"""One CONFIG request; its answer."""

WRITE_S: Final = 2.0
"""What a board takes at most to write its flash."""


async def read_limits(ask: Ask, connector: int) -> BoardLimits:
    """What holds, and what the circuit allows. Raises HalError."""
    now = await _configure(ask, op="get", c=connector, of="now")
    allowed = await _configure(ask, op="get", c=connector, of="pcb")
    try:
        return BoardLimits(
            connector=connector,
            values={str(name): int(value) for name, value in now["values"].items()},
            allowed={str(name): int(value) for name, value in allowed["values"].items()},
            hash=str(now["hash"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceProtocolError(f"board limits: {error!r}") from error


async def write_limits(ask: Ask, changes: Mapping[int, Mapping[str, int]]) -> None:
    """Set limits by connector, all or none. Raises DeviceFault with the board's reason."""
    await _configure(ask, op="discard")
    for connector, values in changes.items():
        await _configure(ask, op="set", c=connector, values=dict(values))
    await _configure(ask, op="commit")


async def reset_limits(ask: Ask) -> None:
    """Back to what the circuit allows, for every connector. Raises DeviceFault."""
    await _configure(ask, op="reset")
    await _configure(ask, op="commit")


async def _configure(ask: Ask, **request: object) -> Mapping[str, Any]:
    try:
        reply: Mapping[str, Any] = wire.unpack_json(await ask(wire.pack_json(request)))
    except ValueError as error:
        raise DeviceProtocolError(f"board limits: {error}") from error
    if reply.get("ok") is not True:
        raise DeviceFault(str(reply.get("code", wire.CODE_FAILED)), str(reply.get("error", "")))
    return reply
