"""HTTP and HTTPS against a real server: resume by If-Range, PUT and POST, redirects, and every refusal by its kind."""

import asyncio
import os
import re
import ssl
from pathlib import Path

import pytest
import trustme

from agent.transfer import TransferError, TransferFailure, download, upload
from agent.transfer.partial import note_path
from tests.helpers.file_servers import HttpFiles
from tests.transfer.kinds import failure_of, holds, size_of

IMAGE = os.urandom(700_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "image.bin").write_bytes(IMAGE)
    return folder


async def cut_once(server: HttpFiles, target: Path) -> int:
    """How much of the image has arrived."""
    server.cut_after_bytes = 300_000
    assert await failure_of(download(server.url("image.bin"), target)) is TransferFailure.BROKEN
    size = size_of(target)
    assert 0 < size <= 300_000
    assert holds(target, IMAGE[:size])
    return size


@pytest.mark.req("R16-303")
async def test_a_file_arrives_whole_and_progress_is_told(root: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    async with HttpFiles(root) as server:
        target = tmp_path / "got"
        await download(server.url("image.bin"), target, on_progress=lambda *step: told.append(step))
        assert target.read_bytes() == IMAGE
        assert told[0] == (0, len(IMAGE))
        assert told[-1] == (len(IMAGE), len(IMAGE))
        assert target.stat().st_mode & 0o777 == 0o600
        assert not note_path(target).exists()


@pytest.mark.req("R16-303")
async def test_a_cut_download_goes_on_where_it_broke(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        target = tmp_path / "got"
        at = await cut_once(server, target)
        told: list[int] = []
        await download(server.url("image.bin"), target, on_progress=lambda done, _total: told.append(done))
        assert target.read_bytes() == IMAGE
        assert server.requests[-1].endswith(f"bytes={at}-")
        assert told[0] == at


async def test_a_file_that_changed_in_between_is_fetched_anew(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        target = tmp_path / "got"
        await cut_once(server, target)
        newer = os.urandom(400_000)
        (root / "image.bin").write_bytes(newer)
        await download(server.url("image.bin"), target)
        assert target.read_bytes() == newer


async def test_without_a_mark_of_the_server_it_starts_over(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        server.has_versions = False
        target = tmp_path / "got"
        await cut_once(server, target)
        await download(server.url("image.bin"), target)
        assert target.read_bytes() == IMAGE
        assert "bytes=" not in server.requests[-1]


class Pieces:
    """Says by hand what a server of files makes of Range; `marks` go with a piece, `tag` and `content` with a file."""

    def __init__(self, marks: str = "") -> None:
        self.content, self.tag, self.marks = IMAGE, '"one"', marks
        self.asked: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"Range: bytes=(\d+)-", head)
        first = int(found[1]) if found else 0
        self.asked.append(first)
        size, rest = len(self.content), self.content[first:]
        mark = self.marks if first else f"ETag: {self.tag}\r\n"
        span = f"Content-Range: bytes {first}-{size - 1}/{size}\r\n" if first else ""
        status = "206 Partial" if first else "200 OK"
        text = f"HTTP/1.1 {status}\r\n{mark}{span}Content-Length: {len(rest)}\r\nConnection: close\r\n\r\n"
        writer.write(text.encode() + (rest[:200_000] if len(self.asked) < 3 else rest))
        await writer.drain()
        await asyncio.sleep(0.05)  # aiohttp's client forgets what it has not handed out
        writer.close()
        await writer.wait_closed()


async def test_a_piece_need_not_repeat_the_mark_of_its_file(tmp_path: Path) -> None:
    pieces, target = Pieces(), tmp_path / "got"
    async with await asyncio.start_server(pieces.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/image.bin"
        for _ in range(2):
            assert await failure_of(download(url, target)) is TransferFailure.BROKEN
        await download(url, target)
        assert target.read_bytes() == IMAGE
        first, second, third = pieces.asked
        assert first < second < third
        await asyncio.sleep(0.1)


async def test_a_piece_of_another_version_is_not_put_behind_the_first_one(tmp_path: Path) -> None:
    pieces, target = Pieces('ETag: "two"\r\n'), tmp_path / "got"
    async with await asyncio.start_server(pieces.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/image.bin"
        assert await failure_of(download(url, target)) is TransferFailure.BROKEN
        pieces.content, pieces.tag = IMAGE[::-1], '"two"'  # and If-Range is not heeded
        await download(url, target)
        assert target.read_bytes() == IMAGE[::-1]
        await asyncio.sleep(0.1)


async def test_what_another_location_left_is_not_gone_on_with(root: Path, tmp_path: Path) -> None:
    (root / "other.bin").write_bytes(IMAGE[::-1])
    async with HttpFiles(root) as server:
        target = tmp_path / "got"
        await cut_once(server, target)
        await download(server.url("other.bin"), target)
        assert target.read_bytes() == IMAGE[::-1]


async def test_a_file_that_had_arrived_whole_before_the_power_went_is_not_fetched_again(
    root: Path, tmp_path: Path
) -> None:
    async with HttpFiles(root) as server:
        target = tmp_path / "got"
        await cut_once(server, target)
        target.write_bytes(IMAGE)  # all of it, and the note is still there
        await download(server.url("image.bin"), target)
        assert target.read_bytes() == IMAGE
        assert len(server.requests) == 2


@pytest.mark.req("R16-303")
@pytest.mark.req("L01.FR.08", "L02.FR.05", "N01.FR.15")
async def test_tls_is_checked_against_the_given_authority(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root, ca=trustme.CA()) as server:
        await download(server.url("image.bin"), tmp_path / "got", trust=server.trust)
        assert (tmp_path / "got").read_bytes() == IMAGE
        await upload(server.url("up.bin"), tmp_path / "got", trust=server.trust)
        assert (root / "up.bin").read_bytes() == IMAGE
        stranger = ssl.create_default_context()
        trustme.CA().configure_trust(stranger)
        failed = download(server.url("image.bin"), tmp_path / "not", trust=stranger)
        assert await failure_of(failed) is TransferFailure.UNTRUSTED
        assert not (tmp_path / "not").exists()


async def test_too_large_is_known_before_a_byte_is_fetched(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        failed = download(server.url("image.bin"), tmp_path / "got", most_bytes=len(IMAGE) - 1)
        assert await failure_of(failed) is TransferFailure.TOO_LARGE
        assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, TransferFailure.PERMISSION_DENIED),
        (403, TransferFailure.PERMISSION_DENIED),
        (404, TransferFailure.NOT_FOUND),
        (500, TransferFailure.REFUSED),
        (503, TransferFailure.REFUSED),
    ],
)
async def test_the_status_tells_the_kind(
    root: Path, tmp_path: Path, status: int, failure: TransferFailure
) -> None:
    async with HttpFiles(root) as server:
        server.statuses["image.bin"] = status
        assert await failure_of(download(server.url("image.bin"), tmp_path / "got")) is failure
        assert await failure_of(upload(server.url("image.bin"), root / "image.bin")) is failure


async def test_wrong_credentials_are_permission_denied_and_are_not_in_the_reason(
    root: Path, tmp_path: Path
) -> None:
    async with HttpFiles(root) as server:
        with pytest.raises(TransferError) as caught:
            await download(server.url("image.bin", "cs:guessed@"), tmp_path / "got")
        assert caught.value.failure is TransferFailure.PERMISSION_DENIED
        assert "guessed" not in str(caught.value)


async def test_nobody_listening_is_unreachable(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        url = server.url("image.bin")
    assert await failure_of(download(url, tmp_path / "got")) is TransferFailure.UNREACHABLE
    assert await failure_of(upload(url, root / "image.bin")) is TransferFailure.UNREACHABLE


async def test_a_server_that_falls_silent_is_given_up(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        server.hangs = True
        server.cut_after_bytes = 100_000
        failed = download(server.url("image.bin"), tmp_path / "got", stall_s=30)
        assert await failure_of(failed) is TransferFailure.STALLED
        assert (tmp_path / "got").stat().st_size == 100_000
        server.cut_after_bytes = 0
        large = tmp_path / "large"
        large.write_bytes(bytes(40_000_000))
        assert await failure_of(upload(server.url("up"), large, stall_s=30)) is TransferFailure.STALLED


async def test_a_slow_server_is_not_given_up_while_something_moves(root: Path, tmp_path: Path) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(20)
            writer.write(b"x")
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await download(f"http://127.0.0.1:{port}/slow", tmp_path / "got", stall_s=30)
    assert (tmp_path / "got").read_bytes() == b"x" * 20


# --- upload ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-303")
@pytest.mark.req("N01.FR.14")
async def test_put_goes_to_the_location_and_into_a_directory_by_name(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "log of CP001.tar.gz"
    file.write_bytes(IMAGE)
    told: list[tuple[int, int | None]] = []
    async with HttpFiles(root) as server:
        await upload(server.url("exact"), file, on_progress=lambda *step: told.append(step))
        await upload(server.url("?signature=a%2Fb"), file)
        await upload(server.url(""), file)
        assert (root / "exact").read_bytes() == IMAGE
        assert (root / file.name).read_bytes() == IMAGE
        assert told[-1] == (len(IMAGE), len(IMAGE))
        assert server.requests == [
            "PUT /exact",
            "PUT /log%20of%20CP001.tar.gz?signature=a%2Fb",
            "PUT /log%20of%20CP001.tar.gz",
        ]


@pytest.mark.req("R16-303")
@pytest.mark.req("N01.FR.19")
@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_that_knows_no_put_gets_a_form(root: Path, tmp_path: Path, status: int) -> None:
    file = tmp_path / "log.tar.gz"
    file.write_bytes(IMAGE)
    async with HttpFiles(root) as server:
        server.statuses["inbox/log.tar.gz"] = status
        await upload(server.url("inbox/"), file)
        assert server.forms == {"log.tar.gz": IMAGE}
        assert server.requests == ["PUT /inbox/log.tar.gz", "POST /inbox/"]


async def test_a_cut_upload_is_broken_and_the_next_one_is_whole(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.tar.gz"
    file.write_bytes(bytes(30_000_000))
    async with HttpFiles(root) as server:
        server.cut_after_bytes = 200_000
        assert await failure_of(upload(server.url(""), file)) is TransferFailure.BROKEN
        await upload(server.url(""), file)
        assert (root / "log.tar.gz").stat().st_size == 30_000_000


# --- redirects -------------------------------------------------------------------------------------------


async def test_a_redirect_is_followed_and_credentials_stay_with_their_host(
    root: Path, tmp_path: Path
) -> None:
    async with HttpFiles(root) as server, HttpFiles(root, password=None) as other:
        server.redirects["old.bin"] = "/image.bin"
        server.redirects["away.bin"] = other.url("image.bin")
        await download(server.url("old.bin"), tmp_path / "got")
        await download(server.url("away.bin"), tmp_path / "got2")
        assert (tmp_path / "got").read_bytes() == (tmp_path / "got2").read_bytes() == IMAGE
        server.redirects["up"] = "/up2"
        await upload(server.url("up"), tmp_path / "got")
        assert (root / "up2").read_bytes() == IMAGE
        # The other host is not told them, so one that wants some refuses.
        other.password = "another"
        failed = download(server.url("away.bin"), tmp_path / "got3")
        assert await failure_of(failed) is TransferFailure.PERMISSION_DENIED


async def test_a_circle_of_redirects_ends(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        server.redirects["round"] = "/round"
        assert await failure_of(download(server.url("round"), tmp_path / "got")) is TransferFailure.REFUSED
        assert len(server.requests) == 6


async def test_no_redirect_leads_out_of_tls(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root, ca=trustme.CA()) as server, HttpFiles(root) as plain:
        server.redirects["down.bin"] = plain.url("image.bin")
        failed = download(server.url("down.bin"), tmp_path / "got", trust=server.trust)
        assert await failure_of(failed) is TransferFailure.UNTRUSTED
        assert plain.requests == []


async def test_a_redirect_to_another_kind_of_server_is_not_followed(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        server.redirects["odd.bin"] = "file:///etc/passwd"
        failed = download(server.url("odd.bin"), tmp_path / "got")
        assert await failure_of(failed) is TransferFailure.NOT_SUPPORTED


async def test_a_cancelled_transfer_leaves_what_has_arrived(root: Path, tmp_path: Path) -> None:
    async with HttpFiles(root) as server:
        server.hangs = True
        server.cut_after_bytes = 100_000
        task = asyncio.create_task(download(server.url("image.bin"), tmp_path / "got", stall_s=1e6))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await download(server.url("image.bin"), tmp_path / "got")
        assert server.requests[-1].endswith("bytes=100000-")
