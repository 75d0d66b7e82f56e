"""Serial lines on pyserial: device paths, /dev/serial/by-id, socket:// and rfc2217://.

pyserial opens and configures; the bytes go straight between the descriptor and the event loop (`add_reader`):
the lowest latency, and no cost while the line is silent. rfc2217:// has no usable descriptor and is served
by a thread. End of file, EIO, ENODEV or ENXIO mean that somebody pulled the plug: the port closes itself and
says so once. pyserial is imported at the first opening. Used by hal.bus.modbus and hal.drivers.board_link.
"""

import asyncio
import contextlib
import logging
import os
import socket
import termios
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hal.bus.byte_stream import OnBytes, OnLost
from hal.errors import DeviceMissing

if TYPE_CHECKING:
    from serial import Serial

log = logging.getLogger("hal.serial")

READ_SIZE = 4096
WRITE_LIMIT = 64 * 1024
"""Bytes that may wait for a line that takes none; more means that it is stuck, which counts as lost."""

Parity = Literal["N", "E", "O"]


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How a serial line is set. Without meaning on socket://."""

    baudrate: int = 115200
    parity: Parity = "N"
    stopbits: Literal[1, 2] = 1

    @property
    def character_s(self) -> float:
        """Time of one character on the wire: start bit, 8 data bits, parity, stop bits."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baudrate


class SerialPort:
    """A `ByteStream` over one serial port, opened exclusively: a second program gets an error, not our bytes."""

    def __init__(self, url: str, settings: LineSettings | None = None) -> None:
        self._url = url
        self._settings = settings or LineSettings()
        self._line: _DescriptorLine | _ThreadLine | None = None

    @property
    def name(self) -> str:
        return self._url

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        """Open or raise DeviceMissing. Opening runs in a thread: a network port may take seconds."""
        self.close()
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, _open_pyserial, self._url, self._settings)
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_abandoned)
            raise
        except (OSError, ValueError) as error:  # serial.SerialException is an OSError
            raise DeviceMissing(f"{self._url}: {error}") from error
        line_type = _ThreadLine if self._url.startswith("rfc2217:") else _DescriptorLine
        self._line = line_type(loop, port, on_bytes, self._on_line_lost(on_lost))

    def write(self, octets: bytes) -> None:
        if self._line is not None:
            self._line.write(octets)

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _on_line_lost(self, on_lost: OnLost) -> Callable[[str], None]:
        def lost(reason: str) -> None:
            self.close()
            log.warning("%s: lost: %s", self._url, reason)
            on_lost(DeviceMissing(f"{self._url}: {reason}"))

        return lost


def _open_pyserial(url: str, settings: LineSettings) -> "Serial":
    import serial

    # inter_byte_timeout=0 sets VMIN=1: a read that finds nothing is then EAGAIN, and b"" is a hang-up only.
    port = serial.serial_for_url(
        url, settings.baudrate, parity=settings.parity, stopbits=settings.stopbits, do_not_open=True
    )
    port.inter_byte_timeout = 0
    is_network = "://" in url
    if not is_network:
        port.exclusive = True
    port.open()
    if not is_network:
        # FTDI adapters hold bytes back for 16 ms otherwise; others refuse, and need nothing.
        with contextlib.suppress(OSError, ValueError, AttributeError, NotImplementedError):
            port.set_low_latency_mode(True)
    with contextlib.suppress(AttributeError):  # pyserial leaves Nagle's algorithm on
        network_socket: socket.socket = getattr(port, "_socket")  # noqa: B009 - not in pyserial's stubs
        network_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return port


def _close_abandoned(opening: "asyncio.Future[Serial]") -> None:
    """The caller gave up while the thread was opening: do not keep the port locked."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class _DescriptorLine:
    """The usual case: a descriptor that the loop watches."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        port: "Serial",
        on_bytes: OnBytes,
        on_lost: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._port = port
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._unsent = b""
        self._descriptor: int = port.fileno()
        os.set_blocking(self._descriptor, False)
        loop.add_reader(self._descriptor, self._read)

    def write(self, octets: bytes) -> None:
        if self._unsent:
            self._unsent += octets
            if len(self._unsent) > WRITE_LIMIT:
                self._unsent = b""
                self._loop.call_soon(self._on_lost, "the line takes no bytes")
            return
        self._unsent = self._send(octets)
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._write_rest)

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        if self._unsent:
            # The line is stuck: without this the kernel would wait for it, and the loop with it.
            with contextlib.suppress(OSError, termios.error):
                self._port.reset_output_buffer()
        with contextlib.suppress(OSError):  # an unplugged adapter cannot restore its line settings
            self._port.close()

    def _read(self) -> None:
        try:
            octets = os.read(self._descriptor, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._on_lost(os.strerror(error.errno or 0))
            return
        if octets:
            self._on_bytes(octets)
        else:
            self._on_lost("hung up")

    def _send(self, octets: bytes) -> bytes:
        """What the line did not take."""
        try:
            return octets[os.write(self._descriptor, octets) :]
        except (BlockingIOError, InterruptedError):
            return octets
        except OSError:
            return b""  # the reader is told the same and reports it in its own turn

    def _write_rest(self) -> None:
        self._unsent = self._send(self._unsent)
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)


class _ThreadLine:
    """rfc2217://: one thread blocks in read, another one writes in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        port: "Serial",
        on_bytes: OnBytes,
        on_lost: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._port = port
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._is_open = True
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rfc2217-write")
        threading.Thread(target=self._read_until_lost, name="rfc2217-read", daemon=True).start()

    def write(self, octets: bytes) -> None:
        if self._is_open:
            self._writer.submit(self._send, octets)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._writer.submit(self._port.close)  # sleeps for 0.3 s in pyserial: not in the loop
            self._writer.shutdown(wait=False)

    def _send(self, octets: bytes) -> None:
        try:
            self._port.write(octets)
        except OSError as error:
            self._tell(self._lost, str(error))

    def _read_until_lost(self) -> None:
        while self._is_open:
            try:
                octets = self._port.read(1)
                octets += self._port.read(self._port.in_waiting)
            except OSError as error:
                self._tell(self._lost, str(error))
                return
            self._tell(self._received, octets)

    def _tell(self, callback: Callable[..., None], argument: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback, argument)

    def _received(self, octets: bytes) -> None:
        if self._is_open and octets:
            self._on_bytes(octets)

    def _lost(self, reason: str) -> None:
        if self._is_open:
            self._on_lost(reason)
