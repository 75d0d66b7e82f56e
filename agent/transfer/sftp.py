"""SFTP by asyncssh: user and password of the URL, and host keys that are trusted on first use and kept.

The file of known hosts (OpenSSH's format) decides whom to trust: a host that stands in it must show one of its keys,
and an unknown host's key is written into it with a line in the log; if the file is read-only, unknown hosts are not
trusted. Keys, agents and settings of the user that the agent runs as are left alone. The path is absolute; "/~/" in
front makes it relative to the user's home.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import asyncssh

from agent.transfer.errors import TransferError, TransferFailure
from agent.transfer.location import Location
from agent.transfer.partial import PartialFile, drop_note, read_note, write_note
from agent.transfer.terms import BLOCK_BYTES, Terms

log = logging.getLogger(__name__)

DEFAULT_PORT = 22
ONE_REQUEST = 0
"""Block size by which a read or write is one request. asyncssh would split it among tasks, and a transfer that is
cancelled would leave them behind with errors that nobody hears."""
SHORTEST_BLOCK = 16 * 1024
"""What every server can do."""


async def download(location: Location, part: PartialFile, terms: Terms) -> None:
    """Raises TransferError."""
    path = _path_of(location)
    async with _connected(location, terms) as client:
        status = await client.stat(path)
        total, version = status.size, _version_of(status)
        held, known = await asyncio.to_thread(part.held)
        at = held if version and known == version and held <= (total or 0) else 0
        await asyncio.to_thread(part.begin, at, version, total)
        terms.tell(at, total)
        remote = await client.open(path, "rb", block_size=ONE_REQUEST)
        size = _block_size(client.limits.max_read_len)
        # Bytes, because it is opened without an encoding; its types cannot say so.
        while block := cast(bytes, await remote.read(size, part.size)):
            await asyncio.to_thread(part.write, block)
            terms.tell(part.size, total)
        await remote.close()
        await asyncio.to_thread(part.finish, total)


async def upload(location: Location, file: Path, terms: Terms) -> None:
    """Raises TransferError."""
    source, local = await asyncio.to_thread(_open, file)
    try:
        async with _connected(location, terms) as client:
            if location.is_directory or await client.isdir(_path_of(location)):
                location = location.named(file.name)
            path = _path_of(location)
            version = f"{local.st_size}:{local.st_mtime_ns}"
            at = 0
            if read_note(file, location.digest) == version and await client.exists(path):
                there = (await client.stat(path)).size or 0
                at = there if there <= local.st_size else 0
            await asyncio.to_thread(write_note, file, location.digest, version)
            terms.tell(at, local.st_size)
            remote = await client.open(path, "r+b" if at else "wb", block_size=ONE_REQUEST)
            size = _block_size(client.limits.max_write_len)
            while block := await asyncio.to_thread(os.pread, source, size, at):
                await remote.write(block, at)
                at += len(block)
                terms.tell(at, local.st_size)
            await remote.close()
            arrived = (await client.stat(path)).size
            if arrived is not None and arrived != local.st_size:
                raise TransferError(TransferFailure.BROKEN, f"{arrived} of {local.st_size} bytes arrived")
    finally:
        os.close(source)
    await asyncio.to_thread(drop_note, file)


def _open(file: Path) -> tuple[int, os.stat_result]:
    try:
        source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TransferError(TransferFailure.NO_SPACE, f"{file.name} cannot be read") from error
    return source, os.fstat(source)


def _block_size(limit: int) -> int:
    """`limit`: what the server takes at once; 0 if it does not tell."""
    return min(BLOCK_BYTES, limit or SHORTEST_BLOCK)


def _path_of(location: Location) -> str:
    path = location.decoded_path
    return path.removeprefix("/~/") or "."


def _version_of(status: asyncssh.SFTPAttrs) -> str:
    """Size and time of change; "" when the server does not tell both."""
    if status.size is None or status.mtime is None:
        return ""
    return f"{status.size}:{status.mtime}"


# --- the connection ----------------------------------------------------------------------------------------


@asynccontextmanager
async def _connected(location: Location, terms: Terms) -> AsyncIterator[asyncssh.SFTPClient]:
    """asyncssh's errors become ours. Whatever ends it early, the server is not waited for: it may never answer."""
    if terms.known_hosts is None:
        raise TransferError(TransferFailure.NOT_SUPPORTED, "SFTP needs a file of known hosts")
    connection: asyncssh.SSHClientConnection | None = None
    try:
        connection = await _connect(location, terms, terms.known_hosts)
        client = await connection.start_sftp_client()
        yield client
        client.exit()
        await client.wait_closed()
        connection.close()
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        # The second one also when the server has no key of the kind that is known.
        raise TransferError(TransferFailure.UNTRUSTED, str(error)) from error
    except asyncssh.PermissionDenied as error:
        raise TransferError(TransferFailure.PERMISSION_DENIED, "user or password are not accepted") from error
    except asyncssh.SFTPError as error:
        raise TransferError(_sftp_failure(error), error.reason or type(error).__name__) from error
    except TimeoutError:
        raise
    except (asyncssh.Error, OSError) as error:
        failure = TransferFailure.UNREACHABLE if connection is None else TransferFailure.BROKEN
        raise TransferError(failure, str(error) or type(error).__name__) from error
    finally:
        if connection is not None:
            connection.abort()
            await connection.wait_closed()


