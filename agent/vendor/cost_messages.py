"""Prices and costs over DataTransfer of OCPP 1.6: org.openchargealliance.costmsg.

SetUserPrice, RunningCost and FinalCost come from the CSMS and are shown by the station; ConnectorUnplugged goes to it
when waiting ends. It turns JSON into requests of the charging core and decides nothing. There while the setting
CustomDisplayCostAndPrice is true. Source: OCA application note "OCPP & California Pricing Requirements" 3.1, part 3.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from agent.charging.facts import DriverLeft
from agent.charging.ids import IdToken, IdTokenType
from agent.charging.requests import Answer, Request, Result, ShowCost, ShowTokenPrice, TransferResult, Verdict
from agent.charging.settings import Settings
from agent.charging.tariff import (
    CostShown,
    MeterTrigger,
    Moment,
    NextPrice,
    Price,
    Text,
    amount_text,
    texts_of,
)
from agent.errors import AgentError
from agent.vendor.registry import Vendor, VendorCall, accepted, rejected

log = logging.getLogger(__name__)

VENDOR_ID = "org.openchargealliance.costmsg"
MOST_TEXTS = 40

StatusName = Literal[
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
]
Execute = Callable[[Request], Awaitable[Result]]
Amount = Annotated[float, Meta(ge=-1e9, le=1e9)]
Register = Annotated[float, Meta(ge=0, le=1e12)]
"""Wh; bounds keep "nan" and "inf" out, which JSON cannot carry on."""
Threshold = Annotated[float, Meta(ge=0, le=1e9)]
Texts = Annotated[list["TextData"], Meta(max_length=MOST_TEXTS)]


class TextData(msgspec.Struct, frozen=True, kw_only=True):
    """Members that we do not know are left alone: the note has grown with each edition."""

    content: Annotated[str, Meta(max_length=1024)]
    language: Annotated[str, Meta(max_length=35)] = ""
    format: Literal["ASCII", "HTML", "URI", "UTF8"] = "UTF8"


class ChargingPriceData(msgspec.Struct, frozen=True, kw_only=True):
    kwh_price: Amount | None = msgspec.field(default=None, name="kWhPrice")
    hour_price: Amount | None = msgspec.field(default=None, name="hourPrice")
    flat_fee: Amount | None = msgspec.field(default=None, name="flatFee")


class IdlePriceData(msgspec.Struct, frozen=True, kw_only=True):
    grace_minutes: Annotated[int, Meta(ge=0)] | None = msgspec.field(default=None, name="graceMinutes")
    hour_price: Amount | None = msgspec.field(default=None, name="hourPrice")


class NextPeriodData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    at_time: datetime
    charging_price: ChargingPriceData | None = None
    idle_price: IdlePriceData | None = None


class TriggerData(msgspec.Struct, frozen=True, kw_only=True):
    at_time: datetime | None = msgspec.field(default=None, name="atTime")
    at_energy_kwh: Threshold | None = msgspec.field(default=None, name="atEnergykWh")
    at_power_kw: Threshold | None = msgspec.field(default=None, name="atPowerkW")
    at_status: list[StatusName] = msgspec.field(default_factory=list, name="atCPStatus")


class UserPriceData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id_token: Annotated[str, Meta(min_length=1, max_length=36)]
    price_text: Annotated[str, Meta(max_length=1024)]
    price_text_extra: Texts = msgspec.field(default_factory=list)


class RunningCostData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    transaction_id: int
    timestamp: datetime
    meter_value: Register
    cost: Amount
    state: Literal["Charging", "Idle"]
    charging_price: ChargingPriceData | None = None
    idle_price: IdlePriceData | None = None
    next_period: NextPeriodData | None = None
    trigger_meter_value: TriggerData | None = None


class FinalCostData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    transaction_id: int
    cost: Amount
    price_text: Annotated[str, Meta(max_length=1024)] = ""
    price_text_extra: Texts = msgspec.field(default_factory=list)
    qr_code_text: Annotated[str, Meta(max_length=1024)] = ""


class ConnectorUnpluggedData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    transaction_id: int | str
    timestamp: str
    """UTC, with three decimals, as in every other message."""


Data = TypeVar("Data", bound=msgspec.Struct)


class CostMessages:
    """Both directions; `vendor` goes into the registry."""

    def __init__(
        self,
        settings: Settings,
        execute: Execute,
        send: Callable[[str, str | None, object], Awaitable[TransferResult]],
    ) -> None:
        """`execute` is the station's; `send` sends a DataTransfer and raises AgentError when that cannot be."""
        self._settings = settings
        self._execute = execute
        self._send = send
        self.vendor = Vendor(
            VENDOR_ID,
            {
                "SetUserPrice": self._set_user_price,
                "RunningCost": self._running_cost,
                "FinalCost": self._final_cost,
            },
        )

    async def _set_user_price(self, call: VendorCall) -> TransferResult:
        given, refusal = _read(call, UserPriceData)
        if given is None:
            return refusal
        texts = self._texts(given.price_text, given.price_text_extra)
        token = IdToken(given.id_token, IdTokenType.UNTYPED)
        return _answered(await self._execute(ShowTokenPrice(token, texts)))

    async def _running_cost(self, call: VendorCall) -> TransferResult:
        given, refusal = _read(call, RunningCostData)
        if given is None:
            return refusal
        following = given.next_period
        cost = CostShown(
            amount=self._amount(given.cost),
            is_waiting=given.state == "Idle",
            charging_price=_charging(given.charging_price),
            waiting_price=_waiting(given.idle_price),
            next_price=None
            if following is None
            else NextPrice(
                _zoned(following.at_time), _charging(following.charging_price), _waiting(following.idle_price)
            ),
            at=_zoned(given.timestamp),
            register_wh=given.meter_value,
        )
        trigger = None if given.trigger_meter_value is None else _trigger(given.trigger_meter_value)
        return _answered(await self._execute(ShowCost(str(given.transaction_id), cost, trigger)))

    async def _final_cost(self, call: VendorCall) -> TransferResult:
        given, refusal = _read(call, FinalCostData)
        if given is None:
            return refusal
        cost = CostShown(
            texts=self._texts(given.price_text, given.price_text_extra),
            amount=self._amount(given.cost),
            is_final=True,
            qr_code=given.qr_code_text,
        )
        return _answered(await self._execute(ShowCost(str(given.transaction_id), cost)))

    async def driver_left(self, fact: DriverLeft) -> None:
        """Waiting is over: the CSMS may close its bill. Not queued: without a connection it sees the status later."""
        number = fact.reference
        told = ConnectorUnpluggedData(
            transaction_id=int(number) if number.lstrip("-").isdigit() else number, timestamp=_stamp(fact.at)
        )
        try:
            await self._send(VENDOR_ID, "ConnectorUnplugged", msgspec.to_builtins(told))
        except AgentError as error:
            log.warning("ConnectorUnplugged of transaction %s was not sent: %s", number, error)

    def _texts(self, plain: str, extra: list[TextData]) -> tuple[Text, ...]:
        others = (Text(text.content, text.language, text.format) for text in extra)
        return texts_of(plain, others, self._settings.flag("multi_language"))

    def _amount(self, amount: float) -> str:
        return amount_text(amount, self._settings.integer("cost_decimals"))


