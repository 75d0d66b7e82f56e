"""What the watch makes of what it is told, and what it sees for itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import ResetKind, SecurityEventType
from agent.errors import StoreFull
from agent.security.watch import CLOCK_WAIT_S, MOST_WAITING, SecurityWatch, disk_shortage, memory_shortage
from hal.errors import DeviceTimeout
from tests.helpers.fake_clock import EPOCH, FakeClock


@dataclass
class FakeSensor:
    name: str = "tamper"
    value: float | Exception = 0.0

    async def read(self) -> float:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@dataclass
class Log:
    events: list[SecurityEventRaised] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def report(self, event: SecurityEventRaised) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.events.append(event)

    @property
    def types(self) -> list[str]:
        return [str(each.type) for each in self.events]


@asynccontextmanager
async def watching(
    tmp_path: Path, sensors: Mapping[str, FakeSensor] | None = None, memory: str = "", is_trusted: bool = True
) -> AsyncIterator[tuple[SecurityWatch, Log, FakeClock]]:
    clock, log = FakeClock(), Log()
    clock.is_trusted = is_trusted
    (tmp_path / "meminfo").write_text(memory)
    watch = SecurityWatch(log.report, clock, tmp_path, sensors or {}, tmp_path / "meminfo")
    task = asyncio.create_task(watch.run())
    try:
        yield watch, log, clock
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.req("R16-318", "R16-319", "R16-321", "R16-355")
@pytest.mark.req("A00.FR.310", "A00.FR.316", "A00.FR.323", "A00.FR.413", "A00.FR.419", "A00.FR.426")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("CREDENTIALS", ["FailedToAuthenticateAtCsms"]),
        ("TLS_OWN_CERTIFICATE", ["FailedToAuthenticateAtCsms"]),
        ("TLS_CERTIFICATE", ["CsmsFailedToAuthenticate", "InvalidCsmsCertificate"]),
        ("TLS_VERSION", ["InvalidTLSVersion"]),
        ("TLS_CIPHER", ["InvalidTLSCipherSuite"]),
        ("UNREACHABLE", []),
        ("REFUSED", []),
        ("CONFIGURATION", []),
    ],
)
async def test_a_connection_that_fails_is_an_event_if_security_is_the_reason(
    kind: str, expected: list[str], tmp_path: Path
) -> None:
    async with watching(tmp_path) as (watch, log, _):
        watch.connection_failed(kind, "why")
        await asyncio.sleep(1)
        assert log.types == expected
        assert all(each.detail == "why" for each in log.events)


@pytest.mark.req("R16-356")
async def test_start_reset_and_clock_are_events(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watch, log, clock):
        watch.started()
        watch.clock_corrected(clock.now(), 3.0)
        watch.clock_corrected(clock.now(), -7200.0)
        await asyncio.sleep(1)
        assert log.types == ["StartupOfTheDevice", "SettingSystemTime"]
        assert log.events[1].detail == "by -7200 s, was 2026-03-01T08:00:00+00:00"
        assert watch.resetting(ResetKind.HARD).detail == "Hard reset"


@pytest.mark.req("R16-329", "R16-361")
async def test_security_settings_are_noted_by_name_and_others_not_at_all(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watch, log, _):
        for name in ("authorization_key", "heartbeat_interval_s", "security_profile"):
            watch.setting_changed(name)
        await asyncio.sleep(1)
        assert [each.detail for each in log.events] == [
            "authorization_key changed",
            "security_profile changed",
        ]


@pytest.mark.req("R16-034")
async def test_ids_of_bad_messages_do_not_make_each_of_them_another_event(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watch, log, _):
        watch.message_invalid("not JSON")
        watch.message_invalid("message id of 40 characters, 'abc'")
        await asyncio.sleep(1)
        assert [each.detail for each in log.events] == ["not JSON", "message id of 40 characters"]


async def test_an_event_of_a_station_without_a_clock_gets_the_time_once_it_is_known(tmp_path: Path) -> None:
    async with watching(tmp_path, is_trusted=False) as (watch, log, clock):
        watch.started()
        await asyncio.sleep(30)
        assert log.events == []
        clock.synchronize(EPOCH + timedelta(days=365))
        await asyncio.sleep(2)
        assert log.events[0].at == EPOCH + timedelta(days=365) - timedelta(seconds=30)


async def test_without_any_time_an_event_is_written_all_the_same(tmp_path: Path) -> None:
    async with watching(tmp_path, is_trusted=False) as (watch, log, _):
        watch.started()
        await asyncio.sleep(CLOCK_WAIT_S + 1)
        assert log.types == ["StartupOfTheDevice"]


async def test_an_event_waits_for_the_store_and_too_many_do_not_fill_the_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(tmp_path) as (watch, log, _):
        log.failures = [StoreFull("no space left")] * 3
        for number in range(MOST_WAITING + 50):
            watch.raise_event(SecurityEventType.INVALID_MESSAGES, str(number))
        await asyncio.sleep(60)
        assert [each.detail for each in log.events] == [str(number) for number in range(MOST_WAITING)]
        assert "is lost" in caplog.text


# --- what it sees for itself -----------------------------------------------------------------------------


@pytest.mark.req("R16-354")
async def test_an_opened_cover_is_an_event_each_time_it_opens(tmp_path: Path) -> None:
    sensor = FakeSensor()
    async with watching(tmp_path, {"tamper": sensor}) as (_, log, _clock):
        await asyncio.sleep(100)
        assert log.events == []
        for value in (1.0, 1.0, DeviceTimeout("no answer"), 0.0, 1.0):
            sensor.value = value
            await asyncio.sleep(60)
        assert log.types == ["TamperDetectionActivated"] * 2


MEMINFO = "MemTotal:        1000000 kB\nMemFree:  1 kB\nMemAvailable:    {left} kB\n"


@pytest.mark.req("R16-354")
async def test_exhausted_memory_is_told_once_until_it_has_recovered(tmp_path: Path) -> None:
    async with watching(tmp_path, memory=MEMINFO.format(left=500_000)) as (_, log, _clock):
        for left in (49_000, 51_000, 99_000, 101_000, 20_000):
            (tmp_path / "meminfo").write_text(MEMINFO.format(left=left))
            await asyncio.sleep(60)
        assert [each.detail for each in log.events] == [
            "memory: 49000 KiB of 1000000 KiB left",
            "memory: 20000 KiB of 1000000 KiB left",
        ]


def test_a_machine_that_does_not_say_what_is_left_has_no_shortage(tmp_path: Path) -> None:
    assert memory_shortage("", set()) == {}
    assert memory_shortage("MemTotal: 5 kB\n", set()) == {}
    assert disk_shortage(tmp_path / "nowhere", set()) == {}


@pytest.mark.parametrize(
    ("left", "short_of", "expected"),
    [(100, set(), {}), (1, set(), {"disk"}), (7, {"disk"}, {"disk"}), (7, set(), {}), (11, {"disk"}, {})],
)
def test_a_disk_is_full_below_a_twentieth_or_a_few_megabytes(
    left: int, short_of: set[str], expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        f_frsize, f_blocks, f_bavail = 4096, 100, left

    monkeypatch.setattr("os.statvfs", lambda _path: Disk)
    assert set(disk_shortage(tmp_path, short_of)) == set(expected)
