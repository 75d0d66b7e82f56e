"""Hardware that behaves, in the hands of a test: meter, light and reader around the EVSE of `fake_evse.py`.

The test says what breaks, at once and exactly; the real thing on simulated electricity is `hal.sim`.
"""

import asyncio
from collections.abc import Callable, Sequence

from hal.errors import DeviceMissing, HalError
from hal.ports import ContactorState, DisplayPage, EvsePorts, Hardware, MeterReading, Quality
from tests.helpers.fake_evse import FakeEvse, FakeLock


class FakeMeter:
    name = "Fake 1"
    serial_number = "0001"

    def __init__(self, evse: FakeEvse | None = None, start_wh: float = 1000.0) -> None:
        self.energy_wh = start_wh
        self.failure: HalError | None = None
        self.quality: Quality = "ok"
        self.is_hanging = False
        self.reads = 0
        self.phases = 0
        """That the EV uses; 0: all that it is given."""
        self._evse = evse
        self._since = 0.0

    async def read(self) -> MeterReading:
        if self.is_hanging:
            await asyncio.sleep(3600)
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        self.settle()
        power_w = self.power_w
        phases = self.phases or (3 if self._evse is None else self._evse.state.phases or 3)
        drawn_a = power_w / 230 / phases
        return MeterReading(
            at_time=asyncio.get_running_loop().time(),
            energy_import_wh=self.energy_wh,
            power_w=power_w,
            voltage_v=(230.0, 231.0, 229.0),
            current_a=(drawn_a, drawn_a if phases > 1 else 0.0, drawn_a if phases > 2 else 0.0),
            quality=self.quality,
        )

    @property
    def power_w(self) -> float:
        is_flowing = self._evse is not None and self._evse.state.contactor is ContactorState.CLOSED
        return self._evse.ev_power_w if is_flowing and self._evse is not None else 0.0

    def settle(self) -> None:
        now = asyncio.get_running_loop().time()
        self.energy_wh += self.power_w * (now - self._since) / 3600
        self._since = now

    async def read_registers(self, function: int, address: int, count: int) -> tuple[int, ...]:
        return (0,) * count


class FakeIndicator:
    def __init__(self) -> None:
        self.shown: list[tuple[str, float]] = []

    async def show(self, pattern: str, duration_s: float) -> None:
        self.shown.append((pattern, duration_s))


class FakeDisplay:
    """Keeps every page; `failure` is raised as long as it stands."""

    def __init__(self) -> None:
        self.pages: list[DisplayPage | None] = []
        self.failure: HalError | None = None

    async def show(self, page: DisplayPage | None) -> None:
        if self.failure is not None:
            raise self.failure
        self.pages.append(page)

    @property
    def content(self) -> str | None:
        """What stands on it."""
        return self.pages[-1].content if self.pages and self.pages[-1] is not None else None


class FakeReader:
    def __init__(self, evse_ids: Sequence[int] = ()) -> None:
        self.evse_ids = evse_ids
        self._listeners: list[Callable[[str, str], None]] = []

    def subscribe(self, listener: Callable[[str, str], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tap(self, uid: str, token_type: str = "ISO14443") -> None:
        for listener in self._listeners:
            listener(uid, token_type)


def fake_hardware(
    evses: int = 1,
    has_lock: bool = True,
    has_main_meter: bool = False,
    connectors: int = 1,
    has_display: bool = False,
) -> Hardware:
    """Every part is one of this file; a test reaches it through the ports."""
    ports = {}
    for evse_id in range(1, evses + 1):
        evse = FakeEvse(evse_id, has_lock)
        meter = FakeMeter(evse)
        evse.on_change = meter.settle
        lock = FakeLock(evse) if has_lock else None
        display = FakeDisplay() if has_display else None
        ports[evse_id] = EvsePorts(evse, connectors, meter, lock, FakeIndicator(), display=display)
    main_meter = FakeMeter(start_wh=50_000.0) if has_main_meter else None
    return Hardware(evses=ports, main_meter=main_meter, readers=(FakeReader(),))


SILENT = DeviceMissing("no answer")
