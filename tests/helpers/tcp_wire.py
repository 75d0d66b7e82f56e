"""A TCP line between a station and a CSMS that is slow, goes dead, or changes what passes.

    async with Csms() as csms, Wire(csms.port) as wire:
        wire.byte_s = 0.05          # what the CSMS says arrives byte by byte
        wire.is_dead = True         # both directions vanish, nobody is told: a half-open connection

Counts dials. Works on virtual time.
"""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class Wire:
    """Settings may be changed at any time and hold at once, for open connections too."""

    def __init__(self, port: int, *, byte_s: float = 0.0) -> None:
        """`port` of the CSMS on loopback."""
        self._port = port
        self.byte_s = byte_s
        """Seconds for each byte from the CSMS to the station; 0: no delay."""
        self.is_dead = False
        self.extra_head = b""
        """Goes to the station before anything of the CSMS."""
        self.dials: list[float] = []
        """Loop time of each connection that the station opened."""
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ocpp"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.dials.append(asyncio.get_running_loop().time())
        with suppress(OSError):
            csms_reader, csms_writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(self.extra_head)
            ways = [
                asyncio.ensure_future(self._carry(reader, csms_writer, is_slow=False)),
                asyncio.ensure_future(self._carry(csms_reader, writer, is_slow=True)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                csms_writer.close()
                writer.close()
        self._tasks.discard(task)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_slow: bool
    ) -> None:
        with suppress(OSError):
            while octets := await reader.read(65_536):
                if self.is_dead:
                    continue
                if not is_slow or not self.byte_s:
                    writer.write(octets)
                    await writer.drain()
                    continue
                for octet in octets:
                    writer.write(bytes((octet,)))
                    await asyncio.sleep(self.byte_s)
