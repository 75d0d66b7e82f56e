"""Authorize and ClearCache of OCPP 2.0.1. Who may charge is decided in `agent/charging/authorization.py`.

OCPP 2.0.1 part 2, C01 to C16.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.ids import AuthorizationStatus, IdTokenType
from agent.charging.ids import IdToken as Token
from agent.charging.ids import IdTokenInfo as Known
from agent.charging.requests import Answer, ClearCache, Verdict
from agent.errors import LocalProtocolError
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    Reply,
    ResultReader,
    Route,
    TokenJudged,
    TokenQuestion,
    View,
    routed,
)
from agent.ocpp.v201.datatypes import (
    AuthorizationStatusName,
    CsmsAnswer,
    IdToken,
    IdTokenInfo,
    OcspRequestData,
    Payload,
    StatusInfo,
    Text5500,
    because,
    languages_of,
    personal_texts,
    token_info,
    token_payload,
)
from agent.ocpp.values import aware

AuthorizeCertificateStatusName: TypeAlias = Literal[
    "Accepted",
    "SignatureError",
    "CertificateExpired",
    "CertificateRevoked",
    "NoCertificateAvailable",
    "CertChainError",
    "ContractCancelled",
]


class AuthorizeRequest(Payload, frozen=True, kw_only=True):
    id_token: IdToken
    certificate: Text5500 | UnsetType = UNSET
    iso15118_certificate_hash_data: (
        Annotated[list[OcspRequestData], Meta(min_length=1, max_length=4)] | UnsetType
    ) = UNSET


class AuthorizeResponse(CsmsAnswer, frozen=True, kw_only=True):
    id_token_info: IdTokenInfo
    certificate_status: AuthorizeCertificateStatusName | UnsetType = UNSET


class ClearCacheRequest(Payload, frozen=True, kw_only=True):
    pass


class ClearCacheResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | UnsetType = UNSET


class GroupReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    id_token: str


class TokenReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    status: AuthorizationStatusName
    cache_expiry_date_time: datetime | None = None
    group_id_token: GroupReceipt | None = None


class AuthorizeReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has to be known of an answer to Authorize, whatever else is wrong with it."""

    id_token_info: TokenReceipt


def clear_cache(_request: ClearCacheRequest, _view: View) -> Ask:
    """C11: Accepted means that the cache is empty on the disk too."""
    return Ask(ClearCache(), _cleared)


def _cleared(answer: Answer) -> Reply:
    if answer.verdict is Verdict.ACCEPTED:
        return Reply(ClearCacheResponse(status="Accepted"))
    return Reply(ClearCacheResponse(status="Rejected", status_info=because(answer.reason)))


def authorize(question: TokenQuestion, _view: View, _reference: str | None) -> Call:
    """C01.FR.02, C01.FR.04."""
    payload = token_payload(question.id_token)
    if payload.id_token != question.id_token.value:  # cut, it might be another driver's
        raise LocalProtocolError("an idToken has at most 36 characters")
    return Call("Authorize", AuthorizeRequest(id_token=payload))


def _judged(response: AuthorizeResponse) -> TokenJudged:
    info = response.id_token_info
    return TokenJudged(token_info(info), personal_texts(info), languages_of(info))


def _judged_at_least(receipt: AuthorizeReceipt) -> TokenJudged:
    return TokenJudged(known_at_least(receipt.id_token_info))


def known_at_least(known: TokenReceipt) -> Known:
    """What is said of a token where the rest of the answer cannot be read."""
    expires_at, group = known.cache_expiry_date_time, known.group_id_token
    return Known(
        AuthorizationStatus(known.status),
        None if expires_at is None else aware(expires_at),
        None if group is None else Token(group.id_token, IdTokenType.CENTRAL),
    )


ROUTES = routed(Route("ClearCache", ClearCacheRequest, clear_cache))
ENCODERS: Mapping[type, Encoder] = {TokenQuestion: authorize}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "Authorize": ResultReader(
        AuthorizeResponse, _judged, less=ResultReader(AuthorizeReceipt, _judged_at_least)
    )
}
