"""Edges of the parts of a connector and of the link that no other test watches; systematic changes found them."""

from binascii import b2a_base64, crc32
from struct import pack

import pytest

from board import wire
from board.cable import Cable
from board.limits import Limits
from board.residual import TRIP_AC, TRIP_DC, ResidualCurrent
from board.supply import OverCurrent, PhaseSwitch
from board.wakeup import WakeUp
from board.warmth import Ventilation, Warmth

_DAY_MS = 86_400_000

# ---- residual current ------------------------------------------------------------------------------------


def _passed_at(now_ms: int) -> ResidualCurrent:
    residual = ResidualCurrent(Limits())
    residual.start_test(now_ms - 600)
    residual.run_test(now_ms - 400, TRIP_DC)
    residual.run_test(now_ms - 300, TRIP_DC)
    assert residual.run_test(now_ms, 0) == 1
    return residual


def test_nothing_is_proven_from_the_moment_a_test_is_wanted_or_begins() -> None:
    wanted, begun = _passed_at(1000), _passed_at(1000)
    assert wanted.has_passed
    wanted.require_test()
    begun.start_test(2000)
    assert [wanted.has_passed, begun.has_passed] == [False, False]


def test_an_interrupt_during_the_self_test_is_the_tests_own() -> None:
    residual = ResidualCurrent(Limits())
    residual.start_test(0)
    residual.on_interrupt(TRIP_DC)
    residual.run_test(300, TRIP_DC)
    residual.run_test(400, 0)
    assert not residual.is_testing
    assert residual.step(0) == 0


def test_the_ac_output_may_come_later_than_the_dc_output_may() -> None:
    residual = ResidualCurrent(Limits({"rcd_trip_ms": 300, "rcd_ac_trip_ms": 900}))
    residual.start_test(0)
    assert [residual.run_test(250, TRIP_DC), residual.run_test(600, TRIP_DC)] == [0, 0]
    assert residual.run_test(800, TRIP_DC | TRIP_AC) == 0
    assert residual.run_test(900, 0) == 1


def test_the_test_input_is_let_go_when_the_test_fails_before_the_pulse_is_over() -> None:
    residual = ResidualCurrent(Limits({"rcd_pulse_ms": 1000, "rcd_trip_ms": 300}))
    residual.start_test(0)
    assert residual.run_test(300, 0) == -1
    assert not residual.test_output


def test_a_passed_test_is_old_after_exactly_a_day_and_none_is_never_old() -> None:
    residual = _passed_at(1000)
    assert [residual.is_old(1000 + _DAY_MS - 1), residual.is_old(1000 + _DAY_MS)] == [False, True]
    assert not ResidualCurrent(Limits()).is_old(10 * _DAY_MS)


def test_the_first_of_three_trips_stops_counting_after_exactly_a_day() -> None:
    residual = ResidualCurrent(Limits())
    for at_ms in (1000, 2000, 3000):
        assert residual.may_auto_clear(at_ms)
        residual.note_auto_clear(at_ms)
    assert [residual.may_auto_clear(1000 + _DAY_MS - 1), residual.may_auto_clear(1000 + _DAY_MS)] == [
        False,
        True,
    ]


# ---- cable -----------------------------------------------------------------------------------------------


def test_a_missing_cable_is_odd_after_half_a_second_with_a_car_and_never_without() -> None:
    cable = Cable()
    cable.step(0, wire.PILOT_B, 100_000)
    cable.step(10, wire.PILOT_B, 100_000)
    assert [cable.is_odd(499), cable.is_odd(500)] == [False, True]
    cable.step(1000, wire.PILOT_A, 100_000)
    assert not cable.is_odd(60_000)
    cable.step(60_000, wire.PILOT_B, 100_000)
    assert [cable.is_odd(60_499), cable.is_odd(60_500)] == [False, True]


def test_only_a_changed_rating_is_told() -> None:
    cable = Cable()
    assert [cable.step(now_ms, wire.PILOT_A, 220) for now_ms in (0, 10, 20)] == [True, False, False]


def test_a_rating_is_taken_late_falls_and_is_never_lost_while_a_car_is_there() -> None:
    cable = Cable()
    ratings = []
    for now_ms, ohm in enumerate((100_000, 680, 680, 100_000, 220, 1500)):
        cable.step(now_ms, wire.PILOT_B, ohm)
        ratings.append(cable.rating_a)
    assert ratings == [0, 20, 20, 20, 20, 13]


# ---- over-current ----------------------------------------------------------------------------------------


