"""Flat connector numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.v16.connectors import number_of, place_of, places
from tests.helpers.snapshots import evse, station


@pytest.mark.req("R16-040")
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_numbers_have_no_gaps_and_lead_back(connectors: list[int]) -> None:
    picture = station(*[evse(number, connectors=count) for number, count in enumerate(connectors, start=1)])
    known = places(picture)
    assert len(known) == 1 + sum(connectors)
    for number, place in enumerate(known):
        assert number_of(picture, place) == number
        assert place_of(picture, number) == place
    assert place_of(picture, len(known)) is None
    assert place_of(picture, -1) is None


def test_the_main_meter_is_connector_zero_and_an_evse_its_first_connector() -> None:
    picture = station(evse(1, connectors=2), evse(2))
    assert number_of(picture, (0, 1)) == 0
    assert number_of(picture, (2, 0)) == 3
