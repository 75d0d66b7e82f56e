"""Two connectors on one board in real MicroPython, in real time, with the pin map of two fixed cables."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.contract import two_connectors_contract as contract
from tests.contract.test_board_wasm import HEAP_LIMIT, live_heap
from tests.contract.two_connectors_contract import (  # noqa: F401
    Pair,
    TwoRig,
    clients,
    rigs,
    test_setpoints_and_pilots_are_separate,
)
from tests.helpers.board_rigs import WasmRig

pytestmark = [pytest.mark.wasm, pytest.mark.real_time, pytest.mark.xdist_group("wasm")]


@pytest.fixture
async def rig() -> AsyncIterator[WasmRig]:
    rig = WasmRig(pcb="duo")
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()


async def test_a_leak_on_the_second_leaves_the_first_charging(
    rigs: tuple[TwoRig, TwoRig],  # noqa: F811
    clients: Pair,  # noqa: F811
) -> None:
    await contract.test_a_fault_on_one_leaves_the_other_charging(rigs, clients, 2, {"leak": 1}, "rcd_dc")


async def test_two_connectors_fit_into_the_heap_and_have_a_light_each(rig: WasmRig, clients: Pair) -> None:  # noqa: F811
    assert 0 < await live_heap(rig.board) < HEAP_LIMIT
    await rig.set(leak=1)
    await clients[0].until(lambda status: status.faults != 0)
    await asyncio.sleep(0.3)
    shown = [value for _, what, value in (await rig.board.ask(log=True))["log"] if what == "pixels"]
    assert [60, 0, 0] in [first for first, _ in shown], "the fast red of a fault"
    assert [60, 0, 0] not in [second for _, second in shown]
