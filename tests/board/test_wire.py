"""The host link: golden frames, round trips, noise, bounds, and the agreement with hal.ports."""

import struct
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import wire
from hal.ports import FAULT_SEVERITY, FaultCode, Severity

GOLDEN = tomllib.loads((Path(__file__).parents[1] / "data/wire/frames.toml").read_text())["frame"]

SETPOINT_0_LENGTH = 10
STATUS_0_LENGTH = 30
"""What minor version 0 of the protocol sends."""

_FRAMES = st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=wire.MAX_PAYLOAD))


def _payload(golden: dict[str, str]) -> bytes:
    return golden["json"].encode() if "json" in golden else bytes.fromhex(golden["payload"])


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden["what"] for golden in GOLDEN])
def test_golden_frame(golden: dict[str, str]) -> None:
    frame = (golden["type"], golden["seq"], _payload(golden))
    assert wire.decode(golden["line"].encode()) == frame
    assert wire.encode(*frame) == golden["line"].encode() + b"\n"  # type: ignore[arg-type]


def test_golden_setpoint_fields() -> None:
    setpoint = wire.unpack_setpoint(_payload(GOLDEN[2]))
    assert (setpoint.connector, setpoint.limit_da, setpoint.lease_ms, setpoint.fallback_da) == (
        1,
        160,
        5000,
        60,
    )
    assert setpoint.flags == wire.AVAILABLE | wire.ALLOW_POWER | wire.THREE_PHASE
    assert setpoint.measured_da == wire.NO_CURRENT, "a host of minor version 0 does not say"


def _named(beginning: str) -> bytes:
    (golden,) = (golden for golden in GOLDEN if golden["what"].startswith(beginning))
    return _payload(golden)


def test_golden_fields_of_minor_version_1() -> None:
    setpoint = wire.unpack_setpoint(_named("setpoint of minor 1"))
    assert (setpoint.flags, setpoint.limit_da) == (wire.AVAILABLE | wire.ALLOW_POWER, 160)
    assert setpoint.measured_da == 158
    status = wire.unpack_status(_named("status of minor 1"))
    assert (status.pilot, status.event_seq) == (wire.PILOT_C, 12)
    assert (status.phases, tuple(status.currents)) == (1, (158, 0, wire.NO_CURRENT))


def test_golden_status_fields() -> None:
    status = wire.unpack_status(_payload(GOLDEN[4]))
    assert {name: getattr(status, name) for name in wire.Status.__slots__} == {
        "connector": 1,
        "uptime_ms": 61000,
        "pilot": wire.PILOT_C,
        "contactor": wire.CONTACTOR_COMMAND | wire.CONTACTOR_FEEDBACK,
        "lock": wire.LOCK_LOCKED,
        "cable_a": 32,
        "duty": 2666,
        "cp_high_mv": 5990,
        "cp_low_mv": -12000,
        "faults": 0,
        "warnings": wire.WARN_CABLE_LIMIT,
        "temperature": 253,
        "residual": 2,
        "link_losses": 1,
        "event_seq": 12,
        "outlet": 1,
        "phases": 0,
        "currents": (wire.NO_CURRENT,) * 3,
    }


@given(_FRAMES)
def test_every_frame_survives_the_line(frame: tuple[int, int, bytes]) -> None:
    assert wire.Reader().feed(wire.encode(*frame)) == ([frame], [])


@given(st.lists(_FRAMES, max_size=5), st.integers(1, 40))
def test_pieces_of_any_size_give_the_same_frames(frames: list[tuple[int, int, bytes]], size: int) -> None:
    stream = b"".join(wire.encode(*frame) for frame in frames)
    reader = wire.Reader()
    found = []
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])[0]
    assert found == frames


