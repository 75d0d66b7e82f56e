"""A recording keeps the shape of a session in bounded memory and counts what happened meanwhile."""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.ids import ChargingState
from agent.charging.recording import (
    FRESH_S,
    MOST_SAMPLES,
    NO_CURRENTS,
    NOTHING_FLOWS,
    PACE_S,
    Recording,
    SessionSample,
    thinned,
)
from agent.charging.snapshot import EvseSnapshot
from agent.charging.tariff import CostShown
from hal.ports import ContactorState, MeterReading
from tests.helpers.snapshots import T0, charging
from tests.store.example_facts import stopped


def reading(
    at_time: float = 0.0, power_w: float = 11_040.0, wh: float = 1500.0, a: float = 16.0
) -> MeterReading:
    return MeterReading(at_time=at_time, power_w=power_w, energy_import_wh=wh, current_a=(a, a, a))


def look(recording: Recording, evse: EvseSnapshot, time: float, now: datetime | None = None) -> None:
    assert evse.transaction is not None
    recording.look(evse, evse.transaction, now or T0 + timedelta(seconds=time), time)


def drawing(time: float, **changes: object) -> EvseSnapshot:
    return charging(**{"reading": reading(time), **changes})


def in_state(state: ChargingState, time: float) -> EvseSnapshot:
    evse = drawing(time)
    assert evse.transaction is not None
    now = msgspec.structs.replace(evse.transaction, charging_state=state)
    return msgspec.structs.replace(evse, transaction=now)


def test_a_sample_shows_power_current_offer_and_energy_since_the_start() -> None:
    recording = Recording("t-1")
    look(recording, drawing(0.0), 0.0)
    assert recording.samples == [
        SessionSample(round(T0.timestamp() * 1000), 11_040.0, (16.0, 16.0, 16.0), 16.0, 500.0)
    ]


def test_samples_are_taken_at_the_pace_although_looks_are_more_frequent() -> None:
    recording = Recording("t-1")
    for tick in range(11):
        look(recording, drawing(tick), tick * 1.003)
    assert [round((each.at_ms / 1000 - T0.timestamp()) / 1.003) for each in recording.samples] == [
        0,
        2,
        4,
        6,
        8,
        10,
    ]


def test_nothing_flows_through_an_open_contactor_whatever_was_read_last() -> None:
    recording = Recording("t-1")
    look(recording, drawing(0.0, contactor=ContactorState.OPEN), 0.0)
    assert (recording.samples[0].power_w, recording.samples[0].current_a) == (0.0, NOTHING_FLOWS)


@pytest.mark.parametrize("old", [reading(-FRESH_S - 1), replace(reading(), quality="stale"), None])
def test_an_old_reading_is_no_reading(old: MeterReading | None) -> None:
    recording = Recording("t-1")
    look(recording, charging(reading=old), 0.0)
    (sample,) = recording.samples
    assert (sample.power_w, sample.current_a, sample.energy_wh) == (None, NO_CURRENTS, None)


def test_sensors_of_the_board_tell_the_current_between_two_readings() -> None:
    recording = Recording("t-1")
    evse = drawing(0.0)
    hardware = replace(evse.hardware, current_a=(6.04, None, None))
    look(recording, msgspec.structs.replace(evse, hardware=hardware), 0.0)
    assert recording.samples[0].current_a == (6.0, None, None)


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (ChargingState.CHARGING, "charging_s"),
        (ChargingState.SUSPENDED_EV, "suspended_ev_s"),
        (ChargingState.SUSPENDED_EVSE, "suspended_evse_s"),
    ],
)
def test_the_time_in_each_state_is_counted(state: ChargingState, name: str) -> None:
    recording = Recording("t-1")
    for tick in range(6):
        look(recording, in_state(state, tick), float(tick))
    assert getattr(recording.totals, name) == 5.0
    assert sum(
        getattr(recording.totals, each) for each in ("charging_s", "suspended_ev_s", "suspended_evse_s")
    ) == pytest.approx(5.0)


