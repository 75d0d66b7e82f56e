"""Both ends of the local API's unix socket, for paths of any length.

A socket address holds at most 107 bytes, a state directory may be deeper: the directory is opened and the
socket reached through /proc/self/fd. Called by `server.py` and by the command line; imports nothing heavy.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODE = 0o660


class AlreadyServed(OSError):
    """Another process answers on the socket."""


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, for the owner and the group; a dead one left there is replaced.

    Raises AlreadyServed when a living process answers there, OSError when the directory cannot be written."""
    try:
        connect(path).close()
    except (FileNotFoundError, ConnectionRefusedError):
        path.unlink(missing_ok=True)
    else:
        raise AlreadyServed(errno.EADDRINUSE, f"another agent answers on {path}")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            server.bind(address)
            os.chmod(address, MODE)
        server.listen(128)
        server.setblocking(False)
    except BaseException:
        server.close()
        raise
    return server


def connect(path: Path, timeout_s: float | None = 5.0) -> socket.socket:
    """A connected socket. Raises FileNotFoundError or ConnectionRefusedError when nobody serves it."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout_s)
        with _short(path) as address:
            client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket address."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
