"""The serial ports of the board: bytes both ways, bounded, and never at the expense of the tick or of STATUS."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import wire
from board.tunnel import Tunnel
from tests.helpers.board_bench import BoardBench

FRAME = b"\x020F00A1B2C3DF\x03"
FLOOD = b"\xff" * wire.SERIAL_MAX
UART_BYTES_A_SECOND = 11_520
"""What a host link of 115200 baud carries."""


def heard(bench: BoardBench) -> list[tuple[int, bytes]]:
    return [wire.unpack_serial(payload) for payload in bench.payloads(wire.SERIAL_IN)]


def test_what_a_port_receives_goes_to_the_host_within_a_tick() -> None:
    bench = BoardBench().run(100)
    bench.serial_waiting[0].append(FRAME)
    assert heard(bench.run(10)) == [(0, FRAME)]


def test_what_the_host_sends_goes_to_the_port_at_once_and_unanswered() -> None:
    bench = BoardBench().run(100)
    frames = len(bench.sent)
    bench.send(wire.SERIAL_OUT, wire.pack_serial(1, b"\x55\x55\x00"))
    assert bench.serial_written == [(100, 1, b"\x55\x55\x00")]
    assert len(bench.sent) == frames


def test_hello_names_the_ports_and_their_speed() -> None:
    bench = BoardBench(is_linked=False)
    bench.hello()
    caps = wire.unpack_json(bench.payloads(wire.HELLO | wire.REPLY)[0])["caps"]
    assert isinstance(caps, dict)
    assert (caps["serial"], caps["serial_baud"]) == (["reader", "other"], [9600, 115_200])


def test_the_ports_take_turns() -> None:
    bench = BoardBench().run(100)
    for waiting in bench.serial_waiting:
        waiting += [b"a", b"b"]
    assert [port for port, _ in heard(bench.run(100))] == [0, 1, 0, 1]


def test_a_silent_port_costs_the_other_one_no_tick() -> None:
    bench = BoardBench().run(100)
    bench.serial_waiting[1] += [b"a", b"b", b"c"]
    assert heard(bench.run(30)) == [(1, b"a"), (1, b"b"), (1, b"c")]


# ---- a mad reader


def test_a_tick_reads_no_more_than_one_frame_however_much_there_is() -> None:
    bench = BoardBench().run(100)
    bench.serial_waiting[0] += [FLOOD] * 10_000
    bench.run(1000)
    assert heard(bench) == [(0, FLOOD)] * 100
    assert len(bench.serial_waiting[0]) == 9_900


def test_a_flood_on_every_port_leaves_half_of_the_link_and_every_status() -> None:
    bench = BoardBench().run(1500)
    for waiting in bench.serial_waiting:
        waiting += [FLOOD] * 10_000
    bench.setpoint(lease_ms=120_000)
    bench.sent.clear()
    bench.run(10_000)
    octets = sum(len(wire.encode(frame[1], frame[2], frame[3])) for frame in bench.sent)
    assert octets < 10 * UART_BYTES_A_SECOND / 2
    times = [at for at, message_type, _, _ in bench.sent if message_type == wire.STATUS]
    assert len(times) >= 10
    assert max(later - earlier for earlier, later in pairwise(times)) <= wire.STATUS_PERIOD_MS


def test_a_flood_delays_no_contactor() -> None:
    opened_after = []
    for is_flooded in (False, True):
        bench = BoardBench().charge()
        if is_flooded:
            bench.serial_waiting[0] += [FLOOD] * 10_000
        bench.pins.car("B")
        opened_after.append(bench.run_until(lambda bench=bench: not bench.pins.contactor))  # type: ignore[misc]
    assert opened_after[0] == opened_after[1]


def test_lost_bytes_are_counted_and_nothing_of_them_is_sent() -> None:
    bench = BoardBench().run(100)
    bench.serial_waiting[0] += [None, FRAME, None]
    assert heard(bench.run(100)) == [(0, FRAME)]
    answer = bench.action("read", names=["serial_lost"])
    assert answer is not None
    assert answer["data"] == {"serial_lost": 2}


# ---- a mad host


def test_more_than_the_line_can_send_is_dropped_whole_and_counted() -> None:
    bench = BoardBench().run(100)
    for _ in range(10):
        bench.send(wire.SERIAL_OUT, wire.pack_serial(0, FLOOD))
    written = [octets for _, _, octets in bench.serial_written]
    assert written == [FLOOD] * 7, "up to 256 bytes may wait, each frame counted as 34 ms of 9600 baud"
    assert bench.board.tunnel.lost == 3
    bench.run(40)
    bench.send(wire.SERIAL_OUT, wire.pack_serial(0, FLOOD))
    assert len(bench.serial_written) == 8


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 32)), max_size=80))
def test_no_more_than_the_buffer_ever_waits_for_the_line(writes: list[tuple[int, int]]) -> None:
    """Each write some ms after the one before; the line sends 9600 baud and nothing faster."""
    bench = BoardBench()
    tunnel = Tunnel(bench, lambda message_type, payload: None)
    now_ms, waiting = 0, 0.0
    for pause_ms, length in writes:
        now_ms += pause_ms
        waiting = max(0.0, waiting - pause_ms * 0.96)
        before = len(bench.serial_written)
        tunnel.send(now_ms, 0, bytes(length))
        if len(bench.serial_written) > before:
            waiting += length
        assert waiting <= wire.SERIAL_BUFFER


def test_a_port_that_there_is_not_is_refused() -> None:
    bench = BoardBench().run(100)
    bench.send(wire.SERIAL_OUT, wire.pack_serial(2, b"x"))
    bench.send(wire.SERIAL_OUT, b"")
    naks = [wire.unpack_nak(payload) for payload in bench.payloads(wire.NAK)]
    assert naks == [(wire.SERIAL_OUT, wire.NAK_VALUE), (wire.SERIAL_OUT, wire.NAK_LENGTH)]
    assert bench.serial_written == []


def test_bytes_to_no_end_are_cut_by_the_wire_itself() -> None:
    bench = BoardBench().run(100)
    bench.send(wire.SERIAL_OUT, wire.pack_serial(1, bytes(wire.MAX_PAYLOAD - 1)))
    assert bench.serial_written == []
    assert bench.board.tunnel.lost == 1


# ---- who may hear


def test_before_hello_nothing_is_taken_and_nothing_told() -> None:
    bench = BoardBench(is_linked=False).run(100)
    bench.send(wire.SERIAL_OUT, wire.pack_serial(0, b"x"))
    assert [wire.unpack_nak(payload)[1] for payload in bench.payloads(wire.NAK)] == [wire.NAK_NO_HELLO]
    bench.serial_waiting[0].append(FRAME)
    assert heard(bench.run(1000)) == []
    assert bench.serial_written == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_card_that_was_read_before_hello_is_no_news_after_it(is_first: bool) -> None:
    bench = BoardBench(is_linked=not is_first).run(100)
    bench.serial_waiting[0] += [FRAME[:8], FRAME[8:]]
    bench.serial_waiting[1] += [FLOOD] * 8
    bench.hello()
    assert heard(bench.run(1000)) == []


def test_a_host_of_another_major_version_hears_no_port() -> None:
    bench = BoardBench(is_linked=False)
    bench.hello(major=wire.PROTOCOL_MAJOR + 1)
    bench.serial_waiting[0].append(FRAME)
    assert heard(bench.run(1000)) == []


def test_a_board_without_ports_says_so_and_costs_nothing() -> None:
    class Plain(BoardBench):
        serial_ports = ()

    bench = Plain().run(1000)
    assert bench.serial_reads == 0
    caps = wire.unpack_json(bench.payloads(wire.HELLO | wire.REPLY)[0])["caps"]
    assert isinstance(caps, dict)
    assert caps["serial"] == []
