"""A station and an outbox in memory, for tests of what talks to them: they answer what the test says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from agent.charging.device_model import DataType, DeviceModel, Nameplate
from agent.charging.device_variables import GAUGES, build
from agent.charging.facts import DurableFact, Fact
from agent.charging.ids import IdToken, IdTokenInfo, TransactionId
from agent.charging.ports import OutboxRow
from agent.charging.requests import Answer, Request, Result, Verdict
from agent.charging.settings import Settings, initial
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from agent.charging.tariff import Text
from agent.ocpp.frontend import Registration, StationIdentity
from tests.helpers import snapshots

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
IDENTITY = StationIdentity("Example", "Wallbox 22", "0001", "1.2.3")


PLATE = Nameplate("Example", "Wallbox 22", "0001", "1.2.3", "CP001")


def device_model(settings: Settings, picture: StationSnapshot) -> DeviceModel:
    """With a gauge of everything that somebody could provide."""
    values = {gauge.path: "true" if gauge.data_type is DataType.BOOLEAN else "1" for gauge in GAUGES.values()}
    values["MonitoringCtrlr.ActiveMonitoringBase"] = "All"
    return build(settings, picture, PLATE, {path: partial(str, value) for path, value in values.items()})


class MemorySettings:
    """A `SettingStore` that forgets."""

    async def load(self) -> Mapping[str, str]:
        return {}

    async def save(self, values: Mapping[str, str]) -> None:
        pass


def settings(**given: object) -> Settings:
    """Defaults, with values by 1.6 key, as in [settings] of the configuration file."""
    values, problems = initial({name: str(value) for name, value in given.items()})
    assert not problems
    return Settings(values, MemorySettings())


@dataclass
class FixedView:
    """A `frontend.View` that stands still."""

    picture: StationSnapshot = field(default_factory=snapshots.station)
    settings: Settings = field(default_factory=settings)
    registration: Registration = Registration.ACCEPTED
    identity: StationIdentity = IDENTITY
    transactions: Mapping[str, TransactionId] = field(default_factory=dict)

    def snapshot(self) -> StationSnapshot:
        return self.picture

    @property
    def device_model(self) -> DeviceModel:
        return device_model(self.settings, self.picture)

    def now(self) -> datetime:
        return NOW

    def find_transaction(self, reference: str) -> TransactionId | None:
        return self.transactions.get(reference)


class FakeStation:
    """Carries out nothing; `answers` says what a request gets, by its type: a result, an exception, or a coroutine."""

    def __init__(self, *evses: EvseSnapshot, **given: object) -> None:
        self.settings = settings(**given)
        self.picture = snapshots.station(*evses)
        self.answers: dict[type, Any] = {}
        self.executed: list[Request] = []
        self.online: list[bool] = []
        self.clock_changes = 0
        self.judged: list[tuple[IdToken | None, IdTokenInfo, TransactionId | None, bool]] = []
        self.bound: dict[str, TransactionId] = {}
        self.priced: list[tuple[TransactionId, float | None, tuple[Text, ...], bool]] = []
        self._listeners: list[Callable[[Fact], None]] = []

    def device_model_in(self, picture: StationSnapshot) -> DeviceModel:
        return device_model(self.settings, picture)

    def snapshot(self) -> StationSnapshot:
        return self.picture

    def change(self, evse: EvseSnapshot) -> None:
        """From now on the EVSE is like this; nobody is told before `publish`."""
        self.picture = msgspec.structs.replace(self.picture, evses={**self.picture.evses, evse.evse_id: evse})

    def publish(self, fact: Fact) -> None:
        for listener in self._listeners:
            listener(fact)

    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def execute(self, request: Request) -> Result:
        self.executed.append(request)
        answer = self.answers.get(type(request), Answer(Verdict.ACCEPTED))
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, Exception):
            raise answer
        result: Result = answer
        return result

    def on_online(self, is_online: bool) -> None:
        self.online.append(is_online)

    def on_clock_set(self, _by_s: float) -> None:
        self.clock_changes += 1

    async def token_answered(
        self,
        id_token: IdToken | None,
        answer: IdTokenInfo,
        transaction_id: TransactionId | None,
        from_start: bool,
    ) -> None:
        self.judged.append((id_token, answer, transaction_id, from_start))

    def transaction_bound(self, transaction_id: TransactionId, reference: str) -> None:
        self.bound[reference] = transaction_id

    def transaction_priced(
        self,
        transaction_id: TransactionId,
        total_cost: float | None,
        texts: tuple[Text, ...],
        *,
        is_final: bool,
    ) -> None:
        self.priced.append((transaction_id, total_cost, texts, is_final))

    def find_transaction(self, reference: str) -> TransactionId | None:
        return self.bound.get(reference)


class MemoryOutbox:
    """A `charging.ports.Outbox`; `fail_next` makes the next writes raise."""

    def __init__(self, *facts: DurableFact) -> None:
        self.rows = [OutboxRow(number, fact, 0) for number, fact in enumerate(facts, start=1)]
        self._last = len(self.rows)
        self.references: dict[TransactionId, str] = {}
        self.discarded: list[tuple[DurableFact, str]] = []
        self.fail_next: list[Exception] = []

    def add(self, fact: DurableFact) -> None:
        self._last += 1
        self.rows.append(OutboxRow(self._last, fact, 0))

    def facts(self) -> Sequence[DurableFact]:
        return [row.fact for row in self.rows]

    async def first(self) -> OutboxRow | None:
        return self.rows[0] if self.rows else None

    async def last_row_id(self) -> int:
        return self._last

    async def confirm(self, row_id: int, reference: str | None = None) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)
        row = self._remove(row_id)
        if reference is not None:
            self.references[getattr(row.fact, "transaction_id", "")] = reference

    async def discard(self, row_id: int, reason: str) -> None:
        self.discarded.append((self._remove(row_id).fact, reason))

    async def count_attempt(self, row_id: int) -> None:
        self.rows = [
            replace(row, attempts=row.attempts + 1) if row.row_id == row_id else row for row in self.rows
        ]

    async def reference(self, transaction_id: TransactionId) -> str | None:
        return self.references.get(transaction_id)

    async def depth(self) -> int:
        return len(self.rows)

    def _remove(self, row_id: int) -> OutboxRow:
        (row,) = [row for row in self.rows if row.row_id == row_id]
        self.rows.remove(row)
        return row
