"""Wrong passwords: guessing gets slow, the owner is never locked out for ever."""

import pytest

from agent.web.attempts import (
    ADDRESSES_MOST,
    ALL_PER_MINUTE,
    FORGOTTEN_AFTER_S,
    FREE_FAILURES,
    LONGEST_PAUSE_S,
    LoginAttempts,
    origin_of,
)

GUESSER, OWNER = "192.0.2.7", "192.0.2.8"


def test_a_few_mistakes_cost_nothing_then_pauses_grow_to_a_limit() -> None:
    attempts = LoginAttempts()
    time, pauses = 0.0, []
    for _ in range(FREE_FAILURES + 20):
        attempts.failed(GUESSER, time)
        pauses.append(attempts.wait_s(GUESSER, time))
        time += pauses[-1]
    assert pauses[: FREE_FAILURES - 1] == [0.0] * (FREE_FAILURES - 1)
    assert pauses[FREE_FAILURES - 1 : FREE_FAILURES + 2] == [2.0, 4.0, 8.0]
    assert max(pauses) == LONGEST_PAUSE_S
    assert attempts.wait_s(OWNER, time) == 0, "others are not held up by one"


def test_guessing_for_a_day_is_few_guesses() -> None:
    attempts, time, guesses = LoginAttempts(), 0.0, 0
    while time < 86_400:
        attempts.failed(GUESSER, time)
        guesses += 1
        time += max(0.01, attempts.wait_s(GUESSER, time))
    assert guesses < 400


def test_asking_during_a_pause_does_not_extend_it() -> None:
    attempts = LoginAttempts()
    for _ in range(FREE_FAILURES):
        attempts.failed(GUESSER, 0)
    assert attempts.wait_s(GUESSER, 1) == 1
    assert attempts.wait_s(GUESSER, 2) == 0


def test_success_and_time_forgive() -> None:
    attempts = LoginAttempts()
    for _ in range(FREE_FAILURES):
        attempts.failed(OWNER, 0)
    attempts.succeeded(OWNER)
    assert attempts.wait_s(OWNER, 0) == 0
    for _ in range(FREE_FAILURES):
        attempts.failed(GUESSER, 0)
    attempts.failed(GUESSER, FORGOTTEN_AFTER_S + 1)
    assert attempts.wait_s(GUESSER, FORGOTTEN_AFTER_S + 1) == 0


def test_many_addresses_together_are_held_up_but_not_who_logged_in_before() -> None:
    attempts = LoginAttempts()
    attempts.succeeded(OWNER)
    for number in range(ALL_PER_MINUTE):
        attempts.failed(f"198.51.100.{number}", 0)
    assert attempts.wait_s("203.0.113.1", 1) == 59
    assert attempts.wait_s("203.0.113.1", 60) == 0
    assert attempts.wait_s(OWNER, 1) == 0
    assert attempts.wait_s("127.0.0.1", 1) == 0


def test_a_flood_of_addresses_takes_no_memory() -> None:
    attempts = LoginAttempts()
    for number in range(ADDRESSES_MOST * 2):
        attempts.failed(f"10.0.{number // 250}.{number % 250}", number)
        attempts.succeeded(f"10.1.{number // 250}.{number % 250}")
    assert len(attempts._failures) == len(attempts._known) == ADDRESSES_MOST
    assert len(attempts._recent) <= ALL_PER_MINUTE + 1


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("", "loopback"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_whom_an_address_is_counted_as(address: str, origin: str) -> None:
    assert origin_of(address) == origin
