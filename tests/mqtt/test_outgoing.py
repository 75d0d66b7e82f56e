"""The queue to the broker: bounded, the latest only, nothing lost that still holds."""

from hypothesis import given
from hypothesis import strategies as st

from agent.mqtt.outgoing import RESULTS_MOST, Outgoing


def drain(outgoing: Outgoing, now: float) -> list[tuple[str, bytes]]:
    found = []
    while (message := outgoing.take(now)) is not None:
        outgoing.confirm(message, now)
        found.append((message.topic, message.payload))
    return found


def test_only_the_latest_of_a_topic_waits() -> None:
    outgoing = Outgoing()
    for number in range(1000):
        outgoing.put("a", b"%d" % number)
    assert outgoing.waiting == 1
    assert drain(outgoing, 0.0) == [("a", b"999")]


def test_what_the_broker_has_is_not_told_again() -> None:
    outgoing = Outgoing()
    outgoing.put("a", b"1")
    assert drain(outgoing, 0.0) == [("a", b"1")]
    outgoing.put("a", b"1")
    assert drain(outgoing, 1.0) == []
    assert outgoing.next_time() is None


def test_a_topic_is_told_no_sooner_than_its_pause() -> None:
    outgoing = Outgoing()
    outgoing.put("meter", b"1", 5.0)
    assert drain(outgoing, 10.0) == [("meter", b"1")]
    outgoing.put("meter", b"2", 5.0)
    assert drain(outgoing, 14.9) == []
    assert outgoing.next_time() == 15.0
    outgoing.put("meter", b"3", 5.0)
    assert drain(outgoing, 15.0) == [("meter", b"3")]


def test_a_change_while_a_message_is_on_its_way_is_told_after_it() -> None:
    outgoing = Outgoing()
    outgoing.put("a", b"1")
    message = outgoing.take(0.0)
    assert message is not None
    outgoing.put("a", b"2")
    outgoing.confirm(message, 0.0)
    assert drain(outgoing, 0.0) == [("a", b"2")]


def test_an_unconfirmed_message_is_told_again() -> None:
    outgoing = Outgoing()
    outgoing.put("a", b"1")
    assert outgoing.take(0.0) == outgoing.take(1.0)


def test_a_new_connection_hears_everything_that_holds_and_nothing_that_is_over() -> None:
    outgoing = Outgoing()
    outgoing.put("a", b"1", 60.0)
    outgoing.put("b", b"2")
    drain(outgoing, 0.0)
    outgoing.tell("result", b"old")
    outgoing.start_over()
    assert sorted(drain(outgoing, 1.0)) == [("a", b"1"), ("b", b"2")]


@given(st.lists(st.sampled_from(["put", "tell", "take", "lose"]), max_size=300))
def test_memory_is_bounded_and_the_broker_ends_up_with_what_is(steps: list[str]) -> None:
    outgoing = Outgoing()
    held: dict[str, bytes] = {}
    wanted: dict[str, bytes] = {}
    for number, step in enumerate(steps):
        topic, payload = f"t{number % 3}", b"%d" % (number % 7)
        if step == "put":
            outgoing.put(topic, payload, float(number % 4))
            wanted[topic] = payload
        elif step == "tell":
            outgoing.tell("result", payload)
        elif step == "lose":
            outgoing.start_over()
            held.clear()
        elif (message := outgoing.take(float(number))) is not None:
            held[message.topic] = message.payload
            outgoing.confirm(message, float(number))
        assert outgoing.waiting <= 3 + RESULTS_MOST
    held |= dict(drain(outgoing, 1e9))
    assert {topic: held[topic] for topic in wanted} == wanted
