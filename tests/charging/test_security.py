"""Which security events are recorded and pushed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import SecurityEventType
from agent.charging.security import DETAIL_LENGTH, MOST_PER_HOUR, REPEAT_AFTER_S, SecurityEvents
from tests.charging.rig import running
from tests.helpers.fake_station import NOW

INVALID_CERTIFICATE = SecurityEventType.INVALID_CSMS_CERTIFICATE
INVALID_MESSAGES = SecurityEventType.INVALID_MESSAGES
STARTUP = SecurityEventType.STARTUP_OF_THE_DEVICE


def event(kind: SecurityEventType, detail: str = "") -> SecurityEventRaised:
    return SecurityEventRaised(NOW, kind, detail)


@pytest.mark.req("R16-354", "R16-356", "A04.FR.01")
def test_the_critical_events_are_those_of_the_table() -> None:
    assert {each.value for each in SecurityEventType if each.is_critical} == {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "MaintenanceLoginAccepted",  # of 2.0.1 only, like the next one
        "MaintenanceLoginFailed",
    }
    assert len(SecurityEventType) == 21


@pytest.mark.req("R16-354", "R16-355")
@pytest.mark.parametrize("kind", list(SecurityEventType))
def test_critical_and_demanded_events_are_pushed_and_all_are_recorded(kind: SecurityEventType) -> None:
    admitted = SecurityEvents().admit(event(kind, "why"), 0.0, may_push=True)
    assert admitted == SecurityEventRaised(NOW, kind, "why", is_pushed=kind.is_pushed)
    assert kind.is_pushed or not kind.is_critical


def test_pushing_can_be_switched_off_and_the_log_goes_on() -> None:
    admitted = SecurityEvents().admit(event(STARTUP), 0.0, may_push=False)
    assert admitted == SecurityEventRaised(NOW, STARTUP, "", is_pushed=False)


def test_the_same_event_is_recorded_once_an_hour_with_the_number_of_those_between() -> None:
    events = SecurityEvents()
    assert events.admit(event(INVALID_CERTIFICATE, "expired"), 0.0, may_push=True)
    for minute in range(1, 60):
        assert events.admit(event(INVALID_CERTIFICATE, "expired"), 60.0 * minute, may_push=True) is None
    again = events.admit(event(INVALID_CERTIFICATE, "expired"), REPEAT_AFTER_S, may_push=True)
    assert again is not None
    assert again.detail == "expired (59 more since)"


def test_another_detail_is_another_event() -> None:
    events = SecurityEvents()
    assert events.admit(event(INVALID_CERTIFICATE, "expired"), 0.0, may_push=True)
    assert events.admit(event(INVALID_CERTIFICATE, "wrong host"), 1.0, may_push=True)


def test_every_start_is_an_event_of_its_own() -> None:
    events = SecurityEvents()
    assert all(events.admit(event(STARTUP), 1.0, may_push=True) for _ in range(100))


@given(
    st.lists(st.tuples(st.floats(0, 30), st.text(max_size=3)), min_size=1, max_size=300),
    st.sampled_from([INVALID_MESSAGES, INVALID_CERTIFICATE]),
)
def test_no_hour_has_more_records_of_one_kind_than_the_limit(
    steps: list[tuple[float, str]], kind: SecurityEventType
) -> None:
    events, time, recorded = SecurityEvents(), 0.0, []
    for step, detail in steps:
        time += step
        admitted = events.admit(event(kind, detail), time, may_push=True)
        if admitted is not None:
            assert len(admitted.detail) <= DETAIL_LENGTH
            recorded.append(time)
    for at in recorded:
        assert len([each for each in recorded if at <= each < at + REPEAT_AFTER_S]) <= MOST_PER_HOUR


@pytest.mark.req("R16-354", "R16-355")
async def test_the_station_records_what_is_admitted_and_tells_its_listeners() -> None:
    async with running() as it:
        for _ in range(3):
            await it.station.report(event(INVALID_CERTIFICATE, "expired"))
        await it.station.report(event(INVALID_MESSAGES, "not JSON"))
        recorded = [fact for fact in it.journal.facts if isinstance(fact, SecurityEventRaised)]
        assert [(each.type, each.is_pushed) for each in recorded] == [
            (INVALID_CERTIFICATE, True),
            (INVALID_MESSAGES, False),
        ]
        assert [fact for fact in it.facts if isinstance(fact, SecurityEventRaised)] == recorded


async def test_the_operator_may_switch_the_pushing_off() -> None:
    async with running(given={"SecurityEventPush": "false"}) as it:
        await it.station.report(event(STARTUP))
        assert it.journal.facts == [SecurityEventRaised(NOW, STARTUP, "", is_pushed=False)]
