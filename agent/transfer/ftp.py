"""FTP and FTPS by the standard library, in a thread that a cancellation ends by shutting its sockets down.

Passive mode only. The path is relative to the directory after login; "%2F" in front makes it absolute (RFC 1738).
FTPS: port 990 is TLS from the first byte; without a port 990 is tried first, then 21 with AUTH TLS; on any other port
a server that greets within `GREETING_S` is asked for AUTH TLS. The data connection is always encrypted, in the same TLS
session. Resume by REST; SIZE and MDTM tell whether it is still the same file. RFC 959, 3659, 4217; OCPP 1.6 chapter 8.
"""

import asyncio
import ftplib
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.transfer.errors import TransferError, TransferFailure
from agent.transfer.location import Location
from agent.transfer.partial import PartialFile, drop_note, read_note, write_note
from agent.transfer.terms import BLOCK_BYTES, Terms

log = logging.getLogger(__name__)

IMPLICIT_PORT = 990
EXPLICIT_PORT = 21
GREETING_S = 3.0
ENDING_S = 5.0
"""How long a cancelled transfer waits for its thread, which ends by itself in any case."""

Tell = Callable[[int, int | None], None]


async def download(location: Location, part: PartialFile, terms: Terms) -> None:
    """Raises TransferError."""
    await _in_thread(location, terms, lambda session, tell: _download(session, location, part, tell))


async def upload(location: Location, file: Path, terms: Terms) -> None:
    """Raises TransferError."""
    await _in_thread(location, terms, lambda session, tell: _upload(session, location, file, tell))


async def _in_thread(location: Location, terms: Terms, work: Callable[["_Session", Tell], None]) -> None:
    loop = asyncio.get_running_loop()

    def tell(done: int, total: int | None) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody listens
            loop.call_soon_threadsafe(terms.tell, done, total)

    def moved() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(terms.moved)

    session = _Session(location, terms, moved)

    def run() -> None:
        try:
            with _translated(session):
                session.open()
                work(session, tell)
                session.quit()
        finally:
            session.close()

    job = loop.run_in_executor(None, run)
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        session.abort()
        job.add_done_callback(_note_end)
        await asyncio.wait([job], timeout=ENDING_S)
        raise


def _note_end(job: asyncio.Future[None]) -> None:
    if not job.cancelled() and job.exception() is not None:
        log.debug("the cancelled transfer ended: %s", job.exception())


@contextmanager
def _translated(session: "_Session") -> Iterator[None]:
    """What ftplib, ssl and the sockets raise becomes ours. The server's words are kept, they name no password."""
    try:
        yield
    except ftplib.error_perm as error:
        raise TransferError(_permanent(str(error), session.is_uploading), str(error)) from error
    except ftplib.error_temp as error:
        is_broken = str(error)[:3] in ("425", "426")
        failure = TransferFailure.BROKEN if is_broken else TransferFailure.REFUSED
        raise TransferError(failure, str(error)) from error
    except (ftplib.Error, EOFError) as error:
        raise TransferError(TransferFailure.BROKEN, str(error) or "the server hung up") from error
    except ssl.SSLError as error:
        failure = TransferFailure.BROKEN if session.is_trusted else TransferFailure.UNTRUSTED
        raise TransferError(failure, str(error)) from error
    except TimeoutError as error:
        if session.is_connected:
            raise TransferError(TransferFailure.STALLED, "the server fell silent") from error
        raise TransferError(TransferFailure.UNREACHABLE, "no answer to the dial") from error
    except (OSError, ValueError) as error:  # ValueError: a socket that `abort` has shut down
        failure = TransferFailure.BROKEN if session.is_connected else TransferFailure.UNREACHABLE
        raise TransferError(failure, str(error)) from error


def _permanent(reply: str, is_uploading: bool) -> TransferFailure:
    """The kind of a 5xx reply: RFC 959 4.2 lumps "no such file" and "no access" together in 550."""
    code, text = reply[:3], reply.casefold()
    if code in ("500", "501", "502", "503", "504", "534", "536"):
        return TransferFailure.NOT_SUPPORTED
    if code in ("530", "532", "553"):
        return TransferFailure.PERMISSION_DENIED
    if code == "552":
        return TransferFailure.REFUSED
    if any(word in text for word in ("permission", "denied", "not enough privileges", "not allowed")):
        return TransferFailure.PERMISSION_DENIED
    if is_uploading and "no such" not in text and "not found" not in text:
        return TransferFailure.PERMISSION_DENIED
    return TransferFailure.NOT_FOUND


