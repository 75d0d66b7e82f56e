"""OCPP-J without a socket: text in -> one event, calls and answers in -> text.

One `Rpc` serves one connection and knows no action: it keeps one CALL of ours in flight, gives every CALL a new id,
matches answers, and refuses what is not a proper message, so that whatever the peer sends, `receive` returns and never
raises. Versions differ by the table of error codes given to it. Called by `conversation`; must not wait, read a clock
or touch a socket. OCPP-J 1.6 chapter 4 and its errata, OCPP 2.0.1 Part 4 chapter 4.
"""

import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from agent.errors import LocalProtocolError
from agent.ocpp.codec import Category, encode

MAX_ID_LENGTH: Final = 36
"""OCPP-J 1.6 4.1.4."""
MAX_UNANSWERED: Final = 256
"""CALLs of the peer being handled at once; a peer that keeps to one in flight never gets near (R16-017)."""
MAX_DESCRIPTION_LENGTH: Final = 255
"""OCPP 2.0.1 Part 4 4.2.3; 1.6 sets no limit."""

ERROR_CODES_16: Final[Mapping[Category, str]] = MappingProxyType(
    {
        Category.FORMAT: "FormationViolation",
        Category.PROTOCOL: "ProtocolError",
        Category.OCCURRENCE: "OccurenceConstraintViolation",
        Category.TYPE: "TypeConstraintViolation",
        Category.PROPERTY: "PropertyConstraintViolation",
        Category.NOT_IMPLEMENTED: "NotImplemented",
        Category.NOT_SUPPORTED: "NotSupported",
        Category.INTERNAL: "InternalError",
        Category.SECURITY: "SecurityError",
        Category.GENERIC: "GenericError",
        # 1.6 has no code of its own for a broken envelope; this one says "not conform the PDU structure".
        Category.RPC_FRAMEWORK: "FormationViolation",
    }
)
"""OCPP-J 1.6 4.2.3 table 7 with its two historic spellings (errata 5.1, 5.2). A version whose table has no
MESSAGE_TYPE_NOT_SUPPORTED ignores unknown message types (4.1.3); the others answer with it."""

ERROR_CODES_201: Final[Mapping[Category, str]] = MappingProxyType(
    {
        **ERROR_CODES_16,
        Category.FORMAT: "FormatViolation",
        Category.OCCURRENCE: "OccurrenceConstraintViolation",
        Category.RPC_FRAMEWORK: "RpcFrameworkError",
        Category.MESSAGE_TYPE_NOT_SUPPORTED: "MessageTypeNotSupported",
    }
)
"""OCPP 2.0.1 part 4, 4.3 table 8."""

UNREADABLE_ID: Final = "-1"
"""The id of the answer to a message that shows none (OCPP 2.0.1 part 4, 4.2.3); 1.6 leaves such messages alone."""

_CATEGORIES: Final[Mapping[str, Category]] = {
    **{code: category for category, code in ERROR_CODES_16.items()},
    **{code: category for category, code in ERROR_CODES_201.items()},
    "FormationViolation": Category.FORMAT,
}


class CallReceived(msgspec.Struct, frozen=True, array_like=True, tag=2, forbid_unknown_fields=True, gc=False):
    """The peer wants `action`; answer with `Rpc.result` or `Rpc.error`, or `Rpc.leave_unanswered`."""

    message_id: str
    action: str
    payload: msgspec.Raw
    """A JSON object, not yet decoded."""


class ResultReceived(msgspec.Struct, frozen=True, gc=False):
    """The answer to our CALL in flight; nothing is in flight any more."""

    message_id: str
    action: str
    payload: msgspec.Raw


class ErrorReceived(msgspec.Struct, frozen=True, gc=False):
    """The peer's CALLERROR to our CALL in flight; nothing is in flight any more."""

    message_id: str
    action: str
    code: str
    """As spelled by the peer."""
    description: str

    @property
    def category(self) -> Category:
        """The code without its version's spelling (R16-029); GENERIC for codes nobody knows."""
        return _CATEGORIES.get(self.code, Category.GENERIC)


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """Nothing to do but to log `reason`; it quotes no payload."""

    reason: str
    is_late: bool = False
    """A proper answer, to a call that nobody waits for any more."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Send `answer_text` (a CALLERROR) and log `reason`."""

    answer_text: str
    reason: str


Event = CallReceived | ResultReceived | ErrorReceived | Ignored | Refused


class _Result(msgspec.Struct, frozen=True, array_like=True, tag=3, forbid_unknown_fields=True, gc=False):
    message_id: str
    payload: msgspec.Raw


