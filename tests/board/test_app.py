"""The board towards its host: HELLO, STATUS, actions, refusals, outputs, wake-up, reboot."""

import pytest

from board import wire
from board.app import FIRMWARE_VERSION
from board.connector import PILOT_OUT_E
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins, FixedCablePins


def _naks(bench: BoardBench) -> list[tuple[int, ...]]:
    return [wire.unpack_nak(payload) for payload in bench.payloads(wire.NAK)]


def test_hello_tells_version_reset_cause_and_capabilities() -> None:
    bench = BoardBench()
    hello = bench.answer(wire.HELLO)
    assert hello is not None
    assert hello["proto"] == [wire.PROTOCOL_MAJOR, wire.PROTOCOL_MINOR]
    assert (hello["fw"], hello["reset_cause"], hello["connectors"]) == (FIRMWARE_VERSION, wire.RESET_POWER, 1)
    assert hello["caps"] == {
        "max_a": 32,
        "min_a": 6,
        "phases": 3,
        "phase_switch": False,
        "lock": True,
        "rcd": True,
        "rcd_test": True,
        "vent": False,
        "wake": True,
        "aux": ["fan", "light"],
        "sensors": ["supply_v"],
        "serial": ["reader", "other"],
        "serial_baud": [9600, 115200],
    }


def test_another_major_version_gets_hello_then_nothing_but_refusals() -> None:
    bench = BoardBench(is_linked=False)
    bench.hello(major=2)
    assert bench.answer(wire.HELLO) is not None
    assert _naks(bench) == [(wire.HELLO, wire.NAK_VERSION)]
    bench.setpoint()
    assert _naks(bench)[-1] == (wire.SETPOINT, wire.NAK_NO_HELLO)
    assert bench.run(3000).payloads(wire.STATUS) == []


def test_a_host_of_another_version_may_still_reboot_the_board() -> None:
    bench = BoardBench(is_linked=False).run(100)
    bench.send(wire.REBOOT, wire.pack_reboot(wire.REBOOT_BOOTLOADER))
    assert bench.run(100).rebooted == wire.REBOOT_BOOTLOADER


def test_nothing_is_pushed_before_hello() -> None:
    bench = BoardBench(is_linked=False)
    bench.pins.car("B")
    assert bench.run(5000).sent == []
    bench.hello()
    bench.run(20)
    kinds = [wire.unpack_event(payload).kind for payload in bench.payloads(wire.EVENT)]
    assert kinds[0] == wire.EVENT_RESET, "what happened before is told then"
    assert wire.EVENT_PILOT in kinds
    assert bench.status.pilot == wire.PILOT_B


def test_status_comes_each_second_and_within_20_ms_of_a_change() -> None:
    bench = BoardBench().run(10_000)
    assert 10 <= len(bench.payloads(wire.STATUS)) <= 16
    bench.setpoint()
    bench.pins.car("B")
    bench.run(20)
    assert bench.status.pilot == wire.PILOT_B


def test_setpoint_reply_tells_pilot_contactor_and_faults() -> None:
    bench = BoardBench().charge()
    bench.setpoint()
    reply = wire.unpack_setpoint_reply(bench.payloads(wire.SETPOINT | wire.REPLY)[-1])
    assert reply == (1, wire.PILOT_C, wire.CONTACTOR_COMMAND | wire.CONTACTOR_FEEDBACK, 0)


def test_a_lost_lease_is_warned_counted_and_told() -> None:
    bench = BoardBench().run(100)
    bench.setpoint(lease_ms=1000)
    bench.run(1500)
    assert bench.status.warnings & wire.WARN_LEASE
    assert bench.status.link_losses == 1
    events = [wire.unpack_event(payload) for payload in bench.payloads(wire.EVENT)]
    assert [event.a for event in events if event.kind == wire.EVENT_LEASE][:1] == [1]


def test_outputs_are_set_and_pulsed_and_released_by_the_board() -> None:
    bench = BoardBench().run(100)
    assert bench.action("output_set", name="fan", on=True) == {"ok": True, "code": "ok", "data": {}}
    assert bench.output_states["fan"]
    bench.action("output_pulse", name="light", ms=300)
    assert bench.run(290).output_states["light"]
    assert not bench.run(20).output_states["light"]
    bench.action("output_pulse", name="fan", ms=100)
    assert not bench.run(110).output_states["fan"], "a pulse ends what was set before"


