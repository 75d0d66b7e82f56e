"""Files from and to a server: HTTP, HTTPS, FTP, FTPS and SFTP, with resume, bounds and one kind of error.

One attempt a call: retries belong to the caller, who calls again with the same file, and what has arrived is not
fetched twice. Whole files are never held in memory, the loop never waits for a disk, and silence ends a transfer.
Credentials come in the URL and go into no log. Used by `agent/diagnostics` and `agent/update`; each protocol is
imported when its first URL comes. OCPP 1.6 chapter 8 (R16-303); docs/file-transfer.md.
"""

import asyncio
import importlib
import ssl
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from agent.transfer.errors import HOPELESS, TransferError, TransferFailure
from agent.transfer.location import PROTOCOLS, SCHEMES, Location, parse_location
from agent.transfer.partial import PartialFile, drop_note
from agent.transfer.terms import CONNECT_S, STALL_S, Progress, Terms

__all__ = [
    "HOPELESS",
    "PROTOCOLS",
    "SCHEMES",
    "Location",
    "TransferError",
    "TransferFailure",
    "download",
    "forget",
    "parse_location",
    "upload",
]


async def download(
    location: str,
    target: Path,
    *,
    trust: ssl.SSLContext | None = None,
    known_hosts: Path | None = None,
    protocols: Collection[str] = PROTOCOLS,
    on_progress: Progress | None = None,
    most_bytes: int | None = None,
    connect_s: float = CONNECT_S,
    stall_s: float = STALL_S,
) -> None:
    """Fetch the file into `target` (made with mode 0600), going on behind what an earlier attempt left there.

    It goes on only where the server still has the same version (HTTP If-Range, FTP size and time, SFTP size and
    time) and otherwise starts over. On return all of it is on the disk. `on_progress(bytes so far, total or None)`.
    `trust`: for HTTPS and FTPS, default the system's authorities. `known_hosts`: for SFTP, which is NOT_SUPPORTED
    without (see `sftp.py`). `protocols`: what the setting SupportedFileTransferProtocols allows.
    Raises TransferError; `target` and its note stay for the next attempt, `forget` removes both."""
    place = parse_location(location, protocols)
    terms = Terms(trust, known_hosts, on_progress, connect_s, stall_s)
    part = PartialFile(target, place.digest, most_bytes)
    try:
        async with terms.watched():
            match place.scheme:
                case "http" | "https":
                    from agent.transfer import http

                    await http.download(place, part, terms)
                case "ftp" | "ftps":
                    ftp = await _load("ftp")
                    await ftp.download(place, part, terms)
                case _:
                    sftp = await _load("sftp")
                    await sftp.download(place, part, terms)
    finally:
        part.close()


async def upload(
    location: str,
    file: Path,
    *,
    trust: ssl.SSLContext | None = None,
    known_hosts: Path | None = None,
    protocols: Collection[str] = PROTOCOLS,
    on_progress: Progress | None = None,
    connect_s: float = CONNECT_S,
    stall_s: float = STALL_S,
) -> None:
    """Bring `file` to `location`; a location that ends in "/" (FTP, SFTP: or is a directory) gets its name appended.

    HTTP: PUT, and where the server knows no PUT there, POST as multipart/form-data (see `http.py`). FTP and SFTP go
    on where an earlier attempt with the same file and location broke off. `file` must not change between attempts.
    The other arguments and errors are those of `download`."""
    place = parse_location(location, protocols)
    terms = Terms(trust, known_hosts, on_progress, connect_s, stall_s)
    async with terms.watched():
        match place.scheme:
            case "http" | "https":
                from agent.transfer import http

                await http.upload(place, file, terms)
            case "ftp" | "ftps":
                ftp = await _load("ftp")
                await ftp.upload(place, file, terms)
            case _:
                sftp = await _load("sftp")
                await sftp.upload(place, file, terms)


async def _load(name: str) -> ModuleType:
    """In a thread: asyncssh alone takes more than a second on a small controller."""
    return await asyncio.to_thread(importlib.import_module, f"agent.transfer.{name}")


def forget(file: Path) -> None:
    """Remove a file and the note of how to resume it; none there is fine. Blocks. Raises OSError."""
    drop_note(file)
    file.unlink(missing_ok=True)
