"""What a CSMS says must not drive the terminal of whoever reads it."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agent.charging.ids import IdToken
from agent.charging.recording import SessionCurve
from agent.cli_doctor import finding_text
from agent.cli_output import audit_line, message_line, session_table, session_text
from agent.commissioning.findings import warning
from agent.log import set_up_logging
from agent.log_fields import about
from agent.log_file import LogFile
from agent.printable import printable, printable_json
from agent.terminal_progress import TerminalProgress
from agent.web.sessions_api import curve_json
from tests.helpers.recorded_sessions import SAMPLE, SESSION

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp\u2028\x7f\udcff"


def is_harmless(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


def test_what_would_move_the_cursor_becomes_visible() -> None:
    assert printable("a\x1b[2J\x9b\u202e") == r"a\x1b[2J\x9b\u202e"
    assert printable("two\nlines\tand\r") == "two lines and "
    assert printable("two\nlines", keep="\n") == "two\nlines"
    assert printable("Köln ⚡ …") == "Köln ⚡ …"


def test_json_for_a_terminal_has_the_same_content() -> None:
    content = {"text": EVIL, "emoji": "⚡", "tag": "\U000e0041"}
    for indent in (None, 2):
        text = printable_json(content, indent)
        assert is_harmless(text)
        assert json.loads(text) == content
        assert "⚡" in text


def test_no_line_of_the_command_line_takes_them_over() -> None:
    message = {
        "direction": "in",
        "type": "call",
        "at": "2026-01-01T00:00:00.000Z",
        "action": EVIL,
        "payload": {"a": EVIL},
    }
    audit = {"at": "x", "source": EVIL, "action": EVIL, "evse_id": 1, "outcome": EVIL, "detail": EVIL}
    for text in (message_line(message), message_line(message, 40), audit_line(audit)):
        assert is_harmless(text)
        assert "\n" not in text


def session() -> dict[str, Any]:
    evil = replace(SESSION, id_token=IdToken(EVIL[:-1]), reference=EVIL[:-1])
    found: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(curve_json(SessionCurve(evil, 2, (SAMPLE,))))
    )
    return found


def test_no_table_takes_them_over() -> None:
    text = session_table([session()])
    assert (is_harmless(text), len(text.splitlines())) == (True, 4)
    assert is_harmless(session_text(session()))
    assert is_harmless(
        finding_text(warning("CSMS", EVIL, EVIL)).replace("\x1b[33m", "").replace("\x1b[0m", "")
    )


def test_a_name_given_by_the_csms_does_not_drive_a_progress_bar() -> None:
    out = io.StringIO()
    bar = TerminalProgress(f"upload of {EVIL}", out)
    bar.end(EVIL)
    assert is_harmless(out.getvalue())


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_log_line_is_harmless_and_none_passes_for_another(
    kind: str, root_logger: logging.Logger, tmp_path: Path
) -> None:
    stream = io.StringIO()
    set_up_logging("info", stream, kind)
    file = LogFile(tmp_path / "agent.log", 10_000, 1, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    root_logger.addHandler(file)
    with about(action=EVIL, message_id=EVIL):
        logging.getLogger("agent.test").warning("the CSMS said %s\n<6>agent.web: all is well", EVIL)
    file.close()
    text = stream.getvalue()
    assert is_harmless(text)
    assert is_harmless((tmp_path / "agent.log").read_text())
    if kind == "text":
        assert [line[:5] for line in text.splitlines()] == ["<4>ag", "<4>  "]
