"""The log on disk: complete, bounded, without secrets, never in the way; entries are found again by their time."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.log_file import LogFile, lines_within

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[logging.Logger]:
    logger = logging.getLogger("agent.test")
    handler = LogFile(tmp_path / "log" / "agent.log", 1_000, 3, clock.now)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def handler_of(logger: logging.Logger) -> LogFile:
    (handler,) = logger.handlers
    assert isinstance(handler, LogFile)
    return handler


def written(logger: logging.Logger) -> str:
    handler_of(logger).settle()
    return "".join(path.read_text() for path in handler_of(logger).paths())


def test_a_line_has_time_level_name_and_text(log: logging.Logger, tmp_path: Path) -> None:
    log.warning("EVSE %d is hot", 1)
    assert written(log) == "2026-01-01T12:00:00.000Z WARNING agent.test: EVSE 1 is hot\n"
    assert (tmp_path / "log" / "agent.log").stat().st_mode & 0o777 == 0o600


def test_a_traceback_is_indented_below_its_entry(log: logging.Logger) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("crashed")
    lines = written(log).splitlines()
    assert lines[0].endswith("crashed")
    assert lines[-1] == "  ValueError: broken"
    assert all(line.startswith("  ") for line in lines[1:])


@pytest.mark.req("R16-361")
def test_secrets_are_hidden_in_lines_and_tracebacks(log: logging.Logger) -> None:
    try:
        raise OSError("cannot reach ftp://cs:hunter2@example.com/")
    except OSError:
        log.exception("AuthorizationKey=%s", "hunter2")
    assert "hunter2" not in written(log)
    assert written(log).count("***") >= 2


def test_the_ring_is_bounded_and_keeps_the_latest(log: logging.Logger) -> None:
    for number in range(200):
        log.warning("line %03d", number)
        handler_of(log).settle()
    paths = handler_of(log).paths()
    assert [path.name for path in paths] == ["agent.log.2", "agent.log.1", "agent.log"]
    assert all(path.stat().st_size <= 1_000 for path in paths)
    lines = written(log).splitlines()
    assert lines[-1].endswith("line 199")
    numbers = [int(line[-3:]) for line in lines]
    assert numbers == list(range(numbers[0], 200))


def test_one_file_is_enough_for_a_ring(tmp_path: Path, clock: Clock) -> None:
    handler = LogFile(tmp_path / "agent.log", 500, 1, clock.now)
    for number in range(20):
        handler.handle(logging.makeLogRecord({"msg": f"line {number:03}", "levelname": "INFO"}))
        handler.settle()
    handler.close()
    assert [path.name for path in tmp_path.iterdir()] == ["agent.log"]
    assert 0 < (tmp_path / "agent.log").stat().st_size <= 500


def test_what_waits_is_written_at_the_end_and_nothing_after_it(log: logging.Logger) -> None:
    for number in range(5):
        log.warning("line %d", number)
    handler_of(log).close()
    log.warning("too late")
    text = "".join(path.read_text() for path in handler_of(log).paths())
    assert "line 4" in text
    assert "too late" not in text


def test_a_disk_that_takes_nothing_costs_the_log_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "log").write_text("a file where the directory should be")
    handler = LogFile(tmp_path / "log" / "agent.log", 1_000, 3, clock.now)
    handler.handle(logging.makeLogRecord({"msg": "lost", "levelname": "INFO"}))
    handler.settle()
    (tmp_path / "log").unlink()
    handler.handle(logging.makeLogRecord({"msg": "kept", "levelname": "INFO"}))
    handler.close()
    assert (tmp_path / "log" / "agent.log").read_text().endswith("kept\n")


def test_without_a_line_there_is_no_thread_and_no_file(tmp_path: Path, clock: Clock) -> None:
    handler = LogFile(tmp_path / "agent.log", 1_000, 3, clock.now)
    handler.settle()
    assert "log file" not in [thread.name for thread in threading.enumerate()]
    assert handler.paths() == []
    handler.close()


@pytest.mark.req("R16-302")
def test_entries_are_found_by_their_time_with_the_lines_that_belong_to_them(
    log: logging.Logger, clock: Clock
) -> None:
    for minute in range(4):
        clock.at = NOON + timedelta(minutes=minute)
        log.warning("minute %d\nits second line", minute)
    handler_of(log).settle()
    (path,) = handler_of(log).paths()
    begin, end = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
    found = list(lines_within(path, lambda at: begin <= at <= end))
    assert [line.split(": ")[-1] for line in found] == [
        "minute 1\n",
        "  its second line\n",
        "minute 2\n",
        "  its second line\n",
    ]


def test_damaged_lines_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.write_bytes(
        b"\xff\xfe\n2026-13-45T99:00:00.000Z x\n2026-01-01T12:00:00.000Z INFO a: good\n2026-01-01 naive\n"
    )
    assert "".join(lines_within(path, lambda _at: True)) == (
        "2026-01-01T12:00:00.000Z INFO a: good\n2026-01-01 naive\n"
    )


def test_a_bad_log_call_is_handled_as_by_every_handler(log: logging.Logger) -> None:
    with pytest.raises(
        AssertionError, match="badly formatted log call"
    ):  # what the guard of all tests makes of it
        log.warning("EVSE %d", "one")
    log.warning("and the next one is written")
    assert "next one" in written(log)
