"""What a driver is told of prices and costs, and when a meter reading is wanted for them. Pure.

The CSMS calculates; the station shows, and reports a reading when a trigger of the CSMS says so. Prices are for show
only: nothing here is ever billed. Used by `cost_display.py`. Source: OCA application note "OCPP & California Pricing
Requirements" 3.1 (the 1.6 part); 2.0.1 block I uses the same values.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

POWER_BAND = 0.05
"""A power that wavers around its threshold by less than this share of it triggers once."""

_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)")


class Text(Struct, frozen=True):
    """A text for the driver. `language`: RFC 5646 tag; empty = the station's own language."""

    content: str
    language: str = ""
    format: str = "UTF8"


class Price(Struct, frozen=True):
    """What charging or waiting costs, in the CSMS's currency; None = not part of the price."""

    per_kwh: float | None = None
    per_hour: float | None = None
    flat: float | None = None
    grace_minutes: int | None = None
    """Of waiting only: so long it costs nothing."""


class NextPrice(Struct, frozen=True):
    at: datetime
    charging: Price | None = None
    waiting: Price | None = None


class Moment(StrEnum):
    """Where one EVSE stands, as far as a trigger can name it."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    FAULTED = "Faulted"


class MeterTrigger(Struct, frozen=True):
    """When the CSMS wants a reading for its calculation. Each condition that is given fires by itself."""

    at: datetime | None = None
    energy_wh: float | None = None
    """Taken by the transaction."""
    power_w: float | None = None
    """Passed upwards or downwards."""
    moments: frozenset[Moment] = frozenset()

    @property
    def needs_meter(self) -> bool:
        return self.energy_wh is not None or self.power_w is not None


class CostShown(Struct, frozen=True):
    """What stands on the display of one EVSE. `amount`: decimal text, None while there is only a price."""

    texts: tuple[Text, ...] = ()
    amount: str | None = None
    is_final: bool = False
    is_waiting: bool = False
    """The cost runs on although no energy flows."""
    charging_price: Price | None = None
    waiting_price: Price | None = None
    next_price: NextPrice | None = None
    qr_code: str = ""
    at: datetime | None = None
    register_wh: float | None = None
    """The register that the CSMS calculated with."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trigger is compared with."""

    now: datetime
    moment: Moment
    energy_wh: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A trigger under watch: what of it has fired, and on which side of its power threshold we are."""

    trigger: MeterTrigger
    moment: Moment
    is_time_left: bool = True
    is_energy_left: bool = True
    is_above: bool | None = None

    def look(self, seen: Seen) -> "tuple[Watch, bool]":
        """The watch afterwards, and whether a reading is due."""
        trigger = self.trigger
        is_time = self.is_time_left and trigger.at is not None and seen.now >= trigger.at
        is_energy = (
            self.is_energy_left
            and trigger.energy_wh is not None
            and seen.energy_wh is not None
            and seen.energy_wh >= trigger.energy_wh
        )
        is_above = _side(self.is_above, trigger.power_w, seen.power_w)
        is_power = self.is_above is not None and is_above is not self.is_above
        is_moment = seen.moment is not self.moment and seen.moment in trigger.moments
        after = Watch(
            trigger,
            seen.moment,
            self.is_time_left and not is_time,
            self.is_energy_left and not is_energy,
            is_above,
        )
        return after, is_time or is_energy or is_power or is_moment


def _side(before: bool | None, threshold_w: float | None, power_w: float | None) -> bool | None:
    if threshold_w is None or power_w is None:
        return before
    if before is None:
        return power_w >= threshold_w
    band_w = threshold_w * POWER_BAND
    return power_w >= threshold_w - band_w if before else power_w >= threshold_w + band_w


_ALL_DIGITS = Context(prec=400)
"""Enough for the largest number that JSON brings: the usual 28 digits refuse it with an exception."""


def amount_text(amount: float, decimals: int) -> str:
    """Rounded to `decimals` places, half up, as money is. Takes every finite number."""
    exact = Decimal(str(amount)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _ALL_DIGITS)
    return f"{exact:f}"


def texts_of(plain: str | None, extra: Iterable[Text], is_multi_language: bool) -> tuple[Text, ...]:
    """The text in the station's own language first; the others only where the station may show them."""
    own = (Text(plain),) if plain else ()
    return (*own, *extra) if is_multi_language else own


def parse_offset(text: str) -> timedelta:
    """ "+02:00" as a difference to UTC. Raises ValueError."""
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[2]) > 14:
        raise ValueError(f"{text!r} is no offset like +02:00")
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return -offset if found[1] == "-" else offset


def in_local_time(shown: CostShown, offset: timedelta) -> CostShown:
    """The same instants, written as a clock at the station shows them."""
    zone, following = timezone(offset), shown.next_price
    return replace(
        shown,
        at=None if shown.at is None else shown.at.astimezone(zone),
        next_price=None if following is None else replace(following, at=following.at.astimezone(zone)),
    )


def offset_at(now: datetime, offset: str, next_offset: str, next_at: str) -> timedelta:
    """The offset that local time has now; the next one holds from its date on. Unreadable texts count as none."""
    try:
        if next_offset and next_at and now >= datetime.fromisoformat(next_at):
            return parse_offset(next_offset)
        return parse_offset(offset) if offset else timedelta()
    except (ValueError, TypeError):  # TypeError: a date without a zone cannot be compared
        return timedelta()


def default_texts(prices: Mapping[str, object], is_online: bool) -> str | None:
    """The text of a default price: its offline variant where there is one and nobody can be asked."""
    offline = prices.get("priceTextOffline")
    text = offline if offline and not is_online else prices.get("priceText")
    return text if isinstance(text, str) and text else None
