"""A file that is still arriving: bounds, full disks, and the note by which it is gone on with."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.transfer import TransferError, TransferFailure, download, forget
from agent.transfer.partial import PartialFile, note_path
from tests.helpers.file_servers import HttpFiles
from tests.transfer.kinds import failure_of, size_of


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Files of this process can hold no more than so many bytes: the kernel says no as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    yield 300_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def begun(target: Path, version: str = "v1", most_bytes: int | None = None) -> PartialFile:
    part = PartialFile(target, "here", most_bytes)
    part.begin(0, version, None)
    part.write(b"half of it")
    part.close()
    return part


def test_what_an_earlier_process_left_is_found_with_its_version(tmp_path: Path) -> None:
    begun(tmp_path / "got")
    assert PartialFile(tmp_path / "got", "here", None).held() == (10, "v1")


def test_without_a_version_or_from_elsewhere_it_starts_over(tmp_path: Path) -> None:
    begun(tmp_path / "got")
    assert PartialFile(tmp_path / "got", "there", None).held() == (0, "")
    begun(tmp_path / "got", version="")
    assert PartialFile(tmp_path / "got", "here", None).held() == (0, "")


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"location": 1}', b"\xff"])
def test_a_damaged_note_counts_as_none(tmp_path: Path, note: bytes) -> None:
    begun(tmp_path / "got")
    note_path(tmp_path / "got").write_bytes(note)
    assert PartialFile(tmp_path / "got", "here", None).held() == (0, "")


def test_more_than_allowed_is_refused_while_it_arrives(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "got", "here", 5)
    part.begin(0, "v1", None)
    part.write(b"12345")
    with pytest.raises(TransferError) as caught:
        part.write(b"6")
    part.close()
    assert caught.value.failure is TransferFailure.TOO_LARGE


def test_a_length_that_was_not_kept_is_broken(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "got", "here", None)
    part.begin(0, "v1", 4)
    part.write(b"123")
    with pytest.raises(TransferError) as caught:
        part.finish(4)
    part.close()
    assert caught.value.failure is TransferFailure.BROKEN


def test_nothing_is_written_once_it_was_given_up(tmp_path: Path) -> None:
    part = begun(tmp_path / "got")
    with pytest.raises(TransferError):
        part.write(b"late")
    assert (tmp_path / "got").read_bytes() == b"half of it"


async def test_a_full_disk_ends_a_download_and_what_fitted_is_kept(tmp_path: Path, small_disk: int) -> None:
    async with HttpFiles(tmp_path) as server:
        server.content["image.bin"] = bytes(2 * small_disk)
        failed = download(server.url("image.bin"), tmp_path / "got")
        assert await failure_of(failed) is TransferFailure.NO_SPACE
    assert size_of(tmp_path / "got") == small_disk


async def test_a_place_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    async with HttpFiles(tmp_path) as server:
        server.content["image.bin"] = b"x"
        failed = download(server.url("image.bin"), tmp_path / "none" / "got")
        assert await failure_of(failed) is TransferFailure.NO_SPACE


def test_forget_removes_the_file_and_its_note(tmp_path: Path) -> None:
    begun(tmp_path / "got")
    forget(tmp_path / "got")
    forget(tmp_path / "got")
    assert list(tmp_path.iterdir()) == []
