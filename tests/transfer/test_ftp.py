"""FTP and FTPS against a real server: resume by REST both ways, explicit and implicit TLS, refusals by their kind."""

import asyncio
import os
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from agent.transfer import TransferError, TransferFailure, download, ftp, upload
from agent.transfer.partial import note_path
from tests.helpers.ftp_files import FtpFiles
from tests.transfer.kinds import failure_of, holds, size_of

IMAGE = os.urandom(3_000_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    (folder / "inbox").mkdir(parents=True)
    (folder / "image.bin").write_bytes(IMAGE)
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log of CP001.tar.gz"
    path.write_bytes(IMAGE)
    return path


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.mark.req("R16-303")
async def test_a_file_arrives_whole_and_progress_is_told(root: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    async with FtpFiles(root) as server:
        target = tmp_path / "got"
        await download(server.url("image.bin"), target, on_progress=lambda *step: told.append(step))
        assert holds(target, IMAGE)
        assert told[0] == (0, len(IMAGE))
        assert told[-1] == (len(IMAGE), len(IMAGE))
        assert "PASV" in server.requests or "EPSV" in server.requests  # W N01: passive


@pytest.mark.req("R16-303")
async def test_an_anonymous_user_needs_no_password(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root, password=None) as server:
        await download(server.url("image.bin"), tmp_path / "got")
        assert "USER anonymous" in server.requests


@pytest.mark.req("R16-303")
@pytest.mark.parametrize("is_implicit", [False, True])
async def test_ftps_speaks_tls_explicitly_or_from_the_first_byte(
    root: Path,
    tmp_path: Path,
    file: Path,
    ca: trustme.CA,
    is_implicit: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ftp, "GREETING_S", 0.3)
    async with FtpFiles(root, ca=ca) as server:
        server.is_implicit = is_implicit
        await download(server.url("image.bin"), tmp_path / "got", trust=server.trust)
        assert holds(tmp_path / "got", IMAGE)
        await upload(server.url("inbox/"), file, trust=server.trust)
        assert holds(root / "inbox" / file.name, IMAGE)
        assert ("AUTH TLS" in server.requests) is not is_implicit
        assert "PROT P" in server.requests


async def test_a_certificate_of_a_stranger_is_not_trusted(root: Path, tmp_path: Path, ca: trustme.CA) -> None:
    stranger = ssl.create_default_context()
    trustme.CA().configure_trust(stranger)
    async with FtpFiles(root, ca=ca) as server:
        failed = download(server.url("image.bin"), tmp_path / "got", trust=stranger)
        assert await failure_of(failed) is TransferFailure.UNTRUSTED
        assert not any(line.startswith(("USER", "PASS")) for line in server.requests)


@pytest.mark.req("R16-303")
@pytest.mark.parametrize("is_secured", [False, True])
async def test_a_cut_download_goes_on_where_it_broke(
    root: Path, tmp_path: Path, ca: trustme.CA, is_secured: bool
) -> None:
    async with FtpFiles(root, ca=ca if is_secured else None) as server:
        trust = server.trust if is_secured else None
        target = tmp_path / "got"
        server.cut_after_bytes = 1_000_000
        failed = download(server.url("image.bin"), target, trust=trust)
        assert await failure_of(failed) is TransferFailure.BROKEN
        size = size_of(target)
        assert 0 < size < len(IMAGE)
        told: list[int] = []
        await download(server.url("image.bin"), target, trust=trust, on_progress=lambda n, _: told.append(n))
        assert holds(target, IMAGE)
        assert f"REST {size}" in server.requests
        assert told[0] == size


async def test_a_file_that_changed_in_between_is_fetched_anew(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root) as server:
        server.cut_after_bytes = 1_000_000
        assert await failure_of(download(server.url("image.bin"), tmp_path / "got")) is TransferFailure.BROKEN
        newer = IMAGE[::-1]  # as long as the old one
        (root / "image.bin").write_bytes(newer)
        os.utime(root / "image.bin", (1e9, 1e9))
        await download(server.url("image.bin"), tmp_path / "got")
        assert holds(tmp_path / "got", newer)


async def test_a_server_without_rest_gives_it_from_the_start(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root) as server:
        server.knows_rest = False
        server.cut_after_bytes = 1_000_000
        assert await failure_of(download(server.url("image.bin"), tmp_path / "got")) is TransferFailure.BROKEN
        await download(server.url("image.bin"), tmp_path / "got")
        assert holds(tmp_path / "got", IMAGE)


@pytest.mark.req("R16-303")
@pytest.mark.parametrize("place", ["inbox/", "inbox", "inbox/exact.bin", "%2Finbox/"])
async def test_upload_into_a_directory_or_to_a_name(root: Path, file: Path, place: str) -> None:
    async with FtpFiles(root) as server:
        told: list[tuple[int, int | None]] = []
        await upload(server.url(place), file, on_progress=lambda *step: told.append(step))
        name = "exact.bin" if place.endswith("bin") else file.name
        assert holds(root / "inbox" / name, IMAGE)
        assert told[-1] == (len(IMAGE), len(IMAGE))
        assert not note_path(file).exists()


@pytest.mark.req("R16-303")
@pytest.mark.parametrize("is_secured", [False, True])
async def test_a_cut_upload_goes_on_where_it_broke(
    root: Path, file: Path, ca: trustme.CA, is_secured: bool
) -> None:
    async with FtpFiles(root, ca=ca if is_secured else None) as server:
        trust = server.trust if is_secured else None
        server.cut_after_bytes = 1_000_000
        failed = upload(server.url("inbox/"), file, trust=trust)
        assert await failure_of(failed) is TransferFailure.BROKEN
        told: list[int] = []
        await upload(
            server.url("inbox/"), file, trust=trust, on_progress=lambda done, _total: told.append(done)
        )
        assert holds(root / "inbox" / file.name, IMAGE)
        assert told[0] > 0
        assert f"REST {told[0]}" in server.requests


async def test_a_file_of_the_same_name_that_we_did_not_begin_is_replaced(root: Path, file: Path) -> None:
    (root / "inbox" / file.name).write_bytes(b"from another station")
    async with FtpFiles(root) as server:
        await upload(server.url("inbox/"), file)
        assert holds(root / "inbox" / file.name, IMAGE)


async def test_refusals_by_their_kind(root: Path, tmp_path: Path, file: Path) -> None:
    async with FtpFiles(root) as server:
        for transfer, failure in (
            (
                download(server.url("image.bin", "cs:guessed@"), tmp_path / "a"),
                TransferFailure.PERMISSION_DENIED,
            ),
            (download(server.url("none.bin"), tmp_path / "a"), TransferFailure.NOT_FOUND),
            (upload(server.url("none/deep/"), file), TransferFailure.NOT_FOUND),
            (upload(server.url("inbox/", "reader:reader@"), file), TransferFailure.PERMISSION_DENIED),
            (download(server.url("image.bin"), tmp_path / "b", most_bytes=1000), TransferFailure.TOO_LARGE),
        ):
            assert await failure_of(transfer) is failure
    assert await failure_of(upload(server.url("inbox/"), file)) is TransferFailure.UNREACHABLE


async def test_the_reason_names_no_password(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root) as server:
        with pytest.raises(TransferError) as caught:
            await download(server.url("image.bin", "cs:guessed@"), tmp_path / "got")
        assert "guessed" not in str(caught.value)


@pytest.mark.real_time
async def test_a_server_that_falls_silent_is_given_up(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root) as server:
        server.hangs = True
        server.cut_after_bytes = 1_000_000
        failed = download(server.url("image.bin"), tmp_path / "got", stall_s=0.3)
        assert await failure_of(failed) is TransferFailure.STALLED


@pytest.mark.real_time
async def test_a_greeting_that_never_comes_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ftp://127.0.0.1:{silent.getsockname()[1]}/image.bin"
        failed = download(url, tmp_path / "got", connect_s=0.2)
        assert await failure_of(failed) is TransferFailure.UNREACHABLE


@pytest.mark.real_time
async def test_a_cancelled_transfer_ends_its_thread(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root) as server:
        server.hangs = True
        server.cut_after_bytes = 1_000_000
        began = asyncio.Event()
        task = asyncio.create_task(
            download(server.url("image.bin"), tmp_path / "got", on_progress=lambda *_: began.set())
        )
        await began.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 3)


async def test_a_path_cannot_smuggle_a_second_command(root: Path, tmp_path: Path) -> None:
    async with FtpFiles(root) as server:
        failed = download(server.url("image.bin%0D%0ADELE%20image.bin"), tmp_path / "got")
        assert await failure_of(failed) is TransferFailure.BAD_LOCATION
        assert (root / "image.bin").exists()
        assert server.requests == []
