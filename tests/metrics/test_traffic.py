"""Durations of calls out of what the message journal kept, with labels that stay few."""

from hypothesis import given
from hypothesis import strategies as st

from agent.log import MessageJournal
from agent.metrics.sampler import Sampler
from agent.metrics.traffic import OTHER, Head, Traffic

KNOWN = frozenset({"Reset", "GetConfiguration"})
CALL = '[2,"{0}","{1}",{{}}]'


class Recorder:
    """A journal whose clock the test moves."""

    def __init__(self, capacity: int = 100) -> None:
        self.at = 1000.0
        self.journal = MessageJournal(capacity, lambda: self.at)

    def say(self, direction: str, text: str, after_s: float = 0.0) -> None:
        self.at += after_s
        self.journal.record(direction, text)  # type: ignore[arg-type]

    def traffic(self) -> Traffic:
        found = Traffic(KNOWN.__contains__)
        found.take(
            Head(each.at, each.direction, each.type, each.message_id, each.action)
            for each in self.journal.heads()
        )
        return found


def test_our_call_lasts_until_its_result() -> None:
    recorder = Recorder()
    recorder.say("out", CALL.format("1", "Heartbeat"))
    recorder.say("in", '[3,"1",{}]', 0.2)
    heartbeat = recorder.traffic().calls["Heartbeat"]
    assert (round(heartbeat.total_s, 3), sum(heartbeat.counts)) == (0.2, 1)


def test_calls_of_the_csms_and_ours_may_cross_and_have_the_same_id() -> None:
    recorder = Recorder()
    recorder.say("out", CALL.format("1", "Heartbeat"))
    recorder.say("in", CALL.format("1", "Reset"), 0.1)
    recorder.say("out", '[3,"1",{}]', 0.1)
    recorder.say("in", '[3,"1",{}]', 0.3)
    traffic = recorder.traffic()
    assert round(traffic.requests["Reset"].total_s, 3) == 0.1
    assert round(traffic.calls["Heartbeat"].total_s, 3) == 0.5
    assert traffic.messages == {"in": 2, "out": 2}


def test_errors_and_silence_are_failures_and_no_durations() -> None:
    recorder = Recorder()
    recorder.say("out", CALL.format("1", "Authorize"))
    recorder.say("in", '[4,"1","InternalError","",{}]')
    recorder.say("out", CALL.format("2", "Authorize"))
    recorder.say("out", CALL.format("3", "Heartbeat"), 30.0)
    traffic = recorder.traffic()
    assert traffic.failures == {("Authorize", "error"): 1, ("Authorize", "unanswered"): 1}
    assert not traffic.calls


def test_what_we_do_not_know_is_one_label_however_many_names_it_has() -> None:
    recorder = Recorder(10_000)
    for number in range(1000):
        code = ("NotImplemented", "FormationViolation", "RpcFrameworkError", "SecurityError")[number % 4]
        recorder.say("in", f'[2,"{number}","Nonsense{number}",[]]')
        recorder.say("out", f'[4,"{number}","{code}","",{{}}]')
    recorder.say("in", CALL.format("r", "Reset"))
    recorder.say("out", '[4,"r","FormationViolation","",{}]')
    traffic = recorder.traffic()
    assert set(traffic.requests) == {OTHER, "Reset"}
    assert traffic.refusals == {OTHER: 1000, "Reset": 1}


def test_a_clock_that_is_set_back_makes_no_negative_duration() -> None:
    recorder = Recorder()
    recorder.say("out", CALL.format("1", "Heartbeat"))
    recorder.say("in", '[3,"1",{}]', -3600.0)
    assert recorder.traffic().calls["Heartbeat"].total_s == 0.0


async def test_what_the_journal_forgot_is_counted_and_nothing_is_counted_twice() -> None:
    recorder = Recorder(4)
    sampler = Sampler(recorder.journal, KNOWN.__contains__)
    for number in range(6):
        recorder.say("out", CALL.format(number, "Heartbeat"))
    sampler.asked()
    sampler.asked()
    sampler.close()
    assert (sampler.traffic.missed, sampler.traffic.messages["out"]) == (2, 4)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["in", "out"]),
            st.sampled_from(
                ['[2,"{0}","Heartbeat",{{}}]', '[3,"{0}",{{}}]', '[4,"{0}","X","",{{}}]', "{{", "[]"]
            ),
            st.integers(0, 5),
        ),
        max_size=60,
    )
)
def test_any_conversation_adds_up(messages: list[tuple[str, str, int]]) -> None:
    recorder = Recorder(1000)
    for direction, text, number in messages:
        recorder.say(direction, text.format(number), 0.1)
    traffic = recorder.traffic()
    answered = sum(sum(each.counts) for each in traffic.calls.values()) + sum(traffic.failures.values())
    assert answered <= sum(direction == "out" and text.startswith("[2") for direction, text, _ in messages)
    assert sum(traffic.messages.values()) == len(messages)
