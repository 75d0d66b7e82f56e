"""What the CSMS tells drivers of prices and costs: kept per EVSE for the display, with the readings it asks for.

The shell around `tariff.py`. What is shown is part of the snapshot, so every display (the local API, later a screen)
shows the same. Nothing is calculated or billed here, nothing survives a restart. Built by `station.py`; asked through
`execution.py`. Source: OCA application note "OCPP & California Pricing Requirements" 3.1; 2.0.1 part 2, I01 to I06.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from agent.charging.core import StationCore
from agent.charging.facts import (
    CablePlugged,
    CableUnplugged,
    DriverLeft,
    EvseChanged,
    Fact,
    TransactionStarted,
    TransactionStopped,
)
from agent.charging.ids import ChargingState, EvseId, ReadingContext, TransactionId
from agent.charging.metering import register_wh
from agent.charging.requests import Answer, SampleMeters, ShowCost, ShowTokenPrice, Verdict
from agent.charging.setting import Kind, Setting
from agent.charging.snapshot import EvseSnapshot, SessionState
from agent.charging.tariff import (
    CostShown,
    Moment,
    Seen,
    Text,
    Watch,
    amount_text,
    default_texts,
    in_local_time,
    offset_at,
    parse_offset,
)

if TYPE_CHECKING:
    from agent.charging.execution import Execution

log = logging.getLogger(__name__)

READ_PERIOD_S = 5.0
"""How often the meter is asked while a trigger waits for energy or power."""
FINAL_SHOWN_S = 300.0
"""How long the final cost stays on the display after the driver left."""
TOKENS_KEPT = 16
"""Prices of drivers who have not started yet."""
_TRIGGER, _CLEAR = "price_trigger", "price_clear"
_OF_PRICES = (
    "default_price",
    "cost_decimals",
    "idle_fee_after_stop",
    "multi_language",
    "display_language",
    "display_languages",
    "time_offset",
    "next_time_offset",
    "next_time_offset_at",
)
_OF_COSTS = ("tariff_enabled", "cost_enabled", "tariff_fallback_text", "total_cost_fallback_text", "currency")


@dataclass(slots=True)
class _Place:
    """What one EVSE shows, and the transaction that it is about."""

    shown: CostShown | None = None
    watch: Watch | None = None
    transaction_id: TransactionId | None = None
    reference: str | None = None
    meter_start_wh: int = 0
    is_over: bool = False
    left_at: datetime | None = None
    """The cable was unplugged, and the CSMS has not been told."""
    languages: tuple[str, ...] = ()
    """Of the driver, the preferred one first."""


@dataclass(frozen=True, slots=True)
class _Driver:
    """What is known of one who has not started yet."""

    texts: tuple[Text, ...]
    languages: tuple[str, ...]


class CostDisplay:
    def __init__(self, core: StationCore, execution: "Execution") -> None:
        self._core = core
        self._execution = execution
        self._places = {evse_id: _Place() for evse_id in core.hardware.evses}
        self._drivers: dict[str, _Driver] = {}
        self._unsubscribe: Callable[[], None] = lambda: None
        self._has_display = any(ports.display is not None for ports in core.hardware.evses.values())
        self._defaults: dict[bool, CostShown | None] = {}
        """By whether the station is online; every picture of it asks. Made anew when a setting has changed."""
        core.settings.subscribe(lambda _name, _value: self._defaults.clear())
        self._fit_settings()

    def _fit_settings(self) -> None:
        settings = self._core.settings
        if not self.is_active:
            for name in _OF_COSTS:
                settings.drop(name)
        if not settings.flag("price_display"):
            for name in _OF_PRICES:
                settings.drop(name)
            return
        settings.guard("default_price", _judge_price)
        settings.guard("display_language", self._judge_language)
        settings.guard("time_offset", _judge_offset)
        settings.guard("next_time_offset", _judge_offset)
        settings.guard("next_time_offset_at", _judge_time)
        for tag in settings.listed("display_languages"):
            name = f"default_price_text_{tag.lower()}"
            settings.add(
                Setting(
                    name=name,
                    kind=Kind.TEXT,
                    default="",
                    most=500,
                    key16=f"DefaultPriceText,{tag}",
                    doc=f"The texts of the default price in the language {tag}: a JSON object.",
                )
            )
            settings.guard(name, _judge_price)

    def _judge_language(self, value: str) -> str | None:
        known = self._core.settings.listed("display_languages")
        return None if value in known else f"{value} is none of {', '.join(known)}"

    @property
    def is_active(self) -> bool:
        """By the application note of 1.6, or because there is a display, which is all that 2.x needs."""
        return self._has_display or self._core.settings.flag("price_display")

    def begin(self) -> None:
        if self.is_active:
            self._unsubscribe = self._core.subscribe(self._on_fact)

    def end(self) -> None:
        self._unsubscribe()

    # --- what is shown ---------------------------------------------------------------------------------

    def shown(self, evse_id: EvseId) -> CostShown | None:
        """What the driver at this EVSE is told; the default price as long as there is nothing better."""
        if not self.is_active:
            return None
        shown, default = self._places[evse_id].shown, self._default()
        if shown is None:
            return default
        if default is not None and not shown.texts and not shown.is_final:
            shown = msgspec.structs.replace(shown, texts=default.texts)
        settings = self._core.settings
        offsets = [settings.text(name) for name in ("time_offset", "next_time_offset", "next_time_offset_at")]
        return in_local_time(shown, offset_at(self._core.clock.now(), *offsets))

    def languages(self, evse_id: EvseId) -> tuple[str, ...]:
        """That the driver at this EVSE understands, the preferred one first; none: not known."""
        return self._places[evse_id].languages

    def _default(self) -> CostShown | None:
        is_online = self._core.is_online
        if is_online not in self._defaults:
            self._defaults[is_online] = self._make_default(is_online)
        return self._defaults[is_online]

    def _make_default(self, is_online: bool) -> CostShown | None:
        settings = self._core.settings
        own = settings.text("display_language")
        texts: list[Text] = []
        plain = default_texts(_object(settings.text("default_price")), is_online)
        if plain is not None:
            texts.append(Text(plain, own))
        if settings.flag("multi_language"):
            for tag in settings.listed("display_languages"):
                prices = _object(settings.text(f"default_price_text_{tag.lower()}"))
                text = default_texts(prices, is_online)
                if text is not None and tag != own:
                    texts.append(Text(text, tag))
        fallback = settings.text("tariff_fallback_text")
        if not texts and fallback and settings.flag("tariff_enabled"):
            texts.append(Text(fallback, own))  # I04.FR.01
        return CostShown(tuple(texts)) if texts else None

    def show_price(self, request: ShowTokenPrice) -> Answer:
        """At the EVSE that knows the token; a driver who has not come yet finds it when the transaction starts."""
        texts = request.texts if self._core.settings.flag("tariff_enabled") else ()
        driver = _Driver(texts, request.languages)
        self._drivers.pop(request.id_token.key, None)
        self._drivers[request.id_token.key] = driver
        while len(self._drivers) > TOKENS_KEPT:
            del self._drivers[next(iter(self._drivers))]
        for evse_id, runner in self._core.runners.items():
            session = runner.session
            if request.id_token.is_same(session.id_token) or request.id_token.is_same(session.checking):
                self._show_driver(evse_id, driver)
        return Answer(Verdict.ACCEPTED)

    def show_cost(self, request: ShowCost) -> Answer:
        """Rejected unless the transaction runs here or was the last one of its EVSE."""
        if not self._core.settings.flag("cost_enabled"):
            return Answer(Verdict.REJECTED, "costs are not shown")
        for evse_id in self._places:
            place = self._place_in_use(evse_id)
            if request.reference not in (place.reference, place.transaction_id):
                continue
            before = place.shown or CostShown()
            cost = request.cost
            place.shown = cost if cost.texts else msgspec.structs.replace(cost, texts=before.texts)
            runner = self._core.runners[evse_id]
            trigger = request.trigger
            place.watch = (
                None if trigger is None or cost.is_final else Watch(trigger, moment_of(runner.snapshot()))
            )
            self._announce(evse_id)
            self._arm(evse_id, at_once=True)
            return Answer(Verdict.ACCEPTED)
        return Answer(Verdict.REJECTED, f"no transaction {request.reference} here")

    def priced(
        self,
        transaction_id: TransactionId,
        total_cost: float | None,
        texts: tuple[Text, ...],
        *,
        is_final: bool,
    ) -> None:
        """What the CSMS says of a transaction with its answer to a message about it (I02.FR.04, I03.FR.03, I06.FR.03).

        Of one whose driver has made room for the next one nobody needs to know any more."""
        settings = self._core.settings
        for evse_id in self._places:
            place = self._place_in_use(evse_id)
            if place.transaction_id != transaction_id:
                continue
            shown = place.shown or CostShown()
            if texts and settings.flag("tariff_enabled"):
                shown = msgspec.structs.replace(shown, texts=texts)
            if total_cost is not None and settings.flag("cost_enabled"):
                amount = amount_text(total_cost, settings.integer("cost_decimals"))
                kept = texts if is_final else shown.texts
                shown = CostShown(texts=kept, amount=amount, is_final=is_final, at=self._core.clock.now())
            if shown != (place.shown or CostShown()):
                place.shown = shown
                self._announce(evse_id)

    def bound(self, transaction_id: TransactionId, reference: str) -> None:
        """The CSMS said what it calls a transaction."""
        for evse_id, place in self._places.items():
            if place.transaction_id == transaction_id:
                place.reference = reference
                self._tell_left(evse_id, place)

    def _place_in_use(self, evse_id: EvseId) -> _Place:
        """A transaction that goes on after a restart was never heard to start."""
        place, book = self._places[evse_id], self._core.runners[evse_id].books.book
        if book is not None and place.transaction_id != book.started.transaction_id:
            started = book.started
            place = _Place(
                transaction_id=started.transaction_id,
                reference=book.reference,
                meter_start_wh=started.meter_start_wh,
            )
            self._places[evse_id] = place
        return place

    def _show_driver(self, evse_id: EvseId, driver: _Driver) -> None:
        place = self._places[evse_id]
        if place.is_over and self._core.runners[evse_id].snapshot().session is not SessionState.FINISHING:
            place = self._places[evse_id] = _Place()  # the bill of the one before is nobody else's business
        place.languages = driver.languages
        if driver.texts:
            place.shown = msgspec.structs.replace(place.shown or CostShown(), texts=driver.texts)
        self._announce(evse_id)

    def _announce(self, evse_id: EvseId) -> None:
        self._core.publish(EvseChanged(evse_id, self._core.clock.now()))

    # --- what happens at the EVSE ----------------------------------------------------------------------

    def _on_fact(self, fact: Fact) -> None:
        match fact:
            case TransactionStarted():
                self._started(fact)
            case TransactionStopped():
                self._stopped(fact)
            case CablePlugged(evse_id=evse_id):
                place = self._places[evse_id]
                if place.is_over:
                    self._places[evse_id] = _Place()
            case CableUnplugged(evse_id=evse_id, at=at):
                self._unplugged(evse_id, at)
            case EvseChanged(evse_id=evse_id) if evse_id in self._places:
                self._forget_who_left(evse_id)
                self._arm(evse_id, at_once=True)
            case _:
                pass

    def _started(self, fact: TransactionStarted) -> None:
        driver = self._drivers.pop(fact.id_token.key, None) if fact.id_token is not None else None
        self._core.runners[fact.evse_id].stop_timer(_CLEAR)
        self._places[fact.evse_id] = _Place(
            shown=CostShown(driver.texts) if driver is not None and driver.texts else None,
            transaction_id=fact.transaction_id,
            meter_start_wh=fact.meter_start_wh,
            languages=() if driver is None else driver.languages,
        )

    def _stopped(self, fact: TransactionStopped) -> None:
        place, runner = self._places[fact.evse_id], self._core.runners[fact.evse_id]
        place.is_over = place.transaction_id == fact.transaction_id
        fallback = self._core.settings.text("total_cost_fallback_text")
        is_alone = fact.offline or not self._core.is_online
        if place.is_over and is_alone and fallback and self._core.settings.flag("cost_enabled"):
            language = self._core.settings.text("display_language")
            place.shown = CostShown((Text(fallback, language),), is_final=True)  # I05.FR.02
            self._announce(fact.evse_id)
        if place.is_over and not runner.snapshot().is_plugged:
            self._clear_later(fact.evse_id)  # it was the unplugging that ended it

    def _unplugged(self, evse_id: EvseId, at: datetime) -> None:
        place = self._places[evse_id]
        if not place.is_over:
            return
        place.left_at = at
        self._tell_left(evse_id, place)
        self._clear_later(evse_id)

    def _clear_later(self, evse_id: EvseId) -> None:
        self._core.runners[evse_id].start_timer(_CLEAR, FINAL_SHOWN_S, partial(self._clear, evse_id))

    def _forget_who_left(self, evse_id: EvseId) -> None:
        """A driver who was told a price and never plugged in takes it along."""
        place, runner = self._places[evse_id], self._core.runners[evse_id]
        is_empty = place.shown is None and not place.languages
        if is_empty or place.transaction_id is not None:
            return
        if runner.session.checking is None and runner.snapshot().session is SessionState.IDLE:
            self._places[evse_id] = _Place()

    def _tell_left(self, evse_id: EvseId, place: _Place) -> None:
        if place.left_at is None or place.reference is None:
            return
        at, place.left_at = place.left_at, None
        if self._core.settings.flag("idle_fee_after_stop"):
            self._core.publish(DriverLeft(evse_id, place.reference, at))

    def _clear(self, evse_id: EvseId) -> None:
        if self._places[evse_id].is_over:
            self._places[evse_id] = _Place()
            self._announce(evse_id)

    # --- triggers --------------------------------------------------------------------------------------

    def _arm(self, evse_id: EvseId, *, at_once: bool) -> None:
        """Look now, or when there may be something to see again."""
        runner, watch = self._core.runners[evse_id], self._places[evse_id].watch
        runner.stop_timer(_TRIGGER)
        if watch is None:
            return
        look = partial(
            self._core.start_task, f"price trigger of EVSE {evse_id}", partial(self._look, evse_id)
        )
        if at_once:
            runner.start_timer(_TRIGGER, 0.0, look)
        elif watch.trigger.needs_meter:
            runner.start_timer(_TRIGGER, READ_PERIOD_S, look)
        elif watch.trigger.at is not None and watch.is_time_left:
            wait_s = (watch.trigger.at - self._core.clock.now()).total_seconds()
            runner.start_timer(_TRIGGER, max(0.0, wait_s), look)

    async def _look(self, evse_id: EvseId) -> None:
        """Compare the trigger with what is, and send a reading if it wants one."""
        place, runner = self._places[evse_id], self._core.runners[evse_id]
        watch = place.watch
        if watch is None:
            return
        reading = None
        if watch.trigger.needs_meter and runner.meter is not None:
            reading = await runner.meter.read()
        if place.watch is not watch:
            return
        register = register_wh(reading)
        seen = Seen(
            self._core.clock.now(),
            moment_of(runner.snapshot()),
            None if register is None else float(register - place.meter_start_wh),
            None if reading is None else reading.power_w,
        )
        place.watch, is_due = watch.look(seen)
        if is_due:
            await self._report(evse_id)
        self._arm(evse_id, at_once=False)

    async def _report(self, evse_id: EvseId) -> None:
        entries = self._core.settings.listed("sampled_measurands")
        taken = await self._execution.execute(SampleMeters((evse_id,), ReadingContext.OTHER, entries))
        if not isinstance(taken, tuple):
            log.warning("EVSE %d: the CSMS wants a reading for its costs, and the meter is silent", evse_id)
            return
        for sampled in taken:
            self._core.publish(sampled)


def moment_of(evse: EvseSnapshot) -> Moment:
    """What a trigger can name; reservations are over once there is a transaction to ask about."""
    if evse.is_faulted:
        return Moment.FAULTED
    transaction = evse.transaction
    if transaction is not None and evse.session is SessionState.CHARGING:
        match transaction.charging_state:
            case ChargingState.CHARGING:
                return Moment.CHARGING
            case ChargingState.SUSPENDED_EVSE:
                return Moment.SUSPENDED_EVSE
            case ChargingState.SUSPENDED_EV | ChargingState.IDLE:
                return Moment.SUSPENDED_EV
            case ChargingState.EV_CONNECTED:
                return Moment.PREPARING
    if evse.session is SessionState.FINISHING:
        return Moment.FINISHING
    return (
        Moment.PREPARING if evse.is_plugged or evse.session is SessionState.AUTHORIZED else Moment.AVAILABLE
    )


# --- checks of settings ------------------------------------------------------------------------------------


def _object(text: str) -> dict[str, object]:
    """The JSON object of a price setting; an empty one for an empty or a foreign text."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _judge_price(value: str) -> str | None:
    if not value:
        return None
    try:
        prices = json.loads(value)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    if not isinstance(prices, dict):
        return "is not a JSON object"
    for name in ("priceText", "priceTextOffline"):
        if not isinstance(prices.get(name, ""), str):
            return f"{name} is not a text"
    return None


def _judge_offset(value: str) -> str | None:
    try:
        if value:
            parse_offset(value)
    except ValueError as error:
        return str(error)
    return None


def _judge_time(value: str) -> str | None:
    try:
        has_zone = not value or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return f"{value!r} is no date and time"
    return None if has_zone else "has no zone"
