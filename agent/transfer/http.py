"""HTTP and HTTPS: GET with Range and If-Range, PUT or POST; redirects followed here, so that none leaves TLS.

A PUT goes to the location, with the file's name appended if it ends in "/". A server that answers 404, 405 or 501 to
it gets one POST to the location as it stands, multipart/form-data with the file in the field "file". A PUT cannot
be resumed: HTTP has no way for it. Credentials of the URL go as Basic, to the first host only. RFC 9110.
"""

import asyncio
import base64
import os
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from agent.transfer.errors import TransferError, TransferFailure
from agent.transfer.location import Location, parse_location
from agent.transfer.partial import PartialFile
from agent.transfer.terms import BLOCK_BYTES, Terms

REDIRECTS_MOST = 5
_REDIRECTS = frozenset({301, 302, 307, 308})
_KNOWS_NO_PUT = frozenset({404, 405, 501})
_FAILURES: Mapping[int, TransferFailure] = {
    400: TransferFailure.REFUSED,
    401: TransferFailure.PERMISSION_DENIED,
    403: TransferFailure.PERMISSION_DENIED,
    404: TransferFailure.NOT_FOUND,
    405: TransferFailure.NOT_SUPPORTED,
    407: TransferFailure.PERMISSION_DENIED,
    410: TransferFailure.NOT_FOUND,
    413: TransferFailure.TOO_LARGE,
    415: TransferFailure.NOT_SUPPORTED,
    501: TransferFailure.NOT_SUPPORTED,
}
"""Status -> failure; any other that is no success is REFUSED."""

Body = Callable[[], AsyncIterator[bytes]]


async def download(location: Location, part: PartialFile, terms: Terms) -> None:
    """Raises TransferError."""
    held, version = await asyncio.to_thread(part.held)
    async with _session() as session:
        if held:
            headers = {"Range": f"bytes={held}-", "If-Range": version}
            async with _answer(session, "GET", location, terms, headers) as response:
                if response.status == 416 and _total_of(response) == held:
                    await asyncio.to_thread(_complete, part, held, version)
                    return
                if response.status == 200:
                    await _receive(response, part, terms, 0, _version_of(response))
                    return
                # If-Range is no promise: some servers give a piece of whatever is there now. A piece need not repeat
                # its mark (RFC 9110 15.3.7); the one that was asked for holds then.
                if _first_of(response) == held and _version_of(response) in ("", version):
                    await _receive(response, part, terms, held, version)
                    return
        async with _answer(session, "GET", location, terms, {}) as response:
            if response.status != 200:
                raise _refusal(response.status)
            await _receive(response, part, terms, 0, _version_of(response))


def _complete(part: PartialFile, size: int, version: str) -> None:
    part.begin(size, version, size)
    part.finish(size)


async def _receive(
    response: aiohttp.ClientResponse, part: PartialFile, terms: Terms, at: int, version: str
) -> None:
    length = response.content_length
    total = None if length is None else at + length
    await asyncio.to_thread(part.begin, at, version, total)
    terms.tell(at, total)
    async for block in response.content.iter_chunked(BLOCK_BYTES):
        await asyncio.to_thread(part.write, block)
        terms.tell(part.size, total)
    await asyncio.to_thread(part.finish, total)


def _version_of(response: aiohttp.ClientResponse) -> str:
    """What If-Range may name: a strong ETag, else a date; "" if the server gives neither (RFC 9110 13.1.5)."""
    tag: str = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return str(response.headers.get("Last-Modified", ""))