def _trips_at(over: OverCurrent, start_ms: int, end_ms: int, offered_da: int, measured_da: int) -> int:
    """The first tick with the fault, -1 for none."""
    currents = [measured_da, wire.NO_CURRENT, wire.NO_CURRENT]
    for now_ms in range(start_ms, end_ms, 10):
        if over.step(now_ms, offered_da, True, currents):
            return now_ms
    return -1


def test_the_short_time_counts_only_while_the_current_is_that_high() -> None:
    over = OverCurrent()
    assert _trips_at(over, 0, 1500, 160, 250) == -1
    assert _trips_at(over, 1500, 1600, 160, 190) == -1
    assert _trips_at(over, 1600, 3500, 160, 250) == -1, "the 2 s start anew"
    assert _trips_at(over, 3500, 4000, 160, 250) == 3600


def test_a_reading_of_the_host_ends_after_5_s() -> None:
    over = OverCurrent()
    over.take(0, 400)
    none = [wire.NO_CURRENT] * 3
    masks = {over.step(now_ms, 160, True, none) for now_ms in range(3010, 8000, 10)}
    assert masks == {0}, "seen for less than 2 s"


def _third_trip() -> OverCurrent:
    over = OverCurrent()
    now_ms = 0
    for _ in range(3):
        assert _trips_at(over, now_ms, now_ms + 4000, 160, 400) >= 0
        assert over.step(now_ms + 100_000, 160, False, [0]) == (
            wire.F_OVER_CURRENT if over._trips == 3 else 0
        )
        now_ms += 200_000
    return over


def test_who_is_forgiven_begins_at_the_first_trip_again() -> None:
    over = _third_trip()
    over.forgive()
    assert over.step(600_000, 160, False, [0]) == 0
    assert _trips_at(over, 700_000, 704_000, 160, 400) >= 0
    assert over.step(740_000, 160, False, [0]) == 0, "held for 30 s as the first one is"


def test_a_trip_holds_30_s_to_the_tick_and_longer_while_the_current_flows_on() -> None:
    over = OverCurrent()
    tripped_ms = _trips_at(over, 0, 4000, 160, 400)
    assert [bool(over.step(tripped_ms + ms, 160, False, [0])) for ms in (29_990, 30_000)] == [True, False]
    welded = OverCurrent()
    tripped_ms = _trips_at(welded, 0, 4000, 160, 400)
    assert welded.step(tripped_ms + 30_000, 160, True, [400])
    assert welded.step(tripped_ms + 59_990, 160, False, [0])
    assert not welded.step(tripped_ms + 60_000, 160, False, [0])


def test_after_a_trip_the_times_start_anew() -> None:
    over = OverCurrent()
    tripped_ms = _trips_at(over, 0, 4000, 160, 400)
    assert not over.step(tripped_ms + 30_000, 160, False, [0])
    again_ms = tripped_ms + 30_010
    assert _trips_at(over, again_ms, again_ms + 4000, 160, 400) == again_ms + 2000


def test_after_a_long_silence_the_last_offer_is_what_held() -> None:
    over = OverCurrent()
    over.step(0, 320, True, [0])
    over.step(10, 320, True, [0])
    assert _trips_at(over, 100_000, 102_500, 60, 300) == -1, "320 were offered until this moment"
    assert _trips_at(over, 102_500, 130_000, 60, 300) > 0


# ---- phase relay -----------------------------------------------------------------------------------------


def _moved_at(now_ms: int) -> PhaseSwitch:
    switch = PhaseSwitch(Limits({"can_switch_phases": 1}), 3)
    assert not switch.step(now_ms - 10_000, 3, True)
    assert not switch.is_ready
    assert switch.step(now_ms, 3, True)
    return switch


def test_the_relay_has_200_ms_to_arrive_and_two_ticks_of_doubt() -> None:
    switch = _moved_at(20_000)
    assert not switch.is_pending
    assert not switch.step(20_190, 3, True)
    assert (switch.is_ready, switch.check(0)) == (False, 0)
    assert not switch.step(20_200, 3, True)
    assert switch.is_ready
    assert [switch.check(0), switch.check(0)] == [0, wire.F_PHASE_SWITCH]
    assert switch.check(1) == 0


def test_a_relay_whose_place_is_unknown_is_not_ready_and_not_judged() -> None:
    switch = PhaseSwitch(Limits({"can_switch_phases": 1}), 3)
    switch.step(0, 0, True)
    assert not switch.is_ready
    assert [switch.check(1) for _ in range(5)] == [0] * 5


def test_a_move_forgets_the_doubts_about_the_place_before() -> None:
    switch = _moved_at(20_000)
    switch.step(20_200, 3, True)
    switch.check(0)
    switch.step(29_990, 1, True)
    assert switch.step(30_000, 1, True)
    switch.step(30_300, 1, True)
    assert switch.check(1) == 0, "one tick of doubt, not two"


