"""The configuration file that `evse-agent init` writes: what it says, and how it gets onto the disk."""

import builtins
import os
import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commissioning import writing
from agent.commissioning.answers import Answers, MeterAnswer, ReaderAnswer
from agent.commissioning.writing import BLANK, COMMENTS, judged, problems_of, toml_text, write_file
from agent.config import all_keys, parse

TODAY = date(2026, 5, 4)
FULL = Answers(
    csms_url="wss://csms.example.com/ocpp",
    identity="CP001",
    vendor="ACME",
    model="Wall 22",
    serial_number="4711",
    security_profile=2,
    password='quotes " and \\ and ü and more',
    state_dir="/srv/evse",
    board_port="/dev/evse/board",
    evses=2,
    max_current_a=16.0,
    meters=(
        MeterAnswer(evse=1, model="sdm630", port="/dev/ttyUSB0", unit=1),
        MeterAnswer(evse=2, model="sdm630", port="/dev/ttyUSB0", unit=2),
        MeterAnswer(
            evse=0, model="b23", port="/dev/ttyUSB1", unit=5, baud_rate=9600, parity="none", stop_bits=2
        ),
    ),
    readers=(
        ReaderAnswer(model="rdm6300", port="/dev/ttyUSB2"),
        ReaderAnswer(model="pn532", port="board:reader"),
    ),
)


def test_everything_answered_is_read_back_by_the_agents_own_loader() -> None:
    text = toml_text(FULL, TODAY)
    assert problems_of(text) == []
    config = parse(text)
    assert (config.station.identity, config.station.vendor) == ("CP001", "ACME")
    assert (config.station.model, config.station.serial_number) == ("Wall 22", "4711")
    assert (config.csms.url, config.csms.security_profile) == (FULL.csms_url, 2)
    assert config.csms.read_password() == FULL.password.encode()
    assert config.agent.state_dir == "/srv/evse"
    assert config.hal.driver == "board"
    board = config.hal.board
    assert (board.port, board.evses, board.max_current_a) == ("/dev/evse/board", 2, 16.0)
    assert [(meter.evse, meter.model, meter.unit) for meter in config.hal.meters] == [
        (1, "sdm630", 1),
        (2, "sdm630", 2),
        (0, "b23", 5),
    ]
    odd = config.hal.meters[2]
    assert (odd.baud_rate, odd.parity, odd.stop_bits) == (9600, "none", 2)
    assert [(reader.model, reader.port) for reader in config.hal.readers] == [
        ("rdm6300", "/dev/ttyUSB2"),
        ("pn532", "board:reader"),
    ]


def test_simulated_hardware_names_no_port() -> None:
    text = toml_text(replace(BLANK, max_current_a=16.0, evses=3), TODAY)
    config = parse(text)
    assert (config.hal.driver, config.hal.sim.evses, config.hal.sim.max_current_a) == ("sim", 3, 16.0)
    assert "port" not in text


def test_every_comment_belongs_to_a_key_and_every_value_has_a_comment() -> None:
    assert set(COMMENTS) <= set(all_keys())
    lines = [
        line for line in toml_text(FULL, TODAY).splitlines() if " = " in line and not line.startswith("#")
    ]
    assert len(lines) > 20
    assert [line for line in lines if "  # " not in line] == []


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=16, max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
def test_any_text_comes_back_as_it_was_typed(password: str, vendor: str) -> None:
    given_answers = replace(FULL, password=password, vendor=vendor)
    try:
        judged("station.vendor", "vendor", vendor)
    except ValueError:
        return  # the loader wants at least one character that is no line end
    config = parse(toml_text(given_answers, TODAY))
    assert config.csms.password == password
    assert config.station.vendor == vendor


def test_one_value_is_judged_by_the_loader_alone() -> None:
    assert judged("station.identity", "identity", "CP001") == "CP001"
    with pytest.raises(ValueError, match="48 characters without spaces"):
        judged("station.identity", "identity", "CP 001")
    with pytest.raises(ValueError, match="at most 20"):
        judged("station.vendor", "vendor", "x" * 21)


def test_meters_that_want_different_settings_of_one_line_are_a_problem() -> None:
    answers = replace(
        FULL, meters=(replace(FULL.meters[0]), replace(FULL.meters[1], baud_rate=19200)), readers=()
    )
    assert any("line settings" in problem.message for problem in problems_of(toml_text(answers, TODAY)))


# --- the way to the disk ----------------------------------------------------------------------------------


def test_a_new_file_is_for_owner_and_group_only_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    before = os.umask(0o077)
    try:
        assert write_file(path, "a = 1\n", force=False) is None
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text() == "a = 1\n"
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_a_file_is_never_replaced_without_force(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_file(path, "theirs", force=False)
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_force_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    path.chmod(0o600)
    assert write_file(path, "theirs", force=True) == tmp_path / "config.toml.bak"
    assert path.read_text() == "theirs"
    assert (tmp_path / "config.toml.bak").read_text() == "mine"
    assert stat.S_IMODE((tmp_path / "config.toml.bak").stat().st_mode) == 0o600
    assert write_file(path, "newest", force=True) == tmp_path / "config.toml.bak"
    assert (tmp_path / "config.toml.bak").read_text() == "theirs"


def test_the_old_password_is_never_readable_for_more_people_than_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the moment in which a copy would have the mode of the umask."""
    path = tmp_path / "config.toml"
    path.write_text("mine")
    path.chmod(0o600)
    seen = []
    opened = builtins.open

    def watch(file: object, mode: str = "r", *more: object, **options: object) -> object:
        stream = opened(file, mode, *more, **options)  # type: ignore[call-overload]
        if str(file).endswith(".bak"):
            seen.append(oct(os.fstat(stream.fileno()).st_mode & 0o777))
        return stream

    monkeypatch.setattr(builtins, "open", watch)
    write_file(path, "theirs", force=True)
    assert seen == []
    assert (tmp_path / "config.toml.bak").stat().st_mode & 0o077 == 0


def test_behind_a_link_the_file_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/station.toml").write_text("mine")
    (tmp_path / "config.toml").symlink_to(tmp_path / "real/station.toml")
    assert write_file(tmp_path / "config.toml", "theirs", force=True) == tmp_path / "real/station.toml.bak"
    assert (tmp_path / "config.toml").is_symlink()
    assert (tmp_path / "real/station.toml").read_text() == "theirs"
    assert (tmp_path / "real/station.toml.bak").read_text() == "mine"


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_file(path, "theirs", force=True)
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_what_a_power_cut_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".config.toml.new").write_text("half")
    write_file(tmp_path / "config.toml", "whole", force=False)
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_the_file_belongs_to_the_group_of_its_directory(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    folder = tmp_path / "etc"
    folder.mkdir()
    os.chown(folder, 0, 12345)
    write_file(folder / "config.toml", "a = 1\n", force=False)
    assert (folder / "config.toml").stat().st_gid == 12345
