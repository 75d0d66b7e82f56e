"""What an installer may set on a board, what survives a restart, and what a damaged file does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import wire
from board.config import FREE, ONLY_LESS, Config, values_of
from board.limits import TABLE, Limits
from hal.sim.firmware import MemoryStorage
from tests.helpers.board_bench import BoardBench

OF_THE_CIRCUIT = {"rcd_pulse_ms", "rcd_trip_ms", "rcd_ac_trip_ms", "rcd_clear_ms"}


def _pcb() -> list[Limits]:
    return [Limits({"max_da": 320}), Limits({"max_da": 160})]


def _committed(values: dict[str, int], connector: int = 1) -> MemoryStorage:
    flash = MemoryStorage()
    config = Config(flash, _pcb())
    config.stage(connector, dict(values))
    config.commit()
    return flash


def test_every_limit_is_free_or_may_shrink_or_is_the_circuits() -> None:
    """A new row of TABLE has to be put into one of the three."""
    assert set(ONLY_LESS) | set(FREE) | OF_THE_CIRCUIT == {row[0] for row in TABLE}


def test_without_a_file_the_pin_maps_limits_hold() -> None:
    config = Config(MemoryStorage(), _pcb())
    assert not config.is_damaged
    assert [limits.max_da for limits in config.limits] == [320, 160]


def test_what_was_committed_holds_after_the_restart_for_its_connector_only() -> None:
    flash = _committed({"max_da": 100, "wake_after_s": 90}, connector=2)
    config = Config(flash, _pcb())
    assert [limits.max_da for limits in config.limits] == [320, 100]
    assert [limits.wake_after_s for limits in config.limits] == [0, 90]


def test_staging_changes_nothing_that_holds() -> None:
    flash = MemoryStorage()
    config = Config(flash, _pcb())
    config.stage(1, {"max_da": 100})
    assert config.limits[0].max_da == config.values(1, "now")["max_da"] == 320
    assert config.values(1, "staged")["max_da"] == 100
    assert flash.octets == b""
    config.discard()
    assert config.values(1, "staged")["max_da"] == 320


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"max_da": 321}, "max_da must be 60 to 320"),
        ({"max_da": 59}, "max_da must be 60 to 320"),
        ({"temp_stop_dc": 851}, "temp_stop_dc must be 400 to 850"),
        ({"has_ventilation": 1}, "has_ventilation must be 0 to 0"),
        ({"can_switch_phases": 1}, "can_switch_phases must be 0 to 0"),
        ({"rcd_trip_ms": 100}, "rcd_trip_ms belongs to the circuit"),
        ({"temp_warn_dc": 700, "temp_stop_dc": 600}, "temp_warn_dc must be below temp_stop_dc"),
        ({"max_a": 16}, "no limit is called max_a"),
        ({"max_da": 160.5}, "max_da must be 60 to 320"),
        ({"max_da": True}, "max_da must be 60 to 320"),
        ({"lock_run_ms": 1}, "lock_run_ms must be 100 to 5000"),
    ],
)
def test_the_pin_map_is_only_ever_restricted(values: dict[str, Any], reason: str) -> None:
    config = Config(MemoryStorage(), _pcb())
    with pytest.raises(ValueError, match=reason):
        config.stage(1, {"wake_after_s": 5, **values})
    assert config.values(1, "staged") == values_of(_pcb()[0]), "all or nothing"


def test_back_to_the_pin_map() -> None:
    flash = _committed({"max_da": 100})
    config = Config(flash, _pcb())
    config.stage_nothing()
    config.commit()
    assert Config(flash, _pcb()).limits[0].max_da == 320


def test_the_hash_tells_what_holds_and_nothing_else() -> None:
    plain = Config(MemoryStorage(), _pcb())
    narrowed = Config(_committed({"max_da": 100}), _pcb())
    assert len(plain.hash) == 8
    assert plain.hash != narrowed.hash
    assert narrowed.hash == Config(_committed({"max_da": 100}), _pcb()).hash
    plain.stage(1, {"max_da": 100})
    assert plain.hash != narrowed.hash


@given(st.data())
def test_a_torn_or_flipped_file_is_as_good_as_none_and_is_told(data: st.DataObject) -> None:
    whole = _committed({"max_da": 100, "lock_run_ms": 700}).octets
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from([whole[:at] or b"x", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]])
    )
    flash = MemoryStorage()
    flash.octets = damaged
    config = Config(flash, _pcb())
    assert config.is_damaged
    assert config.limits[0].max_da == 320


def test_a_file_that_a_smaller_circuit_cannot_obey_is_damaged() -> None:
    """Flashed with another pin map: nothing of it may raise a limit."""
    config = Config(_committed({"max_da": 300}), [Limits({"max_da": 160})])
    assert config.is_damaged
    assert config.limits[0].max_da == 160


@given(
    st.dictionaries(
        st.sampled_from([row[0] for row in TABLE]),
        st.integers(-1, 5001) | st.booleans() | st.text(max_size=2),
    )
)
def test_whatever_is_asked_no_limit_rises_above_the_pin_map(values: dict[str, object]) -> None:
    flash = MemoryStorage()
    config = Config(flash, _pcb())
    try:
        config.stage(1, values)
    except ValueError:
        return
    config.commit()
    limits = Config(flash, _pcb()).limits[0]
    for name in ONLY_LESS:
        assert getattr(limits, name) <= getattr(_pcb()[0], name)


# ---- CONFIG on the wire ----------------------------------------------------------------------------------


def _ask(bench: BoardBench, **request: object) -> dict[str, object]:
    seq = bench.send(wire.CONFIG, wire.pack_json(request))
    answer = bench.answer(wire.CONFIG, seq)
    assert answer is not None
    return answer


def test_get_tells_the_limits_and_their_hash() -> None:
    bench = BoardBench().run(20)
    answer = _ask(bench, op="get", c=1)
    assert answer["values"] == values_of(bench.pins.limits)
    hello = bench.answer(wire.HELLO)
    assert hello is not None
    assert hello["cfg_hash"] == answer["hash"]


@pytest.mark.parametrize("of", ["now", "pcb", "staged"])
def test_the_longest_answer_fits_into_a_frame(of: str) -> None:
    answer = _ask(BoardBench().run(20), op="get", c=1, of=of)
    widest = {row[0]: row[3] for row in TABLE}
    assert len(wire.pack_json({**answer, "values": widest})) <= wire.MAX_PAYLOAD


def test_commit_writes_and_restarts_an_idle_board() -> None:
    bench = BoardBench().run(1500)
    assert _ask(bench, op="set", c=1, values={"max_da": 160}) == {"ok": True}
    assert bench.flash.octets == b""
    assert _ask(bench, op="commit") == {"ok": True}
    assert bench.rebooted is None, "first the answer"
    bench.run(100)
    assert bench.rebooted == wire.REBOOT_RESET
    assert Config(bench.flash, [Limits()]).limits[0].max_da == 160


@pytest.mark.parametrize("state", ["B", "C"])
def test_commit_is_refused_while_a_car_is_there(state: str) -> None:
    bench = BoardBench().run(1500)
    bench.pins.car(state)
    bench.run(100)
    assert _ask(bench, op="set", c=1, values={"max_da": 160}) == {"ok": True}
    answer = _ask(bench, op="commit")
    assert (answer["ok"], answer["code"]) == (False, "not_allowed")
    bench.run(200)
    assert (bench.flash.octets, bench.rebooted) == (b"", None)


def test_a_welded_contactor_is_not_idle() -> None:
    bench = BoardBench().run(1500)
    bench.pins.is_welded = True
    bench.run(100)
    assert _ask(bench, op="commit")["code"] == "not_allowed"


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "set", "c": 1, "values": {"max_da": 9999}},
        {"op": "set", "c": 1},
        {"op": "set", "c": 1, "values": 7},
        {"op": "set", "c": 2, "values": {}},
        {"op": "get", "c": "1"},
        {"op": "format"},
        {},
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(request_: dict[str, object]) -> None:
    answer = _ask(BoardBench().run(20), **request_)
    assert (answer["ok"], answer["code"]) == (False, "bad_args")
    assert answer["error"]


def test_a_full_flash_is_told_and_nothing_restarts() -> None:
    bench = BoardBench().run(1500)

    def full(_octets: bytes) -> None:
        raise OSError(28)

    bench.flash.write = full  # type: ignore[method-assign]
    assert _ask(bench, op="commit")["code"] == "failed"
    bench.run(200)
    assert bench.rebooted is None


def test_a_repeated_commit_is_not_carried_out_twice() -> None:
    bench = BoardBench().run(1500)
    writes: list[bytes] = []
    bench.flash.write = writes.append  # type: ignore[method-assign,assignment]
    payload = wire.pack_json({"op": "commit"})
    bench.send(wire.CONFIG, payload, seq=9)
    bench.send(wire.CONFIG, payload, seq=9)
    assert len(writes) == 1


def test_what_another_host_left_staged_is_forgotten() -> None:
    bench = BoardBench().run(1500)
    _ask(bench, op="set", c=1, values={"max_da": 160})
    bench.hello()
    assert _ask(bench, op="get", of="staged")["values"] == values_of(Limits())


def test_a_damaged_file_is_an_event() -> None:
    flash = MemoryStorage()
    flash.octets = b"half a fi"
    bench = BoardBench(flash=flash)
    bench.run(20)
    kinds = [wire.unpack_event(payload).kind for payload in bench.payloads(wire.EVENT)]
    assert wire.EVENT_CONFIG in kinds
