"""Which call goes next, and what becomes of one that failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.facts import MeterSampled, Sample
from agent.charging.ids import ReadingContext
from agent.errors import CallRejected, CallTimeout
from agent.ocpp.frontend import ConnectorStatus, HeartbeatNotice, Notice, OwnCalls, StatusNotice
from agent.ocpp.outbox import (
    CallQueue,
    GiveUp,
    Order,
    OwnCall,
    Retry,
    RetryRule,
    after_failure,
    busy_pause_s,
    is_peer_busy,
)
from tests.helpers.fake_station import NOW


def own_call(order: Order, notice: Notice | None = None) -> OwnCall:
    return OwnCall(notice or HeartbeatNotice(), order, lambda outcome: None, lambda error: None)


def reading(evse_id: int, context: ReadingContext = ReadingContext.TRIGGER) -> MeterSampled:
    return MeterSampled(evse_id, 1, None, Sample(NOW, context, ()))


@pytest.mark.req("R16-137", "R16-136")
@given(st.permutations(list(Order)))
def test_calls_leave_in_order_of_their_class_whenever_they_came(orders: list[Order]) -> None:
    queue = CallQueue()
    for order in orders:
        queue.add(own_call(order))
    left = [queue.take(OwnCalls.ALL, is_held=False) for _ in orders]
    assert [call.order for call in left if call] == sorted(Order)
    assert queue.take(OwnCalls.ALL, is_held=False) is None


@pytest.mark.req("R16-134", "R16-084")
def test_within_a_class_first_come_is_first_served() -> None:
    queue = CallQueue()
    calls = [own_call(Order.REPORT, StatusNotice(1, connector)) for connector in (1, 2, 3)]
    for call in calls:
        queue.add(call)
    assert [queue.take(OwnCalls.ALL, is_held=False) for _ in calls] == calls


@pytest.mark.req("R16-043", "R16-291")
@pytest.mark.parametrize(
    ("allowed", "passing"),
    [
        (OwnCalls.BOOT_ONLY, [Order.BOOT]),
        (OwnCalls.TRIGGERED, [Order.BOOT, Order.TRIGGERED]),
        (OwnCalls.ALL, list(Order)),
    ],
)
def test_the_registration_says_what_may_go(allowed: OwnCalls, passing: list[Order]) -> None:
    queue = CallQueue()
    for order in Order:
        queue.add(own_call(order))
    left = []
    while (call := queue.take(allowed, is_held=False)) is not None:
        left.append(call.order)
    assert left == passing
    assert len(queue) == len(Order) - len(passing)


def test_while_an_answer_is_due_only_what_it_does_not_depend_on_may_go() -> None:
    queue = CallQueue()
    for order in Order:
        queue.add(own_call(order))
    left = []
    while (call := queue.take(OwnCalls.ALL, is_held=True)) is not None:
        left.append(call.order)
    assert left == [Order.BOOT, Order.TRIGGERED, Order.QUESTION]


@pytest.mark.req("R16-287")
def test_identical_triggers_coalesce_and_a_newer_reading_replaces_the_older() -> None:
    queue = CallQueue()
    first, second = own_call(Order.TRIGGERED, reading(1)), own_call(Order.TRIGGERED, reading(1))
    for call in (first, own_call(Order.TRIGGERED), own_call(Order.TRIGGERED), second):
        queue.add(call)
    queue.add(own_call(Order.TRIGGERED, reading(2)))
    assert len(queue) == 3
    assert queue.take(OwnCalls.ALL, is_held=False) is second


@pytest.mark.req("R16-084", "R16-287")
def test_a_triggered_status_does_not_overtake_older_reports_of_its_place() -> None:
    queue = CallQueue()
    older = own_call(Order.REPORT, StatusNotice(1, 1, ConnectorStatus("Preparing", "NoError")))
    elsewhere = own_call(Order.TRIGGERED, StatusNotice(1, 2))
    triggered, again = (own_call(Order.TRIGGERED, StatusNotice(1, 1)) for _ in range(2))
    for call in (older, triggered, again, elsewhere):
        queue.add(call)
    assert [queue.take(OwnCalls.ALL, is_held=False) for _ in range(4)] == [elsewhere, older, again, None]


def test_reports_never_coalesce() -> None:
    queue = CallQueue()
    queue.add(own_call(Order.REPORT, StatusNotice(1, 1)))
    queue.add(own_call(Order.REPORT, StatusNotice(1, 1)))
    assert len(queue) == 2


def test_a_call_put_back_is_the_next_of_its_class() -> None:
    queue = CallQueue()
    first, second = own_call(Order.TRANSACTION), own_call(Order.TRANSACTION)
    queue.add(first)
    queue.add(second)
    taken = queue.take(OwnCalls.ALL, is_held=False)
    assert taken is first
    queue.put_back(first)
    assert queue.take(OwnCalls.ALL, is_held=False) is first


def test_clearing_returns_what_was_dropped() -> None:
    queue = CallQueue()
    call = own_call(Order.REPORT)
    queue.add(call)
    assert queue.clear() == [call]
    assert len(queue) == 0


@pytest.mark.req("R16-139", "R16-140", "R16-141", "FIELD-60")
def test_three_attempts_sixty_seconds_apart_and_growing() -> None:
    rule = RetryRule(attempts=3, interval_s=60)
    assert [after_failure(sent, rule) for sent in (1, 2, 3)] == [Retry(60.0), Retry(120.0), GiveUp()]


@pytest.mark.req("R16-145")
@given(st.integers(max_value=1))
def test_one_attempt_or_less_means_one(attempts: int) -> None:
    assert after_failure(1, RetryRule(attempts, 60)) == GiveUp()


@given(st.integers(1, 50), st.integers(1, 50), st.integers(-5, 3600))
def test_the_wait_is_never_negative_and_attempts_are_bounded(
    sent: int, attempts: int, interval_s: int
) -> None:
    match after_failure(sent, RetryRule(attempts, interval_s)):
        case Retry(after_s):
            assert after_s >= 0
            assert sent < attempts
        case GiveUp():
            assert sent >= attempts


def test_only_errors_about_the_conversation_mean_a_busy_peer() -> None:
    assert is_peer_busy(CallRejected("RpcFrameworkError", "Call already in progress"))
    assert is_peer_busy(CallRejected("GenericError", "call ALREADY IN PROGRESS"))
    assert not is_peer_busy(CallRejected("InternalError", "database"))
    assert not is_peer_busy(CallTimeout("no answer"))


def test_the_pause_for_a_busy_peer_doubles_up_to_a_minute() -> None:
    assert [busy_pause_s(times) for times in (1, 2, 3, 7, 100)] == [1.0, 2.0, 4.0, 60.0, 60.0]
