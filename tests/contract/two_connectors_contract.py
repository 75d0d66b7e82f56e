"""What holds between two connectors of one board, simulated or in MicroPython: each is on its own.

Taken by test_two_connectors and test_two_connectors_wasm, which give a `rig` with two connectors (of its first one).
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from board import wire
from tests.contract.board_contract import _charge, _is_closed, _self_test
from tests.helpers.board_client import BoardClient
from tests.helpers.board_rigs import SimulatedRig, WasmRig

TwoRig = SimulatedRig | WasmRig
Pair = tuple[BoardClient, BoardClient]


@pytest.fixture
async def clients(rig: TwoRig) -> AsyncIterator[Pair]:
    """One host, at connector 1 and at connector 2."""
    first = BoardClient(rig.stream, 1)
    await first.open()
    second = first.beside(2)
    keepers = [asyncio.create_task(client.keep()) for client in (first, second)]
    for client in (first, second):
        await client.until_tested()
    yield first, second
    for keeper in keepers:
        keeper.cancel()
    first.close()


@pytest.fixture
def rigs(rig: TwoRig) -> tuple[TwoRig, TwoRig]:
    return rig, rig.beside(2)


async def test_hello_tells_two_connectors(clients: Pair) -> None:
    assert clients[0].hello["connectors"] == 2
    for client in clients:
        assert (await client.until(lambda status: status.pilot == wire.PILOT_A)).contactor == 0


async def test_setpoints_and_pilots_are_separate(rigs: tuple[TwoRig, TwoRig], clients: Pair) -> None:
    first, second = clients
    first.permit(10)
    second.permit(32)
    await rigs[0].car("B")
    await rigs[1].car("B")
    await first.until(lambda status: (status.pilot, status.duty) == (wire.PILOT_B, 1666))
    await second.until(lambda status: (status.pilot, status.duty) == (wire.PILOT_B, 5333))
    second.permit(allow=False)
    await second.until(lambda status: status.duty == wire.DUTY_OFF)
    assert first.status is not None
    assert first.status.duty == 1666


@pytest.mark.parametrize("broken", [1, 2])
@pytest.mark.parametrize(
    ("values", "fault"),
    [({"leak": 1}, "rcd_dc"), ({"diode": False}, "cp_diode"), ({"welded": True}, "contactor_welded")],
    ids=["residual current", "diode", "weld"],
)
async def test_a_fault_on_one_leaves_the_other_charging(
    rigs: tuple[TwoRig, TwoRig], clients: Pair, broken: int, values: dict[str, object], fault: str
) -> None:
    for rig, client in zip(rigs, clients, strict=True):
        await _charge(rig, client)
    here, there = (0, 1) if broken == 1 else (1, 0)
    await rigs[here].set(**values)
    if fault == "contactor_welded":
        await rigs[here].car("B")
    await clients[here].until(lambda status: wire.fault_names(status.faults) == [fault])
    await clients[here].until(lambda status: not status.contactor & wire.CONTACTOR_COMMAND, 3)
    await asyncio.sleep(1)
    other = clients[there].status
    assert other is not None
    assert (_is_closed(other), other.faults) == (True, 0)


async def test_a_lease_that_ends_on_one_leaves_the_other_charging(
    rigs: tuple[TwoRig, TwoRig], clients: Pair
) -> None:
    for rig, client in zip(rigs, clients, strict=True):
        await _charge(rig, client)
    clients[1].permit(lease_ms=600)
    clients[1].setpoint = None
    await clients[1].until(lambda status: status.duty == wire.DUTY_OFF, 3)
    await clients[1].until(lambda status: status.contactor == 0, 8)
    assert clients[0].status is not None
    assert _is_closed(clients[0].status)


async def test_one_car_keeps_the_board_from_restarting_and_not_the_other_from_testing(
    rigs: tuple[TwoRig, TwoRig], clients: Pair
) -> None:
    await _charge(rigs[0], clients[0])
    reply_type, reply = await clients[1].exchange(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))
    assert (reply_type, wire.unpack_nak(reply)[1]) == (wire.NAK, wire.NAK_NOT_ALLOWED)
    answer = wire.unpack_json(await clients[1].ask(wire.CONFIG, wire.pack_json({"op": "commit"})))
    assert answer["code"] == "not_allowed"
    assert await _self_test(clients[1])
    reply_type, _ = await clients[0].exchange(wire.RCD_TEST, wire.pack_rcd_test(1))
    assert reply_type == wire.NAK
