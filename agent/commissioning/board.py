"""The room of the I/O board: does it answer, with the right firmware, and how does each EVSE stand?

The same picture comes from the running agent, or from a look at the board itself (HELLO and STATUS only).
Figures: docs/board.md; the generator's +-12 V +-0.6 V is [mem] there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.charging.fault_advice import stops_charging, words_of
from agent.commissioning.agent_word import AgentWord
from agent.commissioning.findings import Finding, failure, ok, warning
from agent.config import Config
from agent.version import VERSION
from hal.errors import HalError
from hal.ports import BoardFacts, FaultCode

if TYPE_CHECKING:
    from hal.commissioning import BoardLook

SUBJECT = "board"
UNPLUGGED_MV = (11_400, 12_600)
"""Pilot in state A: +12 V +-0.6 V."""
TEMPERATURE_C = (-35.0, 95.0)
"""Beyond that it is the sensor."""
HOT_C = 70.0
LEAKAGE_A = 0.003
"""Half of what the sensor trips at."""
FLASH = "flash the firmware of this release: ./deploy.sh firmware USER@HOST"
WIRING = (
    "check the board's supply, its USB cable (one with data wires) or RX and TX (crossed), and the port in the"
    " configuration"
)
OF_OTHERS = frozenset({FaultCode.METER_COMM, FaultCode.METER_IMPLAUSIBLE, FaultCode.READER_FAILURE})
"""Faults that the rooms of meters and readers speak of."""


@dataclass(frozen=True, slots=True)
class EvseSight:
    """One EVSE as the board measures it."""

    evse_id: int
    is_linked: bool
    pilot: str
    high_mv: int
    contactor: str
    residual_a: float
    temperature_c: float | None
    faults: tuple[tuple[str, str], ...]
    """Code and detail."""
    is_charging: bool = False
    is_untested: bool = False
    """The residual current self-test is still due."""


@dataclass(frozen=True, slots=True)
class BoardSight:
    facts: BoardFacts | None
    evses: Sequence[EvseSight]


async def check_board(
    config: Config, word: AgentWord | None, look: Callable[..., Any], unusable: frozenset[str] = frozenset()
) -> list[Finding]:
    """`look` is `hal.commissioning.look_at_board`; not called while an agent runs, nor for simulated hardware.

    `unusable`: ports that the room of the ports has complained of already."""
    if word is not None:
        return list(judge(sight_of_agent(word), config))
    if config.hal.driver == "sim":
        return [ok(SUBJECT, f"simulated, {config.hal.sim.evses} EVSE: it exists while the agent runs")]
    port = config.hal.board.port
    if port in unusable:
        return []
    try:
        found = await look(port, config.hal.board.baud_rate, VERSION)
    except HalError as error:
        return [failure(SUBJECT, str(error), WIRING)]
    problem = _unusable(found, port)
    if problem is not None:
        return [problem]
    return [*_link(found), *judge(sight_of_look(found, config.hal.board.evses), config)]


def sight_of_agent(word: AgentWord) -> BoardSight:
    charging = {evse["evse_id"]: evse["transaction"] is not None for evse in word.status["evses"]}
    facts = word.report["board"]
    return BoardSight(
        facts=None if facts is None else BoardFacts(**facts),
        evses=[
            EvseSight(
                evse_id=evse["evse_id"],
                is_linked=evse["board_link"],
                pilot=evse["pilot"],
                high_mv=evse["pilot_high_mv"],
                contactor=evse["contactor"],
                residual_a=evse["residual_current_a"],
                temperature_c=evse["temperature_c"],
                faults=tuple((fault["code"], fault["detail"]) for fault in evse["faults"]),
                is_charging=charging.get(evse["evse_id"], False),
            )
            for evse in word.report["evses"]
        ],
    )


def sight_of_look(found: "BoardLook", evses: int) -> BoardSight:
    return BoardSight(
        facts=found.facts,
        evses=[
            EvseSight(
                evse_id=number,
                is_linked=True,
                pilot=state.pilot,
                high_mv=state.pilot_high_mv,
                contactor=state.contactor,
                residual_a=state.residual_current_a,
                temperature_c=state.temperature_c,
                faults=tuple((code, "") for code in sorted(state.faults)),
                is_untested=number in found.untested,
            )
            for number, state in found.states.items()
            if number <= evses
        ],
    )


def _unusable(found: "BoardLook", port: str) -> Finding | None:
    from hal.commissioning import Answer

    match found.answer:
        case Answer.FIRMWARE:
            return None
        case Answer.INCOMPATIBLE:
            return failure(SUBJECT, f"its firmware does not fit: {found.detail}", FLASH)
        case Answer.PROMPT:
            advice = "flash it: ./deploy.sh firmware --new-board USER@HOST, with nothing plugged in"
            return failure(SUBJECT, f"MicroPython answers on {port}, but our firmware does not run", advice)
        case Answer.NOISE:
            advice = "is it another device, or another speed? Compare hal.board.port and baud_rate; " + WIRING
            return failure(SUBJECT, f"something else answers on {port}: {found.detail}", advice)
        case Answer.SILENCE:
            return failure(SUBJECT, f"nobody answers on {port}", WIRING)


def _link(found: "BoardLook") -> Iterator[Finding]:
    if found.pings_lost or found.bad_lines:
        advice = (
            "shorten the cable, keep it away from the power wires, connect the grounds; use a shielded one"
        )
        lost = f"{found.pings_lost} of 20 questions were lost, damaged lines: {found.bad_lines}"
        yield warning(SUBJECT, f"the link is bad: {lost}", advice)
    missing = found.facts.connectors - len(found.states) if found.facts is not None else 0
    if missing > 0:
        yield failure(SUBJECT, f"{missing} of its connectors say nothing of themselves", FLASH)


def judge(sight: BoardSight, config: Config) -> Iterator[Finding]:
    """Everything about a board that answers, or that the agent has lost."""
    from hal.commissioning import packaged_firmware

    if sight.facts is None:
        words = words_of(FaultCode.BOARD_COMM)
        yield failure(SUBJECT, words.meaning, WIRING)
        return
    yield from _facts(sight.facts, config, packaged_firmware())
    for evse in sight.evses:
        yield from _evse(evse)


def _facts(facts: BoardFacts, config: Config, packaged: str) -> Iterator[Finding]:
    is_real = config.hal.driver == "board"
    said = (
        f"{facts.hardware}, firmware {facts.firmware}, {facts.connectors} connector{'s' * (facts.connectors > 1)}"
        f" of {facts.max_current_a:g} A, {'with' if facts.has_lock else 'without'} lock"
    )
    if is_real and facts.firmware != packaged:
        yield warning(SUBJECT, f"{said}; this release brings firmware {packaged}", FLASH)
    else:
        yield ok(SUBJECT, said)
    if facts.problem:
        advice = "correct the pin map for this circuit (docs/board-bring-up.md), and flash it again"
        yield failure(SUBJECT, f"it takes none of its connectors into service: {facts.problem}", advice)
    elif is_real and facts.connectors < config.hal.board.evses:
        advice = f"set hal.board.evses = {facts.connectors}, or connect the other board"
        yield failure(
            SUBJECT, f"{config.hal.board.evses} EVSEs are configured, it has {facts.connectors}", advice
        )
    if facts.reset_cause == "wdt":
        advice = "check its 5 V supply under load; if it comes again, save the log: evse-agent diagnostics all.tar.gz"
        yield warning(
            SUBJECT, "its watchdog has restarted it: the firmware hung, or the supply dipped", advice
        )


def _evse(evse: EvseSight) -> Iterator[Finding]:
    subject = f"EVSE {evse.evse_id}"
    found = [*_faults(subject, evse), *_measurements(subject, evse)]
    yield from found
    if not found:
        warm = "" if evse.temperature_c is None else f", {evse.temperature_c:.0f} °C"
        at = f"pilot {evse.pilot} at {evse.high_mv / 1000:+.1f} V"
        yield ok(subject, f"{at}, contactor {evse.contactor}{warm}, no fault")


def _faults(subject: str, evse: EvseSight) -> Iterator[Finding]:
    for code, detail in evse.faults:
        if code in OF_OTHERS:
            continue
        words = words_of(code)
        say = failure if stops_charging(code) else warning
        yield say(subject, f"{code}: {words.meaning}" + (f" ({detail})" if detail else ""), words.advice)


def _measurements(subject: str, evse: EvseSight) -> Iterator[Finding]:
    if not evse.is_linked:
        if not any(
            code in (FaultCode.BOARD_COMM, FaultCode.FIRMWARE_INCOMPATIBLE) for code, _ in evse.faults
        ):
            yield failure(subject, "the board says nothing of it", WIRING)
        return
    codes = {code for code, _ in evse.faults}
    low_mv, high_mv = UNPLUGGED_MV
    if evse.pilot == "A" and not low_mv <= evse.high_mv <= high_mv:
        advice = "measure +12 V at the socket's CP contact; adjust the CP amplifier's supply, or the pin map's divider"
        at = f"{evse.high_mv / 1000:+.2f} V, where +12 V ± 0.6 V are due"
        yield warning(subject, f"the pilot stands at {at} with nothing plugged in", advice)
    is_open_due = evse.pilot in ("A", "B") and not evse.is_charging
    if is_open_due and evse.contactor != "open" and FaultCode.CONTACTOR_WELDED not in codes:
        words = words_of(FaultCode.CONTACTOR_WELDED)
        yield failure(
            subject, f"the contactor reports {evse.contactor} in pilot state {evse.pilot}", words.advice
        )
    has_tripped = bool(codes & {FaultCode.RCD_DC, FaultCode.RCD_AC, FaultCode.RCD_SELF_TEST})
    if evse.residual_a > LEAKAGE_A and not has_tripped:
        advice = "look for moisture and damaged insulation behind the RCD; with nothing connected: the sensor's zero"
        yield warning(subject, f"{evse.residual_a * 1000:.1f} mA of residual current flow", advice)
    yield from _temperature(subject, evse, codes)
    if evse.is_untested and not has_tripped:
        advice = "unplug the car: the test runs in state A; then run this command again"
        yield warning(subject, "the residual current sensor has not passed its self-test yet", advice)


def _temperature(subject: str, evse: EvseSight, codes: set[str]) -> Iterator[Finding]:
    if evse.temperature_c is None:
        return
    low_c, high_c = TEMPERATURE_C
    if not low_c <= evse.temperature_c <= high_c:
        advice = "check the sensor's wires: open and short circuits read like this"
        yield warning(subject, f"the temperature sensor says {evse.temperature_c:.0f} °C", advice)
    elif evse.temperature_c >= HOT_C and not codes & {FaultCode.TEMP_WARN, FaultCode.TEMP_STOP}:
        yield warning(subject, f"{evse.temperature_c:.0f} °C inside", words_of(FaultCode.TEMP_WARN).advice)