@given(st.lists(_FRAMES, min_size=1, max_size=6), st.data())
def test_noise_never_makes_a_wrong_frame_and_ends_at_the_next_newline(
    frames: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    stream = bytearray(b"".join(wire.encode(*frame) for frame in frames))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(stream) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "insert"])):
            case "flip":
                stream[at] ^= 1 << data.draw(st.integers(0, 7))
            case "drop" if len(stream) > 1:
                del stream[at]
            case _:
                stream.insert(at, data.draw(st.integers(0, 255)))
    after = (wire.PING, 7, b"still here")
    found, _ = wire.Reader().feed(bytes(stream) + b"\n" + wire.encode(*after))
    assert found[-1] == after
    assert all(frame in frames for frame in found[:-1])


@given(st.binary(max_size=4000))
def test_the_reader_takes_anything_and_keeps_little(noise: bytes) -> None:
    reader = wire.Reader()
    for start in range(0, len(noise), 97):
        reader.feed(noise[start : start + 97])
        assert len(reader._rest) <= wire.MAX_LINE


def test_a_line_without_end_is_dropped_and_the_next_one_read() -> None:
    reader = wire.Reader()
    assert reader.feed(b"x" * 5000) == ([], [])
    assert reader.feed(b"yyy\n" + wire.encode(wire.PING, 1)) == ([(wire.PING, 1, b"")], [])
    assert reader.bad == 1


def test_console_text_is_told_apart_even_when_glued_to_a_frame() -> None:
    frame = wire.encode(wire.PING, 1, b"abc")
    found, console = wire.Reader().feed(
        b"Traceback (most recent call last):\r\nhalf a word" + frame + b"\nend\n"
    )
    assert found == [(wire.PING, 1, b"abc")]
    assert console == [b"Traceback (most recent call last):", b"half a word", b"end"]


def test_a_frame_that_lost_its_newline_does_not_take_the_next_one_along() -> None:
    reader = wire.Reader()
    first, second = wire.encode(wire.PING, 1, b"a"), wire.encode(wire.PING, 2, b"b")
    assert reader.feed(first[:-1] + second) == ([(wire.PING, 2, b"b")], [])
    assert reader.bad == 1


def test_a_payload_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        wire.encode(wire.PING, 1, b"x" * (wire.MAX_PAYLOAD + 1))


def test_the_longest_frame_is_exactly_the_longest_line() -> None:
    assert len(wire.encode(1, 2, b"x" * wire.MAX_PAYLOAD)) == wire.MAX_LINE + 1


_U8, _U16, _U32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)


@given(_U8, _U8, _U16, _U32, _U16, _U16, st.binary(max_size=9))
def test_setpoint_round_trip_with_fields_of_a_newer_version(
    connector: int, flags: int, limit: int, lease: int, fallback: int, measured: int, more: bytes
) -> None:
    packed = wire.Setpoint(connector, flags, limit, lease, fallback, measured).pack()
    again = wire.unpack_setpoint(packed + more)
    assert (again.connector, again.flags, again.limit_da) == (connector, flags, limit)
    assert (again.lease_ms, again.fallback_da, again.measured_da) == (lease, fallback, measured)
    older = wire.unpack_setpoint(packed[:SETPOINT_0_LENGTH])
    assert (older.lease_ms, older.fallback_da, older.measured_da) == (lease, fallback, wire.NO_CURRENT)
    with pytest.raises(ValueError, match="too short"):
        wire.unpack_setpoint(packed[: SETPOINT_0_LENGTH - 1])


@given(st.data())
def test_status_round_trip_with_fields_of_a_newer_version(data: st.DataObject) -> None:
    ranges = dict.fromkeys(wire.Status.__slots__, _U8)
    ranges |= dict.fromkeys(("uptime_ms", "faults"), _U32)
    ranges |= dict.fromkeys(("duty", "warnings", "residual", "link_losses", "event_seq"), _U16)
    ranges |= dict.fromkeys(("cp_high_mv", "cp_low_mv", "temperature"), st.integers(-32768, 32767))
    status = wire.Status(0)
    for name, values in ranges.items():
        setattr(status, name, data.draw(values))
    status.currents = data.draw(st.tuples(_U16, _U16, _U16))
    again = wire.unpack_status(status.pack() + data.draw(st.binary(max_size=5)))
    assert all(getattr(again, name) == getattr(status, name) for name in ranges)
    older = wire.unpack_status(status.pack()[:STATUS_0_LENGTH])
    told = set(ranges) - {"phases", "currents"}
    assert all(getattr(older, name) == getattr(status, name) for name in told)
    assert (older.phases, tuple(older.currents)) == (0, (wire.NO_CURRENT,) * 3)
    with pytest.raises(ValueError, match="too short"):
        wire.unpack_status(status.pack()[: STATUS_0_LENGTH - 1])


