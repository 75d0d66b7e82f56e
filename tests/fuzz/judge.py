"""What a station owes for a frame, and whether what it says is right: independent of every line of the agent.

A CALL `[2, id, action, payload]` that is JSON gets exactly one answer, whatever is in it; what is no JSON, or has
another shape, at most one (a CALLERROR to its sender); anything else none. Answers and calls of the station have to
match the official schemas. In 2.0.1 what shows no id may be answered with the id -1. Used by `run`. OCPP-J 1.6 4.1
and 4.2, OCPP 2.0.1 part 4, 4.1 and 4.2.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jsonschema

from tests.fuzz.dialects import DIALECT_16, Dialect

NAMELESS = "-1"
"""The id of an answer to a text that shows none (2.0.1 part 4, 4.2.3)."""
_HEAD = re.compile(r'\s*\[\s*2\s*,\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Owed:
    message_id: str
    least: int
    most: int
    action: str = ""


NOTHING = Owed("", 0, 0)


def owed_for(text: str, limit_bytes: int = 1_048_576, *, answers_strange_types: bool = False) -> Owed:
    """How many answers with which message id; `answers_strange_types`: other message types than 2 to 4, too."""
    try:
        frame = json.loads(text, parse_constant=_refuse, object_pairs_hook=_checked)
        json.dumps(frame, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # half a surrogate pair counts as no text
        return _owed_by_head(text)
    if len(text.encode()) > limit_bytes:
        return _owed_by_head(text)
    if not isinstance(frame, list) or len(frame) < 2 or not isinstance(frame[1], str):
        return NOTHING
    is_strange = answers_strange_types and type(frame[0]) is int and frame[0] not in (3, 4)
    if frame[0] != 2 and not is_strange:
        return NOTHING
    is_call = frame[0] == 2 and len(frame) == 4 and type(frame[0]) is int and isinstance(frame[2], str)
    action = frame[2] if is_call else ""
    return Owed(frame[1], 1 if is_call else 0, 1, action)


def _owed_by_head(text: str) -> Owed:
    head = _HEAD.match(text)
    try:
        return Owed(json.loads(head[1]), 0, 1) if head else NOTHING
    except ValueError:
        return NOTHING


def _checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Members that a later one of the same name replaces have to be text, too."""
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@dataclass
class Judge:
    """Collects what is owed and what came; `verdicts` are the faults found."""

    dialect: Dialect = DIALECT_16
    verdicts: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """CALLERROR code, or action and status -> how often, over all batches."""
    on_accepted: Callable[[str, Any, str], None] = lambda _action, _payload, _status: None
    """Told of each CALL (action, payload) whose answer has the status Accepted or Scheduled."""
    _owed: dict[str, list[tuple[Owed, str]]] = field(default_factory=dict)
    _came: Counter[str] = field(default_factory=Counter)
    _answer_texts: dict[str, str] = field(default_factory=dict)
    """The last answer to each message id."""
    _late: deque[Counter[str]] = field(default_factory=lambda: deque(maxlen=30))
    """Of the latest batches: answers that were possible, but not owed and so not waited for."""
    left: int = 0
    """Answers that are still owed."""

    def owe(self, text: str) -> None:
        owed = owed_for(text, answers_strange_types=self.dialect.answers_the_nameless)
        if owed.most:
            self._owed.setdefault(owed.message_id, []).append((owed, text))
            self.left += owed.least
        if not owed.least and self.dialect.answers_the_nameless:
            self._owed.setdefault(NAMELESS, []).append((Owed(NAMELESS, 0, 1), text))

    def see(self, text: str) -> None:
        """A frame of the station."""
        try:
            frame = json.loads(text, parse_constant=_refuse)
        except ValueError as error:
            self._fault(f"no JSON ({error})", text)
            return
        match frame:
            case [2, str(message_id), str(action), dict(payload)] if 0 < len(message_id) <= 36:
                self._check(f"{action} request", payload, text)
            case [3, str(message_id), dict(payload)]:
                self._take(message_id, text)
                self._read_result(message_id, payload, text)
            case [4, str(message_id), str(code), str(), dict()]:
                self._take(message_id, text)
                self.answers[code] += 1
                if code not in self.dialect.error_codes:
                    self._fault(f"an error code that {self.dialect.subprotocol} does not know", text)
                if code == "InternalError":
                    self._fault("an internal error", self._sent_as(message_id))
            case _:
                self._fault("no frame of OCPP-J", text)

    def settle(self, is_excused: bool = False) -> None:
        """The batch is over. `is_excused`: the connection ended on purpose, so answers may be missing."""
        late = sum(self._late, Counter[str]())
        self._late.append(Counter())
        for message_id, frames in self._owed.items():
            came = self._came.pop(message_id, 0)
            least = 0 if is_excused else sum(owed.least for owed, _ in frames)
            most = sum(owed.most for owed, _ in frames)
            self._late[-1][message_id] = max(0, most - came)
            if not least <= came <= most + late[message_id]:
                self._fault(f"{came} answers instead of {least} to {most}", frames[0][1])
        for message_id in self._came - late:
            self._fault("an answer to no call", self._answer_texts.get(message_id, ""))
        self._owed.clear()
        self._came.clear()
        self._answer_texts.clear()
        self.left = 0

    def _take(self, message_id: str, text: str) -> None:
        self._came[message_id] += 1
        self._answer_texts[message_id] = text
        if self._came[message_id] <= sum(owed.least for owed, _ in self._owed.get(message_id, [])):
            self.left -= 1

    def _read_result(self, message_id: str, payload: dict[str, Any], text: str) -> None:
        sent = self._owed.get(message_id, [])
        actions = {owed.action for owed, _ in sent}
        if any(possible[message_id] for possible in self._late):
            return  # it may be the answer to an older call
        if len(actions) != 1 or (action := actions.pop()) not in self.dialect.actions:
            return
        self._check(f"{action} response", payload, text)
        self.answers[f"{action} {payload.get('status', '')}".rstrip()] += 1
        for each in payload.get("setVariableResult", ()):
            self.answers[f"SetVariables {each['attributeStatus']}"] += 1
        if (status := payload.get("status")) in ("Accepted", "Scheduled"):
            self.on_accepted(action, json.loads(sent[0][1])[3], status)

    def _check(self, name: str, payload: dict[str, Any], text: str) -> None:
        action, _, kind = name.partition(" ")
        if action not in self.dialect.actions:
            self._fault("an unknown action", text)
            return
        error = next(_validator(self.dialect, action, kind).iter_errors(payload), None)
        if error is not None:
            self._fault(f"not as the schema of {name}: {error.message[:200]}", text)
        if self.dialect.answers_the_nameless and _has_empty(payload):
            self._fault("an empty field that should have been left out", text)  # part 4, 4.1.5

    def _sent_as(self, message_id: str) -> str:
        return " | ".join(text for _, text in self._owed.get(message_id, [])) or message_id

    def _fault(self, what: str, text: str) -> None:
        self.verdicts.append(f"{what}: {text[:1000]}")


@cache
def _validator(dialect: Dialect, action: str, kind: str) -> Any:
    schema = _without_multiples((dialect.request if kind == "request" else dialect.response)(action))
    return jsonschema.validators.validator_for(schema, jsonschema.Draft4Validator)(schema)


def _has_empty(node: Any) -> bool:
    """A null, list or object without content; `data` may be anything."""
    if isinstance(node, dict):
        return any(
            key != "data" and (each in (None, [], {}) or _has_empty(each)) for key, each in node.items()
        )
    return isinstance(node, list) and any(each in (None, [], {}) or _has_empty(each) for each in node)


def _without_multiples(schema: Any) -> Any:
    """`multipleOf: 0.1` cannot be checked on binary floats."""
    if isinstance(schema, dict):
        return {key: _without_multiples(value) for key, value in schema.items() if key != "multipleOf"}
    return [_without_multiples(value) for value in schema] if isinstance(schema, list) else schema
