"""Stores in memory that behave, and can be told to fail: for tests of the charging core.

The real ones (`agent/store`) have tests of their own, and meet the station in tests of the whole.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from agent.charging.display import DisplayMessage
from agent.charging.facts import (
    DurableFact,
    ReservationLapsed,
    Sample,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
    VendorActionRun,
)
from agent.charging.ids import TYPE_MARK, AuthorizationStatus, EvseId, IdToken, IdTokenInfo, Reservation
from agent.charging.local_list import ListChange, Standing
from agent.charging.monitors import Installed
from agent.charging.ports import OpenTransaction, StoredMonitoring
from agent.charging.profiles import InstalledProfile
from agent.errors import StoreError, StoreFull


class FakeJournal:
    def __init__(self) -> None:
        self.facts: list[DurableFact] = []
        self.registers: dict[str, tuple[int, datetime]] = {}
        self.samples: dict[str, list[Sample]] = {}
        self.failure: StoreError | None = None

    async def record(self, *facts: DurableFact) -> None:
        await asyncio.sleep(0)
        self._fail()
        self.facts += facts
        for fact in facts:
            if isinstance(fact, TransactionStarted):
                self.registers[fact.transaction_id] = (fact.meter_start_wh, fact.at)
            elif isinstance(fact, TransactionMetered):
                self.registers[fact.transaction_id] = (fact.register_wh, fact.at)

    async def note_register(self, transaction_id: str, register_wh: int, at: datetime) -> None:
        self._fail()
        self.registers[transaction_id] = (register_wh, at)

    async def add_stop_sample(self, transaction_id: str, sample: Sample) -> None:
        self._fail()
        self.samples.setdefault(transaction_id, []).append(sample)

    async def stop_samples(self, transaction_id: str) -> Sequence[Sample]:
        return tuple(self.samples.get(transaction_id, ()))

    async def depth(self) -> int:
        return len(self.facts)

    async def has_queued(self, transaction_id: str | None) -> bool:
        mine = [getattr(fact, "transaction_id", None) for fact in self.facts]
        return any(each is not None and transaction_id in (None, each) for each in mine)

    async def open_transactions(self) -> Sequence[OpenTransaction]:
        ended = {fact.transaction_id for fact in self.facts if isinstance(fact, TransactionStopped)}
        found = []
        for fact in self.facts:
            if isinstance(fact, TransactionStarted) and fact.transaction_id not in ended:
                mine = [
                    each for each in self.facts if getattr(each, "transaction_id", "") == fact.transaction_id
                ]
                register, at = self.registers[fact.transaction_id]
                updates = [each for each in mine if isinstance(each, TransactionUpdated)]
                tokens = [fact.id_token, *(each.id_token for each in updates)]
                tokens = [token for token in tokens if token is not None]
                found.append(
                    OpenTransaction(
                        fact,
                        register,
                        at,
                        len(mine),
                        id_token=tokens[0] if tokens else None,
                        is_authorized=updates[-1].is_authorized if updates else bool(tokens),
                        is_placed=fact.is_placed or any(each.is_placed for each in updates),
                        last_fact_at=getattr(mine[-1], "at", None),
                    )
                )
        return found

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeSettingStore:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.saves = 0
        self.failure: StoreError | None = None

    async def load(self) -> Mapping[str, str]:
        return dict(self.values)

    async def save(self, values: Mapping[str, str]) -> None:
        if self.failure is not None:
            raise self.failure
        self.saves += 1
        self.values.update(values)


class FakeAvailabilityStore:
    def __init__(self) -> None:
        self.states: dict[tuple[int, int], bool] = {}
        self.own: dict[tuple[int, int], bool] = {}
        self.failure: StoreError | None = None

    async def load(self) -> tuple[Mapping[tuple[int, int], bool], Mapping[tuple[int, int], bool]]:
        return dict(self.states), dict(self.own)

    async def save(self, states: Mapping[tuple[int, int], bool], own: Mapping[tuple[int, int], bool]) -> None:
        if self.failure is not None:
            raise self.failure
        self.states.update(states)
        self.own.update(own)


class FakeTokenStore:
    def __init__(self) -> None:
        self.known: dict[str, IdTokenInfo] = {}
        self.used: dict[str, datetime] = {}
        self.failure: StoreError | None = None

    async def get(self, id_token: IdToken) -> IdTokenInfo | None:
        return self.known.get(id_token.key)

    async def put(self, id_token: IdToken, known: IdTokenInfo, now: datetime) -> None:
        self.known[id_token.key] = known
        self.used[id_token.key] = now

    async def use(self, id_token: IdToken, now: datetime) -> None:
        self.used[id_token.key] = now

    async def used_at(self, id_token: IdToken) -> datetime | None:
        return self.used.get(id_token.key)

    async def clear(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.known.clear()


class FakeLocalListStore:
    def __init__(self) -> None:
        self.now = Standing()
        self.entries: dict[str, IdTokenInfo] = {}
        self.failure: StoreError | None = None

    async def standing(self) -> Standing:
        return self.now

    async def get(self, id_token: IdToken) -> IdTokenInfo | None:
        if self.failure is not None:
            raise self.failure
        return self.entries.get(id_token.key)

    async def held(self, keys: Collection[str]) -> Collection[str]:
        return {key for key in keys if key.partition(TYPE_MARK)[0] in self.entries}

    async def apply(self, change: ListChange) -> None:
        if self.failure is not None:
            raise self.failure
        if change.is_full:
            self.entries.clear()
        for id_token in change.removals:
            self.entries.pop(id_token.key, None)
        self.entries.update({id_token.key: known for id_token, known in change.puts})
        self.now = change.standing


class FakeReservationStore:
    def __init__(self) -> None:
        self.rows: tuple[Reservation, ...] = ()
        self.lapsed: list[ReservationLapsed] = []
        self.failure: StoreError | None = None

    async def load(self) -> Sequence[Reservation]:
        return self.rows

    async def save(self, reservations: Sequence[Reservation], *lapsed: ReservationLapsed) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.rows = tuple(reservations)
        self.lapsed += lapsed


class FakeAuthorizer:
    """A CSMS's opinion of tokens: accepts whom it knows nothing bad of, after `delay_s`."""

    def __init__(self) -> None:
        self.is_online = True
        self.delay_s = 0.05
        self.answers: dict[str, IdTokenInfo | None] = {}
        self.asked: list[IdToken] = []

    async def authorize(self, id_token: IdToken, evse_id: EvseId) -> IdTokenInfo | None:
        self.asked.append(id_token)
        await asyncio.sleep(self.delay_s)
        return self.answers.get(id_token.value, IdTokenInfo(AuthorizationStatus.ACCEPTED))


