"""Files that are whole or not there, and nobody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.security.folder import Folder
from agent.security.pem import blocks

TEXT = "a secret\n" * 5000


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.req("R16-338")
def test_directory_and_files_are_for_their_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = Folder(tmp_path / "deep" / "certificates")
        folder.write("key", TEXT)
    finally:
        os.umask(before)
    assert mode(folder.path) == 0o700
    assert mode(folder.path / "key") == 0o600
    folder.path.chmod(0o755)
    folder.write("key", "again")
    assert mode(folder.path) == 0o700


def test_what_is_written_is_read_and_replaced_and_removed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "x")
    assert folder.names() == []
    folder.remove("none")
    folder.write("b", "2")
    folder.write("a", "1")
    folder.write("a", TEXT)
    assert folder.names() == ["a", "b"]
    assert folder.read("a") == TEXT
    folder.remove("a")
    assert folder.names() == ["b"]


def test_an_unfinished_file_is_not_seen_and_does_not_block_the_next_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "key.new").write_text("half")
    assert folder.names() == []
    folder.write("key", "whole")
    assert folder.names() == ["key"]
    assert folder.read("key") == "whole"


KILLED = """
import os, sys
from pathlib import Path
from agent.security import folder as module
calls, deadline = 0, int(sys.argv[2])
def dying(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == deadline:
            os.kill(os.getpid(), 9)
        return real(*args, **kwargs)
    return call
for name in ("open", "fsync", "rename", "replace", "close"):
    setattr(os, name, dying(name))
module.Folder(Path(sys.argv[1])).write("key", "new" * 4000)
"""


@pytest.mark.system
def test_a_process_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    finished = False
    for step in range(1, 20):
        folder = Folder(tmp_path / str(step))
        folder.write("key", "old")
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder.path), str(step)], check=False)
        assert done.returncode in (0, -9)
        assert folder.names() == ["key"]
        assert folder.read("key") in ("old", "new" * 4000)
        folder.write("key", "after")
        assert folder.read("key") == "after"
        if done.returncode == 0:
            finished = True
            break
    assert finished
    assert step > 3  # the kills did hit


@pytest.mark.req("TOLERATE-12")
@pytest.mark.parametrize("line_end", ["\n", "\r\n", " \r\n", "\n\n"])
def test_pem_blocks_are_found_whatever_their_line_ends(line_end: str) -> None:
    text = line_end.join(
        ["# a comment", "-----BEGIN CERTIFICATE-----", "AAAA", "BBBB", "-----END CERTIFICATE-----", "x"]
    )
    assert blocks(text) == ["-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n"]


def test_only_blocks_of_the_label_are_taken() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    certificate = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
    assert blocks(key + certificate + key) == [certificate]
    assert blocks(key + certificate, "PRIVATE KEY") == [key]
    assert blocks("-----BEGIN CERTIFICATE-----\nAAAA") == []
