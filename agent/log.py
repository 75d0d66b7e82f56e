"""Logging set-up, the redaction of secrets, and the journal of OCPP messages.

The journal is on the hot path of every message: `record` appends to a bounded deque and nothing more; parsing
and redaction happen when somebody looks. Secrets never reach a log line or a shown message. Imports nothing
of the agent but what log lines are about. docs/logs.md.
"""

import json
import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import getsizeof
from typing import Any, Literal, NamedTuple, TextIO

import msgspec

from agent.log_fields import fields_of, suffix
from agent.printable import printable, printable_json

Direction = Literal["in", "out"]
MessageType = Literal["call", "result", "error", "malformed"]

HIDDEN = "***"
SECRET_KEYS = frozenset(
    {
        "authorizationkey",
        "basicauthpassword",
        "password",
        "passphrase",
        "authorization",
        "csmspassword",
        "stationpassword",
        "privatekey",
        "private_key",
        "secret",
        "presharedkey",
        "simpin",
    }
)
"""Names (in any case) of configuration keys, variables and JSON members whose value is never shown."""

LONGEST_KEPT = 32_768
"""Characters of one message that the journal keeps: far above every OCPP 1.6 message."""
MOST_BYTES = 2_097_152
"""Of all messages that the journal keeps."""

_URL_PASSWORD = re.compile(r"(://[^\s/@:]{0,512}:)[^\s/]{1,512}@")
_URL_SIGNATURE = re.compile(
    r"([?&][\w.-]{0,64}(?:sig|token|secret|passw|key|credential)[\w.-]{0,64}=)[^&\s\"'#]+", re.IGNORECASE
)
"""What makes a location in the cloud writable for whoever knows it. Every repetition has an end: a text of the CSMS
that almost matches everywhere must not take seconds."""
_PRIVATE_KEY = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{0,32}PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL
)
"""PEM, also one whose end was cut off."""
_SECRET_MEMBER = re.compile(
    r'''("(?:authorizationkey|\w{0,32}password|passphrase|private_?key|secret|presharedkey|authorization)"'''
    r"""(?:\s*,\s*"(?:readonly|readOnly)"\s*:\s*\w+)?\s*[:,]\s*(?:"(?:value|attributeValue)"\s*:\s*)?)"""
    r""""(?:[^"\\]|\\.)*(?:"|\Z)""",
    re.IGNORECASE,
)
"""In JSON that cannot be parsed: the value goes to its closing quote, spaces and all."""
_SECRET_TEXT = re.compile(
    r"""\b(authorizationkey|\w*password|authorization)\b"""
    r"""(["']?\s*[:=,]\s*["']?(?:value["']?\s*[:=]\s*["']?|basic\s+|bearer\s+)?)"""
    r"""([^\s"',}]+)""",
    re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """Hide passwords in URLs and after the names of `SECRET_KEYS` in free text."""
    text = _SECRET_MEMBER.sub(rf'\1"{HIDDEN}"', _redact_urls(text))
    return _SECRET_TEXT.sub(rf"\1\2{HIDDEN}", text)


def _redact_urls(text: str) -> str:
    """And private keys, which may stand in any text."""
    if "PRIVATE KEY-----" in text:
        text = _PRIVATE_KEY.sub(HIDDEN, text)
    return _URL_SIGNATURE.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text))


def redact(value: Any) -> Any:
    """The JSON value without its secrets: members named in `SECRET_KEYS`, and key/value pairs of settings."""
    match value:
        case dict():
            names_secret = any(
                isinstance(value.get(name), str) and value[name].casefold() in SECRET_KEYS
                for name in ("key",)
            ) or _names_secret_variable(value)
            is_vpn = "key" in value and "server" in value  # SetNetworkProfile: its pre-shared key
            is_key_code = value.get("type") == "KeyCode"  # never in any log (2.0.1 C04.FR.04)
            return {
                name: HIDDEN
                if name.casefold() in SECRET_KEYS
                or (is_key_code and name == "idToken")
                or (is_vpn and name == "key")
                or (names_secret and name in ("value", "attributeValue"))
                else redact(member)
                for name, member in value.items()
            }
        case list():
            return [redact(member) for member in value]
        case str():
            return _redact_urls(_redact_inner_json(value))
        case _:
            return value


def _redact_inner_json(text: str) -> str:
    """DataTransfer of 1.6 carries JSON as a text. What holds no secret stays as it was written."""
    if '"' not in text or text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        content = msgspec.json.decode(text)
        shown = redact(content)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _SECRET_MEMBER.sub(rf'\1"{HIDDEN}"', text)
    return text if shown == content else msgspec.json.encode(shown).decode()


def _names_secret_variable(value: dict[str, Any]) -> bool:
    variable = value.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else None
    return isinstance(name, str) and name.casefold() in SECRET_KEYS


