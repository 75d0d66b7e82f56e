"""The log to systemd's journal, natively: one datagram a line, with fields that `journalctl EVSE_ID=1` finds.

Used when stderr is connected to the journal, as under systemd. Never waits: a journal that does not read loses lines,
and the next one that gets through says how many. A line too large for a datagram goes through a sealed memory file.
Protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL. Built by `agent/log.py`, which also hides the secrets.
"""

import array
import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agent.log_fields import fields_of

SOCKET = Path("/run/systemd/journal/socket")
SEND_BUFFER_BYTES = 8 * 1024 * 1024
"""As systemd's own library wants it; the kernel gives what it allows."""
NAMES: Mapping[str, str] = {
    "evse_id": "EVSE_ID",
    "transaction_id": "TRANSACTION_ID",
    "message_id": "OCPP_MESSAGE_ID",
    "action": "OCPP_ACTION",
}
_MEMORY_FILE = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)
"""What the kernel says of a datagram that it will never take."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def is_journal(stream_fd: int, named: str | None) -> bool:
    """Whether the descriptor is the journal's stream that the environment names (JOURNAL_STREAM, systemd.exec(5))."""
    try:
        device, inode = (int(part) for part in (named or "").split(":"))
        status = os.fstat(stream_fd)
    except (ValueError, OSError):
        return False
    return (status.st_dev, status.st_ino) == (device, inode)


class JournalHandler(logging.Handler):
    """Raises OSError when built without a journal that listens."""

    def __init__(self, path: Path = SOCKET, identifier: str = "evse-agent") -> None:
        super().__init__()
        self._identifier = identifier
        self._path = str(path)
        self._lost = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect(self._path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = self._fields(record)
            if self._lost:
                fields["LINES_LOST"] = str(self._lost)
                fields["MESSAGE"] += f" ({self._lost} lines before this one were lost)"
            if self._send(b"".join(_encode(name, value) for name, value in fields.items())):
                self._lost = 0
            else:
                self._lost += 1
        except Exception:  # as all handlers do: a bad log call must not crash whoever made it
            self.handleError(record)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        about = fields_of(record)
        return {
            "MESSAGE": f"{record.name}: {self.format(record)}",
            "PRIORITY": str(_priority(record.levelno)),
            "SYSLOG_IDENTIFIER": self._identifier,
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
            "THREAD_NAME": record.threadName or "",
            **{NAMES[name]: value for name, value in about.items()},
        }

    def _send(self, content: bytes) -> bool:
        """False: it is lost."""
        try:  # without connecting: a journal that is restarted needs no care then
            self._socket.sendto(content, self._path)
        except OSError as error:
            return error.errno in _TOO_LARGE and self._send_file(content)
        return True

    def _send_file(self, content: bytes) -> bool:
        """The journal wants the file sealed: nobody may change it while it is read."""
        with suppress(OSError), os.fdopen(os.memfd_create("log line", _MEMORY_FILE), "wb", 0) as file:
            file.write(content)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            handles = array.array("i", [file.fileno()])
            self._socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)], 0, self._path)
            return True
        return False


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _encode(name: str, value: str) -> bytes:
    """One field; what has more than a line is preceded by its length."""
    text = value.encode(errors="replace")
    if b"\n" not in text:
        return b"%s=%s\n" % (name.encode(), text)
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(text)), text)
