"""The rig's fixtures: a started rig with an idle board on it, a recorder on its line, and a place for figures.

The suites import these; every test gets a board that is unplugged, open and without fault, on a real board too.
"""

from collections.abc import AsyncIterator, Callable

import pytest

from board import wire
from tests.helpers.board_client import BoardClient
from tests.helpers.board_rigs import Rig
from tests.rig.plugin import RUN, Run
from tests.rig.recording import Recorder

SETTLE_S = 20.0
"""A fault that is not latched goes after 5 s, and a self-test and the lock take their time, too."""


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    return request.config.stash[RUN]


@pytest.fixture(scope="session", autouse=True)
def identity(
    request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """What was tested, for the JUnit file."""
    for name, value in request.config.stash[RUN].ledger.identity:
        record_testsuite_property(name, value)


@pytest.fixture
def recorder(run: Run) -> Recorder:
    recorder = Recorder(run.target.connector)
    assert run.entry is not None
    run.entry.recording = recorder.recording
    return recorder


@pytest.fixture
async def rig(run: Run, recorder: Recorder) -> AsyncIterator[Rig]:
    rig = run.target.rig()
    try:
        await rig.start()
        if not run.target.is_simulated:
            await settle(rig)
        rig.stream = recorder.tap(rig.stream)
        yield rig
    finally:
        await rig.stop()


async def settle(rig: Rig) -> None:
    """Whatever the last test left behind: unplug, clear, wait until the board is idle. Raises AssertionError."""
    client = BoardClient(rig.stream, rig.connector)
    await client.open()
    try:
        client.permit(0, lease_ms=0, allow=False)
        await client.until(lambda status: True)
        if "car" in rig.can:
            await rig.car("A")
        if {"diode", "cable"} <= rig.can:
            await rig.set(diode=True, cable=32)
        await client.until(lambda status: status.pilot == wire.PILOT_A and status.contactor == 0, SETTLE_S)
        every_fault = (1 << len(wire.FAULT_NAMES)) - 1
        await client.ask(wire.CLEAR_FAULT, wire.pack_clear_fault(rig.connector, every_fault))
        busy = wire.WARN_SELF_TEST_DUE
        await client.until(
            lambda status: (
                not status.faults
                and not status.warnings & busy
                and status.lock in (wire.LOCK_NONE, wire.LOCK_OPEN)
            ),
            SETTLE_S,
        )
    finally:
        client.close()