_PLAIN = logging.Formatter()


def _plain(text: str) -> str:
    return printable(redact_text(text), keep="\n\t")


class _Redaction(logging.Filter):
    """Hides secrets, and what would drive a terminal, in the finished text of a log line, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        clean = _plain(text)
        if clean != text:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:  # a formatter takes it from here
            record.exc_text = _plain(_PLAIN.formatException(record.exc_info))
        return True


class _TextFormatter(logging.Formatter):
    """What a line is about stands at its end, before the traceback. Further lines of a message are indented: words of
    others cannot pass for a line of the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\n", "\n  ") + suffix(fields_of(record))


class _PrefixFormatter(_TextFormatter):
    """One line with the syslog level prefix that journald understands (sd-daemon(3)); no time, journald has it."""

    _PREFIXES = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"))

    def format(self, record: logging.LogRecord) -> str:
        prefix = next((text for level, text in self._PREFIXES if record.levelno >= level), "<7>")
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
            "code": f"{record.pathname}:{record.lineno}",
        }
        if record.exc_text or record.exc_info:
            content["exception"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return printable_json(content)


def set_up_logging(level: str, stream: TextIO | None = None, log_format: str = "text") -> None:
    """Send the log to `stream` (default stderr). As "text": natively to journald where the stream is connected to it,
    with times on a terminal, with journald's prefixes elsewhere. As "json": one object a line, wherever."""
    handler = _handler(stream or sys.stderr, log_format)
    handler.addFilter(_Redaction())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


def _handler(stream: TextIO, log_format: str) -> logging.Handler:
    journal = None if log_format == "json" else _journal_behind(stream)
    if journal is not None:
        return journal
    handler = logging.StreamHandler(stream)
    if log_format == "json":
        handler.setFormatter(_JsonFormatter())
    elif stream.isatty():
        handler.setFormatter(_TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(_PrefixFormatter("%(name)s: %(message)s"))
    return handler


def _journal_behind(stream: TextIO) -> logging.Handler | None:
    """None: something else, or it does not listen."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return None
    from agent import journald

    try:
        return journald.JournalHandler() if journald.is_journal(stream.fileno(), named) else None
    except OSError:  # UnsupportedOperation of a stream without a descriptor is one, too
        return None


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One OCPP-J message, parsed and redacted. `action` of an answer is that of its call, "" when unknown."""

    number: int
    """Counts from 1 since the start of the agent; never reused."""
    at: datetime
    direction: Direction
    type: MessageType
    message_id: str
    action: str
    payload: Any
    """JSON value; for an error {"code", "description", "details"}; for a malformed message its text; for one that is
    too long to be kept {"beginning", "characters"}."""


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """One message as it stood on the wire, or the beginning of one."""

    number: int
    at: float
    direction: Direction
    text: str
    characters: int
    size: int
    """Bytes in memory."""


class MessageHead(NamedTuple):
    """The beginning of a message; `at` as the journal's clock tells."""

    number: int
    at: float
    direction: Direction
    type: MessageType
    message_id: str
    action: str
    """Of a call."""
    code: str
    """Of an error."""


class MessageJournal:
    """The last `capacity` OCPP messages in both directions, in at most `most_bytes`. Belongs to the loop's thread."""

    def __init__(
        self, capacity: int, wall_time: Callable[[], float] = time.time, most_bytes: int = MOST_BYTES
    ) -> None:
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._wall_time = wall_time
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._count = 0
        self._actions: dict[tuple[Direction, str], str] = {}
        """Of calls by who sent them and their id; made when somebody looks."""
        self._indexed = 0
        self._listeners: list[Callable[[], None]] = []

    def record(self, direction: Direction, text: str) -> None:
        """Keep one message as it stands on the wire."""
        self._count = number = self._count + 1
        characters = len(text)
        if characters > LONGEST_KEPT:
            text = text[:LONGEST_KEPT]
        size = getsizeof(text)
        self._kept.append(_Kept(number, self._wall_time(), direction, text, characters, size))
        self._bytes += size
        while len(self._kept) > self._capacity or self._bytes > self._most_bytes:
            self._bytes -= self._kept.popleft().size
        for listener in self._listeners:
            listener()

    def copy(self) -> "MessageJournal":
        """What is kept now, for another thread to look at: parsing much of it takes long."""
        twin = MessageJournal(self._capacity, self._wall_time, self._most_bytes)
        twin._kept.extend(self._kept)
        twin._count, twin._bytes = self._count, self._bytes
        return twin

    @property
    def count(self) -> int:
        """The number of the latest message."""
        return self._count

    @property
    def size_bytes(self) -> int:
        """Of what is kept."""
        return self._bytes

    @property
    def kept(self) -> int:
        """How many there are."""
        return len(self._kept)

    def heads(self, after: int = 0) -> list[MessageHead]:
        """What is kept above the number `after`, oldest first, without its payload: nothing is parsed."""
        found = []
        for kept in reversed(self._kept):
            if kept.number <= after:
                break
            kind, message_id, action = _head(kept.text)
            code = _code(kept.text) if kind == "error" else ""
            found.append(MessageHead(kept.number, kept.at, kept.direction, kind, message_id, action, code))
        return found[::-1]

    def entries(
        self,
        *,
        after: int = 0,
        action: str | None = None,
        limit: int | None = None,
        direction: Direction | None = None,
        text: str | None = None,
    ) -> list[MessageEntry]:
        """Messages numbered above `after`, oldest first; only of `action`, only those that contain `text` somewhere in
        what is shown of them (both in any case); only the latest `limit`. Only what is asked for is parsed."""
        self._index()
        wanted = action.casefold() if action else None
        part = text.casefold() if text else None
        found: list[MessageEntry] = []
        for kept in reversed(self._kept):
            if kept.number <= after or (limit is not None and len(found) >= limit):
                break
            if direction is not None and kept.direction != direction:
                continue
            if wanted is not None and self._action_of(kept).casefold() != wanted:
                continue
            entry = self._parsed(kept)
            if part is None or part in _searched(entry):
                found.append(entry)
        return found[::-1]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each message (it asks `entries`); returns the way to stop that."""
        self._listeners = [*self._listeners, listener]

        def stop() -> None:
            self._listeners = [other for other in self._listeners if other is not listener]

        return stop

    def _index(self) -> None:
        """Note which action the ids of new calls stand for."""
        if len(self._actions) > 2 * self._capacity:
            self._actions.clear()
            self._indexed = 0
        new = []
        for kept in reversed(self._kept):
            if kept.number <= self._indexed:
                break
            new.append(kept)
        self._indexed = self._count
        for kept in reversed(new):
            kind, message_id, action = _head(kept.text)
            if kind == "call":
                self._actions[kept.direction, message_id] = action

    def _action_of(self, kept: _Kept) -> str:
        kind, message_id, action = _head(kept.text)
        if kind == "call":
            return action
        return self._actions.get(("in" if kept.direction == "out" else "out", message_id), "")

    def _parsed(self, kept: _Kept) -> MessageEntry:
        if kept.characters > LONGEST_KEPT:
            kind, message_id, action = _head(kept.text)
            payload: Any = {"beginning": redact_text(kept.text), "characters": kept.characters}
        else:
            kind, message_id, action, payload = _parse(kept.text)
        if kind in ("result", "error"):
            action = self._action_of(kept)
        try:
            shown = redact(payload)
        except RecursionError:
            kind, shown = "malformed", redact_text(kept.text)
        at = datetime.fromtimestamp(kept.at, UTC)
        return MessageEntry(kept.number, at, kept.direction, kind, message_id, action, shown)


_HEAD = re.compile(r'\s*\[\s*([234])\s*,\s*("(?:[^"\\]|\\.){0,255}")\s*,(?:\s*"([^"\\]{0,255})")?')
_KINDS: Mapping[str, MessageType] = {"2": "call", "3": "result", "4": "error"}


def _head(text: str) -> tuple[MessageType, str, str]:
    """Type, message id and action of a frame by its first characters, without parsing the rest."""
    found = _HEAD.match(text)
    if found is None:
        return "malformed", "", ""
    try:
        message_id = json.loads(found[2])
    except ValueError:
        return "malformed", "", ""
    kind = _KINDS[found[1]]
    return kind, message_id, (found[3] or "") if kind == "call" else ""


def _code(text: str) -> str:
    """Of a CALLERROR."""
    found = _HEAD.match(text)
    return (found[3] or "") if found is not None and found[1] == "4" else ""


def _searched(entry: MessageEntry) -> str:
    payload = msgspec.json.encode(entry.payload).decode()
    return f"{entry.action} {entry.message_id} {payload}".casefold()


def _parse(text: str) -> tuple[MessageType, str, str, Any]:
    """Type, message id, action (of a call) and payload of an OCPP-J frame (OCPP-J 1.6 4.2)."""
    try:
        frame = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return "malformed", "", "", redact_text(text)
    match frame:
        case [2, str(message_id), str(action), payload]:
            return "call", message_id, action, payload
        case [3, str(message_id), payload]:
            return "result", message_id, "", payload
        case [4, str(message_id), str(code), description, *details]:
            detail = details[0] if details else {}
            return "error", message_id, "", {"code": code, "description": description, "details": detail}
        case _:
            return "malformed", "", "", redact_text(text)
