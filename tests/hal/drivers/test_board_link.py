"""The board link: setpoints at once and with a lease, repeats, versions, silence, events, requests, shutdown."""

import asyncio
import contextlib
import gc
import itertools
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from board import wire
from hal.drivers.board_evse import BoardEvse
from hal.drivers.board_link import BoardLink, LinkState
from hal.errors import DeviceFault, DeviceMissing, DeviceProtocolError, DeviceTimeout, OutOfRange
from hal.ports import ContactorState, EvseEvent, FaultCode, PilotState, Setpoint
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.links import FaultyStream, LinkQuality, each_quality
from tests.helpers.wire_board import WireBoard

ALLOW = Setpoint(allow_power=True, limit_a=16.0)


@contextlib.asynccontextmanager
async def running(link: BoardLink) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Played:
    """A link to a played board, with one EVSE on it."""

    def __init__(self, connectors: int = 1) -> None:
        self.board = WireBoard(connectors)
        self.link = BoardLink(self.board.line, "1.2.3")
        now = asyncio.get_running_loop().time()
        self.evse = BoardEvse(self.link, 1, 32.0, now)
        self.events: list[EvseEvent] = []
        self.evse.subscribe(self.events.append)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    """With the link up, and a first setpoint given."""
    played = Played()
    async with running(played.link):
        played.evse.apply(Setpoint())
        await asyncio.sleep(0.5)
        assert played.link.state is LinkState.UP
        played.board.heard.clear()
        played.events.clear()
        yield played


# ---- setpoints


async def test_hello_comes_first_and_says_version_and_host() -> None:
    played = Played()
    played.evse.apply(ALLOW)
    async with running(played.link):
        await asyncio.sleep(0.1)
    hello, *rest = played.board.heard
    assert hello.message_type == wire.HELLO
    assert wire.unpack_json(hello.payload) == {"proto": [1, 1], "host": "1.2.3"}
    assert {heard.message_type for heard in rest} == {wire.SETPOINT}


async def test_a_changed_setpoint_goes_out_at_once(played: Played) -> None:
    await asyncio.sleep(0.37)
    played.board.heard.clear()
    begin = asyncio.get_running_loop().time()
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.01)
    (setpoint,) = played.board.setpoints()
    assert played.board.heard[0].at_time == pytest.approx(begin, abs=0.001)
    assert setpoint.flags == wire.AVAILABLE | wire.ALLOW_POWER | wire.THREE_PHASE
    assert (setpoint.limit_da, setpoint.lease_ms, setpoint.fallback_da) == (160, 5000, 0)


async def test_setpoints_of_one_turn_of_the_loop_become_one_frame(played: Played) -> None:
    for limit_a in (6.0, 10.0, 13.0):
        played.evse.apply(Setpoint(allow_power=True, limit_a=limit_a))
    await asyncio.sleep(0.01)
    assert [setpoint.limit_da for setpoint in played.board.setpoints()] == [130]


async def test_an_unchanged_setpoint_is_renewed_every_second_and_not_more_often(played: Played) -> None:
    for _ in range(600):
        played.evse.apply(Setpoint())
        await asyncio.sleep(0.1)
    times = [heard.at_time for heard in played.board.of_type(wire.SETPOINT)]
    assert len(times) == pytest.approx(60, abs=2)
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 1.05


async def test_what_the_meter_shows_goes_along_with_the_next_renewal(played: Played) -> None:
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.05)
    for tenth in range(100):
        played.evse.apply(replace(ALLOW, measured_a=10.0 + tenth / 10))
        await asyncio.sleep(0.1)
    setpoints = played.board.setpoints()
    assert len(setpoints) <= 12, "no setpoint of its own for each reading"
    first, *later = [setpoint.measured_da for setpoint in setpoints]
    assert first == wire.NO_CURRENT
    assert later == sorted(later)
    assert setpoints[-1].measured_da == pytest.approx(195, abs=11)