def _first_of(response: aiohttp.ClientResponse) -> int | None:
    """Where a 206 begins; None if it is none, or says nothing one can rely on."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found and response.status == 206 else None


def _total_of(response: aiohttp.ClientResponse) -> int | None:
    found = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


async def upload(location: Location, file: Path, terms: Terms) -> None:
    """Raises TransferError."""
    source, size = await asyncio.to_thread(_open, file)
    try:
        await _send(location, file.name, source, size, terms)
    finally:
        os.close(source)


async def _send(location: Location, name: str, source: int, size: int, terms: Terms) -> None:
    """`source`: a descriptor of the file."""

    def whole() -> AsyncIterator[bytes]:
        return _read(source, size, terms)

    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    place = location.named(name) if location.is_directory else location
    async with _session() as session:
        async with _answer(session, "PUT", place, terms, headers, whole) as response:
            status = response.status
        if status in _KNOWS_NO_PUT:
            head, tail, kind = _form(name)

            async def form() -> AsyncIterator[bytes]:
                yield head
                async for block in whole():
                    yield block
                yield tail

            headers = {"Content-Length": str(len(head) + size + len(tail)), "Content-Type": kind}
            async with _answer(session, "POST", location, terms, headers, form) as response:
                status = response.status
        # 303: it was taken, and there is a page about it.
        if not 200 <= status < 300 and status != 303:
            raise _refusal(status)


def _form(name: str) -> tuple[bytes, bytes, str]:
    """What stands before and after the file in multipart/form-data (RFC 7578), and the content type."""
    boundary = secrets.token_hex(16)
    shown = name.replace('"', "%22")
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{shown}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _open(file: Path) -> tuple[int, int]:
    """A descriptor and the size."""
    try:
        source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TransferError(
            TransferFailure.NO_SPACE, f"{file.name} cannot be read: {error.strerror}"
        ) from error
    return source, os.fstat(source).st_size


async def _read(source: int, size: int, terms: Terms) -> AsyncIterator[bytes]:
    """The file in blocks, read in a thread; what the socket took of it is progress."""
    done = 0
    while block := await asyncio.to_thread(os.pread, source, BLOCK_BYTES, done):
        yield block
        done += len(block)
        terms.tell(done, size)


# --- requests and redirects --------------------------------------------------------------------------------


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    """Its errors become ours. Times are not aiohttp's business: `Terms.watched` looks after them."""
    try:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        ) as session:
            yield session
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise TransferError(TransferFailure.UNTRUSTED, str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise TransferError(TransferFailure.UNREACHABLE, str(error.os_error)) from error
    except aiohttp.InvalidURL as error:
        raise TransferError(TransferFailure.BAD_LOCATION, "the location is not a URL") from error
    except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
        raise TransferError(TransferFailure.BROKEN, str(error) or type(error).__name__) from error


@asynccontextmanager
async def _answer(
    session: aiohttp.ClientSession,
    method: str,
    location: Location,
    terms: Terms,
    headers: Mapping[str, str],
    body: Body | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer of the server that the redirects end at; its status may be anything but one of them."""
    for _ in range(REDIRECTS_MOST + 1):
        async with session.request(
            method,
            URL(_text_of(location), encoded=True),
            headers={**headers, **_authorization(location)},
            data=None if body is None else body(),
            ssl=terms.trust or True,
            allow_redirects=False,
        ) as response:
            terms.moved()
            target = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not target:
                yield response
                return
        location = _redirected(location, target)
    raise TransferError(TransferFailure.REFUSED, f"more than {REDIRECTS_MOST} redirects")


def _redirected(location: Location, target: str) -> Location:
    """Credentials stay with the host they were given for. Raises TransferError for a way out of TLS."""
    found = parse_location(urljoin(_text_of(location), target), ("HTTP", "HTTPS"))
    if location.scheme == "https" and found.scheme == "http":
        raise TransferError(TransferFailure.UNTRUSTED, "the server redirects out of TLS")
    if found.user is None and (found.scheme, found.authority) == (location.scheme, location.authority):
        return replace(found, user=location.user, password=location.password)
    return found


def _text_of(location: Location) -> str:
    query = f"?{location.query}" if location.query else ""
    return f"{location.scheme}://{location.authority}{location.path or '/'}{query}"


def _authorization(location: Location) -> dict[str, str]:
    """Basic (RFC 7617), or nothing. Raises TransferError (BAD_LOCATION)."""
    if location.user is None:
        return {}
    if ":" in location.user:
        raise TransferError(
            TransferFailure.BAD_LOCATION, "a user name with a colon cannot be sent (RFC 7617)"
        )
    pair = f"{location.user}:{location.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _refusal(status: int) -> TransferError:
    return TransferError(_FAILURES.get(status, TransferFailure.REFUSED), f"the server answered {status}")
