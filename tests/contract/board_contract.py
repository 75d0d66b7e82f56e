"""One contract for every board: what test_board, test_board_wasm and test_board_real all run.

Each of them gives a `rig` (tests/helpers/board_rigs.py) and takes everything from here. What needs a car runs where
there is one to plug in; a real board is expected idle, with nothing in its socket.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from board import wire
from tests.helpers.board_client import SELF_TEST_MS, BoardClient
from tests.helpers.board_rigs import Rig


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[BoardClient]:
    client = BoardClient(rig.stream, rig.connector)
    await client.open()
    keeper = asyncio.create_task(client.keep())
    await client.until_tested()
    yield client
    keeper.cancel()
    client.close()


Measured = Callable[[str, float, float, str], None]
"""(what, value, the most that is allowed, unit): a figure for the report."""


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Into the JUnit file; the rig puts it into its report, too."""

    def keep(what: str, value: float, most: float, unit: str) -> None:
        record_property(what, f"{value:.0f} {unit} (at most {most:.0f} {unit})")

    return keep


@pytest.fixture
def electric(rig: Rig) -> Rig:
    """The rig, where a car can be plugged in."""
    if not rig.has_electricity:
        pytest.skip("nobody can plug a car into a real board from here")
    return rig


def _is_closed(status: wire.Status) -> bool:
    return status.contactor == wire.CONTACTOR_COMMAND | wire.CONTACTOR_FEEDBACK


def _is_held(status: wire.Status) -> bool:
    """The cable cannot be pulled out: locked in its socket, or a fixed one."""
    return status.lock in (wire.LOCK_LOCKED, wire.LOCK_NONE)


def _is_free(status: wire.Status) -> bool:
    return status.lock in (wire.LOCK_OPEN, wire.LOCK_NONE)


async def _charge(rig: Rig, client: BoardClient) -> None:
    client.permit()
    await rig.car("B")
    await client.until(lambda status: status.duty == 2666 and _is_held(status))
    await rig.car("C")
    await client.until(_is_closed)


async def test_hello_names_protocol_and_capabilities(client: BoardClient) -> None:
    assert wire.speaks_our_major(client.hello)
    assert client.hello["reset_cause"] in wire.RESET_NAMES
    assert client.hello["connectors"] >= 1
    assert client.hello["caps"].keys() >= {"max_a", "min_a", "phases", "lock", "rcd", "rcd_test", "aux"}


async def test_a_board_that_has_been_up_for_a_while_serves_the_next_host(
    client: BoardClient, rig: Rig
) -> None:
    await client.until(lambda status: status.uptime_ms > SELF_TEST_MS)
    client.close()
    successor = BoardClient(rig.stream, rig.connector)
    await successor.open()
    await successor.until_tested()
    assert not [event for event in successor.events if event.kind == wire.EVENT_RCD_TEST]
    successor.close()


async def test_idle_board_is_in_a_and_open(client: BoardClient) -> None:
    status = await client.until(lambda status: status.pilot == wire.PILOT_A)
    assert (status.contactor, status.duty) == (0, wire.DUTY_OFF)
    assert status.cp_high_mv > 11000


async def test_permission_alone_closes_nothing(client: BoardClient) -> None:
    client.permit(32)
    await asyncio.sleep(2)
    assert client.status is not None
    assert client.status.contactor == 0


async def test_status_comes_by_itself(client: BoardClient) -> None:
    first = await client.until(lambda status: True)
    await client.until(lambda status: status.uptime_ms > first.uptime_ms + 900, 3)


async def test_ping_is_answered(client: BoardClient) -> None:
    token, uptime_ms = wire.unpack_ping_reply(await client.ask(wire.PING, wire.pack_ping(123456789)))
    assert token == 123456789
    assert uptime_ms > 0


async def test_noise_is_survived(client: BoardClient) -> None:
    noise = random.Random(1)
    client.write(bytes(noise.choice(range(256)) for _ in range(1400)) + b"\n")
    client.write(wire.encode(wire.PING, 9)[:-4])
    client.write(b"~" * 30 + b"\n")
    await asyncio.sleep(0.2)
    assert await client.ask(wire.PING, wire.pack_ping(5))