class _Session:
    """One control connection and at most one data connection. All but `abort` belongs to the thread."""

    def __init__(self, location: Location, terms: Terms, on_moved: Callable[[], None]) -> None:
        self._location = location
        self._terms = terms
        self._moved = on_moved
        self._is_aborted = False
        self._dialled: set[socket.socket] = set()
        self._tls: ssl.SSLContext | None = None
        self.ftp = ftplib.FTP(encoding="utf-8")
        self.is_connected = False
        self.is_trusted = False
        """The control connection is up and, for FTPS, its certificate was good."""
        self.is_uploading = False

    # --- connections -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, secure, log in, binary."""
        location = self._location
        if location.scheme == "ftps":
            self._tls = self._terms.trust or ssl.create_default_context()
            self._open_secured()
        else:
            self._greet(self._dial(location.host, location.real_port))
        self.is_trusted = True
        ftp = self.ftp
        # By hand: ftplib's login invents a password for an anonymous user with a given name.
        reply = ftp.sendcmd(f"USER {location.user or 'anonymous'}")
        if reply.startswith("3"):
            password = location.password if location.user is not None else "anonymous@"
            reply = ftp.sendcmd(f"PASS {password or ''}")
        if not reply.startswith("2"):
            raise TransferError(TransferFailure.PERMISSION_DENIED, "the server wants an account")
        if self._tls is not None:
            ftp.voidcmd("PBSZ 0")
            ftp.voidcmd("PROT P")
        ftp.voidcmd("TYPE I")
        self._moved()

    def _open_secured(self) -> None:
        location = self._location
        port = location.port
        if port is None:
            try:
                plain = self._dial(location.host, IMPLICIT_PORT)
            except OSError:
                plain = self._dial(location.host, EXPLICIT_PORT)
                is_implicit = False
            else:
                is_implicit = True
        else:
            plain = self._dial(location.host, port)
            is_implicit = port == IMPLICIT_PORT or not self._is_greeted(plain)
        if is_implicit:
            self._greet(self._secure(plain))
            return
        self._greet(plain)
        self.ftp.voidcmd("AUTH TLS")
        # ftplib's own buffered reader would still hold the plain socket.
        reader = self.ftp.file
        assert reader is not None
        reader.close()
        self._adopt(self._secure(plain))

    def _is_greeted(self, sock: socket.socket) -> bool:
        """A server of plain FTP speaks first; one of TLS waits for us."""
        sock.settimeout(GREETING_S)
        try:
            sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        finally:
            sock.settimeout(self._terms.stall_s)
        return True

    def _greet(self, sock: socket.socket) -> None:
        self._adopt(sock)
        self.ftp.welcome = self.ftp.getresp()
        self._moved()

    def _adopt(self, sock: socket.socket) -> None:
        ftp = self.ftp
        ftp.sock = sock
        ftp.af = sock.family
        ftp.host = self._location.host
        ftp.timeout = self._terms.stall_s
        ftp.file = sock.makefile("r", encoding=ftp.encoding, errors="replace")

    def _dial(self, host: str, port: int) -> socket.socket:
        """Every address of the name in turn. The socket is known to `abort` before it connects."""
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            self._dialled.add(sock)
            sock.settimeout(self._terms.connect_s)
            try:
                if self._is_aborted:
                    raise ConnectionAbortedError("given up")
                sock.connect(address)
            except OSError as error:
                failure = error
                self._drop(sock)
                continue
            sock.settimeout(self._terms.stall_s)
            self.is_connected = True
            return sock
        raise failure

    def _secure(self, plain: socket.socket) -> ssl.SSLSocket:
        """The TLS socket takes the plain one's place; a data connection goes on with the session of the control one."""
        assert self._tls is not None
        control = self.ftp.sock
        session = control.session if isinstance(control, ssl.SSLSocket) else None
        secured = self._tls.wrap_socket(plain, server_hostname=self._location.host, session=session)
        self._dialled.discard(plain)
        self._dialled.add(secured)
        return secured

    def _drop(self, sock: socket.socket) -> None:
        self._dialled.discard(sock)
        sock.close()

    def data(self, command: str, at: int = 0) -> socket.socket:
        """The data connection of `command`, behind the first `at` bytes. Raises ftplib.error_perm."""
        host, port = self.ftp.makepasv()
        sock = self._dial(host, port)
        try:
            if at:
                self.ftp.sendcmd(f"REST {at}")
            reply = self.ftp.sendcmd(command)
            if reply.startswith("2"):  # some servers announce the end of the transfer before it began
                reply = self.ftp.getresp()
            if not reply.startswith("1"):
                raise ftplib.error_reply(reply)
            if self._tls is not None:
                sock = self._secure(sock)
        except BaseException:
            self._drop(sock)
            raise
        self._moved()
        return sock

    @contextmanager
    def data_in_use(self, sock: socket.socket) -> Iterator[None]:
        """Ends the data connection. When it breaks, the server's own words on the control connection say why."""
        try:
            yield
        except (TransferError, TimeoutError):
            self._drop(sock)
            raise
        except OSError:
            self._end_data(sock)
            raise
        else:
            self._end_data(sock)

    def _end_data(self, sock: socket.socket) -> None:
        """Close it properly and hear what the server makes of it."""
        if self.is_uploading and isinstance(sock, ssl.SSLSocket):
            with suppress(OSError):  # many servers hang up instead of answering the closing alert
                sock.unwrap()
        self._drop(sock)
        self.ftp.voidresp()

    def quit(self) -> None:
        with suppress(ftplib.Error, OSError, EOFError):
            self.ftp.quit()

    def close(self) -> None:
        self.ftp.close()
        for sock in list(self._dialled):
            self._drop(sock)

    def abort(self) -> None:
        """From the loop's thread: wake the other one out of whatever it waits for."""
        self._is_aborted = True
        for sock in list(self._dialled):
            with suppress(OSError):
                # Not SSLSocket.shutdown: that takes the TLS state away under the other thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    # --- questions -------------------------------------------------------------------------------------

    def size(self, path: str) -> int | None:
        """None: no such file, or the server does not tell."""
        try:
            return self.ftp.size(path)
        except ftplib.error_perm:
            return None

    def version(self, path: str, size: int | None) -> str:
        """Size and time of change; "" when the server does not tell both: then nothing can be resumed."""
        if size is None:
            return ""
        try:
            found = re.fullmatch(r"213 (\d{14}(?:\.\d+)?)", self.ftp.sendcmd(f"MDTM {path}").strip())
        except ftplib.error_perm:
            return ""
        return f"{size}:{found[1]}" if found else ""

    def is_directory(self, path: str) -> bool:
        """Raises ftplib.Error if the server cannot be brought back to where it was."""
        here = self.ftp.pwd()
        try:
            self.ftp.cwd(path)
        except ftplib.error_perm:
            return False
        self.ftp.cwd(here)
        return True