def test_time_in_which_nobody_looked_is_counted_to_no_state() -> None:
    recording = Recording("t-1")
    look(recording, in_state(ChargingState.CHARGING, 0), 0.0)
    look(recording, in_state(ChargingState.CHARGING, 60), 60.0)
    assert recording.totals.charging_s == 0.0


def test_the_highest_power_is_kept_although_its_sample_goes() -> None:
    recording = Recording("t-1")
    look(recording, drawing(0.0), 0.0)
    look(recording, charging(reading=reading(1.0, power_w=22_000.04)), 1.0)  # between two samples
    assert recording.totals.max_power_w == 22_000.0
    assert len(recording.samples) == 1


def test_the_cost_is_that_of_the_running_session_only() -> None:
    recording = Recording("t-1")
    look(recording, drawing(0.0, cost=CostShown(amount="9.99", is_final=True)), 0.0)
    assert recording.totals.cost is None
    look(recording, drawing(1.0, cost=CostShown(amount="0.10")), 1.0)
    assert recording.totals.cost == "0.10"


def test_days_of_charging_stay_in_the_same_memory_and_keep_first_and_last() -> None:
    recording = Recording("t-1")
    for tick in range(0, 40_000, 2):
        look(recording, drawing(tick), float(tick))
    assert MOST_SAMPLES / 2 <= len(recording.samples) <= MOST_SAMPLES
    assert recording.pace_s == PACE_S * 2 ** round((recording.pace_s // PACE_S).bit_length() - 1)
    first, last = recording.samples[0], recording.samples[-1]
    assert first.at_ms == round(T0.timestamp() * 1000)
    assert 40_000 - (last.at_ms / 1000 - T0.timestamp()) <= 2 * recording.pace_s
    gaps = {
        after.at_ms - before.at_ms
        for before, after in zip(recording.samples, recording.samples[1:], strict=False)
    }
    assert max(gaps) <= 2 * recording.pace_s * 1000


@given(st.integers(1, 2000))
def test_thinning_keeps_order_first_and_last(count: int) -> None:
    samples = [SessionSample(number, None, NO_CURRENTS, 0.0, None) for number in range(count)]
    kept = thinned(samples)
    assert kept[0] is samples[0]
    assert kept[-1] is samples[-1]
    assert [each.at_ms for each in kept] == sorted({each.at_ms for each in kept})
    assert len(kept) <= count // 2 + 1


def test_the_end_is_a_sample_with_the_register_that_is_billed() -> None:
    recording = Recording("tx1")
    look(recording, drawing(0.0), 0.0)
    recording.end(stopped("tx1", meter_stop_wh=2000), 1000, 5.0)
    assert recording.samples[-1].energy_wh == 1000.0
    assert (recording.samples[-1].power_w, recording.samples[-1].offered_a) == (0.0, 0.0)
    assert recording.totals.charging_s + recording.totals.suspended_ev_s == 5.0


def test_a_batch_is_what_is_new_and_after_a_failure_the_whole() -> None:
    recording = Recording("t-1")
    look(recording, drawing(0.0), 0.0)
    look(recording, drawing(2.0), 2.0)
    assert [len(recording.take_batch().samples) for _ in range(2)] == [2, 0]
    look(recording, drawing(4.0), 4.0)
    batch = recording.take_batch()
    assert (len(batch.samples), batch.is_whole) == (1, False)
    recording.give_back()
    batch = recording.take_batch()
    assert (len(batch.samples), batch.is_whole) == (3, True)
    assert not recording.take_batch().samples


def test_a_clock_that_is_set_back_stops_no_recording() -> None:
    recording = Recording("t-1")
    look(recording, drawing(0.0), 0.0)
    for tick in range(1, 7):
        look(recording, drawing(tick), float(tick), T0 - timedelta(hours=1) + timedelta(seconds=tick))
    assert len(recording.samples) == 4