class _Error(msgspec.Struct, frozen=True, array_like=True, tag=4, forbid_unknown_fields=True, gc=False):
    message_id: str
    code: str
    description: str
    details: msgspec.Raw


_ENVELOPE: Final = msgspec.json.Decoder(CallReceived | _Result | _Error)
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_EMPTY: Final = msgspec.Raw(b"{}")
_HEAD: Final = re.compile(r'\s*\[\s*2\s*,\s*("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]){1,36}")\s*,')
"""The start of a CALL whose id can be read without parsing the rest."""
_ANSWER_HEAD: Final = re.compile(r"\s*\[\s*[34]\b")
"""The start of an answer, which is never answered, however broken."""
_MALFORMED: Final = (msgspec.DecodeError, RecursionError, ValueError)


class Rpc:
    """The state of one connection's message exchange."""

    def __init__(
        self, max_frame_bytes: int = 1_048_576, error_codes: Mapping[Category, str] = ERROR_CODES_16
    ) -> None:
        self.error_codes = error_codes
        self._max_frame_bytes = max_frame_bytes
        # Ids must differ from all that this station ever used (errata 3.1), over restarts too: hence the random part.
        self._id_prefix = secrets.token_hex(8)
        self._calls = 0
        self._in_flight: str | None = None
        self._action_in_flight = ""
        self._unanswered: set[str] = set()

    @property
    def in_flight(self) -> str | None:
        """The id of our CALL that waits for its answer."""
        return self._in_flight

    def call(self, action: str, payload: object) -> tuple[str, str]:
        """(message id, text) of a new CALL; LocalProtocolError while another one is in flight (R16-017)."""
        if self._in_flight is not None:
            raise LocalProtocolError(f"{action} while {self._action_in_flight} is in flight")
        text = encode(payload)
        self._calls += 1
        message_id = f"{self._id_prefix}-{self._calls}"
        self._in_flight, self._action_in_flight = message_id, action
        return message_id, f'[2,"{message_id}","{action}",{text}]'

    def expire(self, message_id: str) -> None:
        """The CALL timed out: the next one may go, and a late answer will be ignored (R16-019, R16-020)."""
        if message_id == self._in_flight:
            self._in_flight = None

    def result(self, message_id: str, payload: object) -> str:
        """The text of the CALLRESULT to a received CALL; LocalProtocolError if it was answered already."""
        text = encode(payload)  # first: a payload that cannot be encoded leaves the CALL open for `error`
        self._settle(message_id)
        return f"[3,{encode(message_id)},{text}]"

    def error(
        self, message_id: str, category: Category, description: str = "", details: object = None
    ) -> str:
        """The text of the CALLERROR to a received CALL; `details` is a dict or Struct, `{}` by default."""
        text = self._error_text(
            message_id, category, description, "{}" if details is None else encode(details)
        )
        self._settle(message_id)
        return text

    def leave_unanswered(self, message_id: str) -> None:
        """The CALL gets no answer, for example while the registration is Rejected (R16-048)."""
        self._unanswered.discard(message_id)

    def receive(self, text: str) -> Event:
        """What one text frame means. Never raises, whatever the text."""
        if len(text) > self._max_frame_bytes or (
            not text.isascii() and len(text.encode("utf-8", "replace")) > self._max_frame_bytes
        ):
            return self._refuse_by_head(text, f"longer than {self._max_frame_bytes} bytes")
        try:
            message = _ENVELOPE.decode(text)
        except RecursionError:
            return self._refuse_by_head(text, "nested too deeply")
        except _MALFORMED:
            return self._examine(text)
        if isinstance(message, CallReceived):
            # The payload is the last element: an object is known by its end without looking at the payload.
            if text.endswith("}]"):
                return self._admit(message)
            return self._admit_call(message.message_id, message.action, message.payload)
        if isinstance(message, _Result):
            return self._match_result(message.message_id, message.payload)
        return self._match_error(message.message_id, message.code, message.description)

    def _admit(self, call: CallReceived) -> Event:
        message_id = call.message_id
        if not 0 < len(message_id) <= MAX_ID_LENGTH:
            return self._refuse(
                message_id, Category.RPC_FRAMEWORK, f"message id of {len(message_id)} characters"
            )
        if message_id in self._unanswered:
            return self._refuse(
                message_id, Category.RPC_FRAMEWORK, "a call with this message id is being handled"
            )
        if len(self._unanswered) >= MAX_UNANSWERED:
            return self._refuse(message_id, Category.GENERIC, "too many calls at once")
        self._unanswered.add(message_id)
        return call

    def _admit_call(self, message_id: str, action: str, payload: msgspec.Raw) -> Event:
        """A CALL whose payload may be anything: null counts as empty (R16-022), other non-objects are refused."""
        start = bytes(payload).lstrip()[:1]
        if start == b"n":
            payload = _EMPTY
        elif start != b"{":
            return self._refuse(message_id, Category.FORMAT, "the payload is not an object")
        return self._admit(CallReceived(message_id, action, payload))

    def _match_result(self, message_id: str, payload: msgspec.Raw) -> Event:
        if message_id != self._in_flight:
            return Ignored(f"a result nobody waits for, {_shown(message_id)}", is_late=True)
        self._in_flight = None
        if bytes(payload).strip() == b"null":
            payload = _EMPTY
        return ResultReceived(message_id, self._action_in_flight, payload)

    def _match_error(self, message_id: str, code: str, description: str) -> Event:
        if message_id != self._in_flight:
            return Ignored(
                f"an error nobody waits for, {_shown(message_id)}: {code[:40]} {description[:80]}",
                is_late=True,
            )
        self._in_flight = None
        return ErrorReceived(message_id, self._action_in_flight, code, description)

    def _examine(self, text: str) -> Event:
        """A text that is not one of the three shapes: find out who can be told what."""
        try:
            elements = _ELEMENTS.decode(text)
            kind = msgspec.json.decode(elements[0], type=int) if elements else None
        except msgspec.ValidationError:
            return self._refuse_nameless(text, "not a JSON array that starts with a message type")
        except _MALFORMED:
            return self._refuse_nameless(text, "not JSON")  # an id read from broken text could be anyone's
        strings = [_string(element) for element in elements[1:4]]
        message_id = strings[0] if strings else None
        if kind is None or message_id is None:
            return self._refuse_nameless(text, "no message type or message id")
        match kind:
            case 2:
                reason = (
                    f"{len(elements)} elements instead of 4"
                    if len(elements) != 4
                    else "the action is not a string"
                )
                return self._refuse(message_id, Category.RPC_FRAMEWORK, reason)
            case 3:
                # Our CALL is answered, however sloppily; what is missing shows when the payload is decoded.
                return self._match_result(message_id, elements[2] if len(elements) > 2 else _EMPTY)
            case 4:
                code, description = ([*strings[1:], None, None])[:2]
                return self._match_error(message_id, code or "", description or "")
        if Category.MESSAGE_TYPE_NOT_SUPPORTED in self.error_codes:
            return self._refuse(message_id, Category.MESSAGE_TYPE_NOT_SUPPORTED, f"message type {kind}")
        return Ignored(f"unknown message type {kind}")

    def _refuse_by_head(self, text: str, reason: str) -> Event:
        """Refuse a text that is too costly to parse, if it begins like a CALL."""
        head = _HEAD.match(text)
        if head is None:
            return self._refuse_nameless(text, reason)
        try:
            message_id = msgspec.json.decode(head[1], type=str)
        except _MALFORMED:
            return self._refuse_nameless(text, reason)
        return self._refuse(message_id, Category.RPC_FRAMEWORK, reason)

    def _refuse_nameless(self, text: str, reason: str) -> Event:
        """A text whose id cannot be read: 1.6 lets it be (R16-034), 2.x wants an answer to nobody in particular."""
        is_answered = Category.MESSAGE_TYPE_NOT_SUPPORTED in self.error_codes
        if not is_answered or _ANSWER_HEAD.match(text):
            return Ignored(reason)
        return self._refuse(UNREADABLE_ID, Category.RPC_FRAMEWORK, reason)

    def _refuse(self, message_id: str, category: Category, reason: str) -> Refused:
        return Refused(
            self._error_text(message_id, category, reason, "{}"), f"{reason}, {_shown(message_id)}"
        )

    def _error_text(self, message_id: str, category: Category, description: str, details: str) -> str:
        code = self.error_codes.get(category) or self.error_codes[Category.GENERIC]
        return f'[4,{encode(message_id)},"{code}",{encode(description[:MAX_DESCRIPTION_LENGTH])},{details}]'

    def _settle(self, message_id: str) -> None:
        if message_id not in self._unanswered:
            raise LocalProtocolError(f"no call {_shown(message_id)} waits for an answer")
        self._unanswered.remove(message_id)


def _string(element: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(element, type=str)
    except _MALFORMED:
        return None


def _shown(message_id: str) -> str:
    return f"id {message_id[:MAX_ID_LENGTH]!r}"