async def test_every_connector_has_its_own_setpoint() -> None:
    played = Played(connectors=2)
    second = BoardEvse(played.link, 2, 32.0, 0.0)
    async with running(played.link):
        played.evse.apply(ALLOW)
        second.apply(Setpoint(limit_a=6.0))
        await asyncio.sleep(3.5)
    assert [setpoint.limit_da for setpoint in played.board.setpoints(1)[:3]] == [160] * 3
    assert [setpoint.limit_da for setpoint in played.board.setpoints(2)[:3]] == [60] * 3


async def test_an_unanswered_setpoint_is_sent_twice_more_with_the_same_number(played: Played) -> None:
    played.board.mute.add(wire.SETPOINT)
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.85)
    sent = played.board.of_type(wire.SETPOINT)
    assert len({heard.seq for heard in sent}) == 1
    gaps = [later.at_time - earlier.at_time for earlier, later in itertools.pairwise(sent)]
    assert gaps == [pytest.approx(0.3, abs=0.01)] * 2
    assert played.link.is_linked
    await asyncio.sleep(0.1)
    assert played.kinds() == ["link"]  # and now it is down
    assert not played.evse.state.link_ok


async def test_a_newer_setpoint_does_not_wait_for_the_answer_to_the_older_one(played: Played) -> None:
    played.board.mute.add(wire.SETPOINT)
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.1)
    played.evse.apply(Setpoint())
    await asyncio.sleep(0.01)
    assert [bool(setpoint.flags & wire.ALLOW_POWER) for setpoint in played.board.setpoints()] == [True, False]
    played.board.mute.clear()
    await asyncio.sleep(5)
    assert not played.board.setpoints()[-1].flags & wire.ALLOW_POWER
    assert played.evse.state.link_ok


async def test_a_refused_setpoint_is_reported_and_renewed(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    played.board.naks[wire.SETPOINT] = wire.NAK_VALUE
    await asyncio.sleep(2.2)
    assert "refuses the setpoint of connector 1: bad_value" in caplog.text
    assert len(played.board.setpoints()) in (2, 3)


# ---- the board goes away and comes back


async def test_the_whole_setpoint_is_sent_again_after_the_port_was_replugged(played: Played) -> None:
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.1)
    played.board.line.unplug()
    assert not played.evse.state.link_ok
    opened = played.board.line.opened
    await asyncio.sleep(60)
    assert 10 < played.board.line.opened - opened < 25  # backs off to 5 s
    played.board.heard.clear()
    played.board.line.plug()
    await asyncio.sleep(5.5)
    assert played.board.heard[0].message_type == wire.HELLO
    assert played.board.setpoints()[0].flags & wire.ALLOW_POWER
    assert played.evse.state.link_ok


async def test_silence_is_a_warning_after_3_s_and_a_fault_after_5_s(played: Played) -> None:
    played.board.pushes_status = False
    played.board.say_status()
    begin = asyncio.get_running_loop().time()
    times: dict[str, float] = {}
    played.evse.subscribe(
        lambda event: times.setdefault(event.kind, asyncio.get_running_loop().time() - begin)
    )
    await asyncio.sleep(6)
    assert times == {"link": pytest.approx(3, abs=0.05), "fault": pytest.approx(5, abs=0.05)}
    assert FaultCode.BOARD_COMM in played.evse.state.faults
    played.board.pushes_status = True
    await asyncio.sleep(6)
    assert played.evse.state.link_ok
    assert played.evse.state.faults == frozenset()
    assert "fault_cleared" in played.kinds()


async def test_a_board_that_never_answers_is_a_fault_after_5_s() -> None:
    played = Played()
    played.board.mute.update({wire.HELLO, wire.SETPOINT})
    async with running(played.link):
        await asyncio.sleep(4.9)
        assert played.evse.state.faults == frozenset()
        assert not played.evse.state.link_ok
        await asyncio.sleep(0.2)
        assert played.evse.state.faults == {FaultCode.BOARD_COMM}
        assert played.evse.state.contactor is ContactorState.UNKNOWN


