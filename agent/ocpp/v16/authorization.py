"""Authorize and ClearCache of OCPP 1.6. Who may charge is decided in `agent/charging/authorization.py`, not here.

OCPP 1.6 4.1, 5.4, 7.2, 7.27 (R16-089, R16-101, R16-107).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

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
from agent.ocpp.v16.datatypes import AcceptedRejected, CiString20, IdTagInfo, id_tag, token_info


class AuthorizeRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    id_tag: CiString20


class AuthorizeResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id_tag_info: IdTagInfo


class ClearCacheRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class ClearCacheResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: AcceptedRejected


def clear_cache(_request: ClearCacheRequest, _view: View) -> Ask:
    """Accepted means that the cache is empty on the disk too."""
    return Ask(ClearCache(), _cleared)


def _cleared(answer: Answer) -> Reply:
    is_cleared = answer.verdict is Verdict.ACCEPTED
    return Reply(ClearCacheResponse(status="Accepted" if is_cleared else "Rejected"))


def authorize(question: TokenQuestion, _view: View, _reference: str | None) -> Call:
    token = question.id_token
    if id_tag(token) != token.value:  # cut, it might be another driver's
        raise LocalProtocolError("an idTag has at most 20 characters")
    return Call("Authorize", AuthorizeRequest(id_tag=token.value))


ROUTES = routed(Route("ClearCache", ClearCacheRequest, clear_cache))
ENCODERS: Mapping[type, Encoder] = {TokenQuestion: authorize}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "Authorize": ResultReader(
        AuthorizeResponse, lambda response: TokenJudged(token_info(response.id_tag_info))
    )
}