class FakeAuditLog:
    def __init__(self) -> None:
        self.rows: list[VendorActionRun] = []

    async def add(self, row: VendorActionRun) -> None:
        self.rows.append(row)

    async def latest(self, limit: int) -> Sequence[VendorActionRun]:
        return self.rows[-limit:]


class FakeMonitorStore:
    def __init__(self) -> None:
        self.installed = Installed()
        self.exceeded: frozenset[int] = frozenset()
        self.references: dict[int, str] = {}
        self.last_event_id = 0
        self.facts: list[DurableFact] = []
        self.failure: StoreError | None = None

    async def load(self) -> StoredMonitoring:
        return StoredMonitoring(self.installed, self.exceeded, self.last_event_id, dict(self.references))

    async def save(self, installed: Installed, references: Mapping[int, str]) -> None:
        if self.failure is not None:
            raise self.failure
        self.installed = installed
        self.references = dict(references)

    async def note(
        self, exceeded: Collection[int], references: Mapping[int, str], *facts: DurableFact
    ) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.exceeded = frozenset(exceeded)
        self.references = dict(references)
        self.facts += facts

    async def reserve_event_ids(self, last: int) -> None:
        self.last_event_id = last


class FakeProfileStore:
    def __init__(self) -> None:
        self.installed: dict[int, InstalledProfile] = {}
        self.failure: StoreError | None = None

    async def load(self) -> Sequence[InstalledProfile]:
        return tuple(self.installed.values())

    async def replace(self, gone: Sequence[int], new: InstalledProfile) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        for profile_id in gone:
            self.installed.pop(profile_id, None)
        self.installed.pop(new.profile.profile_id, None)
        self.installed[new.profile.profile_id] = new

    async def delete(self, gone: Sequence[int]) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        for profile_id in gone:
            self.installed.pop(profile_id, None)


class FakeMessageStore:
    def __init__(self) -> None:
        self.kept: dict[int, DisplayMessage] = {}
        self.failure: StoreError | None = None

    async def load(self) -> Sequence[DisplayMessage]:
        return tuple(self.kept.values())

    async def replace(self, gone: Sequence[int], new: DisplayMessage) -> None:
        await self.delete([*gone, new.message_id])
        self.kept[new.message_id] = new

    async def delete(self, gone: Sequence[int]) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        for message_id in gone:
            self.kept.pop(message_id, None)


FULL = StoreFull("no space left")
