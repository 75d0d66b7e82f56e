"""No secret reaches a log line or a shown message; the journal keeps messages cheaply and shows them parsed."""

import io
import json
import logging
import signal
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.log import HIDDEN, LONGEST_KEPT, MessageJournal, redact, redact_text, set_up_logging


@pytest.fixture
def root_logger() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text",
    [
        "connecting to wss://user:hunter2@host/path",
        "AuthorizationKey=hunter2",
        'sending {"key":"AuthorizationKey","value":"hunter2"}',
        "Authorization: Basic hunter2",
        "BasicAuthPassword: 'hunter2'",
        "uploading to ftp://me:hunter2@example.com/log",
    ],
)
def test_secrets_are_hidden_in_free_text(text: str) -> None:
    assert "hunter2" not in redact_text(text)
    assert HIDDEN in redact_text(text)


def test_text_without_a_secret_is_left_alone() -> None:
    text = "connected to ws://127.0.0.1:9000/ocpp/CP001 with ocpp1.6, id 12:34"
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "authorizationKEY", "value": "hunter2"},
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "hunter2"}]},
        {"setVariableData": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "hunter2"}]},
        {"location": "ftp://me:hunter2@example.com/"},
        {"nested": {"Password": {"of": "hunter2"}}},
    ],
)
def test_secrets_are_hidden_in_payloads(payload: dict[str, object]) -> None:
    assert "hunter2" not in json.dumps(redact(payload))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc ", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_json)
def test_a_payload_without_secrets_is_shown_as_it_is(payload: object) -> None:
    assert redact(payload) == payload


def test_log_lines_are_redacted_whatever_their_arguments(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    set_up_logging("info", stream)
    logging.getLogger("x").info("dialling %s", "wss://a:hunter2@host")
    assert stream.getvalue() == f"<6>x: dialling wss://a:{HIDDEN}@host\n"


def test_levels_become_journald_prefixes_on_every_line(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    set_up_logging("debug", stream)
    log = logging.getLogger("x")
    log.error("two\nlines")
    log.warning("w")
    log.debug("d")
    assert stream.getvalue().splitlines() == ["<3>x: two", "<3>lines", "<4>x: w", "<7>x: d"]


def test_a_terminal_gets_times_and_no_prefixes(root_logger: logging.Logger) -> None:
    stream = Terminal()
    set_up_logging("info", stream)
    logging.getLogger("x").debug("hidden")
    logging.getLogger("x").info("shown")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("INFO    x: shown")


def journal(capacity: int = 10) -> MessageJournal:
    return MessageJournal(capacity, wall_time=lambda: 1_700_000_000.0)


def test_an_answer_has_the_action_of_its_call() -> None:
    messages = journal()
    messages.record("out", '[2,"1","Heartbeat",{}]')
    messages.record("in", '[2,"1","Reset",{"type":"Soft"}]')
    messages.record("in", '[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]')
    messages.record("out", '[4,"1","NotSupported","no",{}]')
    messages.record("in", '[3,"unknown",{}]')
    shown = [(entry.direction, entry.type, entry.action) for entry in messages.entries()]
    assert shown == [
        ("out", "call", "Heartbeat"),
        ("in", "call", "Reset"),
        ("in", "result", "Heartbeat"),
        ("out", "error", "Reset"),
        ("in", "result", ""),
    ]
    assert messages.entries()[3].payload == {"code": "NotSupported", "description": "no", "details": {}}
    assert messages.entries()[0].at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_messages_are_chosen_by_action_number_and_count() -> None:
    messages = journal()
    for number in range(4):
        messages.record("out", f'[2,"{number}","Heartbeat",{{}}]')
        messages.record("out", f'[2,"m{number}","MeterValues",{{}}]')
    assert [entry.number for entry in messages.entries(action="metervalues")] == [2, 4, 6, 8]
    assert [entry.number for entry in messages.entries(after=5)] == [6, 7, 8]
    assert [entry.number for entry in messages.entries(limit=2)] == [7, 8]
    assert messages.entries(limit=0) == []


def test_the_oldest_messages_go_first_and_numbers_go_on() -> None:
    messages = journal(3)
    for number in range(5):
        messages.record("out", f'[2,"{number}","Heartbeat",{{}}]')
    assert [entry.message_id for entry in messages.entries()] == ["2", "3", "4"]
    assert messages.count == 5


@pytest.mark.parametrize("text", ["", "{", "[]", "[2]", '[9,"1",{}]', "null", '[2,1,"x",{}]'])
def test_what_is_no_ocpp_message_is_shown_as_text(text: str) -> None:
    messages = journal()
    messages.record("in", text)
    (entry,) = messages.entries()
    assert (entry.type, entry.payload) == ("malformed", text)


@pytest.mark.parametrize("depth", [100, 600, 950, 20_000])
def test_a_message_of_any_depth_can_be_shown(depth: int) -> None:
    messages = journal()
    messages.record("in", '[2,"1","Reset",' + '{"a":' * depth + "1" + "}" * depth + "]")
    messages.record("in", '[2,"2","Reset",{}]')
    deep, plain = messages.entries()
    assert deep.type in ("call", "malformed")
    assert msgspec.json.encode(deep)
    assert plain.message_id == "2"


NASTY = (
    "a.",
    "a://",
    "a://b:",
    "?sig",
    "&" + "sig" * 9,
    "&a-",
    '"password":',
    "password ",
    "\\",
    "?a=b&token",
)


@pytest.mark.parametrize("piece", NASTY)
def test_a_text_that_almost_holds_a_secret_everywhere_is_soon_looked_through(piece: str) -> None:
    messages = journal(50)
    for number in range(50):
        messages.record("in", (str(number) + piece * LONGEST_KEPT)[:LONGEST_KEPT])
    old = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, 60)  # a minute for what takes a second; it was six for "a."
    try:
        assert len(messages.entries()) == 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _too_long(_number: int, _frame: object) -> None:
    raise AssertionError("looking for secrets takes more than linear time")


def test_shown_messages_hide_secrets() -> None:
    messages = journal()
    messages.record("in", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]')
    assert messages.entries()[0].payload == {"key": "AuthorizationKey", "value": HIDDEN}


def test_a_giant_message_is_cut_so_that_memory_stays_bounded() -> None:
    messages = journal()
    messages.record("in", '[2,"1","DataTransfer",{"data":"' + "x" * 1_000_000 + '"}]')
    (entry,) = messages.entries()
    assert entry.type == "malformed"
    assert len(entry.payload) <= LONGEST_KEPT


def test_a_listener_hears_of_every_message_until_it_stops() -> None:
    messages = journal()
    heard: list[int] = []
    stop = messages.subscribe(lambda: heard.append(messages.count))
    messages.record("in", "x")
    messages.record("in", "y")
    stop()
    messages.record("in", "z")
    assert heard == [1, 2]