# ---- heat and air ----------------------------------------------------------------------------------------


def _felt(*temperatures: int, step_ms: int = 10) -> list[int]:
    warmth = Warmth(Limits())
    return [warmth.step(nth * step_ms, each) * 0 + warmth.most_da for nth, each in enumerate(temperatures)]


def test_the_limit_rises_when_it_is_cooler_by_more_than_2_c_and_by_the_rest_only() -> None:
    at_78, at_80 = _felt(780)[0], _felt(800)[0]
    assert at_78 > at_80
    assert _felt(800, 780) == [at_80, at_80]
    assert _felt(800, 760) == [at_80, at_78]


def test_the_first_reading_counts_however_cold() -> None:
    assert _felt(-400, 700) == [320, 320]
    assert _felt(-400, 725)[1] == _felt(725)[0]


def test_a_silent_thermometer_counts_from_its_first_silent_tick_and_only_while_silent() -> None:
    warmth = Warmth(Limits())
    warmth.step(0, 250)
    for now_ms in (10, 2000, 5000, 5009):
        assert warmth.step(now_ms, wire.NO_TEMPERATURE) == 0
    assert warmth.step(5010, wire.NO_TEMPERATURE) == wire.F_TEMP_WARN
    warmth.step(6000, 250)
    assert warmth.step(6010, wire.NO_TEMPERATURE) == 0, "5 s from here again"
    assert warmth.most_da == 320


def test_the_fan_stops_to_the_tick() -> None:
    fan = Ventilation(Limits({"has_ventilation": 1, "vent_run_on_s": 60}))
    fan.step(0, True)
    assert [fan.step(59_999, False), fan.step(60_000, False), fan.is_on] == [False, True, False]


# ---- wake-up ---------------------------------------------------------------------------------------------


def test_a_car_that_is_being_woken_is_not_woken_again() -> None:
    wake_up = WakeUp(Limits())
    wake_up.watch(0, True, False)
    assert wake_up.may_start(60_000)
    wake_up.start(60_000)
    assert not wake_up.may_start(60_010)


def test_the_next_car_is_woken_though_this_one_has_charged() -> None:
    wake_up = WakeUp(Limits({"wake_after_s": 90}))
    wake_up.watch(0, False, True)
    wake_up.unplugged()
    wake_up.watch(10, True, False)
    assert [wake_up.is_due(90_009), wake_up.is_due(90_010)] == [False, True]


# ---- frames ----------------------------------------------------------------------------------------------


def _line(body: bytes) -> bytes:
    return b"~" + b2a_base64(body + pack("<I", crc32(body)), newline=False)


def test_a_line_is_a_frame_only_with_its_sign_its_length_and_a_type_and_a_seq() -> None:
    whole = _line(b"\x30\x01abcd")
    assert wire.decode(whole) == (0x30, 1, b"abcd")
    assert wire.decode(whole[1:]) is None
    assert wire.decode(b"x" + whole[1:]) is None
    assert wire.decode(whole + b"=") is None
    assert wire.decode(_line(b"\x30")) is None, "no sequence number"
    assert wire.decode(_line(bytes(wire.MAX_PAYLOAD + 2))) is not None
    assert wire.decode(_line(bytes(wire.MAX_PAYLOAD + 5))) is None, "longer than any line"


@pytest.mark.parametrize("length", range(9))
def test_a_frame_too_short_for_its_checksum_is_none(length: int) -> None:
    assert wire.decode(b"~" + b2a_base64(bytes(length), newline=False)) is None


def test_empty_lines_are_nothing_and_frames_follow_them() -> None:
    assert wire.Reader().feed(b"\n\n" + _line(b"\x30\x01") + b"\n") == ([(0x30, 1, b"")], [])


def test_the_longest_line_may_come_in_two_pieces() -> None:
    line = _line(bytes(wire.MAX_PAYLOAD + 2))
    assert len(line) == wire.MAX_LINE
    reader = wire.Reader()
    assert reader.feed(line) == ([], [])
    assert len(reader.feed(b"\n")[0]) == 1


def test_a_line_without_end_leaves_nothing_in_memory() -> None:
    reader = wire.Reader()
    reader.feed(b"x" * 50_000)
    assert reader._rest == b""


def test_lines_that_began_like_a_frame_are_counted_and_console_text_is_not() -> None:
    reader = wire.Reader()
    reader.feed(b"hello\n")
    assert reader.bad == 0
    reader.feed(b"~AAAA\n")
    assert reader.bad == 1
    reader.feed(b"text ~AAAA\n")
    assert reader.bad == 2
