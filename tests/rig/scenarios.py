"""The scripted EV: every scenario that the rig plays, as data. Limits come from `iec.py`, words from `script.py`.

Each begins with the car unplugged and no fault, and leaves the board so. To add one: write its steps here and run
`python -m tests.rig --board sim --only its_name`; docs/rig.md has the list.
"""

from tests.rig import iec
from tests.rig.script import (
    Answers,
    Ask,
    Cable,
    CallAgain,
    Car,
    Closes,
    FallSilent,
    Faults,
    Forbid,
    HangUp,
    Holds,
    Lease,
    Locks,
    NoFaults,
    Noise,
    NothingLost,
    Offers,
    OffersNothing,
    Opens,
    Permit,
    Pulse,
    Put,
    Reports,
    Scenario,
    Sees,
    SelfTest,
    SelfTestPasses,
    Step,
    Wait,
)

FORCED = Opens(iec.FORCED_OPEN_MS[1], iec.FORCED_OPEN_MS[0], since="no_offer")
FAULT_GONE_MS = 8000
"""A fault that is not latched goes 5 s after its cause (docs/board.md)."""
FAST_MS = 500
"""For what the firmware does within a few ticks; relays of a test box and the host's way to it included."""


def _plugged(limit_a: float) -> tuple[Step, ...]:
    return (
        Step(f"the host permits {limit_a:g} A", Permit(limit_a), (Holds(closed=False, seconds=0.5),)),
        Step("the car is plugged in", Car("B"), (Sees("B"), Offers(limit_a), Locks(True))),
    )


def _charging(limit_a: float = 16) -> tuple[Step, ...]:
    return (*_plugged(limit_a), Step("the car closes S2", Car("C"), (Closes(iec.CLOSE_MS), Sees("C"))))


UNPLUGGED = (Step("the car is unplugged", Car("A"), (Sees("A"), OffersNothing(), Locks(False), NoFaults())),)
FINISHED = (Step("the car opens S2", Car("B"), (Opens(iec.OPEN_MS), Sees("B"))), *UNPLUGGED)
RECOVERS = NoFaults(FAULT_GONE_MS)


def _charge(limit_a: float) -> Scenario:
    return Scenario(
        f"charge_{limit_a:g}_a",
        f"A, B, C, B, A with {limit_a:g} A",
        (*_charging(limit_a), Step("a while later", None, (Holds(closed=True),)), *FINISHED),
        is_short=limit_a == 16,
    )


