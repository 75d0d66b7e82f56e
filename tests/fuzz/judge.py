"""What a station owes for a frame, and whether what it says is right: independent of every line of the agent.

A CALL `[2, id, action, payload]` that is JSON gets exactly one answer, whatever is in it; what is no JSON, or has
another shape, at most one (a CALLERROR to its sender); anything else none. Answers and calls of the station have to
match the official schemas. Used by `run`. OCPP-J 1.6 4.1 and 4.2.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jsonschema

from tests.fuzz.legal import ACTIONS, schema_of

ERROR_CODES = frozenset(
    {
        "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation",
        "PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError",
    }
)  # fmt: skip
_HEAD = re.compile(r'\s*\[\s*2\s*,\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Owed:
    message_id: str
    least: int
    most: int
    action: str = ""


NOTHING = Owed("", 0, 0)


def owed_for(text: str, limit_bytes: int = 1_048_576) -> Owed:
    """How many answers with which message id."""
    try:
        frame = json.loads(text, parse_constant=_refuse, object_pairs_hook=_checked)
        json.dumps(frame, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # half a surrogate pair counts as no text
        return _owed_by_head(text)
    if len(text.encode()) > limit_bytes:
        return _owed_by_head(text)
    if not isinstance(frame, list) or len(frame) < 2 or frame[0] != 2 or not isinstance(frame[1], str):
        return NOTHING
    is_call = len(frame) == 4 and type(frame[0]) is int and isinstance(frame[2], str)
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

    verdicts: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """CALLERROR code, or action and status -> how often, over all batches."""
    on_accepted: Callable[[str, Any], None] = lambda _action, _payload: None
    """Told of each CALL (action, text) whose answer has the status Accepted."""
    _owed: dict[str, list[tuple[Owed, str]]] = field(default_factory=dict)
    _came: Counter[str] = field(default_factory=Counter)
    _answer_texts: dict[str, str] = field(default_factory=dict)
    """The last answer to each message id."""
    _late: deque[Counter[str]] = field(default_factory=lambda: deque(maxlen=30))
    """Of the latest batches: answers that were possible, but not owed and so not waited for."""
    left: int = 0
    """Answers that are still owed."""

    def owe(self, text: str) -> None:
        owed = owed_for(text)
        if owed.most:
            self._owed.setdefault(owed.message_id, []).append((owed, text))
            self.left += owed.least

    def see(self, text: str) -> None:
        """A frame of the station."""
        try:
            frame = json.loads(text, parse_constant=_refuse)
        except ValueError as error:
            self._fault(f"no JSON ({error})", text)
            return
        match frame:
            case [2, str(message_id), str(action), dict(payload)] if 0 < len(message_id) <= 36:
                self._check(action, payload, text)
            case [3, str(message_id), dict(payload)]:
                self._take(message_id, text)
                self._read_result(message_id, payload, text)
            case [4, str(message_id), str(code), str(), dict()]:
                self._take(message_id, text)
                self.answers[code] += 1
                if code not in ERROR_CODES:
                    self._fault("an error code that 1.6 does not know", text)
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
        if len(actions) != 1 or (action := actions.pop()) not in ACTIONS:
            return
        self._check(f"{action}Response", payload, text)
        self.answers[f"{action} {payload.get('status', '')}".rstrip()] += 1
        if payload.get("status") == "Accepted":
            self.on_accepted(action, json.loads(sent[0][1])[3])

    def _check(self, schema: str, payload: dict[str, Any], text: str) -> None:
        error = next(_validator(schema).iter_errors(payload), None)
        if error is not None:
            self._fault(f"not as {schema}.json: {error.message[:200]}", text)

    def _sent_as(self, message_id: str) -> str:
        return " | ".join(text for _, text in self._owed.get(message_id, [])) or message_id

    def _fault(self, what: str, text: str) -> None:
        self.verdicts.append(f"{what}: {text[:1000]}")


@cache
def _validator(schema: str) -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(_without_multiples(schema_of(schema)))


def _without_multiples(schema: Any) -> Any:
    """`multipleOf: 0.1` cannot be checked on binary floats."""
    if isinstance(schema, dict):
        return {key: _without_multiples(value) for key, value in schema.items() if key != "multipleOf"}
    return [_without_multiples(value) for value in schema] if isinstance(schema, list) else schema
