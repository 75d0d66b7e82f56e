"""Small hardware for vendor tests: ports that note what they were told, and may be told to fail."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from agent.charging.facts import VendorActionRun
from agent.charging.snapshot import StationSnapshot
from agent.vendor.actions import ActionResult, HardwareActions
from hal.errors import OutOfRange
from hal.ports import EvseCapabilities, EvsePorts, FaultCode, Hardware, MeterReading
from tests.helpers import snapshots

EVERYTHING = EvseCapabilities(32.0, 6.0, 3, True, True, True, False, True)
BOTH_ROLES = frozenset({"operator", "service"})


@dataclass
class Bench:
    """One device that is every port at once; `done` is what it was told, `failure` what it answers instead."""

    done: list[object] = field(default_factory=list)
    failure: Exception | None = None
    answer: bool = True
    silent: bool = False

    name = "fan"
    is_on = False
    serial_number = None
    firmware_version = "1.0"
    is_linked = True
    evse_id = 1
    capabilities: EvseCapabilities = EVERYTHING

    async def _note(self, *what: object) -> None:
        if self.silent:
            await asyncio.sleep(3600)
        if self.failure is not None:
            raise self.failure
        self.done.append(what)

    async def set(self, on: bool) -> None:
        await self._note("set", on)

    async def pulse(self, duration_s: float) -> None:
        await self._note("pulse", duration_s)

    async def show(self, pattern: str, duration_s: float) -> None:
        await self._note("show", pattern, duration_s)

    async def unlock(self) -> bool:
        await self._note("unlock")
        return self.answer

    async def wake_up_ev(self) -> None:
        await self._note("wake_up")

    async def rcd_self_test(self) -> bool:
        await self._note("rcd")
        return self.answer

    async def clear_fault(self, code: FaultCode) -> bool:
        await self._note("clear", code)
        return self.answer

    async def reboot(self) -> None:
        await self._note("reboot")

    async def read_registers(self, function: int, address: int, count: int) -> tuple[int, ...]:
        if address == 0xFFFF:
            raise OutOfRange("no such register")
        await self._note("registers", function, address, count)
        return tuple(range(count))


class BenchMeter(Bench):
    async def read(self) -> MeterReading:
        await self._note("meter")
        return MeterReading(1000.0, energy_import_wh=1234.0, power_w=11_000.0, current_a=(16.0, 16.0, 16.0))


class BenchBoard(Bench):
    async def read(self, names: Sequence[str]) -> Mapping[str, float]:
        await self._note("board", tuple(names))
        return dict.fromkeys(names, 1.5)


class BenchClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time())

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def synchronize(self, csms_time: datetime) -> float:
        return 0.0

    is_trusted = True


@dataclass
class Audit:
    rows: list[VendorActionRun] = field(default_factory=list)
    failure: Exception | None = None

    async def add(self, row: VendorActionRun) -> None:
        if self.failure is not None:
            raise self.failure
        self.rows.append(row)

    async def latest(self, limit: int) -> Sequence[VendorActionRun]:
        return self.rows[-limit:]


class ActionBench:
    """HardwareActions on bench devices; `station` is the picture that the checks see."""

    def __init__(self) -> None:
        self.device = Bench()
        self.meter = BenchMeter()
        self.board = BenchBoard()
        self.audit = Audit()
        self.station: StationSnapshot = snapshots.station(snapshots.evse(1), snapshots.evse(2))
        full = EvsePorts(self.device, meter=self.meter, lock=self.device, indicator=self.device)
        bare = EvsePorts(Bench(capabilities=EvseCapabilities(32, 6, 3, False, False, False, False, False)))
        self.hardware = Hardware(
            evses={1: full, 2: bare}, outputs={"fan": self.device, "lamp": Bench()}, board=self.board
        )
        self.actions = self.make(self.hardware)

    def make(self, hardware: Hardware) -> HardwareActions:
        return HardwareActions(
            hardware,
            lambda: self.station,
            self.audit,
            BenchClock(),
            safe_while_charging=frozenset({"lamp"}),
            actions_per_minute=20,
        )

    async def run(
        self, name: str, *, roles: frozenset[str] = BOTH_ROLES, source: str = "csms", **parameters: object
    ) -> ActionResult:
        return await self.actions.run(name, parameters, source=source, roles=roles)


@pytest.fixture
async def bench() -> ActionBench:
    return ActionBench()