def _path_of(location: Location) -> str:
    return location.decoded_path.removeprefix("/")


def _download(session: _Session, location: Location, part: PartialFile, tell: Tell) -> None:
    path = _path_of(location)
    total = session.size(path)
    version = session.version(path, total)
    held, known = part.held()
    at = held if known == version and version and held <= (total or 0) else 0
    part.begin(at, version, total)
    tell(at, total)
    if total is None or at < total:
        sock = _retrieve(session, part, path, at, version, total)
        buffer = memoryview(bytearray(BLOCK_BYTES))
        with session.data_in_use(sock):
            while count := sock.recv_into(buffer):
                part.write(buffer[:count])
                tell(part.size, total)
    part.finish(total)


def _retrieve(
    session: _Session, part: PartialFile, path: str, at: int, version: str, total: int | None
) -> socket.socket:
    """The data connection; from the start, if the server does not know REST."""
    if at:
        try:
            return session.data(f"RETR {path}", at)
        except ftplib.error_perm as error:
            if str(error)[:3] not in ("500", "501", "502", "504"):
                raise
            part.begin(0, version, total)
    return session.data(f"RETR {path}")


def _upload(session: _Session, location: Location, file: Path, tell: Tell) -> None:
    session.is_uploading = True
    if location.is_directory or session.is_directory(_path_of(location)):
        location = location.named(file.name)
    path = _path_of(location)
    try:
        status = file.stat()
        source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TransferError(TransferFailure.NO_SPACE, f"{file.name} cannot be read") from error
    try:
        version = f"{status.st_size}:{status.st_mtime_ns}"
        there = session.size(path) if read_note(file, location.digest) == version else None
        at = there if there is not None and there <= status.st_size else 0
        write_note(file, location.digest, version)
        sock, at = _store(session, path, at)
        with session.data_in_use(sock):
            tell(at, status.st_size)
            while block := os.pread(source, BLOCK_BYTES, at):
                sock.sendall(block)
                at += len(block)
                tell(at, status.st_size)
    finally:
        os.close(source)
    arrived = session.size(path)
    if arrived is not None and arrived != status.st_size:
        raise TransferError(TransferFailure.BROKEN, f"{arrived} of {status.st_size} bytes arrived")
    drop_note(file)


def _store(session: _Session, path: str, at: int) -> tuple[socket.socket, int]:
    """The data connection and where it begins; from the start, if the server does not know REST with STOR."""
    if at:
        try:
            return session.data(f"STOR {path}", at), at
        except ftplib.error_perm as error:
            if str(error)[:3] not in ("500", "501", "502", "504"):
                raise
    return session.data(f"STOR {path}"), 0
