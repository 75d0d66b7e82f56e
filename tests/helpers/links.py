"""Byte links with faults, for everything that speaks over a serial line.

`MemoryLine` is a line between the code under test (a `ByteStream`) and a device played by the test.
`FaultyStream` puts a `LinkQuality` (whole, one byte at a time, lossy, delayed, noisy) between any stream and
its user, in both directions and reproducibly; `each_quality` runs a test over all of them.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hal.bus.byte_stream import ByteStream, OnBytes, OnLost
from hal.errors import DeviceMissing


@dataclass(frozen=True, slots=True)
class LinkQuality:
    name: str
    chunk: int = 0
    """Bytes delivered at a time; 0 = as they were sent."""
    chunk_s: float = 0.0
    """Time that each chunk takes on the line; the next one waits for it."""
    latency_s: float = 0.0
    """Time that every byte is under way, however many others are."""
    byte_loss: float = 0.0
    """Probability that one byte vanishes."""
    message_loss: float = 0.0
    """Probability that everything of one write vanishes."""
    noise: float = 0.0
    """Probability that a byte is changed, and that one is invented beside it."""


WHOLE = LinkQuality("whole")
ONE_BYTE = LinkQuality("one_byte_at_a_time", chunk=1, chunk_s=0.0001)
LOSSY = LinkQuality("lossy", byte_loss=0.0005, message_loss=0.05)
DELAYED = LinkQuality("delayed", chunk=16, latency_s=0.1)
NOISY = LinkQuality("noisy", noise=0.001)

each_quality = pytest.mark.parametrize(
    "quality", [WHOLE, ONE_BYTE, LOSSY, DELAYED, NOISY], ids=lambda quality: quality.name
)


class _Direction:
    """One way of a link: damages, delays and cuts up, and keeps the order."""

    def __init__(self, quality: LinkQuality, seed: int) -> None:
        self._quality = quality
        self._random = random.Random(seed)
        self._free_time = 0.0
        self._under_way: deque[tuple[Callable[[bytes], None], bytes]] = deque()

    def send(self, octets: bytes, deliver: Callable[[bytes], None]) -> None:
        quality = self._quality
        if self._random.random() < quality.message_loss:
            return
        octets = self._damaged(octets)
        chunk = quality.chunk or max(1, len(octets))
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._free_time)
        for begin in range(0, len(octets), chunk):
            at += quality.chunk_s
            if at + quality.latency_s <= loop.time():
                deliver(octets[begin : begin + chunk])
                continue
            # Timers of the same instant fire in any order; the queue keeps the bytes in theirs.
            self._under_way.append((deliver, octets[begin : begin + chunk]))
            loop.call_at(at + quality.latency_s, self._arrive)
        self._free_time = at

    def _arrive(self) -> None:
        deliver, octets = self._under_way.popleft()
        deliver(octets)

    def _damaged(self, octets: bytes) -> bytes:
        quality, chance = self._quality, self._random.random
        if not quality.byte_loss and not quality.noise:
            return octets
        damaged = bytearray()
        for octet in octets:
            if chance() < quality.byte_loss:
                continue
            damaged.append(self._random.randrange(256) if chance() < quality.noise else octet)
            if chance() < quality.noise:
                damaged.append(self._random.randrange(256))
        return bytes(damaged)


class FaultyStream:
    """A `ByteStream` with a fault on it. Bytes under way when it closes are gone."""

    def __init__(self, stream: ByteStream, quality: LinkQuality, seed: int = 1) -> None:
        self._stream = stream
        self._quality = quality
        self._seed = seed
        self._line_number = 0
        self._outgoing = _Direction(quality, seed)

    @property
    def name(self) -> str:
        return self._stream.name

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        self._line_number += 1
        line_number = self._line_number
        self._outgoing = _Direction(self._quality, self._seed)
        incoming = _Direction(self._quality, self._seed + 1)

        def deliver(octets: bytes) -> None:
            if self._line_number == line_number:
                on_bytes(octets)

        await self._stream.open(lambda octets: incoming.send(octets, deliver), on_lost)

    def write(self, octets: bytes) -> None:
        line_number = self._line_number

        def deliver(octets: bytes) -> None:
            if self._line_number == line_number:
                self._stream.write(octets)

        self._outgoing.send(octets, deliver)

    def close(self) -> None:
        self._line_number += 1
        self._stream.close()


class MemoryLine:
    """A `ByteStream` whose other end is the test: `device` is called with what was written."""

    def __init__(self, device: Callable[[bytes], None] | None = None) -> None:
        self.device: Callable[[bytes], None] = device or (lambda octets: None)
        self.is_plugged = True
        self.opened = 0
        """How often somebody opened the line, with or without success."""
        self._callbacks: tuple[OnBytes, OnLost] | None = None

    @property
    def name(self) -> str:
        return "memory"

    @property
    def is_open(self) -> bool:
        return self._callbacks is not None

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        self.opened += 1
        if not self.is_plugged:
            raise DeviceMissing("memory: unplugged")
        self._callbacks = (on_bytes, on_lost)

    def write(self, octets: bytes) -> None:
        if self._callbacks is not None:
            asyncio.get_running_loop().call_soon(self.device, octets)

    def close(self) -> None:
        self._callbacks = None

    def send(self, octets: bytes) -> None:
        """The device says something."""
        if self._callbacks is not None:
            self._callbacks[0](octets)

    def unplug(self) -> None:
        self.is_plugged = False
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            callbacks[1](DeviceMissing("memory: unplugged"))

    def plug(self) -> None:
        self.is_plugged = True
