"""access.json: what is kept, that nothing can be read back, and that changes are whole and seen."""

import errno
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.web import passwords
from agent.web.passwords import FILE_NAME, AccessError, AccessFile, Cost
from agent.web.roles import Role

CHEAP = Cost(n=2, r=1, p=1)
GOOD = "correct horse"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> AccessFile:
    return AccessFile(tmp_path, cost=CHEAP, now=clock)


def test_without_a_file_nothing_is_protected(file: AccessFile) -> None:
    assert not file.read().is_protected
    assert file.read().role_of(GOOD) is None


def test_a_password_opens_its_role_and_nothing_else(file: AccessFile) -> None:
    file.set_password(Role.OPERATOR, GOOD)
    file.set_password(Role.INSTALLER, "another one")
    state = file.read()
    assert state.is_protected
    assert state.role_of(GOOD) is Role.OPERATOR
    assert state.role_of(GOOD, Role.OPERATOR) is Role.OPERATOR
    assert state.role_of(GOOD, Role.INSTALLER) is None
    assert state.role_of(GOOD + " ") is None
    assert state.role_of("another one") is Role.INSTALLER


def test_two_roles_never_share_a_password(file: AccessFile) -> None:
    file.set_password(Role.VIEWER, GOOD)
    with pytest.raises(AccessError, match="another role"):
        file.set_password(Role.INSTALLER, GOOD)
    file.set_password(Role.VIEWER, GOOD)  # its own one again is fine


def test_the_default_cost_is_that_of_the_documentation(tmp_path: Path) -> None:
    AccessFile(tmp_path).set_password(Role.INSTALLER, GOOD)
    row = json.loads((tmp_path / FILE_NAME).read_text())["passwords"]["installer"]
    assert (row["n"], row["r"], row["p"]) == (16_384, 8, 5)
    assert AccessFile(tmp_path).read().role_of(GOOD) is Role.INSTALLER


def test_the_file_is_for_its_owner_and_holds_no_secret(file: AccessFile, tmp_path: Path) -> None:
    file.set_password(Role.INSTALLER, GOOD)
    token = file.create_token("grafana", Role.VIEWER)
    path = tmp_path / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert GOOD not in path.read_text()
    assert token not in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("text", ["", "short", "aaaaaaaaaaaa", "x" * 257])
def test_a_password_that_will_not_do_changes_nothing(file: AccessFile, tmp_path: Path, text: str) -> None:
    with pytest.raises(AccessError):
        file.set_password(Role.INSTALLER, text)
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_good_until_it_expires_or_is_revoked(file: AccessFile, clock: Clock) -> None:
    for_ever = file.create_token("grafana", Role.VIEWER)
    short = file.create_token("visit", Role.OPERATOR, days=1)
    found = file.read().find_token(short, clock.now)
    assert found is not None
    assert (found.name, found.role) == ("visit", Role.OPERATOR)
    assert file.read().find_token(short + "x", clock.now) is None
    clock.now += timedelta(days=1)
    assert file.read().find_token(short, clock.now) is None
    assert file.read().find_token(for_ever, clock.now) is not None
    assert file.revoke_token("grafana")
    assert not file.revoke_token("grafana")
    assert file.read().find_token(for_ever, clock.now) is None


def test_a_name_is_used_once_and_again_when_it_has_expired(file: AccessFile, clock: Clock) -> None:
    file.create_token("visit", Role.VIEWER, days=1)
    with pytest.raises(AccessError, match="revoke it first"):
        file.create_token("visit", Role.VIEWER)
    clock.now += timedelta(days=2)
    file.create_token("visit", Role.VIEWER)
    assert len(file.read().tokens) == 1


@pytest.mark.parametrize("name", ["", "two words", "x" * 41, "a\n"])
def test_a_name_is_one_plain_word(file: AccessFile, name: str) -> None:
    with pytest.raises(AccessError, match="a name has"):
        file.create_token(name, Role.VIEWER)


def test_a_change_by_another_process_is_seen(file: AccessFile, tmp_path: Path) -> None:
    assert not file.read().is_protected
    other = AccessFile(tmp_path, cost=CHEAP)
    other.set_password(Role.INSTALLER, GOOD)
    assert file.read().role_of(GOOD) is Role.INSTALLER
    assert other.remove_password(Role.INSTALLER)
    assert not other.remove_password(Role.INSTALLER)
    assert not file.read().is_protected


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"passwords": {"root": {}}, "tokens": []}',
        '{"passwords": 5, "tokens": []}',
        "\udcff",
    ],
)
def test_a_damaged_file_lets_nobody_in_until_a_password_is_set_again(
    file: AccessFile, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content.encode("utf-8", "surrogateescape"))
    state = file.read()
    assert state.is_protected
    assert state.role_of(GOOD) is None
    assert "damaged" in caplog.text
    with pytest.raises(AccessError, match="set a password again"):
        file.create_token("x", Role.VIEWER)
    file.set_password(Role.INSTALLER, GOOD)
    assert file.read().role_of(GOOD) is Role.INSTALLER


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_lets_nobody_in(file: AccessFile, tmp_path: Path) -> None:
    file.set_password(Role.INSTALLER, GOOD)
    (tmp_path / FILE_NAME).chmod(0)
    assert AccessFile(tmp_path).read().is_protected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_writes_belongs_to_the_owner_of_the_state_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_346)
    AccessFile(tmp_path, cost=CHEAP).set_password(Role.INSTALLER, GOOD)
    found = (tmp_path / FILE_NAME).stat()
    assert (found.st_uid, found.st_gid) == (12_345, 12_346)


def test_a_disk_that_fails_leaves_the_former_file(
    file: AccessFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.set_password(Role.INSTALLER, GOOD)

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.web.passwords.os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        file.set_password(Role.INSTALLER, "another one")
    assert AccessFile(tmp_path).read().role_of(GOOD) is Role.INSTALLER
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


def test_what_could_not_be_read_for_a_moment_is_read_again(
    file: AccessFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rights that were corrected, or descriptors that are free again, do not touch the file."""
    AccessFile(tmp_path, cost=CHEAP).set_password(Role.INSTALLER, GOOD)

    def too_many_open(_path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", too_many_open)
        for _ in range(3):
            assert file.read().is_protected
            assert file.read().role_of(GOOD) is None
    assert file.read().role_of(GOOD) is Role.INSTALLER
    assert len(caplog.records) == 1, "said once"


def test_corrected_rights_are_a_change_of_the_file(tmp_path: Path) -> None:
    AccessFile(tmp_path, cost=CHEAP).set_password(Role.INSTALLER, GOOD)
    before = passwords._mark(tmp_path / FILE_NAME)
    (tmp_path / FILE_NAME).chmod(0o640)
    assert passwords._mark(tmp_path / FILE_NAME) != before
