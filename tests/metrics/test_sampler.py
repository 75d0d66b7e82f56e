"""The sampler notices a loop that comes late, and looks away when nobody asks any more."""

import asyncio
import time

import pytest

from agent.durations import LIMITS_S, Durations
from agent.log import MessageJournal
from agent.metrics import sampler as sampler_module
from agent.metrics.sampler import WATCHED_S, Sampler


async def test_nothing_is_sampled_before_somebody_asks_and_long_after() -> None:
    sampler = Sampler(MessageJournal(10), bool)
    await asyncio.sleep(100)
    assert sum(sampler.lag.counts) == 0
    sampler.asked()
    await asyncio.sleep(3 * WATCHED_S)
    samples = sum(sampler.lag.counts)
    assert WATCHED_S - 5 <= samples <= WATCHED_S + 5
    sampler.asked()
    await asyncio.sleep(10.5)
    assert sum(sampler.lag.counts) == samples + 10
    sampler.close()


@pytest.mark.real_time
async def test_a_loop_that_was_held_up_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "SAMPLE_S", 0.15)
    sampler = Sampler(MessageJournal(10), bool)
    sampler.asked()
    await asyncio.sleep(0.1)
    time.sleep(0.35)  # noqa: ASYNC251 - that is what it is about
    await asyncio.sleep(0.01)
    sampler.close()
    assert 0.2 < sampler.lag.total_s < 5


def test_a_duration_falls_into_the_class_of_its_upper_limit() -> None:
    durations = Durations()
    for seconds in (*LIMITS_S, 1000.0, 0.0):
        durations.note(seconds)
    assert list(durations.counts) == [2, *[1] * (len(LIMITS_S) - 1), 1]
