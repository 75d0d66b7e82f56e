"""Types that several OCPP 2.0.1 payloads share.

Payloads are frozen, keyword-only Structs in camelCase that forbid unknown fields, but for `customData`, which every one
of them may carry and nobody here reads. Optional fields are UNSET by default, so that they are never sent empty; a
`null` in a request is refused, as the schemas demand. What a CSMS answers is read with more patience: an answer cannot
be refused. Used by the rooms of this version. OCPP 2.0.1 part 2, chapter "Datatypes"; part 4 chapter 9.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from agent.charging import ids, reasons
from agent.charging.ids import AuthorizationStatus, IdTokenType
from agent.charging.tariff import Text
from agent.ocpp.values import Integer32, Integer64, aware, optional, timestamp

Text6: TypeAlias = Annotated[str, Meta(max_length=6)]
Text8: TypeAlias = Annotated[str, Meta(max_length=8)]
Text16: TypeAlias = Annotated[str, Meta(max_length=16)]
Text20: TypeAlias = Annotated[str, Meta(max_length=20)]
Text25: TypeAlias = Annotated[str, Meta(max_length=25)]
Text32: TypeAlias = Annotated[str, Meta(max_length=32)]
Text36: TypeAlias = Annotated[str, Meta(max_length=36)]
Text40: TypeAlias = Annotated[str, Meta(max_length=40)]
Text50: TypeAlias = Annotated[str, Meta(max_length=50)]
Text64: TypeAlias = Annotated[str, Meta(max_length=64)]
Text128: TypeAlias = Annotated[str, Meta(max_length=128)]
Text255: TypeAlias = Annotated[str, Meta(max_length=255)]
Text500: TypeAlias = Annotated[str, Meta(max_length=500)]
Text512: TypeAlias = Annotated[str, Meta(max_length=512)]
Text800: TypeAlias = Annotated[str, Meta(max_length=800)]
Text1000: TypeAlias = Annotated[str, Meta(max_length=1000)]
Text2500: TypeAlias = Annotated[str, Meta(max_length=2500)]
Text5500: TypeAlias = Annotated[str, Meta(max_length=5500)]
Text5600: TypeAlias = Annotated[str, Meta(max_length=5600)]
Text7500: TypeAlias = Annotated[str, Meta(max_length=7500)]
Text10000: TypeAlias = Annotated[str, Meta(max_length=10000)]

GenericDeviceModelStatusName: TypeAlias = Literal["Accepted", "Rejected", "NotSupported", "EmptyResultSet"]
GenericStatusName: TypeAlias = Literal["Accepted", "Rejected"]
ReasonCode: TypeAlias = Literal[
    "CSNotAccepted",
    "DuplicateProfile",
    "DuplicateRequestId",
    "FixedCable",
    "FwUpdateInProgress",
    "InternalError",
    "InvalidCertificate",
    "InvalidConfSlot",
    "InvalidIdToken",
    "InvalidMessageSeq",
    "InvalidNetworkConf",
    "InvalidProfile",
    "InvalidSchedule",
    "InvalidStackLevel",
    "InvalidURL",
    "InvalidValue",
    "MissingDevModelInfo",
    "MissingParam",
    "NoCable",
    "NoError",
    "NoSecurityDowngrade",
    "NotEnabled",
    "NotFound",
    "OutOfMemory",
    "OutOfStorage",
    "ReadOnly",
    "TooLargeElement",
    "TooManyElements",
    "TxInProgress",
    "TxNotFound",
    "TxStarted",
    "UnknownConnectorId",
    "UnknownConnectorType",
    "UnknownEvse",
    "UnknownTxId",
    "Unspecified",
    "UnsupportedParam",
    "UnsupportedRateUnit",
    "UnsupportedRequest",
    "ValueOutOfRange",
    "ValuePositiveOnly",
    "ValueTooHigh",
    "ValueTooLow",
    "ValueZeroNotAllowed",
    "WriteOnly",
]
"""Part 2 appendices, chapter 5; errata 2025-09 2.11."""
IdTokenName: TypeAlias = Literal[
    "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"
]
HashAlgorithmName: TypeAlias = Literal["SHA256", "SHA384", "SHA512"]
AuthorizationStatusName: TypeAlias = Literal[
    "Accepted",
    "Blocked",
    "ConcurrentTx",
    "Expired",
    "Invalid",
    "NoCredit",
    "NotAllowedTypeEVSE",
    "NotAtThisLocation",
    "NotAtThisTime",
    "Unknown",
]


class CustomData(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a vendor adds; anything may stand beside the vendor's id. Part 4 chapter 9."""

    vendor_id: Text255


