"""The journal gets every line with its fields over a datagram socket, whatever its size, and is never waited for."""

import array
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import journald
from agent.journald import JournalHandler, is_journal
from agent.log import HIDDEN, set_up_logging
from agent.log_fields import about

log = logging.getLogger("x")


class Journal:
    """The receiving end, as systemd-journald reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> None:
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(5)

    def close(self) -> None:
        self.socket.close()

    def read(self) -> dict[str, str]:
        content, handles, _flags, _address = self.socket.recvmsg(1 << 20, socket.CMSG_LEN(4))
        for _level, kind, passed in handles:
            assert kind == socket.SCM_RIGHTS
            (number,) = array.array("i", passed)
            content = os.pread(number, 1 << 24, 0)
            with pytest.raises(OSError, match="not permitted"):
                os.ftruncate(number, 0)  # sealed
            os.close(number)
        return parsed(content)


def parsed(content: bytes) -> dict[str, str]:
    """https://systemd.io/JOURNAL_NATIVE_PROTOCOL"""
    fields: dict[str, str] = {}
    while content:
        line, _, rest = content.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode()
        content = rest
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "socket")
    yield journal
    journal.close()


@pytest.fixture
def handler(journal: Journal) -> Iterator[JournalHandler]:
    handler = JournalHandler(journal.path)
    log.addHandler(handler)
    log.setLevel("DEBUG")
    yield handler
    log.removeHandler(handler)
    log.setLevel("NOTSET")
    handler.close()


@pytest.mark.usefixtures("handler")
def test_a_line_has_its_fields(journal: Journal) -> None:
    with about(evse_id=1, transaction_id="t-1", message_id="m1", action="Reset"):
        log.warning("it %s", "works")
    fields = journal.read()
    assert (fields["MESSAGE"], fields["PRIORITY"]) == ("x: it works", "4")
    assert (fields["SYSLOG_IDENTIFIER"], fields["LOGGER"]) == ("evse-agent", "x")
    assert (fields["CODE_FILE"], fields["CODE_FUNC"]) == (__file__, "test_a_line_has_its_fields")
    assert fields["CODE_LINE"].isdigit()
    assert (fields["EVSE_ID"], fields["TRANSACTION_ID"]) == ("1", "t-1")
    assert (fields["OCPP_MESSAGE_ID"], fields["OCPP_ACTION"]) == ("m1", "Reset")


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")],
)
def test_levels_are_priorities(journal: Journal, level: str, priority: str) -> None:
    getattr(log, level)("x")
    assert journal.read()["PRIORITY"] == priority


@pytest.mark.usefixtures("handler")
def test_lines_and_fields_with_line_breaks_stay_one_entry(journal: Journal) -> None:
    with about(message_id="m1\nPRIORITY=0"):
        log.info("two\nlines\n")
    fields = journal.read()
    assert fields["MESSAGE"] == "x: two\nlines\n"
    assert (fields["OCPP_MESSAGE_ID"], fields["PRIORITY"]) == ("m1\nPRIORITY=0", "6")


@pytest.mark.usefixtures("handler")
def test_a_line_larger_than_a_datagram_goes_through_a_sealed_file(journal: Journal) -> None:
    with about(evse_id=1):
        log.error("%s", "x" * 5_000_000)
    fields = journal.read()
    assert len(fields["MESSAGE"]) == 5_000_003
    assert (fields["EVSE_ID"], fields["PRIORITY"]) == ("1", "3")


@pytest.mark.usefixtures("handler")
def test_a_journal_that_does_not_read_is_not_waited_for_and_told_of_what_it_missed(journal: Journal) -> None:
    for number in range(5000):
        log.info("line %d %s", number, "x" * 1000)
    journal.socket.setblocking(False)
    taken = 0
    try:
        while True:
            journal.read()
            taken += 1
    except BlockingIOError:
        pass
    assert 0 < taken < 5000
    log.info("again")
    fields = journal.read()
    assert fields["LINES_LOST"] == str(5000 - taken)
    assert fields["MESSAGE"] == f"x: again ({5000 - taken} lines before this one were lost)"
    log.info("on")
    assert "LINES_LOST" not in journal.read()


@pytest.mark.usefixtures("handler")
def test_a_journal_that_was_restarted_gets_the_next_line(journal: Journal) -> None:
    log.info("before")
    journal.close()
    journal.path.unlink()
    log.info("nobody hears this")
    journal.open()
    log.info("after")
    assert journal.read()["MESSAGE"] == "x: after (1 lines before this one were lost)"


def test_it_is_used_when_stderr_is_the_journals_stream_and_hides_secrets(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald.JournalHandler.__init__, "__defaults__", (journal.path, "evse-agent"))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        try:
            set_up_logging("info", stream)
            log.info("dialling %s", "wss://a:hunter2@host")
            root.handlers[0].close()
            set_up_logging("info", stream, "json")
            log.info("to the stream")
        finally:
            for handler in set(root.handlers) - set(handlers):
                handler.close()
            root.handlers[:] = handlers
            root.setLevel(level)
    assert journal.read()["MESSAGE"] == f"x: dialling wss://a:{HIDDEN}@host"
    assert "to the stream" in (tmp_path / "stream").read_text()


@pytest.mark.parametrize("named", [None, "", "1", "1:x", "1:2:3", "0:0"])
def test_another_stream_is_not_the_journal(named: str | None) -> None:
    reading, writing = os.pipe()
    try:
        assert not is_journal(writing, named)
    finally:
        os.close(reading)
        os.close(writing)
