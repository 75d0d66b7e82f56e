"""SFTP against a real server: host keys trusted on first use, resume both ways, refusals by their kind."""

import asyncio
import logging
import os
from pathlib import Path

import asyncssh
import pytest

from agent.transfer import TransferFailure, download, upload
from agent.transfer.partial import note_path
from tests.helpers.sftp_files import SftpFiles
from tests.transfer.kinds import failure_of, holds, mode_of, size_of, text_of, write

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


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.mark.req("R16-303")
async def test_a_file_arrives_whole_and_progress_is_told(root: Path, tmp_path: Path, known: Path) -> None:
    told: list[tuple[int, int | None]] = []
    async with SftpFiles(root) as server:
        target = tmp_path / "got"
        await download(
            server.url("image.bin"), target, known_hosts=known, on_progress=lambda *step: told.append(step)
        )
        assert holds(target, IMAGE)
        assert told[0] == (0, len(IMAGE))
        assert told[-1] == (len(IMAGE), len(IMAGE))


async def test_the_first_key_is_kept_and_told_and_another_one_is_refused(
    root: Path, tmp_path: Path, known: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with SftpFiles(root) as server:
        with caplog.at_level(logging.WARNING):
            await download(server.url("image.bin"), tmp_path / "got", known_hosts=known)
        assert "trusted from now on: SHA256:" in caplog.text
        kept = text_of(known)
        assert kept.startswith(f"[localhost]:{server.port} ssh-ed25519 ")
        assert mode_of(known) == 0o600
        await upload(server.url("inbox/"), tmp_path / "got", known_hosts=known)
        assert text_of(known) == kept
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        impostor = SftpFiles(root)
        impostor.host_key = asyncssh.generate_private_key(kind)
        async with impostor:
            write(known, kept.replace(f":{server.port}", f":{impostor.port}").encode())
            failed = upload(impostor.url("inbox/"), tmp_path / "got", known_hosts=known)
            assert await failure_of(failed) is TransferFailure.UNTRUSTED
            assert impostor.requests == []


async def test_where_no_key_can_be_kept_only_known_hosts_are_trusted(root: Path, tmp_path: Path) -> None:
    async with SftpFiles(root) as server:
        nowhere = tmp_path / "none" / "known_hosts"
        failed = download(server.url("image.bin"), tmp_path / "got", known_hosts=nowhere)
        assert await failure_of(failed) is TransferFailure.UNTRUSTED
        assert server.requests == []


async def test_a_broken_file_of_known_hosts_trusts_nobody(root: Path, tmp_path: Path, known: Path) -> None:
    write(known, b"\xff\xfe not text")
    async with SftpFiles(root) as server:
        failed = download(server.url("image.bin"), tmp_path / "got", known_hosts=known)
        assert await failure_of(failed) is TransferFailure.UNTRUSTED


async def test_without_a_file_of_known_hosts_there_is_no_sftp(root: Path, tmp_path: Path) -> None:
    async with SftpFiles(root) as server:
        failed = download(server.url("image.bin"), tmp_path / "got")
        assert await failure_of(failed) is TransferFailure.NOT_SUPPORTED


@pytest.mark.req("R16-303")
async def test_a_cut_download_goes_on_where_it_broke(root: Path, tmp_path: Path, known: Path) -> None:
    async with SftpFiles(root) as server:
        target = tmp_path / "got"
        server.cut_after_bytes = 1_000_000
        failed = download(server.url("image.bin"), target, known_hosts=known)
        assert await failure_of(failed) is TransferFailure.BROKEN
        size = size_of(target)
        assert 0 < size < len(IMAGE)
        server.requests.clear()
        await download(server.url("image.bin"), target, known_hosts=known)
        assert holds(target, IMAGE)
        assert min(int(line[5:]) for line in server.requests if line.startswith("read")) == size


async def test_a_file_that_changed_in_between_is_fetched_anew(
    root: Path, tmp_path: Path, known: Path
) -> None:
    async with SftpFiles(root) as server:
        server.cut_after_bytes = 1_000_000
        failed = download(server.url("image.bin"), tmp_path / "got", known_hosts=known)
        assert await failure_of(failed) is TransferFailure.BROKEN
        (root / "image.bin").write_bytes(IMAGE[::-1])
        os.utime(root / "image.bin", (1e9, 1e9))
        await download(server.url("image.bin"), tmp_path / "got", known_hosts=known)
        assert holds(tmp_path / "got", IMAGE[::-1])


@pytest.mark.req("R16-303")
@pytest.mark.parametrize("place", ["inbox/", "inbox", "inbox/exact.bin", "~/inbox/"])
async def test_upload_into_a_directory_or_to_a_name(root: Path, file: Path, known: Path, place: str) -> None:
    async with SftpFiles(root) as server:
        told: list[tuple[int, int | None]] = []
        await upload(server.url(place), file, known_hosts=known, on_progress=lambda *step: told.append(step))
        name = "exact.bin" if place.endswith("bin") else file.name
        assert holds(root / "inbox" / name, IMAGE)
        assert told[-1] == (len(IMAGE), len(IMAGE))
        assert not note_path(file).exists()


@pytest.mark.req("R16-303")
async def test_a_cut_upload_goes_on_where_it_broke(root: Path, file: Path, known: Path) -> None:
    async with SftpFiles(root) as server:
        server.cut_after_bytes = 1_000_000
        failed = upload(server.url("inbox/"), file, known_hosts=known)
        assert await failure_of(failed) is TransferFailure.BROKEN
        server.requests.clear()
        await upload(server.url("inbox/"), file, known_hosts=known)
        assert holds(root / "inbox" / file.name, IMAGE)
        assert min(int(line[6:]) for line in server.requests if line.startswith("write")) > 0


async def test_a_file_of_the_same_name_that_we_did_not_begin_is_replaced(
    root: Path, file: Path, known: Path
) -> None:
    (root / "inbox" / file.name).write_bytes(b"from another station")
    async with SftpFiles(root) as server:
        await upload(server.url("inbox/"), file, known_hosts=known)
        assert holds(root / "inbox" / file.name, IMAGE)


async def test_refusals_by_their_kind(root: Path, tmp_path: Path, file: Path, known: Path) -> None:
    (root / "locked").mkdir(mode=0o500)
    async with SftpFiles(root) as server:
        for transfer, failure in (
            (
                download(server.url("image.bin", "cs:guessed@"), tmp_path / "a", known_hosts=known),
                TransferFailure.PERMISSION_DENIED,
            ),
            (download(server.url("none.bin"), tmp_path / "a", known_hosts=known), TransferFailure.NOT_FOUND),
            (upload(server.url("none/deep/"), file, known_hosts=known), TransferFailure.NOT_FOUND),
            (
                download(server.url("image.bin"), tmp_path / "b", known_hosts=known, most_bytes=1000),
                TransferFailure.TOO_LARGE,
            ),
        ):
            assert await failure_of(transfer) is failure
    failed = upload(server.url("inbox/"), file, known_hosts=known)
    assert await failure_of(failed) is TransferFailure.UNREACHABLE


async def test_a_server_that_falls_silent_is_given_up(root: Path, tmp_path: Path, known: Path) -> None:
    async with SftpFiles(root) as server:
        server.hangs = True
        server.cut_after_bytes = 1_000_000
        failed = download(server.url("image.bin"), tmp_path / "got", known_hosts=known)
        assert await failure_of(failed) is TransferFailure.STALLED


async def test_a_port_that_does_not_speak_ssh_is_no_server(tmp_path: Path, known: Path) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        url = f"sftp://cs:x@127.0.0.1:{server.sockets[0].getsockname()[1]}/image.bin"
        failed = download(url, tmp_path / "got", known_hosts=known)
        assert await failure_of(failed) is TransferFailure.UNREACHABLE
