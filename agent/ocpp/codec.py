"""Payloads <-> JSON: the one place that turns a decode failure into an OCPP error category and a JSON path.

It knows msgspec and nothing of messages, versions or sockets: the Structs are the rooms', the spelling of an error is
the version's (`rpc.ERROR_CODES_16`). Called by the rooms of `v16`, `v201`, `v21` and by `rpc`. Pure.
OCPP-J 1.6 4.2.3 table 7, OCPP 2.0.1 Part 4 table 8.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum, unique
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from agent.errors import RemoteProtocolError

Payload = TypeVar("Payload")


@unique
class Category(Enum):
    """What is wrong with a message, before a version spells it (OCPP-J 1.6 4.2.3 table 7)."""

    FORMAT = "FORMAT"
    """Not the structure of the message: no object, unknown field."""
    PROTOCOL = "PROTOCOL"
    """Incomplete: a required field is missing."""
    OCCURRENCE = "OCCURRENCE"
    """Too few or too many elements in an array."""
    TYPE = "TYPE"
    """Another JSON type than the field's."""
    PROPERTY = "PROPERTY"
    """Right type, forbidden value: enumeration, length, range, pattern."""
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    """An action that nobody here knows."""
    NOT_SUPPORTED = "NOT_SUPPORTED"
    """An action that is known and not offered."""
    INTERNAL = "INTERNAL"
    SECURITY = "SECURITY"
    GENERIC = "GENERIC"
    RPC_FRAMEWORK = "RPC_FRAMEWORK"
    """Something about the envelope rather than the payload."""
    MESSAGE_TYPE_NOT_SUPPORTED = "MESSAGE_TYPE_NOT_SUPPORTED"


_MALFORMED = (msgspec.DecodeError, RecursionError, ValueError)
"""What msgspec raises: bad JSON or bad values, nesting beyond the interpreter's limit, text that is no Unicode."""

_NAMED_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_PLACE = re.compile(r" - at `([^`]*)`$")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
_BAD_TIME = "Invalid RFC3339"


class WireTime(datetime):
    """A time of a payload that is sent with milliseconds, where msgspec would write six decimals."""

    __slots__ = ()


def _wire_text(value: object) -> str:
    """What msgspec calls for what it does not know; among our payloads that is a `WireTime` only."""
    if not isinstance(value, WireTime):
        raise TypeError(f"{type(value).__name__} cannot be encoded")
    if value.tzinfo is not UTC:
        text = value.isoformat(timespec="milliseconds")
        return f"{text[:-6]}Z" if text.endswith("+00:00") else text
    clock = value.hour, value.minute, value.second, value.microsecond // 1000
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (value.year, value.month, value.day, *clock)  # noqa: UP031 - half the time


_ENCODER = msgspec.json.Encoder(enc_hook=_wire_text)


_decoder: Final[Callable[[Any], msgspec.json.Decoder[Any]]] = cache(msgspec.json.Decoder)
"""Building a decoder costs a thousand times more than using it."""


def decode(raw: msgspec.Raw | bytes | str, payload_type: type[Payload]) -> Payload:
    """The typed payload, or RemoteProtocolError with a `Category` name and the JSON path of the first fault.

    Times may have any ISO 8601 form; those without a zone come out naive, so that nobody takes them for UTC unawares.
    """
    try:
        payload: Payload = _decoder(payload_type).decode(raw)
        return payload
    except _MALFORMED as error:
        if _BAD_TIME in str(error):
            return _decode_with_lenient_times(raw, payload_type, error)
        _refuse(error)


def encode(payload: object) -> str:
    """JSON without spaces; unset optional fields are left out by the Structs (`omit_defaults`)."""
    return _ENCODER.encode(payload).decode()


def parse_timestamp(text: str) -> datetime:
    """Any ISO 8601 date and time: `Z`, `+02:00`, `+0200`, `+02`, any fraction; naive if it names no zone (R16-035).

    Raises ValueError. A naive time must never set a clock: nobody knows what it means (field notes 1.11).
    """
    if len(text) < 11:
        raise ValueError("a date alone is no point in time")
    return datetime.fromisoformat(text)


def _decode_with_lenient_times(
    raw: msgspec.Raw | bytes | str, payload_type: type[Payload], error: Exception
) -> Payload:
    # msgspec reads RFC 3339 only; ISO 8601 also knows `+0200` and minutes without seconds. Only a payload with
    # such a time pays for this: each one is rewritten in its place, and the payload decoded again.
    try:
        tree = msgspec.json.decode(raw)
        while _BAD_TIME in str(error):
            parent, key = _find(tree, str(error))
            parent[key] = parse_timestamp(parent[key]).isoformat()
            try:
                payload: Payload = _decoder(payload_type).decode(msgspec.json.encode(tree))
                return payload
            except msgspec.ValidationError as next_error:
                if str(next_error) == str(error):
                    break
                error = next_error
    except (*_MALFORMED, TypeError, LookupError):
        pass  # no time after all, or something worse: the last fault that was found says it
    _refuse(error)


def _find(tree: Any, message: str) -> tuple[Any, Any]:
    """The container and key of the place that msgspec names; (None, None) if the path cannot be followed."""
    steps = list(_steps(message))
    for key in steps[:-1]:
        tree = tree[key]
    return (tree, steps[-1]) if steps else (None, None)


def _steps(message: str) -> Iterator[str | int]:
    place = _PLACE.search(message)
    for step in _STEP.finditer(place[1] if place else ""):
        yield step[1] if step[1] is not None else int(step[2])


def _refuse(error: Exception) -> NoReturn:
    """Translate what msgspec said (its wording is pinned by the tests of this module)."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        reason = "nested too deeply" if isinstance(error, RecursionError) else text
        raise RemoteProtocolError(Category.FORMAT.name, "$", reason) from None
    place = _PLACE.search(text)
    path = place[1] if place else "$"
    text = text[: place.start()] if place else text
    if named := _NAMED_FIELD.fullmatch(text):
        category = Category.PROTOCOL if named[1] == "missing required" else Category.FORMAT
        path = f"{path}.{named[2]}"
    elif text.startswith("Expected `array` of"):
        category = Category.OCCURRENCE
    elif "`, got `" in text:
        category = Category.FORMAT if path == "$" else Category.TYPE
    else:
        category = Category.PROPERTY
    raise RemoteProtocolError(category.name, path, text) from None
