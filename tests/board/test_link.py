"""The link: events until acknowledged, retries carried out once, one open request."""

from board import wire
from board.link import Link
from tests.helpers.board_bench import BoardBench


def _events(bench: BoardBench) -> list[int]:
    return [wire.unpack_event(payload).event_seq for payload in bench.payloads(wire.EVENT)]


def test_an_event_is_sent_until_acknowledged() -> None:
    bench = BoardBench().run(3000)
    bench.acknowledge_events()
    bench.sent.clear()
    bench.pins.car("B")
    bench.run(1600)
    assert len(_events(bench)) >= 3
    assert len(set(_events(bench))) == 1
    bench.acknowledge_events()
    bench.sent.clear()
    assert _events(bench.run(3000)) == []


def test_each_event_is_acknowledged_by_itself() -> None:
    sent: list[bytes] = []
    link = Link(sent.append)
    link.is_linked = True
    for kind in range(3):
        link.add_event(0, 1, kind, 0, 0)
    link.acknowledge(2)
    link.acknowledge(99)
    sent.clear()
    link.resend(500)
    frames, _ = wire.Reader().feed(b"".join(sent))
    assert [wire.unpack_event(payload).event_seq for _, _, payload in frames] == [1, 3]


def test_the_oldest_event_goes_when_the_ring_is_full() -> None:
    sent: list[bytes] = []
    link = Link(sent.append)
    for _ in range(wire.EVENT_RING + 3):
        link.add_event(0, 1, wire.EVENT_PILOT, 0, 0)
    link.is_linked = True
    link.resend(500)
    frames, _ = wire.Reader().feed(b"".join(sent))
    sequence = [wire.unpack_event(payload).event_seq for _, _, payload in frames]
    assert sequence == list(range(4, wire.EVENT_RING + 4)), "the gap in the numbers tells the host"


def test_status_names_the_newest_event() -> None:
    bench = BoardBench().run(2000)
    assert bench.status.event_seq == max(_events(bench))


def test_a_retry_is_answered_again_but_not_carried_out_again() -> None:
    bench = BoardBench().run(100)
    request = wire.pack_json({"a": "output_pulse", "c": 1, "args": {"name": "fan", "ms": 1000}})
    bench.send(wire.ACTION, request, seq=9)
    bench.run(900)
    bench.send(wire.ACTION, request, seq=9)
    assert len(bench.payloads(wire.ACTION | wire.REPLY)) == 2
    assert not bench.run(200).output_states["fan"], "the pulse was not started again"


def test_the_same_seq_much_later_is_a_new_request() -> None:
    bench = BoardBench().run(100)
    request = wire.pack_json({"a": "output_pulse", "c": 1, "args": {"name": "fan", "ms": 1000}})
    bench.send(wire.ACTION, request, seq=9)
    bench.run(256_000)
    bench.send(wire.ACTION, request, seq=9)
    assert bench.output_states["fan"]


def test_a_second_request_while_one_is_open_is_busy_and_a_retry_waits() -> None:
    bench = BoardBench().run(1500)
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1), seq=5)
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1), seq=5)
    bench.send(wire.ACTION, wire.pack_json({"a": "read", "args": {"names": ["uptime_ms"]}}), seq=6)
    assert [wire.unpack_nak(payload) for payload in bench.payloads(wire.NAK)] == [
        (wire.ACTION, wire.NAK_BUSY)
    ]
    bench.run(2000)
    assert bench.payloads(wire.RCD_TEST | wire.REPLY) == [wire.pack_rcd_test_reply(1, True)]
    assert bench.action("read", names=["uptime_ms"]) is not None


def test_a_setpoint_is_taken_while_a_request_is_open() -> None:
    bench = BoardBench().run(1500)
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    bench.setpoint()
    assert len(bench.payloads(wire.SETPOINT | wire.REPLY)) == 1


def test_hello_forgets_an_open_request() -> None:
    bench = BoardBench().run(1500)
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1), seq=5)
    bench.hello()
    assert bench.action("read", names=["uptime_ms"]) is not None
    assert bench.run(3000).payloads(wire.RCD_TEST | wire.REPLY) == []
