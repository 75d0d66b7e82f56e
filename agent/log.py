"""Logging set-up, the redaction of secrets, and the journal of OCPP messages.

The journal is on the hot path of every message: `record` appends to a bounded deque and nothing more; parsing
and redaction happen when somebody looks. Secrets never reach a log line or a shown message. Imports nothing
of the agent.
"""

import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

Direction = Literal["in", "out"]
MessageType = Literal["call", "result", "error", "malformed"]

HIDDEN = "***"
SECRET_KEYS = frozenset(
    {"authorizationkey", "basicauthpassword", "password", "authorization", "csmspassword", "stationpassword"}
)
"""Names (in any case) of configuration keys, variables and JSON members whose value is never shown."""

LONGEST_KEPT = 32_768
"""Characters of one message that the journal keeps: a bound on memory, far above every OCPP 1.6 message."""

_URL_PASSWORD = re.compile(r"(://[^\s/@:]{0,512}:)[^\s/]{1,512}@")
_URL_SIGNATURE = re.compile(
    r"([?&][\w.-]{0,64}(?:sig|token|secret|passw|key|credential)[\w.-]{0,64}=)[^&\s\"'#]+", re.IGNORECASE
)
"""What makes a location in the cloud writable for whoever knows it. Every repetition has an end: a text of the CSMS
that almost matches everywhere must not take seconds."""
_SECRET_TEXT = re.compile(
    r"""\b(authorizationkey|\w*password|authorization)\b"""
    r"""(["']?\s*[:=,]\s*["']?(?:value["']?\s*[:=]\s*["']?|basic\s+|bearer\s+)?)"""
    r"""([^\s"',}]+)""",
    re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """Hide passwords in URLs and after the names of `SECRET_KEYS` in free text."""
    return _SECRET_TEXT.sub(rf"\1\2{HIDDEN}", _redact_urls(text))


def _redact_urls(text: str) -> str:
    return _URL_SIGNATURE.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text))


def redact(value: Any) -> Any:
    """The JSON value without its secrets: members named in `SECRET_KEYS`, and key/value pairs of settings."""
    match value:
        case dict():
            names_secret = any(
                isinstance(value.get(name), str) and value[name].casefold() in SECRET_KEYS
                for name in ("key",)
            ) or _names_secret_variable(value)
            is_key_code = value.get("type") == "KeyCode"  # never in any log (2.0.1 C04.FR.04)
            return {
                name: HIDDEN
                if name.casefold() in SECRET_KEYS
                or (is_key_code and name == "idToken")
                or (names_secret and name in ("value", "attributeValue"))
                else redact(member)
                for name, member in value.items()
            }
        case list():
            return [redact(member) for member in value]
        case str():
            return _redact_urls(value)
        case _:
            return value


def _names_secret_variable(value: dict[str, Any]) -> bool:
    variable = value.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else None
    return isinstance(name, str) and name.casefold() in SECRET_KEYS


_PLAIN = logging.Formatter()


class _Redaction(logging.Filter):
    """Hides secrets in the finished text of a log line, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        clean = redact_text(text)
        if clean != text:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:  # a formatter takes it from here
            record.exc_text = redact_text(_PLAIN.formatException(record.exc_info))
        return True


class _JournaldFormatter(logging.Formatter):
    """One line with the syslog level prefix that journald understands (sd-daemon(3)); no time, journald has it."""

    _PREFIXES = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"))

    def format(self, record: logging.LogRecord) -> str:
        prefix = next((text for level, text in self._PREFIXES if record.levelno >= level), "<7>")
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def set_up_logging(level: str, stream: TextIO | None = None) -> None:
    """Send the log to `stream` (default stderr): with times on a terminal, with journald prefixes elsewhere."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.addFilter(_Redaction())
    if stream.isatty():
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        )
    else:
        handler.setFormatter(_JournaldFormatter("%(name)s: %(message)s"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


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
    """JSON value; for an error {"code", "description", "details"}; for a malformed message its text."""


class MessageJournal:
    """The last `capacity` OCPP messages in both directions. Belongs to the event loop's thread."""

    def __init__(self, capacity: int, wall_time: Callable[[], float] = time.time) -> None:
        self._wall_time = wall_time
        self._kept: deque[tuple[int, float, Direction, str]] = deque(maxlen=capacity)
        self._count = 0
        self._listeners: list[Callable[[], None]] = []

    def record(self, direction: Direction, text: str) -> None:
        """Keep one message as it stands on the wire."""
        self._count += 1
        if len(text) > LONGEST_KEPT:
            text = text[:LONGEST_KEPT]
        self._kept.append((self._count, self._wall_time(), direction, text))
        for listener in self._listeners:
            listener()

    def copy(self) -> "MessageJournal":
        """What is kept now, for another thread to look at: parsing much of it takes long."""
        twin = MessageJournal(self._kept.maxlen or 0, self._wall_time)
        twin._kept.extend(self._kept)
        twin._count = self._count
        return twin

    @property
    def count(self) -> int:
        """The number of the latest message."""
        return self._count

    def entries(
        self, *, after: int = 0, action: str | None = None, limit: int | None = None
    ) -> list[MessageEntry]:
        """Messages numbered above `after`, oldest first; only of `action` (any case); only the latest `limit`."""
        wanted = action.casefold() if action else None
        found = [
            entry
            for entry in self._parsed()
            if entry.number > after and (wanted is None or entry.action.casefold() == wanted)
        ]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each message (it asks `entries`); returns the way to stop that."""
        self._listeners = [*self._listeners, listener]

        def stop() -> None:
            self._listeners = [other for other in self._listeners if other is not listener]

        return stop

    def _parsed(self) -> Iterator[MessageEntry]:
        actions: dict[tuple[Direction, str], str] = {}
        for number, at, direction, text in list(self._kept):
            kind, message_id, action, payload = _parse(text)
            if kind == "call":
                actions[direction, message_id] = action
            elif kind != "malformed":
                action = actions.get(("in" if direction == "out" else "out", message_id), "")
            try:
                shown = redact(payload)
            except RecursionError:
                kind, shown = "malformed", redact_text(text)
            yield MessageEntry(
                number, datetime.fromtimestamp(at, UTC), direction, kind, message_id, action, shown
            )


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
