"""When BootNotification is due."""

import random

import pytest

from agent.ocpp.frontend import Registered, Registration
from agent.ocpp.registration import JITTER, LOCAL_RETRY_S, LONGEST_LOCAL_RETRY_S, BootSchedule


def schedule() -> BootSchedule:
    return BootSchedule(random.Random(1))


def answered(registration: Registration, interval_s: int) -> Registered:
    return Registered(registration, interval_s, None)


@pytest.mark.req("R16-042")
def test_a_station_that_just_booted_is_due_at_once() -> None:
    boots = schedule()
    assert boots.registration is Registration.UNKNOWN
    assert boots.is_due(0.0)


def test_accepted_means_no_further_boot() -> None:
    boots = schedule()
    boots.answered(answered(Registration.ACCEPTED, 300), 100.0)
    assert boots.due_time is None
    assert not boots.is_due(1e9)


@pytest.mark.req("R16-046", "R16-047")
@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
def test_the_interval_of_the_csms_is_the_least_wait(registration: Registration) -> None:
    boots = schedule()
    boots.answered(answered(registration, 20), 100.0)
    assert not boots.is_due(119.9)
    assert boots.is_due(120.0)


@pytest.mark.req("R16-046")
@pytest.mark.parametrize("interval_s", [0, -5])
def test_interval_zero_means_our_own(interval_s: int) -> None:
    boots = schedule()
    boots.answered(answered(Registration.PENDING, interval_s), 100.0)
    assert boots.due_time == 100.0 + LOCAL_RETRY_S


@pytest.mark.req("R16-052")
def test_failures_back_off_with_jitter_up_to_a_bound() -> None:
    boots = schedule()
    waits = []
    for _ in range(8):
        boots.failed(0.0)
        assert boots.due_time is not None
        waits.append(boots.due_time)
    expected = [min(LONGEST_LOCAL_RETRY_S, LOCAL_RETRY_S * 2**number) for number in range(8)]
    assert all(base <= wait <= base * (1 + JITTER) for base, wait in zip(expected, waits, strict=True))
    assert waits != expected


def test_an_answer_ends_the_back_off() -> None:
    boots = schedule()
    for _ in range(5):
        boots.failed(0.0)
    boots.answered(answered(Registration.PENDING, 10), 0.0)
    boots.failed(0.0)
    assert boots.due_time is not None
    assert boots.due_time <= LOCAL_RETRY_S * (1 + JITTER)


def test_a_failed_triggered_boot_leaves_an_accepted_station_accepted() -> None:
    boots = schedule()
    boots.answered(answered(Registration.ACCEPTED, 300), 0.0)
    boots.failed(10.0)
    assert boots.registration is Registration.ACCEPTED
    assert boots.due_time is None


@pytest.mark.req("R16-007")
def test_starting_over_is_a_new_boot() -> None:
    boots = schedule()
    boots.answered(answered(Registration.ACCEPTED, 300), 0.0)
    boots.start_over()
    assert boots.registration is Registration.UNKNOWN
    assert boots.is_due(0.0)