def _read(call: VendorCall, kind: type[Data]) -> tuple[Data | None, TransferResult]:
    """The message, or the answer to one that cannot be understood."""
    try:
        return msgspec.convert(call.content, kind, strict=False), accepted()
    except msgspec.ValidationError as error:
        log.warning("%s %s: %s", VENDOR_ID, call.message_id, error)
        return None, rejected("bad_args", str(error))


def _answered(result: Result) -> TransferResult:
    if isinstance(result, Answer) and result.verdict is not Verdict.ACCEPTED:
        return rejected("refused", result.reason)
    return accepted()


def _charging(price: ChargingPriceData | None) -> Price | None:
    return None if price is None else Price(price.kwh_price, price.hour_price, price.flat_fee)


def _waiting(price: IdlePriceData | None) -> Price | None:
    return None if price is None else Price(per_hour=price.hour_price, grace_minutes=price.grace_minutes)


def _trigger(given: TriggerData) -> MeterTrigger:
    return MeterTrigger(
        None if given.at_time is None else _zoned(given.at_time),
        None if given.at_energy_kwh is None else given.at_energy_kwh * 1000,
        None if given.at_power_kw is None else given.at_power_kw * 1000,
        # Reserved and Unavailable cannot come true as long as the transaction, and with it the trigger, is there.
        frozenset(Moment(status) for status in given.at_status if status in frozenset(Moment)),
    )


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _zoned(at: datetime) -> datetime:
    """A time without a zone is taken for UTC: it is compared with, no clock is set by it."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
