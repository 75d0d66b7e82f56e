"""The TCP side of the local API: one listening address, plain or TLS, with a limit of connections per client.

Connections are counted from the moment they are accepted, so that unfinished TLS handshakes use up nothing either.
Knows no HTTP: who speaks it is given as a protocol factory. Called by `server.py`.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

from agent.web.attempts import origin_of

log = logging.getLogger(__name__)

CONNECTIONS_MOST = 250
CONNECTIONS_PER_CLIENT = 100
HANDSHAKE_S = 10.0
ACCEPT_PAUSE_S = 1.0


class CertificateError(Exception):
    """The certificate cannot be served; the text says which file and why."""


class Certificate:
    """Own certificate and key from two PEM files, read again when they change."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self._files = (certificate_file, key_file)
        self._seen: object = None
        self.context: ssl.SSLContext | None = None

    def load(self) -> bool:
        """True if it is new. Raises CertificateError; what was loaded before stays in use."""
        seen = tuple(_mark(each) for each in self._files)
        if seen == self._seen:
            return False
        self._seen = seen
        fresh = _server_context(*self._files)
        if self.context is None:
            self.context = fresh
        else:
            self.context.load_cert_chain(*self._files)  # for the handshakes from now on
        return True


class Door:
    """`open()` listens until `close()`, which also ends its connections."""

    def __init__(
        self,
        address: tuple[str, int],
        protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._protocol = protocol
        self._context = context
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._greeting: set[asyncio.Task[None]] = set()
        self._connections: dict[asyncio.WriteTransport, str] = {}
        self._handshakes: Counter[str] = Counter()

    @property
    def address(self) -> tuple[str, int] | None:
        """As the socket says; None while it is closed."""
        if self._socket is None:
            return None
        host, port = self._socket.getsockname()[:2]
        return host, port

    def open(self) -> None:
        """Raises OSError when the address is taken or not of this machine."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        has_both = host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(
            ("127.0.0.1" if host == "localhost" else host, port),
            family=family,
            backlog=64,
            dualstack_ipv6=has_both,
        )
        listening.setblocking(False)
        self._socket = listening
        self._accepting = asyncio.create_task(self._accept(listening), name=f"accept on {host}:{port}")

    async def close(self) -> None:
        tasks = [each for each in (self._accepting, *self._greeting) if each is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for transport in self._connections:
            transport.abort()
        self._connections.clear()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listening)
            except OSError as error:  # out of descriptors, or the client is gone again
                log.warning("a connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            client = origin_of(peer[0])
            if not self._has_room(client):
                connection.close()
                continue
            self._handshakes[client] += 1
            task = loop.create_task(self._greet(connection, client))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _has_room(self, client: str) -> bool:
        for transport in [each for each in self._connections if each.is_closing()]:
            del self._connections[transport]
        own = self._handshakes[client] + sum(each == client for each in self._connections.values())
        return (
            own < CONNECTIONS_PER_CLIENT
            and len(self._connections) + self._handshakes.total() < CONNECTIONS_MOST
        )

    async def _greet(self, connection: socket.socket, client: str) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        try:
            transport, _ = await loop.connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S if self._context else None,
            )
            # uvloop's transports are none of asyncio's classes, and have what theirs have.
            self._connections[cast(asyncio.WriteTransport, transport)] = client
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.debug("no connection with %s: %s", client, error)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._handshakes[client] -= 1
            self._handshakes += Counter()  # forgets those at 0


def _server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    for file in (certificate_file, key_file):
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            raise CertificateError(f"{file}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate_file, key_file, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"{key_file} is not the key of {certificate_file}"
        else:
            text = f"{certificate_file} and {key_file} are no PEM certificate with an unencrypted key"
        raise CertificateError(text) from error
    return context


def _mark(path: Path) -> object:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_ctime_ns, found.st_size  # changes with the rights, too
    return None