class Payload(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What all types of the version have in common."""

    custom_data: CustomData | UnsetType = UNSET


class CsmsAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a CSMS answers to a call of ours; unknown fields are let be."""

    custom_data: CustomData | UnsetType = UNSET


class StatusInfo(Payload, frozen=True, kw_only=True):
    """Datatype 2.47."""

    reason_code: Text20
    additional_info: Text512 | UnsetType = UNSET


class Evse(Payload, frozen=True, kw_only=True):
    """Datatype 2.23."""

    id: Integer64
    connector_id: Integer32 | UnsetType = UNSET


class Component(Payload, frozen=True, kw_only=True):
    """Datatype 2.16."""

    name: Text50
    evse: Evse | UnsetType = UNSET
    instance: Text50 | UnsetType = UNSET


class Variable(Payload, frozen=True, kw_only=True):
    """Datatype 2.53."""

    name: Text50
    instance: Text50 | UnsetType = UNSET


class ComponentVariable(Payload, frozen=True, kw_only=True):
    """Datatype 2.17."""

    component: Component
    variable: Variable | UnsetType = UNSET


class AdditionalInfo(Payload, frozen=True, kw_only=True):
    """Datatype 2.2."""

    additional_id_token: Text36
    type: Text50


class IdToken(Payload, frozen=True, kw_only=True):
    """Datatype 2.28."""

    id_token: Text36
    type: IdTokenName
    additional_info: Annotated[list[AdditionalInfo], Meta(min_length=1)] | UnsetType = UNSET


class OcspRequestData(Payload, frozen=True, kw_only=True):
    """Datatype 2.36."""

    hash_algorithm: HashAlgorithmName
    issuer_name_hash: Text128
    issuer_key_hash: Text128
    serial_number: Text40
    responder_url: Text512 = field(name="responderURL")


class MessageContent(Payload, frozen=True, kw_only=True):
    """Datatype 2.30."""

    format: Literal["ASCII", "HTML", "URI", "UTF8"]
    content: Text512
    language: Text8 | UnsetType = UNSET


class IdTokenInfo(Payload, frozen=True, kw_only=True):
    """Datatype 2.27."""

    status: AuthorizationStatusName
    cache_expiry_date_time: datetime | UnsetType = UNSET
    charging_priority: Integer32 | UnsetType = UNSET
    language1: Text8 | UnsetType = UNSET
    evse_id: Annotated[list[Integer32], Meta(min_length=1)] | UnsetType = UNSET
    group_id_token: IdToken | UnsetType = UNSET
    language2: Text8 | UnsetType = UNSET
    personal_message: MessageContent | UnsetType = UNSET


class CertificateHashData(Payload, frozen=True, kw_only=True):
    """Datatype 2.6."""

    hash_algorithm: HashAlgorithmName
    issuer_name_hash: Text128
    issuer_key_hash: Text128
    serial_number: Text40


# --- from and to our own words -----------------------------------------------------------------------------


def why(code: ReasonCode, text: str = "") -> StatusInfo:
    """A reason beside a status."""
    return StatusInfo(reason_code=code, additional_info=optional(text, 512))


_CODES: Mapping[str, ReasonCode] = {
    reasons.INVALID_TOKEN: "InvalidIdToken",
    reasons.NOT_ACCEPTED_YET: "CSNotAccepted",
    reasons.NOT_STORED: "InternalError",
    reasons.NO_ROOM: "OutOfStorage",
    reasons.NO_SUCH_CONNECTOR: "UnknownConnectorId",
    reasons.NO_SUCH_RESERVATION: "NotFound",
    reasons.RUNS: "TxInProgress",
    reasons.SWITCHED_OFF: "NotEnabled",
    reasons.TOKEN_TWICE: "InvalidValue",
    reasons.TOO_MANY: "TooManyElements",
    reasons.UPDATING: "FwUpdateInProgress",
}


def because(text: str) -> StatusInfo | UnsetType:
    """A reason of the station, by the code that says the same; none is sent for an empty one."""
    known = (_CODES[part] for part in text.split(": ") if part in _CODES)
    return why(next(known, "Unspecified"), text) if text else UNSET


def id_token(given: IdToken) -> ids.IdToken:
    """The token of a message in our own words; additionalInfo means nothing here (C01.FR.25)."""
    return ids.IdToken(given.id_token, IdTokenType(given.type))


def token_payload(token: ids.IdToken) -> IdToken:
    """At most 36 characters: Authorize refuses longer tokens, what is recorded of one all the same is cut, not lost.

    One that a CSMS of 1.6 gave has no type: it is told as that of a central system."""
    kind = IdTokenType.CENTRAL if token.type is IdTokenType.UNTYPED else token.type
    name: Any = kind.value
    return IdToken(id_token=token.value[:36], type=name)


def token_info(given: IdTokenInfo) -> ids.IdTokenInfo:
    """What the CSMS says of a token, in our own words."""
    return ids.IdTokenInfo(
        AuthorizationStatus(given.status),
        None if given.cache_expiry_date_time is UNSET else aware(given.cache_expiry_date_time),
        None if given.group_id_token is UNSET else id_token(given.group_id_token),
        frozenset() if given.evse_id is UNSET else frozenset(given.evse_id),
    )


def personal_texts(given: IdTokenInfo) -> tuple[Text, ...]:
    """What the driver is to be shown (I01, datatype 2.27)."""
    return () if given.personal_message is UNSET else (text_of(given.personal_message),)


def languages_of(given: IdTokenInfo) -> tuple[str, ...]:
    """That the driver understands, the preferred one first."""
    return tuple(each for each in (given.language1, given.language2) if each is not UNSET)


def text_of(given: MessageContent) -> Text:
    return Text(given.content, "" if given.language is UNSET else given.language, given.format)


def time_payload(at: datetime | None) -> datetime | UnsetType:
    """An optional time: left out when there is none."""
    return UNSET if at is None else timestamp(at)