@pytest.mark.parametrize(("asked_ms", "lasts_ms"), [(1, 50), (60_000, 5000)])
def test_a_pulse_is_clamped(asked_ms: int, lasts_ms: int) -> None:
    bench = BoardBench().run(100)
    bench.action("output_pulse", name="fan", ms=asked_ms)
    assert bench.run(lasts_ms - 10).output_states["fan"]
    assert not bench.run(20).output_states["fan"]


@pytest.mark.parametrize(
    ("action", "args", "code"),
    [
        ("output_set", {"name": "contactor", "on": True}, "bad_args"),
        ("output_set", {"name": "fan"}, "bad_args"),
        ("output_set", {"name": "fan", "on": 1}, "bad_args"),
        ("output_pulse", {"name": "fan", "ms": "long"}, "bad_args"),
        ("led", {"name": "disco", "s": 1}, "bad_args"),
        ("led", {"name": "blink", "s": 0}, "bad_args"),
        ("read", {"names": ["password"]}, "bad_args"),
        ("read", {"names": []}, "bad_args"),
        ("read", {"names": ["uptime_ms"] * 9}, "bad_args"),
        ("close_contactor", {}, "unknown_action"),
        ("wake_up", {}, "not_allowed"),
    ],
)
def test_refused_actions(action: str, args: dict[str, object], code: str) -> None:
    bench = BoardBench().run(100)
    assert bench.action(action, **args) == {"ok": False, "code": code, "data": {}}


def test_unlock_without_a_lock_is_refused() -> None:
    bench = BoardBench(FixedCablePins()).run(100)
    answer = bench.action("unlock")
    assert answer is not None
    assert answer["code"] == "not_allowed"


def test_read_gives_measured_values() -> None:
    bench = BoardBench().run(100)
    answer = bench.action("read", names=["cp_high_mv", "proximity_ohm", "residual_ma", "supply_v"])
    assert answer is not None
    assert answer["data"] == {"cp_high_mv": 12000, "proximity_ohm": 220, "residual_ma": 0.0, "supply_v": 12.0}


def test_a_light_pattern_ends_and_the_status_light_comes_back() -> None:
    bench = BoardBench().run(100)
    bench.setpoint()
    bench.run(100)
    assert bench.pins.pattern == "on"
    bench.action("led", name="fast", s=2)
    assert bench.run(1900).pins.pattern == "fast"
    assert bench.run(200).pins.pattern == "on"


def _asleep() -> BoardBench:
    bench = BoardBench().run(1500)
    bench.setpoint(lease_ms=120_000)
    bench.pins.car("B")
    return bench.run(61_000)


def test_wake_up_holds_the_pilot_at_0_v_for_4_s_and_raises_no_fault() -> None:
    bench = _asleep()
    assert bench.action("wake_up") == {"ok": True, "code": "ok", "data": {}}
    assert bench.pins.duty == PILOT_OUT_E
    assert bench.run(3900).pins.duty == PILOT_OUT_E
    bench.run(200)
    assert 0 < bench.pins.duty < wire.DUTY_OFF
    assert bench.faults == []
    bench.pins.car("C")
    assert bench.run(2000).pins.contactor


def test_wake_up_is_refused_early_and_after_two_in_a_session() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("B")
    bench.run(5000)
    codes = []
    for _ in range(4):
        answer = bench.action("wake_up")
        assert answer is not None
        codes.append(answer["code"])
        bench.setpoint(lease_ms=120_000)
        bench.run(66_000)
    assert codes == ["not_allowed", "ok", "ok", "not_allowed"]


def test_wake_up_is_refused_while_charging() -> None:
    bench = BoardBench().charge()
    answer = bench.action("wake_up")
    assert answer is not None
    assert answer["code"] == "not_allowed"


def test_rcd_test_answers_when_it_is_over() -> None:
    bench = BoardBench().run(1500)
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    assert bench.payloads(wire.RCD_TEST | wire.REPLY) == []
    bench.run(1000)
    assert bench.payloads(wire.RCD_TEST | wire.REPLY) == [wire.pack_rcd_test_reply(1, True)]


