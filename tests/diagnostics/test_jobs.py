"""The order on disk: durable, private, and never a reason not to start."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.charging.ids import LogKind
from agent.charging.requests import UploadLog
from agent.diagnostics.jobs import NAME, JobFile, UploadJob

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(name: str = "a.tar.gz") -> UploadJob:
    request = UploadLog(LogKind.SECURITY, "ftp://u:p@host/", NOON, None, 3, 60, 7)
    return UploadJob(request, name, NOON, attempts=2)


def test_what_was_saved_is_found_again(tmp_path: Path) -> None:
    JobFile(tmp_path / "new").save(job())
    assert JobFile(tmp_path / "new").load() == job()
    assert (tmp_path / "new" / NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == [NAME]


def test_nothing_saved_is_nothing_found(tmp_path: Path) -> None:
    assert JobFile(tmp_path / "new").load() is None
    JobFile(tmp_path).save(job())
    JobFile(tmp_path).drop()
    JobFile(tmp_path).drop()
    assert JobFile(tmp_path).load() is None


@pytest.mark.parametrize("damage", [b"", b"{", b'{"request": 1}', b"\xff\x00"])
def test_a_damaged_order_is_dropped(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / NAME).write_bytes(damage)
    assert JobFile(tmp_path).load() is None


def test_a_sweep_leaves_the_present_order_and_its_file(tmp_path: Path) -> None:
    JobFile(tmp_path).save(job())
    for name in ("a.tar.gz", "a.tar.gz.resume", "a.tar.gz.part", "old.tar.gz", "old.jsonl.resume"):
        (tmp_path / name).write_text("x")
    JobFile(tmp_path).sweep("a.tar.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "a.tar.gz.resume", NAME]
    JobFile(tmp_path).sweep(None)
    assert list(tmp_path.iterdir()) == []
    JobFile(tmp_path / "none").sweep(None)
