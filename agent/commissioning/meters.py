"""The room of the energy meters: does each answer, and do its numbers look like mains?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.charging.fault_advice import words_of
from agent.commissioning.agent_word import AgentWord
from agent.commissioning.findings import Finding, failure, ok, warning
from agent.config import Config
from agent.config_hal import MeterConfig
from hal.errors import HalError
from hal.ports import FaultCode

if TYPE_CHECKING:
    from hal.commissioning import MeterConfig as BenchMeter

USUAL_V = (207.0, 253.0)
"""230 V +-10 %: EN 50160."""
USUAL_HZ = (49.0, 51.0)
IDLE_A = 0.5
"""More than a controller and a contactor draw."""
DEAD_V = 10.0


@dataclass(frozen=True, slots=True)
class MeterSight:
    """One meter that was read, by the agent or here."""

    evse_id: int
    name: str
    serial_number: str | None
    problem: str
    """Why there is no reading; then the rest means nothing."""
    quality: str = "ok"
    energy_wh: float | None = None
    power_w: float | None = None
    voltage_v: Sequence[float | None] = ()
    current_a: Sequence[float | None] = ()
    frequency_hz: float | None = None


async def check_meters(
    config: Config,
    word: AgentWord | None,
    open_bench: Callable[..., Any],
    unusable: frozenset[str] = frozenset(),
) -> list[Finding]:
    """`open_bench` is `hal.commissioning.MeterBench`, used when no agent runs; not on ports that are `unusable`."""
    configured = {meter.evse: meter for meter in config.hal.meters if meter.port != "sim"}
    if word is not None:
        sights = [_told(each) for each in word.report["meters"]]
        charging = {evse["evse_id"] for evse in word.status["evses"] if evse["transaction"] is not None}
    else:
        usable = [meter for meter in configured.values() if meter.port not in unusable]
        sights, charging = await _read(usable, open_bench), set()
    found = [each for sight in sights for each in judge(sight, configured.get(sight.evse_id), charging)]
    return [*found, *_without_meter(config)]


def _told(meter: dict[str, Any]) -> MeterSight:
    reading = meter["reading"] or {}
    return MeterSight(
        evse_id=meter["evse_id"],
        name=meter["name"],
        serial_number=meter["serial_number"],
        problem=meter["problem"],
        quality=reading.get("quality", "ok"),
        energy_wh=reading.get("energy_import_wh"),
        power_w=reading.get("power_w"),
        voltage_v=reading.get("voltage_v", ()),
        current_a=reading.get("current_a", ()),
        frequency_hz=reading.get("frequency_hz"),
    )


def bench_meter(one: MeterConfig) -> "BenchMeter":
    """As `hal.commissioning.MeterBench` takes it."""
    from hal.commissioning import MeterConfig as BenchMeter

    return BenchMeter(
        evse=one.evse,
        model=one.model,
        port=one.port,
        unit=one.unit,
        baud_rate=one.baud_rate,
        parity=one.parity,  # type: ignore[arg-type]
        stop_bits=one.stop_bits,  # type: ignore[arg-type]
    )


async def _read(meters: Sequence[MeterConfig], open_bench: Callable[..., Any]) -> list[MeterSight]:
    bench = open_bench([bench_meter(one) for one in meters])
    sights = []
    try:
        for config, meter in bench.meters:
            try:
                reading = await meter.read()
            except HalError as error:
                sights.append(MeterSight(config.evse, meter.name, None, str(error) or type(error).__name__))
                continue
            sights.append(
                MeterSight(
                    evse_id=config.evse,
                    name=meter.name,
                    serial_number=meter.serial_number,
                    problem="",
                    quality=reading.quality,
                    energy_wh=reading.energy_import_wh,
                    power_w=reading.power_w,
                    voltage_v=reading.voltage_v,
                    current_a=reading.current_a,
                    frequency_hz=reading.frequency_hz,
                )
            )
    finally:
        bench.close()
    return sights


def judge(sight: MeterSight, config: MeterConfig | None, charging: set[int]) -> Iterator[Finding]:
    """`charging`: EVSEs with a transaction; a current there is no surprise."""
    subject = f"meter of EVSE {sight.evse_id}" if sight.evse_id else "main meter"
    if sight.problem:
        yield failure(subject, f"{sight.name}: {sight.problem}", _silence(config))
        return
    number = f" no. {sight.serial_number}" if sight.serial_number else ""
    if sight.quality != "ok" or sight.energy_wh is None:
        what = "no energy register" if sight.energy_wh is None else f"the reading is {sight.quality}"
        yield failure(subject, f"{sight.name}{number}: {what}", words_of(FaultCode.METER_IMPLAUSIBLE).advice)
        return
    odd = [*_voltages(subject, sight), *_rest(subject, sight, charging)]
    yield from odd
    if not odd:
        power = "" if sight.power_w is None else f", {sight.power_w:.0f} W"
        volts = "/".join(f"{each:.0f}" for each in sight.voltage_v if each is not None)
        at = f", {volts} V" if volts else ""
        yield ok(subject, f"{sight.name}{number}: {sight.energy_wh / 1000:.3f} kWh{power}{at}")


def _silence(config: MeterConfig | None) -> str:
    if config is None:
        return words_of(FaultCode.METER_COMM).advice
    line = "".join(
        f", {name} {value}"
        for name, value in (("unit", config.unit), ("baud_rate", config.baud_rate), ("parity", config.parity))
        if value is not None
    )
    return (
        f"swap A and B, check the meter's supply and the termination (120 ohm at both ends); is it a {config.model}"
        f"{line}? Stop the agent and look who is there: evse-agent meter scan {config.port}"
    )


def _voltages(subject: str, sight: MeterSight) -> Iterator[Finding]:
    given = [(f"L{number}", each) for number, each in enumerate(sight.voltage_v, 1) if each is not None]
    if not given:
        return
    dead = [name for name, each in given if each < DEAD_V]
    if len(dead) == len(given):
        advice = "switch on its supply and its voltage inputs; check fuses and the model in [[hal.meters]]"
        yield failure(subject, f"{sight.name}: no voltage on any phase", advice)
        return
    if dead:
        advice = (
            "check the fuse and the terminal of that phase; an installation with one phase may leave it so"
        )
        yield warning(subject, f"{sight.name}: no voltage on {', '.join(dead)}", advice)
    low_v, high_v = USUAL_V
    off = [f"{name} {each:.0f} V" for name, each in given if each >= DEAD_V and not low_v <= each <= high_v]
    if off:
        advice = "measure it with a voltmeter: if that says the same, call the grid's operator; else the model is wrong"
        yield warning(subject, f"{sight.name}: {', '.join(off)}, where 207 to 253 V are usual", advice)


def _rest(subject: str, sight: MeterSight, charging: set[int]) -> Iterator[Finding]:
    low_hz, high_hz = USUAL_HZ
    if sight.frequency_hz is not None and not low_hz <= sight.frequency_hz <= high_hz:
        advice = "is the model in [[hal.meters]] that of its label? Compare the reading with its display"
        yield warning(subject, f"{sight.name}: {sight.frequency_hz:.1f} Hz", advice)
    if sight.evse_id == 0 or sight.evse_id in charging:
        return
    most_a = max((abs(each) for each in sight.current_a if each is not None), default=0.0)
    if most_a > IDLE_A:
        advice = (
            "is it that of another EVSE or of the house? Correct evse in [[hal.meters]]; 0 is the main meter"
        )
        yield warning(subject, f"{sight.name}: {most_a:.1f} A flow, though nobody charges here", advice)
    elif sight.power_w is not None and sight.power_w < -50:
        yield warning(
            subject,
            f"{sight.name}: {sight.power_w:.0f} W",
            "the current runs backwards: turn the transformers round",
        )


def _without_meter(config: Config) -> Iterator[Finding]:
    if config.hal.driver != "board":
        return
    have = {meter.evse for meter in config.hal.meters}
    for evse_id in range(1, config.hal.board.evses + 1):
        if evse_id not in have:
            advice = f"evse-agent meter scan PORT finds one; add [[hal.meters]] with evse = {evse_id}"
            yield warning(f"meter of EVSE {evse_id}", "there is none: its energy cannot be billed", advice)
