"""Availability in layers, as 2.x has it, and the last word, as 1.6 has it; also one after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.availability import STATION, Place, change_of, is_operative
from agent.charging.requests import ChangeAvailability, Verdict
from agent.ocpp.choosing import CONVENTIONS
from tests.charging.rig import Rig, running
from tests.helpers.fake_hardware import fake_hardware

CONNECTORS = {1: 2, 2: 1}
PLACES: list[Place] = [STATION, (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


class Said:
    """What became of some words, one after the other."""

    def __init__(self) -> None:
        self.states: dict[Place, bool] = {}
        self.own: dict[Place, bool] = {}

    def say(self, place: Place, operative: bool, *, layers: bool = True) -> "Said":
        change = change_of(place, operative, CONNECTORS, self.own, has_layers=layers)
        assert change is not None
        assert change.own.keys() <= change.states.keys()
        self.states.update(change.states)
        self.own.update(change.own)
        return self

    @property
    def usable(self) -> set[Place]:
        return {place for place in ((1, 1), (1, 2), (2, 1)) if is_operative(self.states, *place)}


@pytest.mark.req("G03.FR.06", "G03.FR.07", "G04.FR.07", "G04.FR.08")
@pytest.mark.parametrize("parent", [STATION, (1, 0)])
def test_what_was_out_of_service_by_itself_stays_so_when_its_parent_comes_back(parent: Place) -> None:
    said = Said().say((1, 2), False).say(parent, False)
    assert not said.usable & {(1, 1), (1, 2)}
    assert said.say(parent, True).usable == {(1, 1), (2, 1)}


@pytest.mark.req("G03.FR.07")
def test_a_connector_that_is_put_into_service_waits_for_its_evse() -> None:
    said = Said().say((1, 0), False).say((1, 1), True)
    assert said.usable == {(2, 1)}
    assert said.say((1, 0), True).usable == {(1, 1), (1, 2), (2, 1)}


def test_a_station_that_1_6_took_out_of_service_comes_back_whole_with_2x_and_the_other_way_round() -> None:
    assert len(Said().say(STATION, False, layers=False).say(STATION, True).usable) == 3
    said = Said().say((1, 1), False).say(STATION, False)
    assert len(said.say(STATION, True, layers=False).usable) == 3
    assert Said().say(STATION, False, layers=False).say((2, 1), True, layers=False).usable == {(2, 1)}


def test_there_is_no_change_where_there_is_no_place() -> None:
    assert change_of((3, 0), True, CONNECTORS, {}, has_layers=True) is None


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.booleans()), max_size=12))
def test_with_layers_a_place_is_in_service_when_nothing_above_it_is_out(
    words: list[tuple[Place, bool]],
) -> None:
    said, last = Said(), dict.fromkeys(PLACES, True)
    for place, operative in words:
        said.say(place, operative)
        last[place] = operative
    for evse_id, connector_id in ((1, 1), (1, 2), (2, 1)):
        expected = last[STATION] and last[evse_id, 0] and last[evse_id, connector_id]
        assert is_operative(said.states, evse_id, connector_id) is expected


async def order(rig: Rig, place: Place, operative: bool) -> Verdict:
    verdict = (await rig.ask(ChangeAvailability(*place, operative=operative))).verdict
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.req("G03.FR.03", "G03.FR.05", "G03.FR.08", "G04.FR.06", "TC_G_11_CS", "TC_G_17_CS")
async def test_a_layer_waits_for_the_transaction_and_survives_a_restart() -> None:
    async with running(hardware=fake_hardware(evses=2)) as rig:
        rig.station.follow(CONVENTIONS["ocpp2.0.1"])
        await rig.charge()
        assert await order(rig, (1, 1), False) is Verdict.SCHEDULED
        assert await order(rig, STATION, False) is Verdict.SCHEDULED
        assert rig.shown(1).is_operative
        assert not rig.shown(2).is_operative
        await rig.tap()
        rig.evse().unplug()
        await rig.run_for()
        assert not rig.shown(1).is_operative
        assert await order(rig, STATION, True) is Verdict.ACCEPTED
        assert (rig.shown(1).is_operative, rig.shown(2).is_operative) == (False, True)
    async with running(hardware=fake_hardware(evses=2), stores=rig.stores) as rig:
        rig.station.follow(CONVENTIONS["ocpp2.0.1"])
        assert (rig.shown(1).is_operative, rig.shown(2).is_operative) == (False, True)
        assert await order(rig, (1, 1), True) is Verdict.ACCEPTED
        assert rig.shown(1).is_operative
