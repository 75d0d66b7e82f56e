"""Merging the tables of rooms."""

import pytest
from msgspec import Struct

from agent.ocpp.frontend import Reply, Route, View, merged, routed


class Nothing(Struct):
    pass


def answer(_request: Nothing, _view: View) -> Reply:
    return Reply(Nothing())


def test_tables_are_merged() -> None:
    assert merged([{"a": 1}, {"b": 2}, {}]) == {"a": 1, "b": 2}


def test_the_same_action_in_two_rooms_is_refused() -> None:
    first, second = routed(Route("Reset", Nothing, answer)), routed(Route("Reset", Nothing, answer))
    with pytest.raises(ValueError, match="Reset"):
        merged([first, second])


def test_the_same_action_twice_in_a_room_is_refused() -> None:
    with pytest.raises(ValueError, match="Reset"):
        routed(Route("Reset", Nothing, answer), Route("Reset", Nothing, answer))
