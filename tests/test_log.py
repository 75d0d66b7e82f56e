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

from agent import log as log_module
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
    assert stream.getvalue().splitlines() == ["<3>x: two", "<3>  lines", "<4>x: w", "<7>x: d"]


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


def test_a_giant_message_is_cut_and_still_known_by_its_action() -> None:
    messages = journal()
    messages.record("in", '[2,"1","DataTransfer",{"data":"' + "x" * 1_000_000 + '"}]')
    messages.record("out", '[3,"1",{"status":"' + "y" * 1_000_000 + '"}]')
    call, result = messages.entries()
    assert (call.type, call.action, call.message_id) == ("call", "DataTransfer", "1")
    assert (result.type, result.action) == ("result", "DataTransfer")
    assert call.payload["characters"] > 1_000_000
    assert len(call.payload["beginning"]) <= LONGEST_KEPT


def test_all_messages_together_are_bounded_in_bytes_and_the_latest_stays() -> None:
    messages = MessageJournal(10_000, most_bytes=200_000)
    for number in range(100):
        messages.record("out", f'[2,"{number}","DataTransfer",{{"data":"' + "x" * 20_000 + '"}]')
    kept = messages.entries()
    assert 5 <= len(kept) <= 10
    assert kept[-1].number == 100
    messages.record(
        "in", '[2,"é","DataTransfer",{"data":"' + "\N{GRINNING FACE}" * 100_000 + '"}]'
    )  # 4 bytes a letter
    assert messages.entries()[-1].message_id == "é"
    assert len(messages.entries()) <= 5


@pytest.mark.parametrize(
    "frame",
    [
        '[2,"1","DataTransfer",{"password":"hunter2 with \\"quotes\\" and hunter2","x":"'
        + "x" * 50_000
        + '"}]',
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2 hunter2","x":"'
        + "x" * 50_000,
        '[2,"1","X",{"k":"-----BEGIN EC PRIVATE KEY-----\\nhunter2'
        + "x" * 50_000
        + '-----END EC PRIVATE KEY-----"}]',
        '[2,"1","X",{"x":"' + "x" * 32_700 + '","password":"hunter2 and more of hunter2"}]',
    ],
)
def test_a_message_that_is_cut_shows_no_secret(frame: str) -> None:
    messages = journal()
    messages.record("in", frame)
    (entry,) = messages.entries()
    assert "hunter2" not in str(entry.payload)


@pytest.mark.parametrize(
    "payload",
    [
        {
            "connectionData": {
                "vpn": {"server": "vpn.example", "user": "me", "password": "hunter2", "key": "hunter2"}
            }
        },
        {"connectionData": {"apn": {"apn": "internet", "simPin": "hunter2", "apnPassword": "x"}}},
        {"data": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"},
        {"data": "cut off: -----BEGIN RSA PRIVATE KEY-----\nhunter2"},
        {"privateKey": "hunter2", "passphrase": "hunter2"},
    ],
)
def test_keys_and_passwords_of_networks_and_certificates_are_hidden(payload: dict[str, object]) -> None:
    assert "hunter2" not in json.dumps(redact(payload))


def test_a_certificate_is_no_secret() -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    assert redact({"certificate": certificate}) == {"certificate": certificate}
    assert redact_text(certificate) == certificate


def test_messages_are_chosen_by_direction_and_by_what_they_contain() -> None:
    messages = journal()
    messages.record("out", '[2,"1","Authorize",{"idTag":"TAG1"}]')
    messages.record("in", '[3,"1",{"idTagInfo":{"status":"Accepted"}}]')
    messages.record("in", '[2,"2","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]')

    def numbers(**chosen: object) -> list[int]:
        return [entry.number for entry in messages.entries(**chosen)]  # type: ignore[arg-type]

    assert numbers(direction="in") == [2, 3]
    assert numbers(text="tag1") == [1]
    assert numbers(text="ACCEPTED", action="authorize") == [2]
    assert numbers(text="hunter2") == [], "what is hidden cannot be found, either"
    assert numbers(text="authorize") == [1, 2]
    assert numbers(direction="out", limit=1) == [1]


def test_only_what_is_asked_for_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = MessageJournal(500)
    for number in range(500):
        messages.record("out", f'[2,"{number}","Heartbeat",{{}}]')
    parsed: list[str] = []
    parse = log_module._parse
    monkeypatch.setattr(log_module, "_parse", lambda text: parsed.append(text) or parse(text))
    messages.record("in", '[3,"499",{"currentTime":"2026-01-01T00:00:00Z"}]')
    (entry,) = messages.entries(after=500)
    assert (entry.action, len(parsed)) == ("Heartbeat", 1)
    assert messages.entries(action="Reset") == []
    assert len(parsed) == 1
    assert len(messages.entries(limit=3)) == 3
    assert len(parsed) == 4


def test_actions_of_answers_are_found_after_days_of_messages() -> None:
    messages = journal(3)
    for number in range(1000):
        messages.record("out", f'[2,"{number}","Heartbeat",{{}}]')
        messages.record("in", f'[3,"{number}",{{}}]')
        assert messages.entries(after=messages.count - 1)[0].action == "Heartbeat"
    assert len(messages._actions) <= 2 * 3 + 1


def test_a_listener_hears_of_every_message_until_it_stops() -> None:
    messages = journal()
    heard: list[int] = []
    stop = messages.subscribe(lambda: heard.append(messages.count))
    messages.record("in", "x")
    messages.record("in", "y")
    stop()
    messages.record("in", "z")
    assert heard == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"password": "hunter2 hunter2", "ssid": "home"}),
        json.dumps([{"key": "AuthorizationKey", "value": "hunter2 hunter2"}, {"ssid": "home"}]),
        json.dumps({"in": json.dumps({"simPin": "hunter2 hunter2", "ssid": "home"})}),
        ' {"ssid": "home", "password": "hunter2 hunter2" and no JSON',
    ],
)
def test_secrets_are_hidden_in_json_inside_of_a_text(data: str) -> None:
    """DataTransfer of 1.6 has nothing else."""
    shown = json.dumps(redact({"vendorId": "x", "data": data}))
    assert "hunter2" not in shown
    assert "home" in shown


@pytest.mark.parametrize("data", ['{"a":  1.0}', "[", "{}", '{"a": "\\u00e9"}', "[" * 5000])
def test_json_inside_of_a_text_without_a_secret_stays_as_it_is(data: str) -> None:
    assert redact({"data": data}) == {"data": data}