def test_rcd_test_of_a_dead_sensor_fails_in_time() -> None:
    bench = BoardBench().run(1500)
    bench.pins.sensor_works = False
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    bench.run(wire.RCD_TEST_TIMEOUT_MS)
    assert bench.payloads(wire.RCD_TEST | wire.REPLY) == [wire.pack_rcd_test_reply(1, False)]
    assert bench.faults == ["rcd_self_test"]


def test_rcd_test_is_refused_with_a_car() -> None:
    bench = BoardBench().charge()
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    assert _naks(bench) == [(wire.RCD_TEST, wire.NAK_NOT_ALLOWED)]
    assert bench.run(1000).pins.contactor


def test_reboot_answers_first() -> None:
    bench = BoardBench().run(1500)
    bench.send(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))
    assert bench.payloads(wire.REBOOT | wire.REPLY) == [b""]
    assert bench.rebooted is None
    assert bench.run(100).rebooted == wire.REBOOT_RESET


def test_reboot_is_refused_with_a_car() -> None:
    bench = BoardBench().run(1500)
    bench.pins.car("B")
    bench.run(100)
    bench.send(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))
    assert _naks(bench) == [(wire.REBOOT, wire.NAK_NOT_ALLOWED)]
    assert bench.run(1000).rebooted is None


@pytest.mark.parametrize(
    ("message_type", "payload", "code"),
    [
        (0x55, b"", wire.NAK_UNKNOWN),
        (wire.STATUS, b"", wire.NAK_UNKNOWN),
        (wire.SETPOINT, b"\x01\x03", wire.NAK_LENGTH),
        (wire.SETPOINT, wire.Setpoint(9).pack(), wire.NAK_VALUE),
        (wire.SETPOINT, wire.Setpoint(0).pack(), wire.NAK_VALUE),
        (wire.CLEAR_FAULT, wire.pack_clear_fault(2, 1), wire.NAK_VALUE),
        (wire.RCD_TEST, wire.pack_rcd_test(0), wire.NAK_VALUE),
        (wire.RCD_TEST, b"", wire.NAK_LENGTH),
        (wire.ACTION, b"[1]", wire.NAK_LENGTH),
        (wire.PING, b"", wire.NAK_LENGTH),
    ],
)
def test_bad_requests_are_refused_and_hurt_nobody(message_type: int, payload: bytes, code: int) -> None:
    bench = BoardBench().charge()
    bench.send(message_type, payload)
    assert _naks(bench) == [(message_type, code)]
    assert bench.run(100).pins.contactor


@pytest.mark.parametrize(
    "request_json",
    [
        {},
        {"a": 3},
        {"a": []},
        {"a": {"a": 1}},
        {"a": "led", "args": []},
        {"a": "led", "args": {"name": [], "s": 1}},
        {"a": "output_set", "args": {"name": {}, "on": True}},
        {"a": "read", "args": {"names": [{}]}},
        {"a": "led", "c": 7},
        {"a": "read", "c": None},
    ],
)
def test_odd_action_requests_are_answered(request_json: dict[str, object]) -> None:
    bench = BoardBench().run(100)
    bench.send(wire.ACTION, wire.pack_json(request_json))
    answer = bench.answer(wire.ACTION)
    assert answer is not None
    assert answer["ok"] is False


def test_ping_echoes_its_token_with_the_uptime() -> None:
    bench = BoardBench(is_linked=False).run(1230)
    bench.send(wire.PING, wire.pack_ping(77))
    assert wire.unpack_ping_reply(bench.payloads(wire.PING | wire.REPLY)[-1]) == (77, 1230)


def test_several_connectors_live_apart() -> None:
    class TwoPins(BoardBench):
        def __init__(self) -> None:
            self.second = FakePins()
            super().__init__()

        @property
        def connectors(self) -> list[FakePins]:  # type: ignore[override]
            return [self.pins, self.second]

        @connectors.setter
        def connectors(self, value: object) -> None: ...

    bench = TwoPins().charge()
    assert bench.pins.contactor
    assert not bench.second.contactor
    numbers = {wire.unpack_status(payload).connector for payload in bench.payloads(wire.STATUS)}
    assert numbers == {1, 2}
