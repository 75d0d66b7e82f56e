"""The agent's clock: as the CSMS set it, never bent by the system's."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.ports import Clock
from agent.clock import CORRECTION_MIN_S, SystemClock

BEGIN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=2)


class System:
    """The operating system's clock, set at will."""

    def __init__(self, at: datetime = BEGIN) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def _clock(system: System) -> SystemClock:
    return SystemClock(asyncio.get_running_loop(), system.now)


def _is_near(at: datetime, expected: datetime) -> bool:
    return abs(at - expected) <= MICROSECOND


async def test_it_is_the_clock_that_charging_asks_for() -> None:
    clock: Clock = SystemClock(asyncio.get_running_loop())
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock.time() == asyncio.get_running_loop().time()


async def test_it_runs_with_the_loop() -> None:
    clock = _clock(System())
    await asyncio.sleep(3600)
    assert _is_near(clock.now(), BEGIN + timedelta(hours=1))


async def test_a_system_clock_that_jumps_bends_nothing() -> None:
    system = System()
    clock = _clock(system)
    for jump in (timedelta(days=400), timedelta(days=-800)):
        system.at += jump
        assert _is_near(clock.now(), BEGIN)


@pytest.mark.req("R16-045", "R16-058")
@pytest.mark.parametrize("correction_s", [3600.0, -3600.0, 1.5, -1.5])
async def test_the_time_of_the_csms_is_taken_over(correction_s: float) -> None:
    clock = _clock(System())
    await asyncio.sleep(10)
    csms_time = BEGIN + timedelta(seconds=10 + correction_s)
    assert clock.synchronize(csms_time) == pytest.approx(correction_s, abs=1e-5)
    assert _is_near(clock.now(), csms_time)
    await asyncio.sleep(10)
    assert _is_near(clock.now(), csms_time + timedelta(seconds=10))


async def test_the_time_of_the_csms_may_come_in_any_zone() -> None:
    clock = _clock(System())
    clock.synchronize(datetime(2026, 3, 1, 15, 0, 0, tzinfo=timezone(timedelta(hours=2))))
    assert _is_near(clock.now(), datetime(2026, 3, 1, 13, 0, 0, tzinfo=UTC))
    assert clock.now().utcoffset() == timedelta(0)


@given(offset_s=st.floats(-CORRECTION_MIN_S + 0.001, CORRECTION_MIN_S - 0.001))
async def test_whole_seconds_and_latency_do_not_shake_the_clock(offset_s: float) -> None:
    clock = _clock(System())
    assert clock.synchronize(BEGIN + timedelta(seconds=offset_s)) == 0.0
    assert _is_near(clock.now(), BEGIN)


async def test_small_differences_do_not_hide_a_drift() -> None:
    """Each is measured against our own time, so what is let be adds up until it is corrected."""
    clock = _clock(System())
    drift_s = 0.0
    corrections = []
    for _ in range(10):
        await asyncio.sleep(300)
        drift_s += 0.3
        csms_time = clock.now() + timedelta(seconds=drift_s - sum(corrections))
        corrections.append(clock.synchronize(csms_time))
    assert sum(corrections) == pytest.approx(2.4, abs=1e-3)
    assert [round(correction, 1) for correction in corrections if correction] == [1.2, 1.2]


@pytest.mark.parametrize(
    "csms_time",
    [
        datetime(2026, 5, 1),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
    ids=["without zone", "1970", "before 2024", "after 2100", "the end of the calendar"],
)
async def test_a_time_that_cannot_be_true_is_not_believed(
    csms_time: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    clock = _clock(System())
    for _ in range(3):
        assert clock.synchronize(csms_time) == 0.0
    assert _is_near(clock.now(), BEGIN)
    assert len(caplog.messages) == 1, "it comes with every Heartbeat and is told once"


async def test_a_clock_that_was_never_set_is_not_trusted_until_a_csms_gives_its_time() -> None:
    clock = _clock(System(datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)))
    assert not clock.is_trusted
    assert clock.synchronize(datetime(1970, 1, 1, 1, tzinfo=UTC)) == 0.0
    assert not clock.is_trusted
    clock.synchronize(BEGIN)
    assert clock.is_trusted
    assert _is_near(clock.now(), BEGIN)


async def test_a_system_clock_that_was_set_is_trusted() -> None:
    assert _clock(System()).is_trusted


async def test_a_clock_that_was_never_set_follows_the_system_once_it_is() -> None:
    system = System(datetime(1970, 1, 1, tzinfo=UTC))
    clock = _clock(system)
    await asyncio.sleep(60)
    assert _is_near(clock.now(), datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    system.at = BEGIN
    assert clock.is_trusted
    assert _is_near(clock.now(), BEGIN)
    system.at += timedelta(days=1)
    assert _is_near(clock.now(), BEGIN)


async def test_the_word_of_the_csms_stands_against_a_system_clock_set_later() -> None:
    system = System(datetime(1970, 1, 1, tzinfo=UTC))
    clock = _clock(system)
    clock.synchronize(BEGIN)
    system.at = BEGIN + timedelta(days=1)
    assert _is_near(clock.now(), BEGIN)


@pytest.mark.req("FIELD-31")
async def test_a_clock_that_was_never_set_goes_on_where_the_disk_left_off() -> None:
    clock = SystemClock(asyncio.get_running_loop(), lambda: datetime(1970, 1, 1, tzinfo=UTC))
    left_off = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock.not_before(left_off)
    await asyncio.sleep(10)
    assert clock.now() == left_off + timedelta(seconds=10)
    clock.not_before(left_off)
    assert clock.now() == left_off + timedelta(seconds=10), "it never goes back"
    assert not clock.is_trusted
    clock.synchronize(left_off + timedelta(hours=1))
    assert (clock.now(), clock.is_trusted) == (left_off + timedelta(hours=1), True)


async def test_a_clock_that_was_set_believes_no_disk() -> None:
    clock = SystemClock(asyncio.get_running_loop(), lambda: datetime(2026, 3, 1, tzinfo=UTC))
    before = clock.now()
    clock.not_before(datetime(2027, 1, 1, tzinfo=UTC))
    assert clock.now() == before
