"""Serial ports on real descriptors: pseudo terminals that are unplugged and replugged, sockets, RFC 2217."""

import asyncio
import contextlib
import os
import pty
import socket
import threading
import tty
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
import serial.rfc2217
import uvloop

from hal.bus.byte_stream import ReopenDelay
from hal.bus.serial_port import WRITE_LIMIT, LineSettings, SerialPort
from hal.errors import DeviceMissing

pytestmark = pytest.mark.real_time

TIMEOUT_S = 10.0


class Adapter:
    """A USB adapter: a pseudo terminal behind a name that stays when it is replugged (as /dev/serial/by-id)."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "usb-adapter")
        self.device = -1
        self.plug()

    def plug(self) -> None:
        self.device, inside = pty.openpty()
        tty.setraw(inside)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        os.symlink(os.ttyname(inside), self.path)
        os.close(inside)

    def unplug(self) -> None:
        os.close(self.device)
        os.unlink(self.path)
        self.device = -1

    def close(self) -> None:
        if self.device >= 0:
            os.close(self.device)


class Ear:
    """Collects what a port tells, and waits for it."""

    def __init__(self) -> None:
        self.octets = b""
        self.lost: DeviceMissing | None = None
        self._news = asyncio.Event()

    def on_bytes(self, octets: bytes) -> None:
        self.octets += octets
        self._news.set()

    def on_lost(self, error: DeviceMissing) -> None:
        assert self.lost is None
        self.lost = error
        self._news.set()

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not is_so():
                self._news.clear()
                await self._news.wait()


@pytest.fixture(scope="module", autouse=True)
def _libuv_has_its_pipe() -> None:
    """libuv keeps one pipe for signals from its first loop on; it is no leak of the test that comes first."""
    uvloop.new_event_loop().close()


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[Adapter]:
    adapter = Adapter(tmp_path)
    yield adapter
    adapter.close()


async def check_both_ways(adapter: Adapter, port: SerialPort) -> None:
    ear = Ear()
    await port.open(ear.on_bytes, ear.on_lost)
    os.write(adapter.device, b"from the device\n\x00\xff\x03")
    await ear.until(lambda: ear.octets == b"from the device\n\x00\xff\x03")
    port.write(b"from the host\n\x00\xff")
    assert await asyncio.to_thread(os.read, adapter.device, 100) == b"from the host\n\x00\xff"


async def test_bytes_go_both_ways_unchanged(adapter: Adapter) -> None:
    port = SerialPort(adapter.path)
    await check_both_ways(adapter, port)
    port.close()


async def test_an_unplugged_port_says_so_once_and_works_again_after_the_replug(adapter: Adapter) -> None:
    port = SerialPort(adapter.path)
    for _ in range(3):
        ear = Ear()
        await port.open(ear.on_bytes, ear.on_lost)
        adapter.unplug()
        await ear.until(lambda ear=ear: ear.lost)
        port.write(b"into the void")
        with pytest.raises(DeviceMissing, match="usb-adapter"):
            await port.open(ear.on_bytes, ear.on_lost)
        adapter.plug()
        await check_both_ways(adapter, port)
        port.close()


def test_the_same_on_uvloop(adapter: Adapter) -> None:
    async def run() -> None:
        port = SerialPort(adapter.path)
        await check_both_ways(adapter, port)
        port.close()
        await test_an_unplugged_port_says_so_once_and_works_again_after_the_replug(adapter)

    run_on_uvloop(run())


def run_on_uvloop(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


async def test_a_second_owner_gets_an_error_and_not_half_of_the_bytes(adapter: Adapter) -> None:
    first, second, ear = SerialPort(adapter.path), SerialPort(adapter.path), Ear()
    await first.open(ear.on_bytes, ear.on_lost)
    with pytest.raises(DeviceMissing, match="lock"):
        await second.open(ear.on_bytes, ear.on_lost)
    first.close()
    await second.open(ear.on_bytes, ear.on_lost)
    second.close()


async def test_what_the_line_does_not_take_at_once_follows_in_order(adapter: Adapter) -> None:
    port, ear = SerialPort(adapter.path), Ear()
    await port.open(ear.on_bytes, ear.on_lost)
    sent = bytes(number * 7 % 256 for number in range(WRITE_LIMIT // 2))
    for begin in range(0, len(sent), 1000):
        port.write(sent[begin : begin + 1000])

    def read_all() -> bytes:
        got = b""
        while len(got) < len(sent):
            got += os.read(adapter.device, 4096)
        return got

    assert await asyncio.to_thread(read_all) == sent
    port.close()


async def test_a_line_that_takes_no_bytes_is_lost(adapter: Adapter) -> None:
    port, ear = SerialPort(adapter.path), Ear()
    await port.open(ear.on_bytes, ear.on_lost)
    for _ in range(WRITE_LIMIT // 1000 * 3):
        port.write(b"x" * 1000)
    await ear.until(lambda: ear.lost)
    assert "takes no bytes" in str(ear.lost)


async def test_a_closed_port_tells_nothing_more(adapter: Adapter) -> None:
    port, ear = SerialPort(adapter.path), Ear()
    await port.open(ear.on_bytes, ear.on_lost)
    port.close()
    port.close()
    adapter.unplug()
    adapter.plug()
    again = Ear()
    await port.open(again.on_bytes, again.on_lost)
    os.write(adapter.device, b"new")
    await again.until(lambda: again.octets == b"new")
    assert (ear.octets, ear.lost) == (b"", None)
    port.close()


async def test_opening_that_is_given_up_lets_the_port_go(adapter: Adapter) -> None:
    port, ear = SerialPort(adapter.path), Ear()
    opening = asyncio.create_task(port.open(ear.on_bytes, ear.on_lost))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                await port.open(ear.on_bytes, ear.on_lost)
                break
            except DeviceMissing:
                await asyncio.sleep(0)
    port.close()


@pytest.mark.parametrize("url", ["/dev/no-such-port", "telepathy://board", "socket://127.0.0.1:notaport"])
async def test_what_cannot_be_opened_is_a_missing_device(url: str) -> None:
    ear = Ear()
    with pytest.raises(DeviceMissing, match=url.replace("/", ".").split(":")[0]):
        await SerialPort(url).open(ear.on_bytes, ear.on_lost)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}", server


async def test_a_socket_is_a_serial_port_without_nagle() -> None:
    async with listening() as (address, server):
        port, ear = SerialPort(f"socket://{address}"), Ear()
        await port.open(ear.on_bytes, ear.on_lost)
        device, _ = await asyncio.to_thread(server.accept)
        with device:
            port.write(b"ping")
            assert await asyncio.to_thread(device.recv, 10) == b"ping"
            device.sendall(b"pong")
            await ear.until(lambda: ear.octets == b"pong")
            descriptor = port._line._port._socket  # type: ignore[union-attr]
            assert descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await ear.until(lambda: ear.lost)


def serve_rfc2217(server: socket.socket, hang_up: threading.Event) -> None:
    """One client of a port that sends back what it gets."""
    server.settimeout(TIMEOUT_S)
    client, _ = server.accept()
    with client, serial.serial_for_url("loop://", timeout=0.05) as looped:
        answered = threading.Lock()

        class Connection:
            def write(self, octets: bytes) -> None:
                with answered:
                    client.sendall(octets)

        manager = serial.rfc2217.PortManager(looped, Connection())
        client.settimeout(0.05)
        while not hang_up.is_set():
            with contextlib.suppress(TimeoutError):
                octets = client.recv(1024)
                if not octets:
                    return
                looped.write(b"".join(manager.filter(octets)))
            echo = looped.read(looped.in_waiting or 0)
            if echo:
                Connection().write(b"".join(manager.escape(echo)))


@pytest.mark.filterwarnings("ignore:set(Daemon|Name)|setDaemon|setName:DeprecationWarning")  # in pyserial
async def test_rfc2217_is_served_by_a_thread_and_its_loss_is_told() -> None:
    hang_up = threading.Event()
    async with listening() as (address, server):
        serving = asyncio.create_task(asyncio.to_thread(serve_rfc2217, server, hang_up))
        port, ear = SerialPort(f"rfc2217://{address}", LineSettings(9600, "E")), Ear()
        await port.open(ear.on_bytes, ear.on_lost)
        port.write(b"hello ")
        port.write(b"\xff\x00 there")
        await ear.until(lambda: ear.octets == b"hello \xff\x00 there")
        hang_up.set()
        await serving
        await ear.until(lambda: ear.lost)
    for thread in threading.enumerate():
        if thread.name.startswith("rfc2217"):
            await asyncio.to_thread(thread.join, TIMEOUT_S)
            assert not thread.is_alive()


def test_the_delay_before_reopening_doubles_up_to_its_limit() -> None:
    delay = ReopenDelay()
    assert [round(delay.next_s(), 3) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    delay.reset()
    assert delay.next_s() == 0.1


def test_the_time_of_a_character_counts_start_parity_and_stop_bits() -> None:
    assert LineSettings(9600).character_s == pytest.approx(10 / 9600)
    assert LineSettings(9600, "E").character_s == pytest.approx(11 / 9600)
    assert LineSettings(2400, "N", 2).character_s == pytest.approx(11 / 2400)
