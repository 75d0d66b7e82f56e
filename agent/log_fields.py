"""What a log line is about: EVSE, transaction, OCPP message. Whoever handles one says so once, every line below knows.

`with about(evse_id=1): ...` holds for everything that is called, and for tasks started inside, until the block ends: a
timer or task that outlives it does not keep the name of a message that was answered long ago. Values may be functions,
asked when a line is written. Used all over; read by the handlers of `agent/log.py` and `log_file.py`.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from threading import get_ident
from types import TracebackType

Value = str | int | None | Callable[[], str | int | None]

NAMES = ("evse_id", "transaction_id", "message_id", "action")
"""In the order in which they are shown."""
LONGEST = 100
"""Characters of one value: message ids and actions are the CSMS's words."""
_PLAIN = re.compile(r"[\w.:+-]+", re.ASCII)
_KEY = "fields"


class about:
    """As a context manager. What is given inside of another block is added to it, or takes its place."""

    __slots__ = ("_fields", "_token", "is_open")

    def __init__(self, **fields: Value) -> None:
        self._fields = fields
        self._token: Token[tuple[about, ...]] | None = None
        self.is_open = False

    def __enter__(self) -> None:
        self.is_open = True
        # Without those that have ended: a chain of timers would drag them along for ever.
        around = _blocks.get()
        self._token = _blocks.set((*(each for each in around if each.is_open), self) if around else (self,))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False
        if self._token is not None:
            _blocks.reset(self._token)

    @property
    def fields(self) -> Mapping[str, Value]:
        return self._fields


_blocks: ContextVar[tuple[about, ...]] = ContextVar("what log lines are about", default=())


class _Handled:
    __slots__ = ("message", "thread")

    def __init__(self) -> None:
        self.message: object = None
        self.thread = 0


_handled = _Handled()


def handle_message(message: object) -> None:
    """From now on lines of this thread are about a frame; None: not any more. For a callback that never waits: entering
    and leaving a block for every frame shows in the time of an answer (`make bench`)."""
    _handled.message = message
    _handled.thread = get_ident()


def about_message(event: object) -> about:
    """Of a frame or call: what it has of `message_id` and `action`."""
    return about(message_id=getattr(event, "message_id", None), action=getattr(event, "action", None))


def about_fact(fact: object) -> about:
    """Of a fact: what it has of `evse_id` and `transaction_id`."""
    return about(evse_id=getattr(fact, "evse_id", None), transaction_id=getattr(fact, "transaction_id", None))


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """What the line is about, by `NAMES`; found once, where the line was written."""
    known: dict[str, str] | None = record.__dict__.get(_KEY)
    if known is None:
        known = record.__dict__[_KEY] = _current()
    return known


def _current() -> dict[str, str]:
    found: dict[str, str] = {}
    blocks = _blocks.get()
    if _handled.message is not None and _handled.thread == get_ident():
        message = about_message(_handled.message)
        message.is_open = True
        blocks = (message, *blocks)
    for block in blocks:
        if block.is_open:
            for name, value in block.fields.items():
                given = value() if callable(value) else value
                if given is not None and given != "":
                    found[name] = str(given)[:LONGEST]
    return {name: found[name] for name in NAMES if name in found}


def suffix(fields: Mapping[str, str]) -> str:
    """For the end of a line of text: ` evse_id=1 action=Reset`; quoted where a value has more than a word."""
    return "".join(
        f" {name}={value if _PLAIN.fullmatch(value) else json.dumps(value)}" for name, value in fields.items()
    )
