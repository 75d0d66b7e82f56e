"""`board/hw.py` on a fake `machine`: every role of a pin map, what its levels mean, and what a map leaves out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from board import wire
from board.analog import BROKEN_DC
from board.connector import INPUT_DOOR, INPUT_EMERGENCY, PILOT_OUT_E
from board.lock import STOP, TO_LOCKED, TO_OPEN
from board.pins import load
from board.residual import TRIP_AC, TRIP_DC
from board.wiring import Wiring
from tests.helpers.fake_machine import FakeMachine

BARE = {"contactor": 16, "mirror": 17, "cp_pwm": 15, "cp_adc": 26, "rcd_dc": 18}


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chip = FakeMachine()
        self.hw = self.chip.install(monkeypatch)

    def board(self, wiring: Wiring) -> Any:
        return self.hw.BoardPins(wiring, wiring.limits)

    def build(self, *connectors: dict[str, Any], **constants: Any) -> Any:
        wiring = Wiring("test", SimpleNamespace(CONNECTORS=connectors, **constants))
        wiring.check()
        return self.board(wiring)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_outputs_start_and_end_on_their_safe_side(bench: Bench) -> None:
    board = bench.board(load("reference"))
    pins = board.connectors[0]
    roles = load("reference").connectors[0]
    outputs = [roles[role] for role in ("contactor", "lock_motor", "unlock_motor", "rcd_test", "cp_short")]
    assert [bench.chip.levels[number] for number in outputs] == [0] * 5
    assert bench.chip.pwm[roles["cp_pwm"]] == 65535, "constant +12 V"
    pins.set_contactor(True)
    pins.drive_lock(TO_LOCKED)
    pins.set_rcd_test(True)
    pins.set_pilot(2666)
    board.set_output("fan", True)
    assert bench.chip.levels[roles["contactor"]] == 1
    board.make_safe()
    assert [bench.chip.levels[number] for number in outputs] == [0] * 5
    assert bench.chip.pwm[roles["cp_pwm"]] == 65535
    assert bench.chip.levels[11] == 0, "the fan"


def test_a_broken_wire_reads_as_the_unsafe_case(bench: Bench) -> None:
    """Levels of the pulls, with nothing connected."""
    pins = bench.board(load("reference")).connectors[0]
    assert pins.is_closed()
    assert pins.rcd_trips() == TRIP_DC | TRIP_AC
    assert not pins.is_locked()
    assert pins.inputs() == INPUT_EMERGENCY | INPUT_DOOR
    assert pins.phases_closed() == 1


def test_what_a_map_leaves_out_is_not_there(bench: Bench) -> None:
    bench.chip.levels.update({18: 1, 17: 0})
    board = bench.build(BARE)
    pins = board.connectors[0]
    assert (pins.has_lock, pins.has_rcd_test, pins.can_wake) == (False, False, False)
    assert pins.rcd_trips() == 0
    assert (pins.residual(), pins.proximity_ohm(), pins.inputs(), pins.phases_closed()) == (0, 0, 0, -1)
    assert list(pins.currents()) == [wire.NO_CURRENT] * 3
    assert not pins.is_locked()
    for act in (
        lambda: pins.set_rcd_test(True),
        lambda: pins.drive_lock(TO_OPEN),
        lambda: pins.set_ventilation(True),
        lambda: pins.set_phases(True),
        lambda: pins.set_pilot(PILOT_OUT_E),
        lambda: board.after_tick(0),
        board.feed_watchdog,
        board.make_safe,
    ):
        act()
    assert bench.chip.touched == set(BARE.values()) - {26}
    assert board.serial_ports == []


def test_the_pilot_is_driven_in_percent_tied_low_and_released(bench: Bench) -> None:
    pins = bench.build(BARE | {"cp_short": 14}).connectors[0]
    pins.set_pilot(5333)
    assert bench.chip.pwm[15] == 5333 * 65535 // 10000
    pins.set_pilot(PILOT_OUT_E)
    assert (bench.chip.pwm[15], bench.chip.levels[14]) == (65535, 1)
    pins.set_pilot(wire.DUTY_OFF)
    assert (bench.chip.pwm[15], bench.chip.levels[14]) == (65535, 0)


def test_the_pilot_is_measured_where_there_is_no_dma(bench: Bench) -> None:
    pins = bench.build(BARE).connectors[0]
    bench.chip.adc[26] = round((9 + 15) / 30 * 65535)
    assert pins.sample()
    assert pins.high_mv == pins.low_mv
    assert abs(pins.high_mv - 9000) < 10


def test_the_lock_is_driven_both_ways_and_stopped(bench: Bench) -> None:
    pins = bench.board(load("reference")).connectors[0]
    driven = []
    for direction in (TO_LOCKED, TO_OPEN, STOP):
        pins.drive_lock(direction)
        driven.append((bench.chip.levels[21], bench.chip.levels[22]))
    assert driven == [(1, 0), (0, 1), (0, 0)]
    bench.chip.levels[10] = 0
    assert pins.is_locked()


def test_currents_are_scaled_by_the_map_and_those_of_unwired_phases_are_not_measured(bench: Bench) -> None:
    pins = bench.build(BARE | {"current_l1_adc": 27, "current_l3_adc": 28}, CURRENT_FULL_DA=500).connectors[0]
    bench.chip.adc.update({27: 65535, 28: 65535 // 5})
    currents = pins.currents()
    assert list(currents) == [500, wire.NO_CURRENT, 100]
    assert pins.currents() is currents, "the same list each time"


def test_a_thermistor_counts_before_the_chip(bench: Bench) -> None:
    bench.chip.adc.update({4: 14088, 27: 13049})
    assert abs(bench.build(BARE).connectors[0].temperature() - 250) <= 10
    pins = bench.build(BARE | {"temperature_adc": 27}).connectors[0]
    assert pins.temperature() == 600
    bench.chip.adc[27] = 65535
    assert pins.temperature() == 600, "read once in a hundred ticks"
    for _ in range(100):
        pins.temperature()
    assert pins.temperature() == BROKEN_DC


def test_ventilation_and_phase_relay_follow(bench: Bench) -> None:
    pins = bench.board(load("reference")).connectors[0]
    pins.set_ventilation(True)
    pins.set_phases(True)
    assert (bench.chip.levels[3], bench.chip.levels[6]) == (1, 1)
    bench.chip.levels[7] = 0
    assert pins.phases_closed() == 0


def test_analogue_values(bench: Bench) -> None:
    pins = bench.board(load("reference")).connectors[0]
    bench.chip.adc.update({27: round(65535 * 220 / 1220), 28: 65535 // 10})
    assert abs(pins.proximity_ohm() - 220) <= 1
    assert pins.residual() == 99 or pins.residual() == 100


@pytest.mark.parametrize("has_hard_irqs", [True, False])
def test_each_trip_line_has_its_interrupt(bench: Bench, has_hard_irqs: bool) -> None:
    bench.chip.has_hard_irqs = has_hard_irqs
    board = bench.board(load("duo"))
    trips: list[tuple[int, int, int]] = []
    board.watch_trips(lambda *trip: trips.append(trip))
    bench.chip.ms = 70
    board.now_ms()
    for number in (18, 5):
        bench.chip.irqs[number](None)
    assert trips == [(70, 0, TRIP_DC), (70, 1, TRIP_AC)]
    assert bench.chip.hard_irqs == ({18, 19, 4, 5} if has_hard_irqs else set())


def test_the_pump_runs_with_the_watchdog_only(bench: Bench) -> None:
    board = bench.board(load("reference"))
    levels = []
    board.start_watchdog()
    for _ in range(4):
        board.feed_watchdog()
        levels.append(bench.chip.levels[2])
    assert levels == [1, 0, 1, 0]
    assert bench.chip.fed == 4
    board.after_tick(10)
    assert bench.chip.levels[2] == 0, "a tick alone does not pump"


def test_lights_show_patterns(bench: Bench) -> None:
    board = bench.board(load("reference"))
    board.connectors[0].show("blink")
    lit = []
    for now_ms in (0, 499, 500, 999):
        board.after_tick(now_ms)
        lit.append(bench.chip.levels[25])
    assert lit == [1, 1, 0, 0]


def test_pixels_have_a_colour_for_each_connector_and_are_written_on_change_only(bench: Bench) -> None:
    board = bench.board(load("duo"))
    board.connectors[0].show("on")
    board.connectors[1].show("fast")
    for now_ms in range(0, 250, 10):
        board.after_tick(now_ms)
    assert bench.chip.pixels == [
        [(0, 0, 0), (0, 0, 0)],
        [(0, 40, 0), (60, 0, 0)],
        [(0, 40, 0), (0, 0, 0)],
    ]


@pytest.mark.parametrize("pattern", wire.LED_PATTERNS)
def test_every_pattern_has_a_colour_and_a_rhythm(bench: Bench, pattern: str) -> None:
    from board import light

    assert pattern in light.COLOURS
    lit = {light.is_lit(pattern, now_ms) for now_ms in range(0, 6000, 10)}
    assert lit == {"off": {False}, "on": {True}}.get(pattern, {True, False})


def test_a_serial_port_is_carried_and_says_when_bytes_were_lost(bench: Bench) -> None:
    board = bench.board(load("reference"))
    uart = bench.chip.uarts[1]
    assert (board.serial_ports, uart.baud, uart.pins) == ([("reader", 9600)], 9600, (4, 5))
    assert board.read_serial(0) == b""
    uart.received += b"0123456789" * 4
    assert board.read_serial(0) == (b"0123456789" * 4)[: wire.SERIAL_MAX]
    assert board.read_serial(0) == b"23456789"
    uart.received += bytes(300)
    assert board.read_serial(0) is None
    assert board.read_serial(0) == b""
    board.write_serial(0, b"hello")
    assert uart.sent == b"hello"


def test_the_host_may_be_on_a_uart(bench: Bench) -> None:
    wiring = Wiring("test", SimpleNamespace(CONNECTORS=(BARE,), LINK="uart", UART_ID=0, UART_PINS=(0, 1)))
    wiring.check()
    port = bench.hw.open_port(wiring)
    uart = bench.chip.uarts[0]
    assert (uart.baud, uart.pins, uart.rxbuf) == (115_200, (0, 1), 1024)
    assert port.read() == b""
    uart.received += b"~abc\n"
    assert port.read() == b"~abc\n"
    port.write(b"~def\n")
    assert uart.sent == b"~def\n"


@pytest.mark.parametrize(
    ("phases", "can_switch", "level"), [(3, 0, 1), (1, 0, 0), (3, 1, 0)], ids=["three", "one", "switched"]
)
def test_a_phase_relay_that_nobody_moves_stands_where_phases_says(
    bench: Bench, phases: int, can_switch: int, level: int
) -> None:
    limits = {"can_switch_phases": can_switch}
    bench.build(BARE | {"phase_relay": 6, "limits": limits}, PHASES=phases)
    assert bench.chip.levels[6] == level


def test_whatever_goes_wrong_the_pilot_is_let_go(bench: Bench) -> None:
    board = bench.build(BARE | {"cp_short": 14})
    board.connectors[0].set_pilot(PILOT_OUT_E)
    board.make_safe()
    assert (bench.chip.levels[14], bench.chip.pwm[15]) == (0, 65535)


class _Usb:
    """stdin, stdout and the poll of a USB port."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.received = b""
        self.sent: list[bytes] = []
        port = SimpleNamespace(buffer=SimpleNamespace(read=self._read, write=self.sent.append))
        poll = SimpleNamespace(register=lambda _port, _events: None, poll=lambda _ms: self.received)
        monkeypatch.setattr(bench.hw, "sys", SimpleNamespace(stdin=port, stdout=port))
        monkeypatch.setattr(bench.hw, "select", SimpleNamespace(poll=lambda: poll, POLLIN=1))

    def _read(self, count: int) -> bytes:
        taken, self.received = self.received[:count], self.received[count:]
        return taken


