"""The archive: whole or not there, bounded, and every text in it without secrets."""

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.diagnostics import archive
from agent.diagnostics.archive import CUT_MARK, Part, write_archive, write_lines
from agent.diagnostics.secrets import Secrets

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NONE = Secrets([])


def read(file: Path) -> dict[str, str]:
    with tarfile.open(file) as opened:
        found = {member.name: opened.extractfile(member) for member in opened.getmembers()}
        return {name: content.read().decode() for name, content in found.items() if content is not None}


def test_all_parts_are_in_one_directory_named_as_the_file(tmp_path: Path) -> None:
    target = tmp_path / "new" / "CP001_x.tar.gz"
    write_archive(target, [Part("a.json", ["{}\n"]), Part("b.log", iter(["one\n", "zwei ü\n"]))], NONE, NOON)
    assert read(target) == {"CP001_x/a.json": "{}\n", "CP001_x/b.log": "one\nzwei ü\n"}
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as opened:
        assert {member.mtime for member in opened.getmembers()} == {int(NOON.timestamp())}


@pytest.mark.req("R16-361")
def test_secrets_are_taken_out_of_archives_and_lines(tmp_path: Path) -> None:
    secrets = Secrets([b"correct horse"], "CP001")
    lines = ["x correct horse y\n", "636f727265637420686f727365\n", "password=tiny\n", "ftp://u:p@host/\n"]
    write_archive(tmp_path / "a.tar.gz", [Part("a", lines)], secrets, NOON)
    write_lines(tmp_path / "a.jsonl", lines, secrets)
    for text in (*read(tmp_path / "a.tar.gz").values(), (tmp_path / "a.jsonl").read_text()):
        assert text == "x *** y\n***\npassword=***\nftp://u:***@host/\n"


def test_of_a_part_that_is_too_long_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PART_LIMIT_BYTES", 100)
    lines = [f"line {number:03}\n" for number in range(1000)]
    write_lines(tmp_path / "a", lines, NONE)
    assert (tmp_path / "a").read_text() == CUT_MARK + "".join(lines[-11:])


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "one\n"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk is gone"):
        write_archive(tmp_path / "a.tar.gz", [Part("a", broken())], NONE, NOON)
    with pytest.raises(OSError, match="disk is gone"):
        write_lines(tmp_path / "a.jsonl", broken(), NONE)
    assert list(tmp_path.iterdir()) == []
