"""The files of the live page: complete, small, cached, and nothing else of the disk with them."""

import gzip
import re

import pytest

from agent.web.page import FOLDER, page_files
from tests.web.conftest import WebBench

WIRE_LIMIT_BYTES = 100_000
HOME = "http://localhost"


async def test_the_page_is_served_with_type_and_compressed(bench: WebBench) -> None:
    async with bench.http.get(f"{HOME}/", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Content-Encoding"] == "gzip"
        assert "<main" in await response.text()
    async with bench.http.get(f"{HOME}/static/main.js", headers={"Accept-Encoding": "identity"}) as response:
        assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert await response.read() == (FOLDER / "main.js").read_bytes()


async def test_a_file_that_did_not_change_is_not_sent_again(bench: WebBench) -> None:
    async with bench.http.get(f"{HOME}/static/style.css") as response:
        etag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
    for tag, status in ((etag, 304), (f"W/{etag}", 304), ('"another"', 200)):
        async with bench.http.get(f"{HOME}/static/style.css", headers={"If-None-Match": tag}) as response:
            assert response.status == status


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fconfig.py",
        "/static/nothing.js",
        "/static/__init__.py",
        "/static/",
    ],
)
async def test_there_is_no_way_out_of_the_folder(bench: WebBench, path: str) -> None:
    async with bench.http.get(HOME + path) as response:
        assert response.status == 404
        assert "there is no" in (await response.json())["error"]


def test_all_files_together_stay_under_the_limit() -> None:
    assert sum(len(file.zipped) for file in page_files().values()) < WIRE_LIMIT_BYTES / 2
    assert all(gzip.decompress(file.zipped) == file.plain for file in page_files().values())


def test_nothing_comes_from_elsewhere_and_nothing_is_missing() -> None:
    for name, file in page_files().items():
        text = file.plain.decode()
        foreign = [url for url in re.findall(r"https?://[^\s\"'`)]+", text) if "www.w3.org" not in url]
        assert foreign == [], name
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert imported in page_files(), f"{name} imports {imported}"
        for asked in re.findall(r'(?:href|src)="/static/([^"]+)"', text):
            assert asked in page_files(), f"{name} asks for {asked}"


def test_every_module_is_asked_for_with_the_page() -> None:
    """Modules that are found one after the other would come one after the other."""
    start = page_files()["index.html"].plain.decode()
    modules = {name for name in page_files() if name.endswith(".js")}
    assert set(re.findall(r'/static/(\w+\.js)"', start)) == modules


def test_nothing_in_the_page_needs_what_its_security_headers_forbid() -> None:
    """No inline script, style or handler, and no text is ever taken for HTML."""
    for name, file in page_files().items():
        text = file.plain.decode()
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"):
            assert forbidden not in text, name
        if name.endswith(".html"):
            assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", text), name
