"""SendLocalList and GetLocalListVersion of OCPP 2.0.1. Their rules are in `agent/charging/local_list.py`.

OCPP 2.0.1 part 2, D01, D02.
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from agent.charging.requests import ListAnswer, ListEntry, ListVerdict, UpdateLocalList
from agent.ocpp.frontend import Ask, Reply, Route, View, routed
from agent.ocpp.v201.datatypes import (
    IdToken,
    IdTokenInfo,
    Payload,
    StatusInfo,
    because,
    id_token,
    token_info,
    why,
)
from agent.ocpp.values import Integer32


class AuthorizationData(Payload, frozen=True, kw_only=True):
    """Datatype 2.4."""

    id_token: IdToken
    id_token_info: IdTokenInfo | UnsetType = UNSET


class SendLocalListRequest(Payload, frozen=True, kw_only=True):
    version_number: Integer32
    update_type: Literal["Differential", "Full"]
    local_authorization_list: list[AuthorizationData] | UnsetType = UNSET
    """An empty one means the same as none, which D01.FR.05 allows and the schema does not."""


class SendLocalListResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Failed", "VersionMismatch"]
    status_info: StatusInfo | UnsetType = UNSET


class GetLocalListVersionRequest(Payload, frozen=True, kw_only=True):
    pass


class GetLocalListVersionResponse(Payload, frozen=True, kw_only=True):
    version_number: Integer32


def send_local_list(request: SendLocalListRequest, _view: View) -> Ask:
    """D01: Accepted means that the whole update is on the disk; anything else changed nothing."""
    given = request.local_authorization_list
    entries = () if given is UNSET else tuple(_entry(each) for each in given)
    return Ask(UpdateLocalList(request.version_number, request.update_type == "Full", entries), _updated)


def _entry(given: AuthorizationData) -> ListEntry:
    """D01.FR.17: without an idTokenInfo it leaves the list."""
    info = given.id_token_info
    return ListEntry(id_token(given.id_token), None if info is UNSET else token_info(info))


def _updated(answer: ListAnswer) -> Reply:
    reason = because(answer.reason)
    match answer.verdict:
        case ListVerdict.ACCEPTED:
            return Reply(SendLocalListResponse(status="Accepted"))
        case ListVerdict.FAILED:
            return Reply(SendLocalListResponse(status="Failed", status_info=reason))
        case ListVerdict.SWITCHED_OFF:
            disabled = why("NotEnabled", answer.reason)
            return Reply(SendLocalListResponse(status="Failed", status_info=disabled))
        case ListVerdict.VERSION_MISMATCH:
            return Reply(SendLocalListResponse(status="VersionMismatch", status_info=reason))


def get_local_list_version(_request: GetLocalListVersionRequest, view: View) -> Reply:
    """0 while there is no list or it is switched off (D02)."""
    return Reply(GetLocalListVersionResponse(version_number=view.snapshot().local_list_version or 0))


ROUTES = routed(
    Route("SendLocalList", SendLocalListRequest, send_local_list, most_bytes="local_list_max_bytes"),
    Route("GetLocalListVersion", GetLocalListVersionRequest, get_local_list_version),
)