async def test_unknown_requests_are_refused(client: BoardClient) -> None:
    reply_type, reply = await client.exchange(0x55)
    assert (reply_type, wire.unpack_nak(reply)) == (wire.NAK, (0x55, wire.NAK_UNKNOWN))


async def test_longer_payloads_are_accepted(client: BoardClient) -> None:
    reply = await client.ask(wire.SETPOINT, wire.Setpoint(1, lease_ms=3000).pack() + b"newer fields")
    assert wire.unpack_setpoint_reply(reply)[0] == 1


async def test_deep_json_does_not_hurt(client: BoardClient) -> None:
    reply_type, _ = await client.exchange(wire.ACTION, b'{"a":' * 100)
    assert reply_type == wire.NAK
    assert await client.ask(wire.PING, wire.pack_ping(5))


async def _self_test(client: BoardClient) -> bool:
    reply = await client.ask(wire.RCD_TEST, wire.pack_rcd_test(client.connector))
    return wire.unpack_rcd_test_reply(reply) == (client.connector, 1)


async def test_rcd_self_test_passes_in_idle(client: BoardClient) -> None:
    assert await _self_test(client)


async def _configure(client: BoardClient, **request: object) -> dict[str, object]:
    return wire.unpack_json(await client.ask(wire.CONFIG, wire.pack_json(request)))


async def test_limits_are_told_with_their_hash_and_only_ever_lowered(client: BoardClient) -> None:
    now = await _configure(client, op="get", c=client.connector)
    assert now["hash"] == client.hello["cfg_hash"]
    values = now["values"]
    assert isinstance(values, dict)
    more = {"max_da": values["max_da"] + 1}
    assert (await _configure(client, op="set", c=client.connector, values=more))["code"] == "bad_args"
    less = {"max_da": values["max_da"] - 1}
    assert await _configure(client, op="set", c=client.connector, values=less) == {"ok": True}
    staged = await _configure(client, op="get", c=client.connector, of="staged")
    assert (staged["values"], staged["hash"]) == (values | less, now["hash"])
    assert await _configure(client, op="discard") == {"ok": True}


async def test_outputs_pulse_and_read(client: BoardClient) -> None:
    name = client.hello["caps"]["aux"][0]
    assert (await client.act("output_pulse", name=name, ms=60))["ok"]
    assert (await client.act("output_set", name=name, on=False))["ok"]
    data = (await client.act("read", names=["cp_high_mv", "uptime_ms"]))["data"]
    assert data["cp_high_mv"] > 11000
    assert (await client.act("output_set", name="contactor", on=True))["code"] == "bad_args"


async def test_a_lease_that_ends_is_warned(client: BoardClient) -> None:
    client.permit(lease_ms=600)
    client.setpoint = None
    await client.until(lambda status: bool(status.warnings & wire.WARN_LEASE), 3)


async def test_charge_cycle(client: BoardClient, electric: Rig) -> None:
    await _charge(electric, client)
    client.permit(10)
    await client.until(lambda status: status.duty == 1666)
    await electric.car("B")
    await client.until(lambda status: status.contactor == 0)
    await electric.car("A")
    await client.until(lambda status: status.pilot == wire.PILOT_A and _is_free(status))
    assert client.faults == []


async def test_contactor_closes_within_3_s_of_c2(
    client: BoardClient, electric: Rig, measured: Measured
) -> None:
    client.permit()
    await electric.car("B")
    await client.until(_is_held)
    took_ms = await electric.switched_ms(lambda: electric.car("C"), closed=True)
    measured("contactor closed", took_ms, 3000, "ms")
    assert took_ms <= 3000


async def test_contactor_opens_within_100_ms_of_b(
    client: BoardClient, electric: Rig, measured: Measured
) -> None:
    await _charge(electric, client)
    took_ms = await electric.switched_ms(lambda: electric.car("B"), closed=False)
    measured("contactor open", took_ms, 100, "ms")
    assert took_ms <= 100