def _cable(rating_a: int) -> Scenario:
    return Scenario(
        f"cable_{rating_a}_a",
        f"A cable for {rating_a} A limits the offer",
        (
            Step(f"a cable of {rating_a} A", Put("cable", rating_a)),
            Step("the host permits 80 A", Permit(80)),
            Step("the car is plugged in", Car("B"), (Cable(rating_a), Offers(rating_a))),
            *UNPLUGGED,
            Step("the usual cable again", Put("cable", 32)),
        ),
        needs=frozenset({"car", "cable"}),
        caps={"lock": True},
    )


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "idle",
        "An idle board",
        (
            Step("nothing is plugged in", None, (Sees("A"), Reports(iec.STATUS_MS, 3.2), Answers())),
            Step("permission alone closes nothing", Permit(32), (Holds(closed=False), NoFaults())),
            Step(
                "the self-test of the residual current sensor", SelfTest(), (SelfTestPasses(iec.RCD_TEST_MS),)
            ),
            Step("the host falls silent", FallSilent(1000), (Lease(False, 950, 1300),)),
            Step("the host is back", Permit(16), (Lease(True), NothingLost())),
        ),
        needs=frozenset(),
        caps={"rcd_test": True},
    ),
    *(_charge(limit_a) for limit_a in (6, 10, 16, 32)),
    Scenario(
        "limit_change",
        "The limit changes while charging",
        (
            *_charging(16),
            *(
                Step(
                    f"the host says {limit_a} A",
                    Permit(limit_a),
                    (Offers(limit_a, iec.CHANGE_MS), Holds(closed=True, seconds=1)),
                )
                for limit_a in (10, 6, 13, 16)
            ),
            *FINISHED,
        ),
    ),
    Scenario(
        "pause_and_resume",
        "Pause by the host (X1), and on again",
        (
            *_charging(16),
            Step("the host pauses", Forbid(), (OffersNothing(), Holds(closed=True, seconds=0.5))),
            Step("the car opens S2 in time", Car("B"), (Opens(iec.OPEN_MS), NoFaults(), Locks(False))),
            Step("the host permits again", Permit(16), (Offers(16), Locks(True))),
            Step("the car closes S2", Car("C"), (Closes(iec.CLOSE_MS),)),
            *FINISHED,
        ),
        needs=frozenset({"car", "quick"}),
    ),
    Scenario(
        "pause_ignored",
        "The car ignores the pause: opened under load",
        (
            *_charging(16),
            Step("the host pauses, the car stays in C", Forbid(), (OffersNothing(), FORCED)),
            Step("and then", None, (Holds(closed=False), NoFaults())),
            *UNPLUGGED,
        ),
    ),
    Scenario(
        "unplug_under_load",
        "The plug is torn out under load",
        (
            *_charging(32),
            Step("torn out", Car("A"), (Opens(iec.OPEN_MS), Sees("A"), OffersNothing(), NoFaults())),
        ),
    ),
    Scenario(
        "ventilation_missing",
        "The car wants ventilation and there is none",
        (
            *_charging(16),
            Step(
                "state D",
                Car("D"),
                (Opens(iec.OPEN_MS), Faults("vent_unavailable", FAST_MS), OffersNothing()),
            ),
            Step("the car is unplugged", Car("A"), (RECOVERS, Sees("A"))),
        ),
        needs=frozenset({"car", "D"}),
        caps={"vent": False},
    ),
    Scenario(
        "ventilation",
        "The car wants ventilation and gets it",
        (
            *_plugged(16),
            Step("state D", Car("D"), (Closes(iec.CLOSE_MS), Sees("D"), Holds(closed=True))),
            *FINISHED,
        ),
        needs=frozenset({"car", "D"}),
        caps={"vent": True},
    ),
    Scenario(
        "pilot_short",
        "Pilot shorted to earth while charging (E)",
        (
            *_charging(16),
            Step(
                "short circuit",
                Car("E"),
                (
                    Opens(iec.OPEN_MS),
                    Faults("cp_range", iec.ODD_PILOT_MS + 300, iec.ODD_PILOT_MS - 50, "pilot"),
                ),
            ),
            Step("the car is unplugged", Car("A"), (RECOVERS, Sees("A"))),
        ),
        needs=frozenset({"car", "E"}),
    ),
    Scenario(
        "diode_missing",
        "A car without diode is not charged",
        (
            Step("the diode is bridged", Put("diode", False)),
            Step("the host permits 16 A", Permit(16)),
            Step(
                "the car is plugged in",
                Car("B"),
                (Faults("cp_diode", FAST_MS, since="pilot"), OffersNothing()),
            ),
            Step("the car closes S2 all the same", Car("C"), (Holds(closed=False),)),
            Step("the car is unplugged", Car("A"), (RECOVERS,)),
            Step("the diode is back", Put("diode", True), (NoFaults(),)),
        ),
        needs=frozenset({"car", "diode"}),
    ),
    Scenario(
        "diode_lost",
        "The diode fails while charging",
        (
            *_charging(16),
            Step(
                "the diode is bridged",
                Put("diode", False),
                (Opens(FAST_MS, since="do"), Faults("cp_diode", FAST_MS)),
            ),
            Step("the car is unplugged", Car("A"), (RECOVERS,)),
            Step("the diode is back", Put("diode", True), (NoFaults(),)),
        ),
        needs=frozenset({"car", "diode"}),
    ),
    *(_cable(rating_a) for rating_a in iec.CABLES_A),
    Scenario(
        "cable_unknown",
        "A cable without coding is not charged",
        (
            Step("no coding", Put("cable", 0)),
            Step("the host permits 16 A", Permit(16)),
            Step("the car is plugged in", Car("B"), (Faults("pp_range", 2000), OffersNothing())),
            Step("the car closes S2 all the same", Car("C"), (Holds(closed=False),)),
            Step("the car is unplugged", Car("A"), (RECOVERS,)),
            Step("the usual cable again", Put("cable", 32), (NoFaults(),)),
        ),
        needs=frozenset({"car", "cable"}),
        caps={"lock": True},
    ),
    Scenario(
        "lease_with_fallback",
        "The host falls silent: charging goes on with the fallback",
        (
            *_plugged(16),
            Step("the host adds a fallback of 8 A", Permit(16, fallback_a=8)),
            Step("the car closes S2", Car("C"), (Closes(iec.CLOSE_MS),)),
            Step(
                "the host falls silent",
                FallSilent(2000),
                (Lease(False, 1950, 2300), Offers(8), Holds(closed=True)),
            ),
            Step("the host is back", Permit(16), (Lease(True), Offers(16), Holds(closed=True, seconds=0.5))),
            *FINISHED,
        ),
    ),
    Scenario(
        "lease_without_fallback",
        "The host falls silent: the contactor opens",
        (
            *_charging(16),
            Step(
                "the host falls silent", FallSilent(2000), (Lease(False, 1950, 2300), OffersNothing(), FORCED)
            ),
            Step(
                "the host is back, the car still in C",
                Permit(16),
                (Lease(True), Offers(16), Closes(iec.CLOSE_MS, "do")),
            ),
            *FINISHED,
        ),
    ),
    Scenario(
        "residual_current",
        "Residual current while charging",
        (
            *_charging(16),
            Step("a leak", Put("leak", 1), (Opens(iec.RCD_TRIP_MS, since="do"), Faults("rcd_dc", FAST_MS))),
            Step("the leak is gone", Put("leak", 0), (Holds(closed=False, seconds=1),)),
            Step(
                "the car is unplugged: self-test, then free again", Car("A"), (SelfTestPasses(6000), RECOVERS)
            ),
        ),
        needs=frozenset({"car", "leak"}),
        caps={"rcd_test": True},
    ),
    Scenario(
        "over_current",
        "The car draws half as much again as it may",
        (
            *_charging(16),
            Step("it draws what it may", None, (Holds(closed=True, seconds=2),)),
            Step(
                "it draws 24 A",
                Put("overdraw", True),
                (
                    Faults("over_current", iec.OVER_CURRENT_MS[1], iec.OVER_CURRENT_MS[0]),
                    Opens(iec.OVER_CURRENT_MS[1] + iec.OPEN_MS, iec.OVER_CURRENT_MS[0], since="do"),
                    OffersNothing(),
                ),
            ),
            Step("the car is unplugged", Car("A"), (RECOVERS, Sees("A"))),
            Step("it draws what it may", Put("overdraw", False)),
        ),
        needs=frozenset({"car", "overdraw"}),
    ),
    Scenario(
        "wake_up",
        "A sleeping car is woken in two steps",
        (
            *_plugged(16),
            Step("too early", Ask("wake_up", "not_allowed")),
            Step("the car sleeps", Wait(iec.WAKE_AFTER_S + 1), (Holds(closed=False, seconds=0.5),)),
            Step("first pulse", Ask("wake_up", "ok"), (Pulse(iec.WAKE_PULSE_MS, 100), Offers(16))),
            Step("the car sleeps on", Wait(iec.WAKE_AFTER_S + 1)),
            Step("second pulse", Ask("wake_up", "ok"), (Pulse(iec.WAKE_PULSE_MS, 100), Offers(16))),
            Step("now it wakes", Car("C"), (Closes(iec.CLOSE_MS),)),
            *FINISHED,
        ),
        caps={"wake": True},
        is_slow=True,
    ),
    Scenario(
        "host_reconnects",
        "The host goes and comes back while charging",
        (
            *_charging(16),
            Step("the line is closed for 2 s", HangUp(2, 8000)),
            Step("the host is back", CallAgain(), (Offers(16), Holds(closed=True), NothingLost())),
            *FINISHED,
        ),
    ),
    Scenario(
        "noise_on_the_line",
        "Noise on the line while charging",
        (
            *_charging(16),
            Step(
                "4 kB of noise",
                Noise(4000),
                (Answers(5), Offers(16), Holds(closed=True), NoFaults(), NothingLost()),
            ),
            *FINISHED,
        ),
    ),
)