@pytest.mark.parametrize(
    ("packed", "unpack", "fields"),
    [
        (wire.pack_setpoint_reply(1, 2, 3, 4), wire.unpack_setpoint_reply, (1, 2, 3, 4)),
        (wire.pack_event_ack(513), wire.unpack_event_ack, 513),
        (wire.pack_clear_fault(2, 0x7FFFF), wire.unpack_clear_fault, (2, 0x7FFFF)),
        (wire.pack_rcd_test(3), wire.unpack_rcd_test, 3),
        (wire.pack_rcd_test_reply(1, False), wire.unpack_rcd_test_reply, (1, 0)),
        (wire.pack_ping(2**32 + 5), wire.unpack_ping, 5),
        (wire.pack_ping_reply(5, 6), wire.unpack_ping_reply, (5, 6)),
        (wire.pack_reboot(1), wire.unpack_reboot, 1),
        (wire.pack_nak(0x20, 4), wire.unpack_nak, (0x20, 4)),
    ],
)
def test_small_payloads_round_trip_and_refuse_less(packed: bytes, unpack: object, fields: object) -> None:
    assert callable(unpack)
    assert unpack(packed) == unpack(packed + b"newer") == fields
    with pytest.raises(ValueError, match="too short"):
        unpack(packed[:-1])


@given(st.builds(wire.Event, _U8, _U16, _U32, _U8, _U16, _U16))
def test_event_round_trip(event: wire.Event) -> None:
    again = wire.unpack_event(event.pack())
    assert all(getattr(again, name) == getattr(event, name) for name in wire.Event.__slots__)


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{", b"\xff\xfe", b'{"a":' * 50_000, b"nul"])
def test_json_that_is_no_object_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        wire.unpack_json(text)


def test_fault_names_are_fault_codes_in_the_same_severity() -> None:
    for bit, name in enumerate(wire.FAULT_NAMES):
        severity = FAULT_SEVERITY[FaultCode(name)]
        assert bool(wire.FAULTS_LATCHED & 1 << bit) == (severity is Severity.LATCHED), name
        assert bool(wire.FAULTS_DERATE & 1 << bit) == (severity is Severity.DERATE), name


def test_fault_bits_stand_where_their_names_stand() -> None:
    for bit, name in enumerate(wire.FAULT_NAMES):
        assert getattr(wire, "F_" + name.upper()) == 1 << bit == wire.fault_bit(name)
    assert wire.fault_names(wire.F_TILT | wire.F_RCD_DC | 1 << 31) == ["rcd_dc", "tilt"]


def test_hello_replies_fit_into_a_frame_with_many_outputs() -> None:
    caps = {"aux": [f"output{i}" for i in range(12)], "sensors": ["supply_v"] * 4, "lock": True, "max_a": 32}
    reply = wire.hello_reply("10.20.30", "controller-board", "E6614C311B6C5A2B", 3, 2**32 - 1, 4, caps)
    assert len(wire.pack_json(reply)) <= wire.MAX_PAYLOAD


@pytest.mark.parametrize("proto", [None, [2, 0], [0, 9], "1.0", [1], [1, 0, 0]])
def test_another_major_version_is_not_ours(proto: object) -> None:
    assert not wire.speaks_our_major({"proto": proto})


@pytest.mark.parametrize("minor", [0, 1, 99])
def test_any_minor_version_is_ours(minor: int) -> None:
    assert wire.speaks_our_major({"proto": [wire.PROTOCOL_MAJOR, minor]})


def test_status_is_packed_without_padding() -> None:
    assert len(wire.Status(1).pack()) == struct.calcsize("<BIBBBBHhhIHhHHHBBHHH") == STATUS_0_LENGTH + 7
