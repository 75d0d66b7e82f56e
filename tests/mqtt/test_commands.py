"""Whatever comes on a command topic is a command of the configured list, or a reason; never a crash."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mqtt.commands import Command, Enable, LimitCurrent, NoCommand, RunAction, StopCharging, parse
from agent.mqtt.topics import Topics, level_of, object_id_of

TOPICS = Topics("evse-agent", "CP001")
ALL = frozenset({"enable", "current_limit", "stop", "cable.unlock", "output.set"})
EVSE = "evse-agent/CP001/evse/1/command/"


def read(
    topic: str, payload: str | bytes, *, retained: bool = False, allowed: frozenset[str] = ALL
) -> Command | NoCommand | None:
    octets = payload.encode() if isinstance(payload, str) else payload
    return parse(TOPICS, topic, octets, is_retained=retained, allowed=allowed, evse_ids={1, 2})


@pytest.mark.parametrize(
    ("topic", "payload", "command"),
    [
        (EVSE + "enable", "ON", Enable(1, True)),
        (EVSE + "enable", " off ", Enable(1, False)),
        ("evse-agent/CP001/command/enable", "true", Enable(0, True)),
        ("evse-agent/CP001/evse/2/command/enable", "0", Enable(2, False)),
        (EVSE + "current_limit", "16", LimitCurrent(1, 16.0)),
        (EVSE + "current_limit", "10.5", LimitCurrent(1, 10.5)),
        (EVSE + "current_limit", "0", LimitCurrent(1, 0.0)),
        (EVSE + "current_limit", "none", LimitCurrent(1, None)),
        (EVSE + "current_limit", "", LimitCurrent(1, None)),
        (
            EVSE + "current_limit",
            '{"current_a": 12, "duration_s": 60}',
            LimitCurrent(1, 12.0, 60),
        ),
        (EVSE + "current_limit", '{"current_a": null}', LimitCurrent(1, None)),
        ("evse-agent/CP001/command/current_limit", "32", LimitCurrent(0, 32.0)),
        (EVSE + "stop", "PRESS", StopCharging(1)),
        (EVSE + "stop", "", StopCharging(1)),
        (EVSE + "cable.unlock", "PRESS", RunAction(1, "cable.unlock", {"evse_id": 1})),
        (
            "evse-agent/CP001/command/output.set",
            '{"output": "fan", "on": true}',
            RunAction(0, "output.set", {"output": "fan", "on": True}),
        ),
    ],
)
def test_what_is_understood(topic: str, payload: str, command: Command) -> None:
    assert read(topic, payload) == command


@pytest.mark.parametrize(
    ("topic", "payload", "outcome", "word"),
    [
        (EVSE + "enable", "maybe", "bad_payload", "ON or OFF"),
        (EVSE + "enable", "", "bad_payload", "ON or OFF"),
        (EVSE + "enable", b"\xff\xfe", "bad_payload", "UTF-8"),
        (EVSE + "enable", b"x" * 5000, "bad_payload", "4096"),
        (EVSE + "current_limit", "-1", "bad_payload", "must be a number"),
        (EVSE + "current_limit", "1e9", "bad_payload", "must be a number"),
        (EVSE + "current_limit", "NaN", "bad_payload", "must be a number"),
        (EVSE + "current_limit", "٣", "bad_payload", "must be a number"),
        (EVSE + "current_limit", "5000", "bad_payload", "current_a"),
        (EVSE + "current_limit", '{"current_a": -1}', "bad_payload", "current_a"),
        (EVSE + "current_limit", '{"current_a": true}', "bad_payload", "current_a"),
        (EVSE + "current_limit", '{"current_a": "16"}', "bad_payload", "current_a"),
        (EVSE + "current_limit", '{"limit": 16}', "bad_payload", "limit: unknown field"),
        (EVSE + "current_limit", "{}", "bad_payload", "current_a: is missing"),
        (EVSE + "current_limit", '{"current_a": 6, "duration_s": 0}', "bad_payload", "duration_s"),
        (EVSE + "current_limit", '{"current_a": 6, "duration_s": 1.5}', "bad_payload", "duration_s"),
        (EVSE + "current_limit", '{"current_a": 6, "duration_s": 99999999}', "bad_payload", "duration_s"),
        ("evse-agent/CP001/command/stop", "", "bad_payload", "EVSE"),
        (EVSE + "stop", "now", "bad_payload", "PRESS"),
        (EVSE + "cable.unlock", "[1]", "bad_payload", "JSON object"),
        (EVSE + "cable.unlock", '{"evse_id": 2}', "bad_payload", "evse_id"),
        ("evse-agent/CP001/evse/9/command/enable", "ON", "unknown_evse", "EVSE 9"),
        (EVSE + "board.reboot", "", "forbidden", "mqtt.commands"),
        (EVSE + "%0Aevil", "", "forbidden", "?evil"),
    ],
)
def test_what_is_not_is_said_with_its_reason(
    topic: str, payload: str | bytes, outcome: str, word: str
) -> None:
    found = read(topic, payload)
    assert isinstance(found, NoCommand)
    assert (found.outcome, word in found.reason or word in found.name) == (outcome, True), found


def test_a_retained_command_may_be_from_any_time_and_is_refused() -> None:
    found = read(EVSE + "enable", "OFF", retained=True)
    assert isinstance(found, NoCommand)
    assert found.outcome == "stale"


def test_nothing_is_allowed_that_is_not_named() -> None:
    for name in ALL:
        found = read(EVSE + name, "ON", allowed=frozenset())
        assert isinstance(found, NoCommand)
        assert found.outcome == "forbidden"


@pytest.mark.parametrize(
    "topic",
    [
        "evse-agent/CP002/command/enable",
        "evse-agent/CP001/evse/01/command/enable",
        "evse-agent/CP001/evse/0/command/enable",
        "evse-agent/CP001/evse/x/command/enable",
        "evse-agent/CP001/evse/1/state",
        "evse-agent/CP001/command/enable/more",
        "homeassistant/status",
        "",
    ],
)
def test_other_topics_are_none_of_ours(topic: str) -> None:
    assert read(topic, "ON") is None


anything = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "current_a": st.none() | st.floats() | st.integers() | st.text(max_size=3),
        "duration_s": st.none() | st.integers() | st.floats(),
    },
).map(lambda value: json.dumps(value).encode())


@given(
    st.sampled_from([EVSE, "evse-agent/CP001/command/"]),
    st.sampled_from(sorted(ALL)) | st.text(max_size=20),
    anything | limits,
    st.booleans(),
)
def test_no_payload_is_a_crash_and_every_command_is_in_bounds(
    place: str, name: str, payload: bytes, retained: bool
) -> None:
    found = read(place + level_of(name), payload, retained=retained)
    match found:
        case NoCommand(reason=reason):
            assert reason
        case LimitCurrent(_, current_a, duration_s):
            assert not retained
            assert current_a is None or 0 <= current_a <= 1000
            assert duration_s is None or 1 <= duration_s <= 7 * 86_400
        case RunAction(evse_id, action, parameters):
            assert action in ALL
            assert evse_id == 0 or parameters["evse_id"] == evse_id
        case Enable() | StopCharging():
            assert not retained
        case None:
            pytest.fail(f"{place}{name} is a topic of a command")


@given(st.text(max_size=40), st.sampled_from([0, 1, 9999]), st.text(min_size=1, max_size=20))
def test_every_identity_is_one_level_and_every_command_finds_its_way_back(
    identity: str, evse_id: int, name: str
) -> None:
    topics = Topics("a/b", identity)
    topic = topics.command(name, evse_id)
    assert topics.parse_command(topic) == (evse_id, name)
    assert topic.count("/") == 3 + topics.prefix.count("/") + (2 if evse_id else 0) - 0
    assert not set("+#\0") & set(topic)
    assert topic.isascii()


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_identities_are_two_devices(one: str, other: str) -> None:
    assert (object_id_of(one) == object_id_of(other)) is (one == other)
