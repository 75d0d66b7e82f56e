"""Types that several OCPP 1.6 payloads share, and the words that only 1.6 uses.

Payloads are frozen, keyword-only Structs in camelCase that forbid unknown fields. Optional fields are UNSET by default,
so that they are never sent empty; a `null` in a request is refused, as the schemas demand. What a CSMS answers is read
with more patience (unknown fields ignored): an answer cannot be refused, strictness there would only lose data.
Used by the rooms of this version. OCPP 1.6 chapter 7.
"""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.ocpp.values import Integer32, Integer64, aware

CiString20: TypeAlias = Annotated[str, Meta(max_length=20)]
CiString25: TypeAlias = Annotated[str, Meta(max_length=25)]
CiString50: TypeAlias = Annotated[str, Meta(max_length=50)]
CiString255: TypeAlias = Annotated[str, Meta(max_length=255)]
CiString500: TypeAlias = Annotated[str, Meta(max_length=500)]

AcceptedRejected: TypeAlias = Literal["Accepted", "Rejected"]
ChargingProfilePurpose: TypeAlias = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
ChargingRateUnit: TypeAlias = Literal["A", "W"]


class IdTagInfo(Struct, frozen=True, kw_only=True, rename="camel"):
    """OCPP 1.6 7.27. `null` for what is not known is common in the field and accepted."""

    status: Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
    expiry_date: datetime | None = None
    parent_id_tag: CiString20 | None = None


class ChargingSchedulePeriod(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.14. `limit` has one decimal, which `smart_charging.has_one_decimal` checks."""

    start_period: Integer32
    limit: float
    number_phases: Integer32 | UnsetType = UNSET


class ChargingSchedule(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.13."""

    charging_rate_unit: ChargingRateUnit
    charging_schedule_period: Annotated[list[ChargingSchedulePeriod], Meta(min_length=1)]
    duration: Integer32 | UnsetType = UNSET
    start_schedule: datetime | UnsetType = UNSET
    min_charging_rate: float | UnsetType = UNSET


class ChargingProfile(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.8."""

    charging_profile_id: Integer64
    stack_level: Integer32
    charging_profile_purpose: ChargingProfilePurpose
    charging_profile_kind: Literal["Absolute", "Recurring", "Relative"]
    charging_schedule: ChargingSchedule
    transaction_id: Integer64 | UnsetType = UNSET
    recurrency_kind: Literal["Daily", "Weekly"] | UnsetType = UNSET
    valid_from: datetime | UnsetType = UNSET
    valid_to: datetime | UnsetType = UNSET


def id_token(id_tag: str) -> IdToken:
    """The idTag of a request; what kind of token it is, 1.6 does not say (OCPP 1.6 3.9)."""
    return IdToken(id_tag, IdTokenType.UNTYPED)


def id_tag(token: IdToken) -> str:
    """At most 20 characters: Authorize refuses longer tokens, what is recorded of one all the same is cut, not lost."""
    return token.value[:20]


def token_info(info: IdTagInfo) -> IdTokenInfo:
    """What the CSMS says of a token, in our own words."""
    expires_at = None if info.expiry_date is None else aware(info.expiry_date)
    parent = info.parent_id_tag
    return IdTokenInfo(
        AuthorizationStatus(info.status), expires_at, IdToken(parent, IdTokenType.UNTYPED) if parent else None
    )
