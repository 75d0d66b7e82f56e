"""AvailabilityState of connectors, EVSEs and the station."""

import pytest

from agent.charging.occupancy import AvailabilityState as State
from agent.charging.occupancy import connector_state, evse_state, station_state
from agent.charging.snapshot import ActiveFault, EvseSnapshot, SessionState
from tests.helpers import snapshots
from tests.helpers.snapshots import T0, charging, evse, plugged, station

FAULTY = ActiveFault("rcd_dc", T0)
OUT = frozenset({1})


@pytest.mark.req("G01.FR.01", "G01.FR.03", "G01.FR.04", "G01.FR.06", "H03.FR.10", "E02.FR.05")
@pytest.mark.req("TC_E_26_CS", "TC_E_27_CS")
@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (evse(), State.AVAILABLE),
        (evse(session=SessionState.AUTHORIZED), State.AVAILABLE),
        (plugged(), State.OCCUPIED),
        (charging(), State.OCCUPIED),
        (charging(is_plugged=False), State.AVAILABLE),
        (charging(is_plugged=False, is_known=False), State.OCCUPIED),
        (charging(is_plugged=False, faults=(FAULTY,)), State.FAULTED),
        (plugged(session=SessionState.FINISHING), State.OCCUPIED),
        (evse(reserved_connectors=frozenset({1})), State.RESERVED),
        (plugged(reserved_connectors=frozenset({1})), State.RESERVED),
        (evse(inoperative_connectors=OUT, is_operative=False), State.UNAVAILABLE),
        (charging(inoperative_connectors=OUT), State.OCCUPIED),
        (evse(faults=(FAULTY,)), State.FAULTED),
        (charging(faults=(FAULTY,)), State.FAULTED),
        (evse(faults=(ActiveFault("temp_warn", T0, stops_charging=False),)), State.AVAILABLE),
        (plugged(faults=(ActiveFault("cp_diode", T0),)), State.OCCUPIED),
        (evse(is_known=False), State.UNAVAILABLE),
    ],
)
def test_state_of_an_evse_with_one_connector(picture: EvseSnapshot, expected: State) -> None:
    assert connector_state(picture, 1) is expected
    assert evse_state(picture) is expected


@pytest.mark.req("G01.FR.08")
def test_the_other_connectors_of_an_evse_in_use_stay_as_they_are() -> None:
    picture = plugged(connectors=2, connector_id=2)
    assert [connector_state(picture, each) for each in (1, 2)] == [State.AVAILABLE, State.OCCUPIED]
    assert evse_state(picture) is State.OCCUPIED


def test_a_station_is_as_available_as_its_best_evse() -> None:
    assert station_state(station(plugged(1), evse(2))) is State.AVAILABLE
    assert station_state(station(plugged(1), charging(2))) is State.OCCUPIED
    assert station_state(station(plugged(1), evse(2, faults=(FAULTY,)))) is State.OCCUPIED
    assert station_state(station(evse(1, faults=(FAULTY,)))) is State.FAULTED
    assert station_state(snapshots.station(evse(), is_operative=False)) is State.UNAVAILABLE
    assert station_state(snapshots.station(evse(), faults=(FAULTY,))) is State.FAULTED
