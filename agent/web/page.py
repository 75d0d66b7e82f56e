"""The live page's files: `/` and `/static/...`, from the folder beside this file and from nowhere else.

Read at the first request, then kept with their ETag and compressed; a name that is not among them does not exist, so
there is no path to follow. Open to everybody: the files hold nothing of the station. Endpoints are merged by
`server.py`.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web

from agent.web.bodies import Refusal
from agent.web.endpoints import Endpoint
from agent.web.roles import Role

FOLDER = Path(__file__).parent / "static"
START = "index.html"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    content_type: str
    etag: str
    plain: bytes
    zipped: bytes


@cache
def page_files() -> dict[str, PageFile]:
    """Every file of the page by its name."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}


def _read(path: Path) -> PageFile:
    plain = path.read_bytes()
    etag = hashlib.sha256(plain).hexdigest()[:16]
    return PageFile(TYPES[path.suffix], etag, plain, gzip.compress(plain, 9, mtime=0))


@cache
def page_version() -> str:
    """Of all files together: an open page whose own is another one loads itself again."""
    found = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


class PageApi:
    """Handlers of the page's files."""

    def endpoints(self) -> list[Endpoint]:
        names = {"name": {"type": "string", "enum": sorted(path.name for path in FOLDER.iterdir())}}
        return [
            Endpoint(
                method="GET",
                path="/",
                handler=self.start,
                role=Role.NOBODY,
                summary="The live page",
                content_type="text/html",
            ),
            Endpoint(
                method="GET",
                path="/static/{name}",
                handler=self.part,
                role=Role.NOBODY,
                summary="A file of the live page",
                path_schemas=names,
                content_type="text/javascript",
                errors={404: "no such file"},
            ),
        ]

    async def start(self, request: web.Request) -> web.Response:
        return _answer(request, page_files()[START])

    async def part(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = page_files().get(name)
        if found is None:
            raise Refusal(404, f"there is no {request.path}")
        return _answer(request, found)


def _answer(request: web.Request, file: PageFile) -> web.Response:
    """A reader asks each time whether it is still the same, and gets the content only if it is not."""
    headers = {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if any(tag.value in (file.etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=file.zipped, content_type=file.content_type, charset="utf-8", headers=headers
        )
    return web.Response(body=file.plain, content_type=file.content_type, charset="utf-8", headers=headers)
