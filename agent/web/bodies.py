"""Request bodies and error answers of the local API: typed, and every error names the field.

Used by `station_api.py` and `simulation.py`.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from agent.charging.ids import HashAlgorithm, IdTokenType
from agent.charging.profiles import RateUnit
from hal.ports import FaultCode

T = TypeVar("T", bound=msgspec.Struct)

BODY_S = 15.0

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class LinkCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: Literal["connect", "disconnect"]


class DataTransferBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    vendor_id: Annotated[str, Meta(min_length=1, max_length=255)]
    message_id: Annotated[str, Meta(max_length=50)] | None = None
    data: Any = None
    to: Literal["csms", "station"] = "csms"
    """"station": run it here, as if the CSMS had sent it, with the roles of the source "local"."""


class CertificateStatusBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificate in the words of OCSP (RFC 6960); hashes and number in hex."""

    hash_algorithm: HashAlgorithm
    issuer_name_hash: Annotated[str, Meta(min_length=1, max_length=128)]
    issuer_key_hash: Annotated[str, Meta(min_length=1, max_length=128)]
    serial_number: Annotated[str, Meta(min_length=1, max_length=40)]
    responder_url: Annotated[str, Meta(min_length=1, max_length=512)]


class LimitPeriod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    start_s: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[float, Meta(ge=0, le=1_000_000)]
    phases: Literal[1, 2, 3] = 3


class ExternalLimitBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `limit`, or `periods` from `starts_at` (now) on."""

    unit: RateUnit = RateUnit.AMPERE
    limit: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None
    periods: Annotated[list[LimitPeriod], Meta(min_length=1, max_length=1024)] | None = None
    starts_at: datetime | None = None
    duration_s: Annotated[int, Meta(ge=1)] | None = None
    """None: until it is lifted."""
    is_grid_critical: bool | None = None
    evse_id: Annotated[int, Meta(ge=0)] = 0
    """0: the whole station."""


class PlugBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is not given is left to the world's own defaults; null means never."""

    after_s: Seconds | UnsetType = UNSET
    draw_after_s: Seconds | UnsetType | None = UNSET
    current_a: Annotated[float, Meta(ge=0, le=100)] | UnsetType = UNSET
    phases: Literal[1, 2, 3] | UnsetType = UNSET
    unplug_after_s: Seconds | UnsetType | None = UNSET
    diode_fail_after_s: Seconds | UnsetType | None = UNSET
    connector_id: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    is_half_in: bool | UnsetType = UNSET


class UnplugBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    is_torn_out: bool = False


class BoardConfigBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    connector: Annotated[int, Meta(ge=1)] = 1
    values: Annotated[dict[str, int], Meta(min_length=1, max_length=32)]
    """Limits by the board's own names (board/limits.py)."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No body, or {}."""


class FaultBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Annotated[
        str, Meta(min_length=1, max_length=50, extra_json_schema={"enum": [each.value for each in FaultCode]})
    ]


class TapBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id_token: Annotated[str, Meta(max_length=36, pattern="^[ -~]+$")]
    """Printable ASCII, as OCPP has it."""
    type: IdTokenType = IdTokenType.ISO14443
    evses: tuple[int, ...] = ()


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameter."""


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    action: Annotated[str, Meta(max_length=50)] | None = None
    direction: Literal["in", "out"] | None = None
    text: Annotated[str, Meta(max_length=200)] | None = None
    """Only messages that contain it, in any case."""
    limit: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    follow: bool = False


class PeriodQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ISO 8601; without a zone UTC."""

    oldest: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None
    latest: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None


class ConnectorQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    connector: Annotated[int, Meta(ge=1, le=255)] = 1


class EvseQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    evse_id: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """0: the whole station."""


class Refusal(Exception):
    """An error answer: HTTP status, what is wrong, and the field that it is about."""

    def __init__(
        self, status: int, message: str, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.headers = headers or {}


_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_NAMED_FIELD = re.compile(r"(?:unknown|required) field `([^`]+)`")


async def read_body(request: web.Request, body_type: type[T]) -> T:
    """The body as `body_type`; an empty body is {}. Raises Refusal(400) naming the field, 408 if it does not come."""
    try:
        async with asyncio.timeout(BODY_S):
            text = await request.read()
    except TimeoutError as error:
        raise Refusal(408, f"the body did not come within {BODY_S:g} s", "body") from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise Refusal(400, "the body broke off or is garbled", "body") from error
    try:
        return _decoded(text or b"{}", body_type)
    except msgspec.ValidationError as error:
        raise _naming_the_field(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON: {error}", "body") from error


def _decoded(text: bytes, body_type: type[T]) -> T:
    """JSON has one kind of numbers: 16.0 is a whole one, too, and many programs write it so."""
    try:
        return msgspec.json.decode(text, type=body_type)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_whole(msgspec.json.decode(text)), body_type)


def _whole(content: Any) -> Any:
    match content:
        case float() if content.is_integer():
            return int(content)
        case dict():
            return {name: _whole(each) for name, each in content.items()}
        case list():
            return [_whole(each) for each in content]
    return content


def read_query(request: web.Request, query_type: type[T]) -> T:
    """What stands behind the "?", as `query_type`: numbers and true/false as texts, each at most once.

    Raises Refusal(400) naming the parameter."""
    given: dict[str, str] = {}
    for name, text in request.query.items():
        if name in given:
            raise Refusal(400, "may be given once", name)
        given[name] = text
    try:
        query = msgspec.convert(given, query_type, strict=False)
    except msgspec.ValidationError as error:
        raise _naming_the_field(error) from error
    for name in given:
        if getattr(query, name) is None:  # "null" is a text here; what is not wanted is left out
            raise Refusal(400, "must not be null", name)
    return query


def _naming_the_field(error: msgspec.ValidationError) -> Refusal:
    message = str(error)
    path = _PATH.search(message)
    named = _NAMED_FIELD.search(message)
    parts = [part for part in (path.group(1) if path else "", named.group(1) if named else "") if part]
    return Refusal(400, _PATH.sub("", message).replace("`", ""), ".".join(parts))


def json_response(content: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(content) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json")


def error_response(
    status: int, message: str, field: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    response = json_response({"error": message, "field": field or None}, status)
    response.headers.update(headers or {})
    return response