async def _connect(location: Location, terms: Terms, hosts: Path) -> asyncssh.SSHClientConnection:
    """Logged in; a host that was met for the first time is remembered."""
    logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells every step at info
    known = await asyncio.to_thread(_read_known_hosts, hosts)
    doorman = _Doorman(known, may_meet=await asyncio.to_thread(_is_writable, hosts))
    connection = await asyncssh.connect(
        location.host,
        location.real_port,
        options=asyncssh.SSHClientConnectionOptions(
            client_factory=lambda: doorman,
            known_hosts=known,
            username=location.user or "anonymous",
            password=location.password or "",
            client_keys=None,
            agent_path=None,
            gss_auth=False,
            gss_kex=False,
            config=None,
            connect_timeout=None,
            login_timeout=None,
        ),
    )
    if doorman.met is not None:
        await asyncio.to_thread(_remember, hosts, location, doorman.met)
    terms.moved()
    return connection


def _sftp_failure(error: asyncssh.SFTPError) -> TransferFailure:
    match error:
        case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath() | asyncssh.SFTPNotADirectory():
            return TransferFailure.NOT_FOUND
        case asyncssh.SFTPPermissionDenied() | asyncssh.SFTPWriteProtect():
            return TransferFailure.PERMISSION_DENIED
        case asyncssh.SFTPOpUnsupported():
            return TransferFailure.NOT_SUPPORTED
        case asyncssh.SFTPConnectionLost() | asyncssh.SFTPNoConnection() | asyncssh.SFTPBadMessage():
            return TransferFailure.BROKEN
        case _:
            return TransferFailure.REFUSED


class _Doorman(asyncssh.SSHClient):
    """Asked by asyncssh about a key that the file does not name."""

    def __init__(self, known: asyncssh.SSHKnownHosts, *, may_meet: bool) -> None:
        """`may_meet`: the key of an unknown host can be kept."""
        self._known = known
        self._may_meet = may_meet
        self.met: asyncssh.SSHKey | None = None
        """The key of a host that was not known yet."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        expected = self._known.match(host, addr, None if port == DEFAULT_PORT else port)[0]
        if expected:
            log.error("the host key of %s has changed (now %s): not trusted", host, key.get_fingerprint())
            return False
        if not self._may_meet:
            log.error("%s is not among the known hosts, and its key could not be kept: not trusted", host)
            return False
        self.met = key
        return True


def _read_known_hosts(path: Path) -> asyncssh.SSHKnownHosts:
    """Raises TransferError (UNTRUSTED) for a file that cannot be read: an empty one would trust anybody."""
    try:
        return asyncssh.read_known_hosts(str(path))
    except FileNotFoundError:
        return asyncssh.import_known_hosts("")
    except (OSError, ValueError) as error:
        raise TransferError(TransferFailure.UNTRUSTED, f"{path.name} cannot be read: {error}") from error


def _is_writable(path: Path) -> bool:
    return os.access(path if path.exists() else path.parent, os.W_OK)


def _remember(path: Path, location: Location, key: asyncssh.SSHKey) -> None:
    """Trust on first use. Raises TransferError (NO_SPACE): a key that is not kept would be trusted again and again."""
    port = location.real_port
    name = location.host if port == DEFAULT_PORT else f"[{location.host}]:{port}"
    algorithm, text = key.export_public_key("openssh").decode().split()[:2]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(f"{name} {algorithm} {text}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise TransferError(
            TransferFailure.NO_SPACE, f"the host key of {name} could not be kept: {error.strerror}"
        ) from error
    log.warning("the host key of %s is trusted from now on: %s", name, key.get_fingerprint())
