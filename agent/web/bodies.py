"""Request bodies and error answers of the local API: typed, and every error names the field.

Used by `station_api.py` and `simulation.py`.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from agent.charging.ids import HashAlgorithm, IdTokenType
from agent.charging.profiles import RateUnit

T = TypeVar("T", bound=msgspec.Struct)

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
    code: Annotated[str, Meta(min_length=1, max_length=50)]


class TapBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id_token: Annotated[str, Meta(min_length=1, max_length=36)]
    type: IdTokenType = IdTokenType.ISO14443
    evses: tuple[int, ...] = ()


class Refusal(Exception):
    """An error answer: HTTP status, what is wrong, and the field that it is about."""

    def __init__(self, status: int, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.field = field


_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_NAMED_FIELD = re.compile(r"(?:unknown|required) field `([^`]+)`")


async def read_body(request: web.Request, body_type: type[T]) -> T:
    """The body as `body_type`; an empty body is {}. Raises Refusal(400) naming the field."""
    text = await request.read()
    try:
        return msgspec.json.decode(text or b"{}", type=body_type)
    except msgspec.ValidationError as error:
        message = str(error)
        path = _PATH.search(message)
        named = _NAMED_FIELD.search(message)
        parts = [part for part in (path.group(1) if path else "", named.group(1) if named else "") if part]
        raise Refusal(400, _PATH.sub("", message).replace("`", ""), ".".join(parts)) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}", "body") from error


def json_response(content: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(content) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json")


def error_response(status: int, message: str, field: str = "") -> web.Response:
    return json_response({"error": message, "field": field or None}, status)