async def test_a_restarted_board_is_greeted_again_and_gets_the_whole_setpoint(played: Played) -> None:
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.1)
    played.board.heard.clear()
    played.board.naks[wire.SETPOINT] = wire.NAK_NO_HELLO
    await asyncio.sleep(1.0)
    played.board.naks.clear()
    await asyncio.sleep(1.0)
    assert [heard.message_type for heard in played.board.heard[:2]] == [wire.SETPOINT, wire.HELLO]
    assert played.board.setpoints()[-1].flags & wire.ALLOW_POWER
    assert played.board.line.opened == 1  # the port stayed open


# ---- versions


async def test_another_major_version_is_a_fault_and_nothing_but_a_reboot_is_sent() -> None:
    played = Played()
    played.board.protocol = [wire.PROTOCOL_MAJOR + 1, 0]
    played.board.answers[wire.REBOOT] = b""
    async with running(played.link):
        played.evse.apply(ALLOW)
        await asyncio.sleep(30)
        assert played.evse.state.faults == {FaultCode.FIRMWARE_INCOMPATIBLE}
        assert {heard.message_type for heard in played.board.heard} == {wire.HELLO}
        with pytest.raises(DeviceMissing):
            await played.evse.rcd_self_test()
        await played.link.request(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))
        played.board.protocol = [wire.PROTOCOL_MAJOR, 7]  # flashed; a newer minor is welcome
        await asyncio.sleep(11)
        assert played.evse.state.faults == frozenset()
        assert played.board.setpoints()


@pytest.mark.parametrize("capabilities", [{}, {"max_a": "many"}, 5])
async def test_an_odd_hello_never_ends_the_task(capabilities: object) -> None:
    played = Played()
    played.board.capabilities = capabilities
    async with running(played.link):
        await asyncio.sleep(20)
        assert played.link.is_linked is (capabilities == {})
        played.board.capabilities = {"max_a": 16}
        await asyncio.sleep(6)
        assert played.link.is_linked


# ---- what the board says


