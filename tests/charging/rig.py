"""A running station on hardware and stores that behave, for tests: everything within reach, and time passes at will."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from agent.charging.conventions import Conventions
from agent.charging.facts import Fact, TransactionMetered, TransactionStarted, TransactionStopped
from agent.charging.ids import BootReason, IdToken, ResetKind
from agent.charging.requests import Request
from agent.charging.settings import Settings, initial
from agent.charging.snapshot import EvseSnapshot
from agent.charging.station import Station
from hal.ports import Hardware
from tests.helpers.fake_clock import FakeClock
from tests.helpers.fake_evse import FakeEvse
from tests.helpers.fake_hardware import FakeIndicator, FakeMeter, FakeReader, fake_hardware
from tests.helpers.fake_stores import (
    FakeAuditLog,
    FakeAuthorizer,
    FakeAvailabilityStore,
    FakeJournal,
    FakeLocalListStore,
    FakeMessageStore,
    FakeProfileStore,
    FakeReservationStore,
    FakeSettingStore,
    FakeTokenStore,
)

FactKind = TypeVar("FactKind")

TAG = IdToken("TAG1")


class Stores:
    """What survives a restart."""

    def __init__(self) -> None:
        self.journal = FakeJournal()
        self.settings = FakeSettingStore()
        self.availability = FakeAvailabilityStore()
        self.tokens = FakeTokenStore()
        self.local_list = FakeLocalListStore()
        self.reservations = FakeReservationStore()
        self.profiles = FakeProfileStore()
        self.messages = FakeMessageStore()


class Rig:
    def __init__(
        self, stores: Stores, hardware: Hardware, vendor: Any, clock_at: datetime | None = None
    ) -> None:
        self.stores = stores
        self.journal = stores.journal
        self.hardware = hardware
        self.clock = FakeClock() if clock_at is None else FakeClock(clock_at)
        self.clock.is_trusted = clock_at is None
        self.authorizer = FakeAuthorizer()
        self.settings = Settings(stores.settings.values, stores.settings)
        self.resets: list[ResetKind] = []
        self.reset_failures = 0
        self.facts: list[Fact] = []
        self.station = Station(
            hardware=hardware,
            settings=self.settings,
            journal=stores.journal,
            availability=stores.availability,
            tokens=stores.tokens,
            profiles=stores.profiles,
            authorizer=self.authorizer,
            vendor=vendor,
            clock=self.clock,
            on_reset=self._on_reset,
            boot_reason=BootReason.POWER_UP,
            audit=FakeAuditLog(),
            local_list=stores.local_list,
            reservations=stores.reservations,
            messages=stores.messages,
        )
        self.station.subscribe(self.facts.append)

    def _on_reset(self, kind: ResetKind) -> None:
        if self.reset_failures:
            self.reset_failures -= 1
            raise RuntimeError("not now")
        self.resets.append(kind)

    # --- parts -----------------------------------------------------------------------------------------

    def evse(self, evse_id: int = 1) -> FakeEvse:
        evse = self.hardware.evses[evse_id].evse
        assert isinstance(evse, FakeEvse)
        return evse

    def meter(self, evse_id: int = 1) -> FakeMeter:
        meter = self.hardware.evses[evse_id].meter
        assert isinstance(meter, FakeMeter)
        return meter

    def light(self, evse_id: int = 1) -> FakeIndicator:
        light = self.hardware.evses[evse_id].indicator
        assert isinstance(light, FakeIndicator)
        return light

    @property
    def reader(self) -> FakeReader:
        reader = self.hardware.readers[0]
        assert isinstance(reader, FakeReader)
        return reader

    def shown(self, evse_id: int = 1) -> EvseSnapshot:
        return self.station.evse_snapshot(evse_id)

    def told(self, kind: type[FactKind]) -> list[FactKind]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def started(self) -> list[TransactionStarted]:
        return self.told(TransactionStarted)

    @property
    def metered(self) -> list[TransactionMetered]:
        return self.told(TransactionMetered)

    @property
    def stopped(self) -> list[TransactionStopped]:
        return self.told(TransactionStopped)

    # --- what happens ----------------------------------------------------------------------------------

    async def run_for(self, seconds: float = 1.0) -> None:
        await asyncio.sleep(seconds)

    async def ask(self, request: Request) -> Any:
        return await self.station.execute(request)

    async def tap(self, uid: str = "TAG1") -> None:
        """Present a card and let the station react."""
        self.reader.tap(uid)
        await self.run_for(2.0)

    async def charge(self, uid: str = "TAG1", evse_id: int = 1) -> TransactionStarted:
        """Plug in, present a card, and wait until energy flows."""
        self.evse(evse_id).plug()
        await self.tap(uid)
        assert self.evse(evse_id).setpoint.allow_power, self.shown(evse_id)
        return self.started[-1]


@asynccontextmanager
async def running(
    hardware: Hardware | None = None,
    stores: Stores | None = None,
    vendor: Any = None,
    is_online: bool = True,
    given: Mapping[str, str] | None = None,
    clock_at: datetime | None = None,
    conventions: Conventions | None = None,
) -> AsyncIterator[Rig]:
    """`given`: settings by 1.6 key or 2.x path, as in the configuration file.

    `clock_at`: what a clock that was never set shows."""
    stores = stores or Stores()
    values, problems = initial(given or {})
    assert not problems
    stores.settings.values.update({"accepted_once": "true", **values})
    rig = Rig(stores, hardware or fake_hardware(), vendor, clock_at)
    if conventions is not None:
        rig.station.follow(conventions)
    await rig.station.load()
    task = asyncio.create_task(rig.station.run())
    rig.authorizer.is_online = is_online
    rig.station.on_online(is_online)
    await rig.run_for(0.1)
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.wait([task])
