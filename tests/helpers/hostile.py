"""What every test of a hostile CSMS asks in the end: is the station sane, and is the bill right?

The stories around it are in `tests/system/test_hostile_*.py`. A transaction is begun before or while the CSMS behaves
badly and ended afterwards; what the CSMS took of it has to be one start and one stop with the energy that the simulated
meter counted.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.helpers.bench import Bench


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online, minutes=120)
    await bench.run_for(seconds=2)


async def begin(bench: Bench, id_token: str = "TAG1") -> None:
    """Plug in and tap; energy flows."""
    await bench.run_for(seconds=5)
    bench.plug_in()
    bench.tap(id_token)
    await bench.until(lambda: bench.evse().transaction is not None)
    await bench.run_for(seconds=10)


async def end(bench: Bench, id_token: str = "TAG1") -> None:
    bench.tap(id_token)
    await bench.until(lambda: bench.evse().transaction is None)


async def charge_for(bench: Bench, minutes: float) -> None:
    """A whole transaction, from plug-in to plug-out."""
    await begin(bench)
    await bench.run_for(minutes=minutes)
    await end(bench)
    bench.unplug()
    await bench.run_for(seconds=20)


async def assert_billed_once(
    bench: Bench, *, minutes: float = 60, may_repeat: bool = False
) -> dict[str, Any]:
    """One transaction was told with the register of the meter; returns its StopTransaction.

    `may_repeat`: answers were lost or refused, so that the same message may have gone more than once.
    """
    await bench.until(lambda: bench.sent("StopTransaction"), minutes=minutes)
    await bench.run_for(seconds=5)
    starts, stops = bench.sent("StartTransaction"), bench.sent("StopTransaction")
    if not may_repeat:
        assert len(starts) == len(stops) == 1
    assert all(start == starts[0] for start in starts)
    assert all(stop == stops[0] for stop in stops)
    assert stops[0]["meterStop"] > starts[0]["meterStart"]
    assert stops[0]["meterStop"] == pytest.approx(bench.world.meter_reading(1).energy_import_wh, abs=2)
    assert await bench.agent.journal.depth() == 0
    return stops[0]


@contextmanager
def no_crash(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing in the block is logged with a traceback."""
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        yield
    crashes = [record.getMessage() for record in caplog.records if record.exc_info]
    assert not crashes
