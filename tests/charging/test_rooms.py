"""The pure rooms: authorization, metering, transactions, availability, remote control, smart charging."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging import reasons
from agent.charging.authorization import Accept, Ask, Refused, Rules, decide, is_same_driver, judge, status_at
from agent.charging.availability import is_operative, places_of, stop_reason_of, stops_charging
from agent.charging.facts import Sample, TransactionStarted
from agent.charging.ids import (
    AuthorizationStatus,
    ChargingState,
    IdToken,
    IdTokenInfo,
    ReadingContext,
    StopReason,
    TriggerReason,
)
from agent.charging.metering import (
    MeterWatch,
    next_aligned,
    next_sample_time,
    register_sample,
    register_wh,
    thinned,
)
from agent.charging.remote_control import StationState, choose_for_start, choose_for_token, start_obstacle
from agent.charging.session_values import Phase, Session
from agent.charging.smart_charging import offer_of, offered_current_a
from agent.charging.snapshot import SessionState
from agent.charging.transactions import Book
from hal.ports import FAULT_SEVERITY, ContactorState, EvseState, FaultCode, MeterReading, PilotState, Severity

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
VALID = IdTokenInfo(AuthorizationStatus.ACCEPTED)
ALLOWED = StationState(is_resetting=False, is_clock_trusted=True)

# --- authorization ---------------------------------------------------------------------------------------


@pytest.mark.req("R16-094", "R16-095", "R16-096", "R16-097", "R16-105", "R16-089")
def test_decision_table() -> None:
    """Every case of S 3.5 against the rule in words."""
    knowledge = {
        "unknown": None,
        "valid": VALID,
        "blocked": IdTokenInfo(AuthorizationStatus.BLOCKED),
        "lapsed": IdTokenInfo(AuthorizationStatus.ACCEPTED, NOW - timedelta(seconds=1)),
    }
    for (kind, known), online, pre, offline_ok, unknown_ok in product(
        knowledge.items(), (True, False), (True, False), (True, False), (True, False)
    ):
        rules = Rules(pre, offline_ok, unknown_ok)
        decision = decide(None, known, rules, is_online=online, now=NOW)
        if online:
            expected: type = Accept if kind == "valid" and pre else Ask
        elif kind == "unknown":
            expected = Accept if unknown_ok else Refused
        else:
            expected = Accept if kind == "valid" and offline_ok else Refused
        assert type(decision) is expected, (kind, online, rules)


@pytest.mark.req("R16-098")
def test_local_list_beats_the_cache() -> None:
    blocked = IdTokenInfo(AuthorizationStatus.BLOCKED)
    rules = Rules(True, True, True)
    assert isinstance(decide(blocked, VALID, rules, is_online=False, now=NOW), Refused)
    assert decide(VALID, blocked, rules, is_online=False, now=NOW) == Accept(VALID)


@pytest.mark.req("R16-102", "R16-226")
def test_a_token_lapses_at_its_date() -> None:
    known = IdTokenInfo(AuthorizationStatus.ACCEPTED, NOW)
    assert status_at(known, NOW - timedelta(seconds=1)) is AuthorizationStatus.ACCEPTED
    assert status_at(known, NOW) is AuthorizationStatus.EXPIRED
    blocked = IdTokenInfo(AuthorizationStatus.BLOCKED, NOW)
    assert status_at(blocked, NOW) is AuthorizationStatus.BLOCKED


@pytest.mark.req("R16-090")
@pytest.mark.parametrize("status", list(AuthorizationStatus))
def test_only_accepted_may_start(status: AuthorizationStatus) -> None:
    expected = Accept if status is AuthorizationStatus.ACCEPTED else Refused
    assert type(judge(IdTokenInfo(status), NOW)) is expected


@pytest.mark.req("R16-041")
def test_groups() -> None:
    one, two, family = IdToken("ONE"), IdToken("TWO"), IdToken("FAMILY")
    assert is_same_driver(one, None, IdToken("one"), None)
    assert is_same_driver(one, family, two, IdToken("family"))
    assert not is_same_driver(one, None, two, None)
    assert not is_same_driver(one, family, family, None)
    assert not is_same_driver(one, family, two, None)


# --- metering --------------------------------------------------------------------------------------------


@pytest.mark.req("R16-148")
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30), timezones=st.just(UTC)),
    st.integers(1, 86_400),
)
def test_grid_starts_at_midnight_each_day(now: datetime, interval_s: int) -> None:
    due = next_aligned(now, interval_s)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (due - midnight).total_seconds()
    assert now < due <= now + timedelta(seconds=interval_s)
    assert since % interval_s == 0 or since == 86_400


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 100_000))
def test_samples_keep_their_distance_to_the_start(begun: float, elapsed: float, interval_s: int) -> None:
    due = next_sample_time(begun, begun + elapsed, interval_s)
    assert due > begun + elapsed - 1e-3
    assert due - begun - elapsed <= interval_s + 1e-3
    assert abs((due - begun) / interval_s - round((due - begun) / interval_s)) < 1e-6


@pytest.mark.req("R16-166")
@given(st.integers(0, 400), st.integers(2, 50))
def test_thinning_keeps_the_ends_and_the_order(count: int, most: int) -> None:
    samples = [Sample(NOW + timedelta(seconds=n), ReadingContext.SAMPLE_PERIODIC, ()) for n in range(count)]
    kept = thinned(samples, most)
    assert len(kept) <= max(most, 2)
    assert list(kept) == sorted(kept, key=lambda sample: sample.at)
    if count:
        assert (kept[0], kept[-1]) == (samples[0], samples[-1])
    if count <= most:
        assert list(kept) == samples


def test_register_is_rounded_down_and_only_of_good_readings() -> None:
    assert register_wh(MeterReading(0.0, 99.99)) == 99
    assert register_wh(MeterReading(0.0, 99.99, quality="stale")) is None
    assert register_wh(MeterReading(0.0)) is None
    assert register_wh(None) is None


def test_register_alone_when_the_meter_cannot_be_asked() -> None:
    assert register_sample(("Voltage",), 5, NOW, ReadingContext.TRANSACTION_END) is None
    sample = register_sample(
        ("Voltage", "Energy.Active.Import.Register"), 5, NOW, ReadingContext.TRANSACTION_END
    )
    assert sample is not None
    assert sample.values[0].value == 5.0


def test_three_misses_are_a_fault_and_one_reading_ends_it() -> None:
    watch = MeterWatch()
    assert watch.retry_s(is_needed=True) is None
    watch = watch.after(False).after(False)
    assert not watch.is_silent
    assert watch.retry_s(is_needed=True) == 2.0
    watch = watch.after(False)
    assert watch.is_silent
    assert watch.retry_s(is_needed=True) == 15.0
    assert not watch.after(True).is_silent


# --- transactions ----------------------------------------------------------------------------------------


def begun(register: int = 1000) -> Book:
    token = IdToken("TAG")
    return Book.begun(
        TransactionStarted("t", 1, 1, NOW, 0, token, register, TriggerReason.AUTHORIZED, offline=False)
    )


@pytest.mark.req("R16-159")
@given(st.lists(st.one_of(st.none(), st.integers(0, 3000)), max_size=30))
def test_book_never_goes_back_and_counts_without_gaps(registers: list[int | None]) -> None:
    book = begun()
    numbers, seen = [book.started.seq_no], [book.register_wh]
    for register in registers:
        book = book.read(register, NOW)
        sample = Sample(NOW, ReadingContext.SAMPLE_PERIODIC, ())
        fact = book.metered(sample, ChargingState.CHARGING, offline=False)
        if register is not None and register % 3:  # the others did not reach the disk
            book = book.after(fact)
            numbers.append(fact.seq_no)
        seen.append(fact.register_wh)
    stopped = book.stopped(NOW, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, None, False, ())
    numbers.append(stopped.seq_no)
    seen.append(stopped.meter_stop_wh)
    assert numbers == list(range(len(numbers)))
    assert seen == sorted(seen)
    assert seen[0] == 1000


# --- availability ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-185")
def test_station_stands_for_everything() -> None:
    connectors = {1: 1, 2: 2}
    assert places_of((0, 0), connectors) == ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
    assert places_of((2, 0), connectors) == ((2, 0), (2, 1), (2, 2))
    assert places_of((2, 2), connectors) == ((2, 2),)
    for wrong in ((3, 0), (1, 2), (0, 1), (-1, 0), (1, -1)):
        assert places_of(wrong, connectors) is None


@pytest.mark.req("R16-185", "R16-190")
def test_the_last_word_about_a_connector_counts() -> None:
    assert is_operative({}, 1, 1)
    for target in ((0, 0), (1, 0), (1, 1)):
        places = places_of(target, {1: 2, 2: 1})
        assert places is not None
        states = dict.fromkeys(places, False)
        assert not is_operative(states, 1, 1)
        assert is_operative({**states, (1, 1): True}, 1, 1)
    assert is_operative({(2, 1): False, (1, 2): False}, 1, 1)


def test_what_faults_do() -> None:
    for code in FaultCode:
        if code in (FaultCode.METER_COMM, FaultCode.METER_IMPLAUSIBLE):
            continue
        assert stops_charging(code, True) is (FAULT_SEVERITY[code] in (Severity.STOP, Severity.LATCHED))
        assert (stop_reason_of(code) is not None) or FAULT_SEVERITY[code] is not Severity.LATCHED
    assert stops_charging(FaultCode.METER_COMM, True)
    assert not stops_charging(FaultCode.METER_COMM, False)


# --- remote control --------------------------------------------------------------------------------------


def test_obstacles() -> None:
    assert start_obstacle(Session(), ALLOWED) is None
    assert start_obstacle(Session(stage=SessionState.FINISHING, plugged=True), ALLOWED) is None
    assert start_obstacle(Session(), StationState(True, True)) == "resetting"
    assert start_obstacle(Session(), StationState(False, False)) == "no trustworthy time"
    assert start_obstacle(Session(stopping_faults=frozenset({"x"})), ALLOWED) == "faulted"
    assert start_obstacle(Session(operative=False), ALLOWED) == "inoperative"
    for running in (
        Session(stage=SessionState.CHARGING, phase=Phase.OPEN),
        Session(stage=SessionState.FINISHING, phase=Phase.CLOSING),
    ):
        assert start_obstacle(running, ALLOWED) == reasons.RUNS
    for busy in (
        Session(stage=SessionState.FINISHING, lock_held=True),
        Session(stage=SessionState.AUTHORIZED),
        Session(stage=SessionState.AUTHORIZING, checking=IdToken("X")),
    ):
        assert start_obstacle(busy, ALLOWED) == "busy"


@pytest.mark.req("R16-174")
def test_a_cable_that_waits_comes_first() -> None:
    idle, plugged = Session(), Session(stage=SessionState.PLUGGED, plugged=True)
    finishing = Session(stage=SessionState.FINISHING, plugged=True)
    assert choose_for_start({1: idle, 2: plugged, 3: plugged}, ALLOWED) == 2
    assert choose_for_start({1: finishing, 2: idle}, ALLOWED) == 2
    assert choose_for_start({1: finishing}, ALLOWED) == 1
    assert choose_for_start({}, ALLOWED) is None


@pytest.mark.req("R16-091")
def test_a_token_means_the_evse_where_it_is_in_use() -> None:
    tag = IdToken("TAG")
    running = Session(stage=SessionState.CHARGING, phase=Phase.OPEN, id_token=tag, plugged=True)
    plugged = Session(stage=SessionState.PLUGGED, plugged=True)
    assert choose_for_token(tag, {1: plugged, 2: running}, ALLOWED) == 2
    assert choose_for_token(IdToken("OTHER"), {1: running, 2: plugged}, ALLOWED) == 2
    assert choose_for_token(IdToken("OTHER"), {1: running}, ALLOWED) == 1
    faulted = Session(stopping_faults=frozenset({"x"}))
    assert choose_for_token(tag, {1: faulted}, ALLOWED) is None


# --- smart charging --------------------------------------------------------------------------------------


def test_the_least_limit_holds() -> None:
    assert offered_current_a(32.0, None, 16.0) == 16.0
    assert offered_current_a(32.0, -5.0) == 0.0
    assert offered_current_a(None) == 0.0


def test_offer_is_nothing_without_pwm() -> None:
    state = EvseState(0, PilotState.B, 9000, -12000, 26.6, ContactorState.OPEN, None, None, 0.0, None)
    reading = MeterReading(0.0, voltage_v=(230.0, 230.0, 240.0))
    assert offer_of(state, 16.0, 3, reading).power_w == 16.0 * 700.0
    assert offer_of(state, 16.0, 3, MeterReading(0.0)).power_w == 16.0 * 690.0
    idle = EvseState(0, PilotState.B, 9000, 9000, 100.0, ContactorState.OPEN, None, None, 0.0, None)
    assert offer_of(idle, 16.0, 3, reading).current_a == 0.0
