"""Every scenario passes on the simulated board, and each kind of misbehaviour of a board is found by one."""

from collections.abc import Callable

import pytest

import board.app
import board.connector
import board.interlock
import board.pilot
from board import wire
from tests.helpers.board_client import BoardClient
from tests.helpers.board_rigs import SimulatedRig
from tests.rig.player import Missing, Player
from tests.rig.recording import Recorder, Recording
from tests.rig.scenarios import SCENARIOS
from tests.rig.script import Finding, Scenario
from tests.rig.target import Target

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


class Stage:
    """One scenario on one simulated board."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.recording = Recording(1)

    async def play(self, scenario: Scenario) -> list[str]:
        """What failed: "text: measured (limit)"."""
        rig = Target("sim").rig()
        recorder = Recorder(1)
        self.recording = recorder.recording
        try:
            rig.stream = recorder.tap(rig.stream)
            await Player(rig, recorder, self.findings.append).play(scenario)
        finally:
            await rig.stop()
        return [f"{f.text}: {f.measured} ({f.limit})" for f in self.findings if not f.passed]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def capabilities() -> dict[str, object]:
    rig = SimulatedRig()
    client = BoardClient(rig.stream)
    await client.open()
    caps: dict[str, object] = client.hello["caps"]
    await rig.stop()
    return caps


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_every_scenario_passes_on_the_simulated_board(scenario: Scenario, stage: Stage) -> None:
    caps = await capabilities()
    if any(bool(caps.get(name)) != value for name, value in scenario.caps.items()):
        pytest.skip("not for this board")
    assert await stage.play(scenario) == []
    assert stage.findings


def test_names_are_unique_and_the_short_script_is_one_charge() -> None:
    assert len(BY_NAME) == len(SCENARIOS)
    assert {name for name, scenario in BY_NAME.items() if scenario.is_short} == {"charge_16_a"}


async def test_the_findings_carry_the_figures(stage: Stage) -> None:
    await stage.play(BY_NAME["charge_16_a"])
    told = {finding.text.rpartition(": ")[2]: (finding.measured, finding.limit) for finding in stage.findings}
    assert told["offered"] == ("26.66 % = 15.996 A", "26.66 to 26.67 % = 16 A")
    assert told["on the line"][0] == "26.66 %"
    took, limit = told["contactor open"]
    assert limit == "at most 100 ms"
    assert 20 <= int(took.removesuffix(" ms")) <= 100


async def test_what_is_recorded_is_on_the_boards_clock(stage: Stage) -> None:
    await stage.play(BY_NAME["charge_16_a"])
    recording = stage.recording
    times = [status.uptime_ms for status in recording.statuses]
    assert times == sorted(times)
    assert "BC" in "".join(wire.PILOT_NAMES[status.pilot] for status in recording.statuses)
    assert [number for _, number in recording.marks] == [str(n + 1) for n in range(len(recording.marks))]
    assert 16.0 in {value for _, value in recording.permitted}
    assert recording.permitted[-1][1] == 0.0
    closing = next(
        e for e in recording.events if e.kind == wire.EVENT_CONTACTOR and e.a & wire.CONTACTOR_FEEDBACK
    )
    step_3 = next(at_ms for at_ms, number in recording.marks if number == "3")
    assert step_3 <= closing.uptime_ms <= step_3 + 200
    assert any(low_mv == -12000 for _, _, low_mv in recording.plateaus)


# ---- bad boards --------------------------------------------------------------------------------------------


def offer_too_much(limit_da: int) -> int:
    return board.pilot.duty_of(limit_da) + 1 if limit_da >= 60 else wire.DUTY_OFF


async def ignore_the_cable(rig: SimulatedRig, **values: object) -> None: ...


@pytest.mark.parametrize(
    ("scenario", "module", "name", "value", "expected"),
    [
        (
            "pause_ignored",
            board.interlock,
            "FORCED_OPEN_MS",
            5000,
            "contactor open: 5030 ms (6000 to 7000 ms)",
        ),
        (
            "pause_ignored",
            board.interlock,
            "FORCED_OPEN_MS",
            9000,
            "contactor open: 9030 ms (6000 to 7000 ms)",
        ),
        ("unplug_under_load", board.pilot, "_TICKS_TO_OPEN", 10, "electricity's own notes: 1"),
        ("pilot_short", board.pilot, "ODD_MS", 3000, "fault cp_range: 3010 ms (950 to 1300 ms)"),
        ("idle", board.wire, "STATUS_PERIOD_MS", 1500, "STATUS comes by itself: longest pause 1500 ms"),
    ],
    ids=["opened too early", "opened too late", "debounced too long", "fault too late", "silent status"],
)
async def test_a_limit_that_is_missed_is_a_failed_finding(
    scenario: str,
    module: object,
    name: str,
    value: int,
    expected: str,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, value)
    missed = await stage.play(BY_NAME[scenario])
    assert any(expected in line for line in missed), missed


@pytest.mark.parametrize(
    ("scenario", "module", "name", "value", "expected"),
    [
        ("charge_16_a", board.connector, "duty_of", offer_too_much, "offered 26.67 % = 16.002 A instead of"),
        (
            "lease_with_fallback",
            board.interlock.Lease,
            "is_valid",
            lambda *_: True,
            "not seen: lease ran out",
        ),
        ("cable_13_a", SimulatedRig, "set", ignore_the_cable, "offered 53.33 % = 31.998 A instead of"),
    ],
    ids=["a little too much", "a lease without end", "cable not looked at"],
)
async def test_what_never_comes_ends_the_scenario(
    scenario: str,
    module: object,
    name: str,
    value: Callable[..., object],
    expected: str,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, value)
    with pytest.raises(Missing, match=expected):
        await stage.play(BY_NAME[scenario])
    assert not stage.findings[-1].passed


async def test_a_lost_event_is_noticed(stage: Stage) -> None:
    rig = SimulatedRig()
    recorder = Recorder(1)
    rig.stream = recorder.tap(rig.stream)

    def tell(finding: Finding) -> None:
        stage.findings.append(finding)
        recorder.event_seqs.discard(3)

    await Player(rig, recorder, tell).play(BY_NAME["noise_on_the_line"])
    await rig.stop()
    assert [finding.measured[-6:] for finding in stage.findings if not finding.passed] == ["1 lost"]