async def test_residual_current_opens_within_20_ms_and_the_travel(
    client: BoardClient, electric: Rig, measured: Measured
) -> None:
    await _charge(electric, client)
    took_ms = await electric.switched_ms(lambda: electric.set(leak=1), closed=False)
    measured("contactor open", took_ms, 20 + 30 + 10, "ms")
    assert took_ms <= 20 + 30 + 10, "command within 20 ms, 30 ms of travel, 10 ms of timer"
    await electric.set(leak=0)
    await client.until(lambda status: "rcd_dc" in wire.fault_names(status.faults))
    await asyncio.sleep(1)
    assert client.faults == ["rcd_dc"]


async def test_lease_expiry_stops_the_offer_and_opens_after_6_s(client: BoardClient, electric: Rig) -> None:
    await _charge(electric, client)
    client.permit(lease_ms=700)
    client.setpoint = None
    await client.until(lambda status: status.duty == wire.DUTY_OFF, 3)
    assert client.status is not None
    assert client.status.contactor, "the EV gets 6 s"
    await client.until(lambda status: status.contactor == 0, 8)


@pytest.mark.parametrize(
    ("values", "fault"),
    [({"diode": False}, "cp_diode"), ({"emergency": True}, "emergency_stop")],
    ids=["diode", "emergency stop"],
)
async def test_a_fault_while_charging_opens(
    client: BoardClient, electric: Rig, values: dict[str, object], fault: str
) -> None:
    await _charge(electric, client)
    await electric.set(**values)
    status = await client.until(lambda status: status.faults != 0)
    assert wire.fault_names(status.faults) == [fault]
    await client.until(lambda status: status.contactor == 0, 2)


async def test_a_car_that_draws_too_much_is_cut_off_by_what_the_host_measured(
    client: BoardClient, electric: Rig
) -> None:
    await _charge(electric, client)
    assert client.setpoint is not None
    client.setpoint.measured_da = 160
    client.send(wire.SETPOINT, client.setpoint.pack())
    await asyncio.sleep(2.5)
    assert client.faults == []
    client.setpoint.measured_da = 210
    client.send(wire.SETPOINT, client.setpoint.pack())
    await client.until(lambda status: bool(status.faults & wire.F_OVER_CURRENT) and not _is_closed(status), 4)


async def test_a_weld_is_found_after_opening(client: BoardClient, electric: Rig) -> None:
    await _charge(electric, client)
    await electric.set(welded=True)
    await electric.car("B")
    status = await client.until(lambda status: status.faults != 0)
    assert wire.fault_names(status.faults) == ["contactor_welded"]
    assert status.contactor == wire.CONTACTOR_FEEDBACK


async def test_a_contactor_that_does_not_close_is_found(client: BoardClient, electric: Rig) -> None:
    await electric.set(never_closes=True)
    client.permit()
    await electric.car("B")
    await client.until(_is_held)
    await electric.car("C")
    status = await client.until(lambda status: status.faults != 0)
    assert wire.fault_names(status.faults) == ["contactor_no_close"]


@pytest.mark.parametrize("request_type", [wire.RCD_TEST, wire.REBOOT])
async def test_what_needs_an_idle_board_is_refused_while_charging(
    client: BoardClient, electric: Rig, request_type: int
) -> None:
    await _charge(electric, client)
    reply_type, reply = await client.exchange(request_type, bytes([client.connector]))
    assert (reply_type, wire.unpack_nak(reply)[1]) == (wire.NAK, wire.NAK_NOT_ALLOWED)
    assert (await client.act("unlock"))["code"] == "not_allowed"
    assert (await _configure(client, op="commit"))["code"] == "not_allowed"
    assert client.status is not None
    assert _is_closed(client.status)


async def test_events_tell_what_happened_in_order(client: BoardClient, electric: Rig) -> None:
    await _charge(electric, client)
    pilots = [event.a for event in client.events if event.kind == wire.EVENT_PILOT]
    assert pilots == [wire.PILOT_B, wire.PILOT_C]
    sequence = {event.event_seq for event in client.events}
    assert sorted(sequence) == list(range(min(sequence), max(sequence) + 1))
