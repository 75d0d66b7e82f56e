"""The RP2040's pilot sampling, register by register on a fake chip; and how it tells its reset causes apart."""

from array import array

import pytest

from board import analog
from board.wire import RESET_POWER, RESET_SOFT, RESET_WATCHDOG
from tests.helpers.fake_rp2040 import FakeRp2040

HIGH_V = {0: 8.98, 1: 5.99, 2: 1.0, 3: 1.0}
ADC0, ADC1 = 26, 27


def pwm(channel: int, us: float) -> float:
    return HIGH_V[channel] if us % 1000 < 100 else -12.0


@pytest.fixture
def chip() -> FakeRp2040:
    return FakeRp2040(pwm)


def test_one_pilot_is_sampled_while_nobody_waits(chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = chip.install(monkeypatch).PilotCapture([ADC0])
    chip.run(8000)
    found = array("H", [0, 0])
    before_us = chip.us
    assert capture.take(0, found)
    assert chip.us - before_us <= 4, "the tick waits for the sample under way and no longer"
    assert abs(analog.pilot_mv(found[0]) - 8980) < 30
    assert abs(analog.pilot_mv(found[1]) + 12000) < 30


@pytest.mark.parametrize("numbers", [(ADC0, ADC1), (ADC1, ADC0), (ADC0, 28)])
def test_two_pilots_do_not_get_mixed_up(
    chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, int]
) -> None:
    capture = chip.install(monkeypatch).PilotCapture(list(numbers))
    for _ in range(3):
        chip.run(8000)
        for index, number in enumerate(numbers):
            found = array("H", [0, 0])
            assert capture.take(index, found)
            assert abs(analog.pilot_mv(found[0]) - HIGH_V[number - 26] * 1000) < 30
        capture.release()


def test_what_is_seen_is_the_last_2_ms(chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = chip.install(monkeypatch).PilotCapture([ADC0])
    found = array("H", [0, 0])
    chip.run(6000)
    chip.volts = lambda channel, us: 5.99
    chip.run(2060)
    assert capture.take(0, found)
    assert abs(analog.pilot_mv(found[0]) - 5990) < 30


def test_less_than_a_ring_is_no_fresh_sample(chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = chip.install(monkeypatch).PilotCapture([ADC0])
    found = array("H", [0, 0])
    chip.run(2000)
    assert not capture.take(0, found)
    assert found == array("H", [0, 0])
    capture.release()
    chip.run(2100)
    assert capture.take(0, found)


def test_a_lost_sample_is_no_fresh_sample(chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two pilots everything after it would be in the other one's places."""
    capture = chip.install(monkeypatch).PilotCapture([ADC0, ADC1])
    chip.run(3000)
    chip.run(30, dma_stalls=True)
    chip.run(5000)
    assert not capture.take(0, array("H", [0, 0]))
    capture.release()
    chip.run(3000)
    assert capture.take(0, array("H", [0, 0]))


def test_other_inputs_are_read_between_hold_and_release(
    chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = chip.install(monkeypatch).PilotCapture([ADC0, ADC1])
    chip.run(3000)
    capture.hold()
    cs, fcs = chip.mem32[0x4004C000], chip.mem32[0x4004C008]
    assert cs & 1 << 3 == 0, "not converting by itself"
    assert cs & 0x1F7000 == 0, "no round robin, input free to choose"
    assert fcs & 0xF0009 == 0, "the FIFO is off and empty"
    capture.hold()
    found = array("H", [0, 0])
    assert capture.take(1, found), "the ring was whole when it was held"


def test_a_stopped_dma_is_no_fresh_sample(chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = chip.install(monkeypatch).PilotCapture([ADC0])
    chip.run(250_000)
    assert not capture.take(0, array("H", [0, 0])), "100,000 transfers are over: the ring is old"


@pytest.mark.parametrize(
    ("cause", "watchdog_ran", "expected"),
    [
        (FakeRp2040.PWRON_RESET, False, RESET_POWER),
        (FakeRp2040.WDT_RESET, True, RESET_WATCHDOG),
        (FakeRp2040.WDT_RESET, False, RESET_SOFT),
    ],
)
def test_a_reset_on_request_is_not_the_watchdogs(
    chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch, cause: int, watchdog_ran: bool, expected: int
) -> None:
    """The chip itself says "watchdog" for machine.reset(), too."""
    hw_rp2 = chip.install(monkeypatch)
    hw_rp2.mark_watchdog(watchdog_ran)
    chip.cause = cause
    assert hw_rp2.reset_cause() == expected


def test_the_watchdog_is_told_of_once(chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch) -> None:
    hw_rp2 = chip.install(monkeypatch)
    hw_rp2.mark_watchdog(True)
    chip.cause = FakeRp2040.WDT_RESET
    assert [hw_rp2.reset_cause(), hw_rp2.reset_cause()] == [RESET_WATCHDOG, RESET_SOFT]


def test_the_kept_latches_and_the_mark_of_the_watchdog_do_not_disturb_each_other(
    chip: FakeRp2040, monkeypatch: pytest.MonkeyPatch
) -> None:
    hw_rp2 = chip.install(monkeypatch)
    assert hw_rp2.kept_latches() == 0
    hw_rp2.mark_watchdog(True)
    hw_rp2.keep_latches(0x3ABCDEF1)
    chip.cause = FakeRp2040.WDT_RESET
    again = chip.install(monkeypatch)
    assert again.kept_latches() == 0x3ABCDEF1
    assert again.reset_cause() == RESET_WATCHDOG
    assert again.kept_latches() == 0x3ABCDEF1, "a second reset before the first tick loses nothing"
