"""SendLocalList and GetLocalListVersion of OCPP 1.6. Their rules are in `agent/charging/local_list.py`.

Without the profile LocalAuthListManagement, or while LocalAuthListEnabled is false, lists are not supported: version -1
and status NotSupported. OCPP 1.6 3.5.2, 5.10, 5.15, 6.41, 7.1, 7.47 (R16-212 to R16-224).
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging.requests import ListAnswer, ListEntry, ListVerdict, UpdateLocalList
from agent.ocpp.frontend import Ask, Reply, Response, Route, View, routed
from agent.ocpp.v16.datatypes import CiString20, IdTagInfo, id_token, token_info
from agent.ocpp.values import Integer64

NOT_SUPPORTED = -1
"""The version that means: no lists here (5.10)."""


class AuthorizationData(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.1."""

    id_tag: CiString20
    id_tag_info: IdTagInfo | UnsetType = UNSET


class SendLocalListRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    list_version: Integer64
    update_type: Literal["Differential", "Full"]
    local_authorization_list: list[AuthorizationData] | UnsetType = UNSET


class SendLocalListResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"]


class GetLocalListVersionRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    pass


class GetLocalListVersionResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    list_version: int


def send_local_list(request: SendLocalListRequest, view: View) -> Response:
    """Accepted means that the whole update is on the disk; anything else changed nothing (R16-216 to R16-224)."""
    if not _has_profile(view):
        return Reply(SendLocalListResponse(status="NotSupported"))
    given = request.local_authorization_list
    entries = tuple(_entry(each) for each in given) if given is not UNSET else ()
    return Ask(UpdateLocalList(request.list_version, request.update_type == "Full", entries), _updated)


def _entry(given: AuthorizationData) -> ListEntry:
    info = given.id_tag_info
    return ListEntry(id_token(given.id_tag), None if info is UNSET else token_info(info))


def _updated(answer: ListAnswer) -> Reply:
    match answer.verdict:
        case ListVerdict.ACCEPTED:
            return Reply(SendLocalListResponse(status="Accepted"))
        case ListVerdict.FAILED:
            return Reply(SendLocalListResponse(status="Failed"))
        case ListVerdict.VERSION_MISMATCH:
            return Reply(SendLocalListResponse(status="VersionMismatch"))
        case ListVerdict.SWITCHED_OFF:
            return Reply(SendLocalListResponse(status="NotSupported"))


def get_local_list_version(_request: GetLocalListVersionRequest, view: View) -> Reply:
    """0 while the list is empty (R16-215, R16-217)."""
    version = view.snapshot().local_list_version if _has_profile(view) else None
    return Reply(GetLocalListVersionResponse(list_version=NOT_SUPPORTED if version is None else version))


def _has_profile(view: View) -> bool:
    return "LocalAuthListManagement" in view.settings.listed("supported_feature_profiles")


ROUTES = routed(
    Route("SendLocalList", SendLocalListRequest, send_local_list),
    Route("GetLocalListVersion", GetLocalListVersionRequest, get_local_list_version),
)
