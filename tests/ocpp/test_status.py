"""Which connector status has to be told, and when."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.frontend import ConnectorStatus, Place, StatusNotice
from agent.ocpp.status import StatusReports
from tests.helpers.fake_station import NOW

STATION, FIRST, SECOND = (0, 0), (1, 1), (2, 1)
FREE, TAKEN, BROKEN = ConnectorStatus("free"), ConnectorStatus("taken"), ConnectorStatus("broken")
MIDDLE = ConnectorStatus("middle")


def reports() -> StatusReports:
    return StatusReports(lambda previous, following: None, lambda told, following: 0.0)


def after_boot() -> StatusReports:
    fresh = reports()
    fresh.observe({STATION: FREE, FIRST: FREE, SECOND: FREE}, 0.0, NOW)
    fresh.due(0.0, 0, live=False)
    return fresh


@pytest.mark.req("R16-053")
def test_after_a_boot_every_place_is_told_whatever_the_minimum() -> None:
    fresh = reports()
    fresh.observe({STATION: FREE, FIRST: TAKEN}, 0.0, NOW)
    assert fresh.due(0.0, 600, live=False) == [StatusNotice(0, 0, FREE), StatusNotice(1, 1, TAKEN)]
    assert fresh.due(0.0, 600, live=False) == []


@pytest.mark.req("R16-061", "R16-085")
def test_a_change_is_told_once_with_its_time() -> None:
    known = after_boot()
    known.observe({FIRST: TAKEN}, 5.0, NOW)
    known.observe({FIRST: TAKEN}, 9.0, NOW + timedelta(seconds=4))
    assert known.due(9.0, 0, live=True) == [StatusNotice(1, 1, TAKEN, NOW)]
    assert known.due(9.0, 0, live=True) == []


@pytest.mark.req("R16-084")
def test_changes_are_told_in_their_order() -> None:
    known = after_boot()
    known.observe({SECOND: TAKEN}, 5.0, NOW)
    known.observe({FIRST: TAKEN}, 6.0, NOW)
    assert [(notice.evse_id, notice.connector_id) for notice in known.due(6.0, 0, live=True)] == [
        SECOND,
        FIRST,
    ]


@pytest.mark.req("R16-074")
def test_what_did_not_last_is_not_told() -> None:
    known = after_boot()
    known.observe({FIRST: TAKEN}, 10.0, NOW)
    assert known.due(10.0, 30, live=True) == []
    assert known.next_time(30) == 40.0
    known.observe({FIRST: FREE}, 20.0, NOW)
    assert known.due(100.0, 30, live=True) == []
    assert known.next_time(30) is None


@pytest.mark.req("R16-074")
def test_what_lasted_is_told_when_the_minimum_is_over() -> None:
    known = after_boot()
    known.observe({FIRST: TAKEN}, 10.0, NOW)
    assert known.due(39.9, 30, live=True) == []
    assert known.due(40.0, 30, live=True) == [StatusNotice(1, 1, TAKEN, NOW)]


@pytest.mark.req("R16-075")
def test_the_minimum_of_the_csms_is_added_to_our_own() -> None:
    known = StatusReports(lambda previous, following: None, lambda told, following: 2.0)
    known.observe({FIRST: FREE}, 0.0, NOW)
    known.due(0.0, 0, live=False)
    known.observe({FIRST: TAKEN}, 10.0, NOW)
    assert known.due(11.9, 0, live=True) == [], "a minimum of 0 does not take ours away"
    assert known.due(31.9, 20, live=True) == []
    assert known.next_time(20) == 32.0
    assert known.due(32.0, 20, live=True) == [StatusNotice(1, 1, TAKEN, NOW)]


@pytest.mark.req("R16-083")
def test_after_an_offline_period_only_the_present_state_of_what_changed_is_told_as_of_now() -> None:
    known = after_boot()
    known.observe({FIRST: TAKEN, SECOND: TAKEN}, 10.0, NOW)
    known.observe({FIRST: BROKEN, SECOND: FREE}, 20.0, NOW)
    assert known.due(500.0, 0, live=False) == [StatusNotice(1, 1, BROKEN)]


@pytest.mark.req("R16-063")
def test_a_step_in_between_is_told_live_only() -> None:
    known = StatusReports(lambda previous, following: MIDDLE, lambda told, following: 0.0)
    known.observe({FIRST: FREE}, 0.0, NOW)
    known.due(0.0, 0, live=False)
    known.observe({FIRST: TAKEN}, 1.0, NOW)
    assert known.due(1.0, 0, live=True) == [StatusNotice(1, 1, MIDDLE, NOW), StatusNotice(1, 1, TAKEN, NOW)]
    known.observe({FIRST: FREE}, 2.0, NOW)
    assert known.due(2.0, 0, live=False) == [StatusNotice(1, 1, FREE)]


def test_what_was_triggered_needs_no_report() -> None:
    known = after_boot()
    known.observe({FIRST: TAKEN}, 1.0, NOW)
    known.told(FIRST, TAKEN)
    assert known.due(1.0, 0, live=True) == []


def test_what_never_arrived_is_told_again() -> None:
    known = after_boot()
    known.forget(FIRST)
    assert known.due(1.0, 0, live=False) == [StatusNotice(1, 1, FREE)]
    known.forget_all()
    assert len(known.due(1.0, 0, live=False)) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from([FIRST, SECOND]), st.sampled_from([FREE, TAKEN, BROKEN]), st.floats(0, 50)),
        max_size=30,
    ),
    st.sampled_from([0, 10]),
)
def test_in_the_end_the_csms_knows_what_is(
    changes: list[tuple[Place, ConnectorStatus, float]], minimum_s: int
) -> None:
    known, now = after_boot(), 0.0
    present = {FIRST: FREE, SECOND: FREE}
    last_told = dict(present)
    for place, status, later_s in changes:
        now += later_s
        present[place] = status
        known.observe(present, now, NOW)
        for notice in known.due(now, minimum_s, live=True):
            assert notice.status is not None
            assert notice.status != last_told[notice.evse_id, notice.connector_id]
            last_told[notice.evse_id, notice.connector_id] = notice.status
    for notice in known.due(now + minimum_s, minimum_s, live=True):
        assert notice.status is not None
        last_told[notice.evse_id, notice.connector_id] = notice.status
    assert last_told == present
