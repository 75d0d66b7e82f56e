"""Times, whole numbers and optional texts, as every OCPP version reads and writes them.

Pure; used by the rooms of `v16` and `v201`. It knows no message. OCPP 1.6 3.15 (R16-035, R16-036); 2.0.1 part 2,
chapter "Primitive datatypes".
"""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias, TypeVar

from msgspec import UNSET, Meta, UnsetType

from agent.ocpp.codec import WireTime

Integer32: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A number of seconds or times: what is added to a time has to leave a time."""
Integer64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that is stored: an id, where some central systems use milliseconds since 1970."""

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Times beyond are taken for these."""

T = TypeVar("T")


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
    """In UTC, to the millisecond: enough in 1.6 (R16-036), and 2.x allows no more than three decimals (part 2, 3.1).

    Every time that is sent goes through here; a whole second needs no decimals, and nothing special."""
    at = at.astimezone(UTC)
    if not at.microsecond:
        return at
    milliseconds = at.microsecond // 1000 * 1000
    return WireTime(at.year, at.month, at.day, at.hour, at.minute, at.second, milliseconds, UTC)


def optional(text: str | None, longest: int) -> str | UnsetType:
    """An optional text field: left out when empty (strict peers take "" for an error), cut to its limit."""
    return text[:longest] if text else UNSET


def given(value: T | UnsetType) -> T | None:
    """What stands in an optional field, None if nothing does."""
    return None if value is UNSET else value
