"""Types that several OCPP 1.6 payloads share, and the words that only 1.6 uses.

Payloads are frozen, keyword-only Structs in camelCase that forbid unknown fields. Optional fields are UNSET by default,
so that they are never sent empty; a `null` in a request is refused, as the schemas demand. What a CSMS answers is read
with more patience (unknown fields ignored): an answer cannot be refused, strictness there would only lose data.
Used by the rooms of this version. OCPP 1.6 chapter 7.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType

CiString20: TypeAlias = Annotated[str, Meta(max_length=20)]
CiString25: TypeAlias = Annotated[str, Meta(max_length=25)]
CiString50: TypeAlias = Annotated[str, Meta(max_length=50)]
CiString255: TypeAlias = Annotated[str, Meta(max_length=255)]
CiString500: TypeAlias = Annotated[str, Meta(max_length=500)]

Integer32: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A number of seconds or times: what is added to a time has to leave a time."""
Integer64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that is stored."""

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Times beyond are taken for these."""

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
    return IdToken(id_tag, IdTokenType.CENTRAL)


def id_tag(token: IdToken) -> str:
    """At most 20 characters: Authorize refuses longer tokens, what is recorded of one all the same is cut, not lost."""
    return token.value[:20]


def token_info(info: IdTagInfo) -> IdTokenInfo:
    """What the CSMS says of a token, in our own words."""
    expires_at = None if info.expiry_date is None else aware(info.expiry_date)
    parent = info.parent_id_tag
    return IdTokenInfo(
        AuthorizationStatus(info.status), expires_at, IdToken(parent, IdTokenType.CENTRAL) if parent else None
    )


def csms_time(at: datetime) -> datetime | None:
    """The CSMS's time in UTC; None without a zone: nobody knows what it means (R16-035)."""
    return None if at.tzinfo is None else aware(at)


def aware(at: datetime) -> datetime:
    """A time that something is compared with, in UTC; without a zone it is taken for UTC. No clock is ever set by it.

    The ends of the calendar, which mean "never" to many, are brought to where every zone and sum still has a date.
    """
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max(at, EARLIEST), LATEST).astimezone(UTC)


def timestamp(at: datetime) -> datetime:
    """Milliseconds are enough on the wire (R16-036)."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def optional(text: str | None, longest: int) -> str | UnsetType:
    """An optional text field: left out when empty (strict peers take "" for an error), cut to its limit."""
    return text[:longest] if text else UNSET
