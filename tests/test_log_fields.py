"""Every line of a call or an EVSE says which, and no line says more than is still true."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.log import HIDDEN, set_up_logging
from agent.log_fields import about, about_fact, about_message, fields_of, handle_message, suffix
from agent.log_file import LogFile
from agent.ocpp.rpc import ErrorReceived
from tests.helpers.bench import Bench
from tests.store.example_facts import metered

log = logging.getLogger("x")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging("info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def current() -> dict[str, str]:
    return fields_of(logging.makeLogRecord({}))


def test_what_is_given_inside_is_added_and_ends_with_its_block() -> None:
    assert current() == {}
    with about(evse_id=1):
        with about(action="Reset", message_id="m1"):
            assert list(current().items()) == [("evse_id", "1"), ("message_id", "m1"), ("action", "Reset")]
        with about(evse_id=2):
            assert current() == {"evse_id": "2"}
        assert current() == {"evse_id": "1"}
    assert current() == {}


def test_a_function_is_asked_when_the_line_is_written() -> None:
    running: str | None = None
    with about(transaction_id=lambda: running):
        assert current() == {}
        running = "t-1"
        assert current() == {"transaction_id": "t-1"}


async def test_a_task_inside_knows_and_what_outlives_the_block_forgets() -> None:
    seen: list[dict[str, str]] = []
    with about(message_id="m1"):
        await asyncio.create_task(_note(seen))
        asyncio.get_running_loop().call_later(5, lambda: seen.append(current()))
        later = asyncio.create_task(_note_after(seen, 10))
    await later
    assert seen == [{"message_id": "m1"}, {}, {"action": "Reset"}]


async def _note(seen: list[dict[str, str]]) -> None:
    seen.append(current())


async def _note_after(seen: list[dict[str, str]], wait_s: float) -> None:
    with about(action="Reset"):
        await asyncio.sleep(wait_s)
        seen.append(current())


def test_a_chain_of_timers_drags_no_ended_blocks_along() -> None:
    from agent import log_fields

    for _ in range(100):
        block = about(message_id="m")
        block.__enter__()
        block.is_open = False  # as a timer sees it that was set inside
    assert len(log_fields._blocks.get()) == 1
    log_fields._blocks.set(())


def test_messages_and_facts_say_what_they_are_about() -> None:
    with about_message(ErrorReceived("m1", "Heartbeat", "GenericError", "no")), about_fact(metered()):
        assert current() == {
            "evse_id": "1",
            "transaction_id": "tx1",
            "message_id": "m1",
            "action": "Heartbeat",
        }


async def test_a_callback_that_handles_a_message_needs_no_block() -> None:
    seen: list[dict[str, str]] = []
    handle_message(ErrorReceived("m1", "Heartbeat", "GenericError", "no"))
    with about(evse_id=1, message_id="inner"):
        inside = current()
    outside = current()
    later = asyncio.create_task(_note(seen))
    elsewhere = in_another_thread(current)
    handle_message(None)
    await later
    assert inside == {"evse_id": "1", "message_id": "inner", "action": "Heartbeat"}
    assert outside == {"message_id": "m1", "action": "Heartbeat"}
    assert (elsewhere, seen, current()) == ({}, [{}], {})


def in_another_thread(ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    with ThreadPoolExecutor(1) as other:
        return other.submit(ask).result()


def test_words_of_the_csms_cannot_forge_a_line() -> None:
    with about(message_id="m1\n<3>x: all is lost", action="A" * 1000):
        text = suffix(current())
    assert "\n" not in text
    assert text.startswith(' message_id="m1\\n<3>x: all is lost" action=AAA')
    assert len(text) < 250


def test_a_line_of_text_ends_with_its_fields_before_the_traceback(lines: io.StringIO) -> None:
    with about(evse_id=1, transaction_id="t-1"):
        try:
            raise ValueError("boom")
        except ValueError:
            log.exception("it failed")
    first, second, *_ = lines.getvalue().splitlines()
    assert first == "<3>x: it failed evse_id=1 transaction_id=t-1"
    assert second == "<3>Traceback (most recent call last):"


def test_as_json_each_line_is_an_object_without_secrets(lines: io.StringIO) -> None:
    stream = io.StringIO()
    set_up_logging("info", stream, "json")
    with about(evse_id=1, action="Reset"):
        log.warning("two\nlines to %s", "wss://a:hunter2@host")
        try:
            raise ValueError("password=hunter2")
        except ValueError:
            log.exception("it failed")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert {name: first[name] for name in ("level", "logger", "message", "evse_id", "action")} == {
        "level": "warning",
        "logger": "x",
        "message": f"two\nlines to wss://a:{HIDDEN}@host",
        "evse_id": "1",
        "action": "Reset",
    }
    assert datetime.fromisoformat(first["at"]).tzinfo is not None
    assert "test_log_fields.py:" in first["code"]
    assert "ValueError" in second["exception"]
    assert "hunter2" not in stream.getvalue()


def test_the_log_on_disk_has_the_fields_at_the_end_of_the_first_line(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "agent.log", 100_000, 2, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    record = logging.makeLogRecord({"name": "x", "msg": "one\ntwo", "levelname": "INFO"})
    with about(evse_id=1):
        handler.emit(record)
    handler.close()
    assert (tmp_path / "agent.log").read_text() == "2026-01-01T00:00:00.000Z INFO x: one evse_id=1\n  two\n"


class Noted(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, dict[str, str]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), fields_of(record)))


async def test_in_the_agent_lines_of_calls_and_of_evses_carry_their_ids(tmp_path: Path) -> None:
    noted = Noted()
    logging.getLogger("agent").addHandler(noted)
    try:
        async with Bench(tmp_path) as bench:
            await bench.run_for(seconds=5)
            bench.plug_in()
            await bench.run_for(seconds=2)
            bench.tap("TAG1")
            await bench.run_for(seconds=10)
            transaction = bench.evse().transaction
            assert transaction is not None
            bench.world.set_fault(1, "rcd_dc")
            await bench.run_for(seconds=5)
            bench.csms.send_text('[2,"m-77","ChangeAvailability",{"connectorId":"one"}]')
            await bench.run_for(seconds=2)
    finally:
        logging.getLogger("agent").removeHandler(noted)
    fault = next(fields for line, fields in noted.lines if "fault rcd_dc" in line)
    assert fault == {"evse_id": "1", "transaction_id": transaction.transaction_id}
    refused = next(fields for line, fields in noted.lines if line.startswith("ChangeAvailability:"))
    assert refused == {"message_id": "m-77", "action": "ChangeAvailability"}