def test_a_host_on_usb_that_says_nothing_for_10_s_gets_no_more_frames_until_it_is_heard(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold the port open and read no more: each line would stop the tick for half a second."""
    usb = _Usb(bench, monkeypatch)
    wiring = Wiring("test", SimpleNamespace(CONNECTORS=(BARE,)))
    wiring.check()
    port = bench.hw.open_port(wiring)
    for _ in range(2):
        usb.received = b"~abc\n"
        assert port.read() == b"~abc\n"
        usb.sent.clear()
        bench.chip.ms += 10_000
        assert port.read() == b""
        port.write(b"~def\n")
        assert usb.sent == [b"~def\n"]
        bench.chip.ms += 1
        port.read()
        bench.chip.ms += 1 << 29  # ticks_diff comes back to zero after twelve days: it stays deaf
        monkeypatch.setattr(bench.hw, "ticks_diff", lambda now, then: 0)
        port.read()
        port.write(b"~ghi\n")
        port.write(b"WARNING board: for somebody at the console\n")
        assert usb.sent == [b"~def\n", b"WARNING board: for somebody at the console\n"]
        monkeypatch.setattr(bench.hw, "ticks_diff", lambda now, then: now - then)


def test_without_a_map_nothing_is_touched(bench: Bench) -> None:
    board = bench.board(Wiring("none", None, "no pin map"))
    assert (board.connectors, board.outputs, board.problem) == ([], (), "no pin map")
    board.feed_watchdog()
    board.after_tick(10)
    board.make_safe()
    assert bench.chip.touched == set()


def test_a_restart_on_request_is_safe_first(bench: Bench) -> None:
    board = bench.board(load("reference"))
    board.connectors[0].set_contactor(True)
    board.reboot(wire.REBOOT_RESET)
    assert bench.chip.levels[16] == 0
    board.reboot(wire.REBOOT_BOOTLOADER)
    assert bench.chip.resets[:2] == ["reset", "bootloader"]


@pytest.mark.parametrize(
    ("cause", "expected"), [(1, wire.RESET_POWER), (3, wire.RESET_WATCHDOG), (5, wire.RESET_SOFT)]
)
def test_reset_causes_of_another_chip(bench: Bench, cause: int, expected: int) -> None:
    bench.chip.cause = cause
    assert bench.hw.reset_cause() == expected


def test_uptime_does_not_wrap_with_the_ticks(bench: Bench) -> None:
    board = bench.board(load("reference"))
    for bench.chip.ms in (5, 105, 1_000_105):
        now_ms = board.now_ms()
    assert now_ms == 1_000_105


def test_storage_is_whole_or_the_one_before(bench: Bench, tmp_path: Path) -> None:
    storage = bench.hw.FileStorage(str(tmp_path / "config.json"))
    assert storage.read() == b""
    storage.write(b"one")
    (tmp_path / "config.json.new").write_bytes(b"tw")  # the power went while writing
    assert storage.read() == b"one"
    storage.write(b"two")
    assert storage.read() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_latches_are_kept_where_the_chip_can(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    board = bench.board(load("reference"))
    board.keep_latches(5)
    assert board.kept_latches() == 0, "no RP2040: nothing outlives a reset"
    kept: list[int] = []
    chip = SimpleNamespace(keep_latches=kept.append, kept_latches=lambda: kept[-1])
    monkeypatch.setattr(bench.hw, "hw_rp2", chip, raising=False)
    monkeypatch.setattr(bench.hw, "IS_RP2040", True)
    board.keep_latches(7)
    assert (kept, board.kept_latches()) == ([7], 7)


def test_nobody_breaks_in_once_the_firmware_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.hw.refuse_break_in()  # CPython has no such thing, and needs none
    characters: list[int] = []
    monkeypatch.setattr(bench.hw, "kbd_intr", characters.append)
    bench.hw.refuse_break_in()
    assert characters == [-1]
