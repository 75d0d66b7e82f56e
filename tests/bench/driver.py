"""A CSMS that measures: one blocking socket, one station, closed loop (the next call goes out when the answer is in).

It frames WebSocket messages by hand, because an event loop on this side would add more to every figure than the
fastest station needs. It is no general server: text frames only, no fragments, one connection.
"""

import base64
import contextlib
import glob
import hashlib
import json
import socket
import struct
import time
from dataclasses import dataclass, field

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NOW = "2026-01-01T00:00:00Z"
ANSWERS: dict[str, dict[str, object]] = {
    "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 86400},
    "Heartbeat": {"currentTime": NOW},
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
}


@dataclass
class Driver:
    """Listens on a free loopback port; `accept` takes the station, `call` measures one round trip."""

    subprotocol: str = "ocpp1.6"
    listener: socket.socket = field(init=False)
    connection: socket.socket = field(init=False)
    buffer: bytearray = field(default_factory=bytearray)
    sequence: int = 0

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.listener.getsockname()[1]}/ocpp"

    def accept(self, timeout_s: float = 30.0) -> float:
        """Wait for the station, upgrade, and answer its BootNotification; returns when that call was read."""
        self.listener.settimeout(timeout_s)
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(timeout_s)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.connection.recv(4096)
        key = next(
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: " + self.subprotocol.encode() + b"\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        while True:
            text = self.receive()
            if '"BootNotification"' in text:
                seen = time.perf_counter()
                self.answer(text)
                return seen
            self.answer(text)

    def settle(self, quiet_s: float = 1.0) -> None:
        """Answer what the station still wants to say until it has been quiet for `quiet_s`."""
        while True:
            self.connection.settimeout(quiet_s)
            try:
                self.answer(self.receive())
            except TimeoutError:
                self.connection.settimeout(30)
                return

    def call(
        self, action: str, payload: dict[str, object], triggered: str | None = None
    ) -> tuple[float, float]:
        """One CALL; seconds to its answer and (if asked) to the message that it triggers, the last of several parts."""
        self.sequence += 1
        message_id = str(self.sequence)
        answer_head = f'[3,"{message_id}"'
        text = json.dumps([2, message_id, action, payload], separators=(",", ":"))
        answered = came = 0.0
        begin = time.perf_counter()
        self.send(text)
        while not answered or (triggered and not came):
            text = self.receive()
            now = time.perf_counter()
            if text.replace(" ", "").startswith(answer_head):
                answered = now - begin
            elif answered and triggered and f'"{triggered}"' in text:  # before: one that came by itself
                if '"tbc":true' not in text.replace(" ", ""):
                    came = now - begin
                self.answer(text)
            elif text.startswith("[4"):
                raise RuntimeError(f"{action}: {text}")
            else:
                self.answer(text)
        return answered, came

    def answer(self, text: str) -> None:
        message = json.loads(text)
        if message[0] == 2:
            self.send(json.dumps([3, message[1], ANSWERS.get(message[2], {})]))

    def send(self, text: str) -> None:
        body = text.encode()
        size = len(body)
        head = struct.pack("!BB", 0x81, size) if size < 126 else struct.pack("!BBH", 0x81, 126, size)
        self.connection.sendall(head + body)

    def receive(self) -> str:
        while True:
            opcode, body = self._frame()
            if opcode == 1:
                return body.decode()
            if opcode == 9:
                self.connection.sendall(struct.pack("!BB", 0x8A, len(body)) + body)
            if opcode == 8:
                raise ConnectionError("the station closed the connection")

    def _frame(self) -> tuple[int, bytes]:
        self._need(2)
        size, at = self.buffer[1] & 0x7F, 2
        if size == 126:
            self._need(4)
            size, at = struct.unpack_from("!H", self.buffer, 2)[0], 4
        elif size == 127:
            self._need(10)
            size, at = struct.unpack_from("!Q", self.buffer, 2)[0], 10
        self._need(at + 4 + size)
        opcode = self.buffer[0] & 0x0F
        mask = bytes(self.buffer[at : at + 4])
        masked = bytes(self.buffer[at + 4 : at + 4 + size])
        del self.buffer[: at + 4 + size]
        width = (size + 3) // 4
        key = int.from_bytes(mask * width, "big")
        return opcode, (int.from_bytes(masked.ljust(width * 4, b"\0"), "big") ^ key).to_bytes(
            width * 4, "big"
        )[:size]

    def _need(self, count: int) -> None:
        while len(self.buffer) < count:
            received = self.connection.recv(65536)
            if not received:
                raise ConnectionError("the station went away")
            self.buffer += received

    def close(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()
        self.listener.close()


def resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def cpu_seconds(pid: int) -> float:
    """Of all its threads; to the nanosecond, where `stat` counts in steps of 10 ms."""
    spent_ns = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path) as schedstat:  # the thread may have ended meanwhile
            spent_ns += int(schedstat.read().split()[0])
    return spent_ns / 1e9
