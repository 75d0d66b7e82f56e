"""Who may charge: what is known of a token decides, or the CSMS is asked.

Pure: given what the local list and the cache hold, the settings and whether the CSMS can be asked, `decide`
says accept, refuse or ask. It reads no store and sends nothing; `identification.py` does both around it.
OCPP 1.6 3.4, 3.5, 3.10 (R16-088 to R16-107, R16-225, R16-226).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType

UNQUESTIONED = frozenset({IdTokenType.CENTRAL, IdTokenType.NO_AUTHORIZATION})
"""Types of tokens that nobody is asked about: they come from the CSMS, or nobody shows who he is. What is said of them
is not remembered either (2.0.1 C02.FR.03, C03.FR.01, C03.FR.02, C05.FR.01, C05.FR.02)."""
VALID = frozenset({AuthorizationStatus.ACCEPTED, AuthorizationStatus.CONCURRENT_TX})
"""A token in use elsewhere is not a bad token (R16-225); whether it may start is the CSMS's business."""
_ACCEPTED = frozenset({AuthorizationStatus.ACCEPTED})

UNKNOWN_OFFLINE = "offline and unknown"
"""Why a token is refused that nobody here knows, while there is nobody to ask."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that matter here."""

    local_pre_authorize: bool
    local_authorize_offline: bool
    allow_unknown_offline: bool
    recheck_listed: bool = True
    """A token that the list says is no good is asked for all the same (2.0.1 C14.FR.03)."""
    recheck_cached: bool = True
    """The same of the cache (2.0.1 C12.FR.05)."""
    in_use_is_valid: bool = True
    """Who is listed as in use elsewhere is listed as valid (R16-225); otherwise only Accepted is (2.0.1 C13.FR.02)."""


@dataclass(frozen=True, slots=True)
class Accept:
    known: IdTokenInfo


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """The CSMS decides."""


Decision: TypeAlias = Accept | Refused | Ask


def status_at(known: IdTokenInfo, now: datetime) -> AuthorizationStatus:
    """The status, Expired once its date has passed (R16-102, R16-226)."""
    is_over = known.expires_at is not None and known.expires_at <= now
    return AuthorizationStatus.EXPIRED if is_over and known.status in VALID else known.status


def decide(
    listed: IdTokenInfo | None,
    cached: IdTokenInfo | None,
    rules: Rules,
    *,
    is_online: bool,
    now: datetime,
) -> Decision:
    """`listed`: entry of the local list, which beats the cache (R16-098). None: not known there."""
    known = listed or cached
    valid = VALID if rules.in_use_is_valid else _ACCEPTED
    status = None if known is None else status_at(known, now)
    if is_online:
        good = valid if listed is not None else _ACCEPTED  # a cached word of use elsewhere grows old
        if rules.local_pre_authorize and known is not None and status in good:
            return Accept(known)  # R16-094, R16-227
        rechecks = rules.recheck_cached if listed is None else rules.recheck_listed
        if known is not None and status is not None and status not in valid and not rechecks:
            return Refused(str(status))
        return Ask()  # R16-089; R16-105: also a token known as not valid is asked for again
    if known is None or status is None:
        allowed = rules.allow_unknown_offline  # R16-096
        return Accept(IdTokenInfo(AuthorizationStatus.ACCEPTED)) if allowed else Refused(UNKNOWN_OFFLINE)
    if status not in valid:
        return Refused(str(status))  # R16-097
    return Accept(known) if rules.local_authorize_offline else Refused("offline")  # R16-095


def judge(answer: IdTokenInfo, now: datetime) -> Accept | Refused:
    """What the CSMS said (R16-090)."""
    status = status_at(answer, now)
    return Accept(answer) if status is AuthorizationStatus.ACCEPTED else Refused(str(status))


def is_same_driver(
    holder: IdToken | None, holder_group: IdToken | None, other: IdToken, other_group: IdToken | None
) -> bool:
    """The same token, or two of one group. A token is never compared with a group (R16-041).

    Groups have one name each, whatever type a CSMS gives it (2.0.1 C09.FR.13 is no more than a recommendation)."""
    if other.is_same(holder):
        return True
    return holder_group is not None and other_group is not None and holder_group.key == other_group.key