async def test_console_text_goes_to_the_log(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hal.board.console")
    played.board.line.send(b"Traceback (most recent call last):\nMemoryError: \xff\n")
    assert "board> Traceback (most recent call last):" in caplog.text
    assert "board> MemoryError:" in caplog.text


async def test_an_evse_that_the_board_has_no_connector_for_is_a_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    played = Played(connectors=1)
    second = BoardEvse(played.link, 2, 32.0, 0.0)
    told: list[EvseEvent] = []
    second.subscribe(told.append)
    async with running(played.link):
        played.evse.apply(ALLOW)
        second.apply(ALLOW)
        await asyncio.sleep(10)
        (fault,) = told
        assert (fault.kind, fault.fault) == ("fault", FaultCode.FIRMWARE_INCOMPATIBLE)
        assert fault.detail == "the board has 1 connector, none for EVSE 2"
        assert (second.state.link_ok, second.state.contactor) == (False, ContactorState.UNKNOWN)
        assert played.board.setpoints(2) == []
        assert played.evse.state.faults == frozenset()
        assert played.link.state is LinkState.UP
        await played.link.shut_down()
        assert "did not confirm" not in caplog.text
        played.board.connectors = 2  # another board
        played.board.line.unplug()
        await asyncio.sleep(1)
        played.board.line.plug()
        await asyncio.sleep(10)
        assert second.state.faults == frozenset()
        assert second.state.link_ok
        assert played.board.setpoints(2)


async def test_a_restart_with_fewer_connectors_is_noticed_while_the_link_is_up() -> None:
    played = Played(connectors=2)
    second = BoardEvse(played.link, 2, 32.0, 0.0)
    async with running(played.link):
        played.evse.apply(ALLOW)
        second.apply(ALLOW)
        await asyncio.sleep(1.5)
        assert second.state.link_ok
        played.board.connectors = 1
        played.board.naks[wire.SETPOINT] = wire.NAK_NO_HELLO
        await asyncio.sleep(1.0)
        played.board.naks.clear()
        await asyncio.sleep(1.5)
        assert played.evse.state.link_ok
        assert not second.state.link_ok
        assert second.state.faults == {FaultCode.FIRMWARE_INCOMPATIBLE}


@pytest.mark.parametrize(("cause", "told"), [("POWER", []), ("SOFT", []), ("WATCHDOG", ["wdt"])])
async def test_how_the_board_came_up_before_we_met_is_news_only_after_a_hang(
    cause: str, told: list[str]
) -> None:
    played = Played()
    async with running(played.link):
        await asyncio.sleep(0.5)
        played.board.uptime_ms = 60_000
        played.board.say_status()
        played.board.say_event(wire.EVENT_RESET, getattr(wire, f"RESET_{cause}"), connector=0)
        await asyncio.sleep(0)
    assert [event.detail for event in played.events if event.kind == "board_reset"] == told


@pytest.mark.parametrize(("before_ms", "away_s", "after_ms"), [(60_000, 1, 500), (2_000, 20, 6_000)])
async def test_a_power_up_after_we_met_is_told(
    played: Played, before_ms: int, away_s: float, after_ms: int
) -> None:
    """Also when the board is found older than when it was lost; and though its events are counted anew."""
    played.board.uptime_ms = before_ms
    played.board.say_status()
    played.board.say_event(wire.EVENT_RESET, wire.RESET_POWER, connector=0)
    played.board.line.unplug()
    await asyncio.sleep(away_s)
    played.board.uptime_ms, played.board.event_seq = after_ms, 0
    played.board.line.plug()
    await asyncio.sleep(6)
    assert played.evse.state.link_ok
    played.board.say_event(wire.EVENT_RESET, wire.RESET_POWER, connector=0)
    await asyncio.sleep(0)
    (reset,) = [event for event in played.events if event.kind == "board_reset"]
    assert (reset.fault, reset.detail) == (FaultCode.BOARD_RESET, "power")


async def test_a_replugged_line_is_no_restart(played: Played) -> None:
    played.board.uptime_ms = 60_000
    played.board.say_status()
    played.board.line.unplug()
    await asyncio.sleep(20)
    played.board.uptime_ms = 85_000
    played.board.line.plug()
    await asyncio.sleep(6)
    played.board.say_event(wire.EVENT_RESET, wire.RESET_POWER, connector=0)
    await asyncio.sleep(0)
    assert "board_reset" not in played.kinds()


WRAP = 1 << 32


async def test_a_line_that_is_replugged_across_the_wrap_of_the_uptime_is_no_restart(played: Played) -> None:
    """32 bits of milliseconds are 49.7 days."""
    loop = asyncio.get_running_loop()
    begin_time = loop.time()
    played.board.uptime_ms = WRAP - 10_000
    played.board.say_status()
    played.board.line.unplug()
    await asyncio.sleep(20)
    played.board.line.plug()
    while not played.link.is_linked:
        played.board.uptime_ms = round(WRAP - 10_000 + 1000 * (loop.time() - begin_time)) % WRAP
        await asyncio.sleep(0.05)
    played.board.say_event(wire.EVENT_RESET, wire.RESET_POWER, connector=0)
    await asyncio.sleep(0)
    assert "board_reset" not in played.kinds()


async def test_a_restart_of_a_board_that_ran_for_40_days_is_told(played: Played) -> None:
    played.board.uptime_ms = 40 * 86_400_000
    played.board.say_status()
    played.board.line.unplug()
    await asyncio.sleep(20)
    played.board.uptime_ms, played.board.event_seq = 5000, 0
    played.board.line.plug()
    await asyncio.sleep(6)
    played.board.say_event(wire.EVENT_RESET, wire.RESET_POWER, connector=0)
    await asyncio.sleep(0)
    assert played.kinds().count("board_reset") == 1


async def test_events_are_acknowledged_each_time_and_told_once(played: Played) -> None:
    for code in ("rcd_dc", "rcd_dc"):
        played.board.event_seq = 7
        played.board.repeat_event(wire.EVENT_FAULT, wire.FAULT_NAMES.index(code), 72)
    await asyncio.sleep(0)
    acks = [wire.unpack_event_ack(heard.payload) for heard in played.board.of_type(wire.EVENT_ACK)]
    assert acks == [7, 7]
    played.board.say_status(faults=wire.F_RCD_DC)
    (fault,) = [event for event in played.events if event.kind == "fault"]
    assert (fault.fault, fault.detail) == (FaultCode.RCD_DC, "peak 7.2 mA")


async def test_more_events_than_the_board_keeps_are_told_as_one_resync(played: Played) -> None:
    played.board.event_seq += wire.EVENT_RING + 1
    played.board.say_status()
    played.board.say_status()
    assert played.kinds() == ["resync"]


async def test_an_unplug_between_two_status_is_not_missed(played: Played) -> None:
    played.board.uptime_ms = 10_000
    played.board.say_status(pilot=wire.PILOT_C)
    played.board.uptime_ms = 10_500
    played.board.say_event(wire.EVENT_PILOT, wire.PILOT_A, wire.PILOT_C)  # its STATUS is lost
    played.board.uptime_ms = 12_000
    played.board.say_status(pilot=wire.PILOT_B)
    assert [event.state.pilot for event in played.events if event.kind == "state"] == ["C", "A", "B"]


async def test_an_unplug_around_the_wrap_of_the_uptime_is_told_once(played: Played) -> None:
    def now_is(uptime_ms: int) -> None:
        played.board.uptime_ms = uptime_ms % WRAP

    now_is(WRAP - 5000)
    played.board.say_status(pilot=wire.PILOT_A)
    now_is(WRAP - 4000)
    played.board.say_status(pilot=wire.PILOT_C)
    now_is(WRAP + 1000)
    played.board.say_event(wire.EVENT_PILOT, wire.PILOT_A, wire.PILOT_C)  # its STATUS is lost
    now_is(WRAP + 2000)
    played.board.say_status(pilot=wire.PILOT_B)
    now_is(WRAP + 3000)
    played.board.say_status(pilot=wire.PILOT_B)
    pilots = [event.state.pilot for event in played.events if event.kind == "state"]
    assert pilots == ["C", "A", "B"]


async def test_an_unplug_is_not_missed_after_a_cable_that_was_in_for_40_days(played: Played) -> None:
    day_ms = 86_400_000
    played.board.say_status(pilot=wire.PILOT_A)
    for day in range(1, 41):
        played.board.uptime_ms = day * day_ms
        played.board.say_status(pilot=wire.PILOT_C)
    played.board.uptime_ms += 500
    played.board.say_event(wire.EVENT_PILOT, wire.PILOT_A, wire.PILOT_C)
    played.board.uptime_ms += 500
    played.board.say_status(pilot=wire.PILOT_B)
    pilots = [event.state.pilot for event in played.events if event.kind == "state"]
    assert pilots == ["C", "A", "B"]


async def test_an_unplug_whose_event_comes_late_is_not_missed(played: Played) -> None:
    played.board.uptime_ms = 10_000
    played.board.say_status(pilot=wire.PILOT_C)
    played.board.uptime_ms = 12_000
    played.board.say_status(pilot=wire.PILOT_B)
    played.board.uptime_ms = 10_500
    played.board.say_event(wire.EVENT_PILOT, wire.PILOT_A, wire.PILOT_C)
    assert [event.state.pilot for event in played.events if event.kind == "state"] == ["C", "B", "A", "B"]
    assert played.evse.state.pilot is PilotState.B


async def test_an_unplug_that_was_seen_is_not_told_twice(played: Played) -> None:
    played.board.uptime_ms = 10_000
    played.board.say_status(pilot=wire.PILOT_C)
    played.board.uptime_ms = 10_500
    played.board.say_event(wire.EVENT_PILOT, wire.PILOT_A, wire.PILOT_C)
    played.board.say_status(pilot=wire.PILOT_A)
    played.board.repeat_event(wire.EVENT_PILOT, wire.PILOT_A, wire.PILOT_C)
    played.board.uptime_ms = 12_000
    played.board.say_status(pilot=wire.PILOT_B)
    assert [event.state.pilot for event in played.events if event.kind == "state"] == ["C", "A", "B"]


async def test_messages_that_make_no_sense_are_ignored(played: Played) -> None:
    for message_type in (wire.STATUS, wire.EVENT, wire.NAK, wire.SETPOINT | wire.REPLY, 0xC0, wire.HELLO):
        played.board.say(message_type, 1, b"\x01")
    played.board.say_status(connector=9)
    played.board.say_status(pilot=99)
    assert played.evse.state.pilot is PilotState.F
    await asyncio.sleep(3)
    assert played.link.state is LinkState.UP


# ---- requests


async def test_a_request_is_repeated_with_its_number_until_answered(played: Played) -> None:
    played.board.mute.add(wire.RCD_TEST)
    played.board.answers[wire.RCD_TEST] = wire.pack_rcd_test_reply(1, True)
    asyncio.get_running_loop().call_later(0.7, played.board.mute.clear)
    assert await played.evse.rcd_self_test() is True
    asked = played.board.of_type(wire.RCD_TEST)
    assert len(asked) == 4
    assert len({heard.seq for heard in asked}) == 1


async def test_an_unanswered_request_times_out_and_the_link_lives_on(played: Played) -> None:
    with pytest.raises(DeviceTimeout):
        await played.link.act("output_set", 1, name="k1", on=True)
    assert played.link.state is LinkState.UP


async def test_one_request_at_a_time(played: Played) -> None:
    played.board.mute.add(wire.ACTION)
    requests = [asyncio.create_task(played.link.act("read", 1, names=[name])) for name in ("a", "b")]
    await asyncio.sleep(1)
    assert len({heard.payload for heard in played.board.of_type(wire.ACTION)}) == 1
    played.board.mute.clear()
    played.board.answers[wire.ACTION] = wire.pack_json({"ok": True, "code": "ok", "data": {"a": 1}})
    assert await asyncio.gather(*requests) == [{"a": 1}, {"a": 1}]


async def test_a_refused_request_is_a_device_fault_with_the_boards_word(played: Played) -> None:
    played.board.naks[wire.RCD_TEST] = wire.NAK_NOT_ALLOWED
    with pytest.raises(DeviceFault) as refusal:
        await played.evse.rcd_self_test()
    assert refusal.value.code == "not_allowed"
    played.board.answers[wire.ACTION] = wire.pack_json({"ok": False, "code": "busy", "data": {}})
    with pytest.raises(DeviceFault) as refusal:
        await played.evse.wake_up_ev()
    assert refusal.value.code == "busy"


async def test_an_answer_that_cannot_be_read_is_a_protocol_error(played: Played) -> None:
    played.board.answers |= {wire.ACTION: b"{", wire.CLEAR_FAULT: b"", wire.RCD_TEST: b"\x01"}
    for request in (
        played.evse.wake_up_ev(),
        played.evse.clear_fault(FaultCode.RCD_DC),
        played.evse.rcd_self_test(),
    ):
        with pytest.raises(DeviceProtocolError):
            await request


async def test_a_request_fails_when_the_line_goes_away(played: Played) -> None:
    asyncio.get_running_loop().call_later(0.2, played.board.line.unplug)
    with pytest.raises(DeviceMissing):
        await played.evse.wake_up_ev()
    with pytest.raises(DeviceMissing):
        await played.evse.wake_up_ev()


async def test_a_request_that_does_not_fit_is_not_sent(played: Played) -> None:
    with pytest.raises(OutOfRange):
        await played.link.act("read", 1, names=["x" * wire.MAX_PAYLOAD])


# ---- shutdown


async def test_shutdown_takes_every_permission_back_and_waits_for_the_confirmation(played: Played) -> None:
    played.evse.apply(ALLOW)
    await asyncio.sleep(0.1)
    played.board.mute.add(wire.SETPOINT)
    asyncio.get_running_loop().call_later(0.4, played.board.mute.clear)
    await played.link.shut_down()
    assert played.board.setpoints()[-1].flags & (wire.AVAILABLE | wire.ALLOW_POWER) == 0
    assert not played.board.mute  # it did wait


async def test_shutdown_does_not_wait_for_a_board_that_is_gone(played: Played) -> None:
    played.board.mute.add(wire.SETPOINT)
    begin = asyncio.get_running_loop().time()
    await played.link.shut_down()
    assert asyncio.get_running_loop().time() - begin < 1.1
    played.board.line.unplug()
    await played.link.shut_down()


async def test_a_cancelled_link_says_last_that_nothing_is_allowed() -> None:
    played = Played()
    played.evse.apply(ALLOW)
    async with running(played.link):
        await asyncio.sleep(0.5)
    assert played.board.setpoints()[-1].flags & (wire.AVAILABLE | wire.ALLOW_POWER) == 0
    assert not played.board.line.is_open


# ---- with the real firmware, over lines of every quality


@each_quality
async def test_a_charge_goes_well_over_every_line(quality: LinkQuality) -> None:
    world = World(meter_start_wh=0)
    board = SimulatedBoard(world)
    link = BoardLink(FaultyStream(board.line, quality, seed=7), "1.2.3")
    evse = BoardEvse(link, 1, 32.0, world.loop.time())
    pilots: list[PilotState] = []
    evse.subscribe(lambda event: pilots.append(event.state.pilot))
    async with running(link):
        evse.apply(Setpoint())
        await asyncio.sleep(20)
        world.plug(1, draw_after_s=1.0)
        await asyncio.sleep(20)
        assert evse.state.contactor is ContactorState.OPEN
        evse.apply(ALLOW)
        for _ in range(20):
            await asyncio.sleep(30)
            assert world.evse(1).power_w == pytest.approx(3 * 230 * 16, rel=0.01)
        assert evse.state.contactor is ContactorState.CLOSED
        evse.apply(Setpoint())
        await asyncio.sleep(20)
        assert world.evse(1).power_w == 0
        assert evse.state.contactor is ContactorState.OPEN
        world.unplug(1)
        await asyncio.sleep(20)
        assert evse.state.pilot is PilotState.A
        assert {"B", "C", "A"} <= set(pilots)
        assert evse.state.faults == frozenset()
    board.close()
    world.close()


@each_quality
async def test_withdrawn_permission_opens_the_contactor_over_every_line(quality: LinkQuality) -> None:
    world = World()
    board = SimulatedBoard(world)
    link = BoardLink(FaultyStream(board.line, quality, seed=3), "1.2.3")
    evse = BoardEvse(link, 1, 32.0, world.loop.time())
    async with running(link):
        world.plug(1)
        for _ in range(10):
            evse.apply(ALLOW)
            await asyncio.sleep(30)
            assert world.evse(1).is_contactor_closed
            evse.apply(Setpoint())
            await asyncio.sleep(15)
            assert not world.evse(1).is_contactor_closed
    board.close()
    world.close()


async def test_a_hung_board_restarts_and_charging_goes_on() -> None:
    world = World()
    board = SimulatedBoard(world)
    link = BoardLink(board.line, "1.2.3")
    evse = BoardEvse(link, 1, 32.0, world.loop.time())
    events: list[EvseEvent] = []
    evse.subscribe(events.append)
    async with running(link):
        evse.apply(ALLOW)
        world.plug(1)
        await asyncio.sleep(30)
        assert world.evse(1).is_contactor_closed
        events.clear()
        board.hang()
        await asyncio.sleep(30)
        assert world.evse(1).is_contactor_closed
        (reset,) = [event for event in events if event.kind == "board_reset"]
        assert (reset.fault, reset.detail) == (FaultCode.BOARD_RESET, "wdt")
    board.close()
    world.close()


async def test_a_refusal_in_the_moment_when_the_asker_gives_up_is_nobodys_and_no_error(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    played.board.naks[wire.ACTION] = wire.NAK_BUSY
    asking = asyncio.create_task(played.link.act("read", 1))
    await asyncio.sleep(0)
    while not any(answer.done() for _, answer in played.link._waiting.values()):  # noqa: ASYNC110 - one turn counts
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    del asking
    gc.collect()
    assert "never retrieved" not in caplog.text
