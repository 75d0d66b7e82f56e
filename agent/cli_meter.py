"""`evse-agent meter`: find the energy meters on a line, and read them, before and without a running agent.

For commissioning. Only parses, calls and prints: `hal/commissioning.py`. A port is opened exclusively, so an agent that
uses it has to be stopped. Heavy imports stand inside the commands. docs/hardware.md.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agent.config_hal import BAUD_RATES
from agent.exit_codes import ExitCode

if TYPE_CHECKING:
    from hal.bus.serial_port import LineSettings
    from hal.commissioning import MeterBench
    from hal.drivers.meter_scan import FoundUnit

_baud_option = click.option(
    "--baud-rate", type=click.Choice([str(rate) for rate in BAUD_RATES]), help="Only this speed."
)
_parity_option = click.option(
    "--parity", type=click.Choice(["none", "even", "odd"]), help="Only with this parity."
)
_stop_bits_option = click.option(
    "--stop-bits", type=click.Choice(["1", "2"]), help="Only with so many stop bits."
)


@click.group()
def meter() -> None:
    """Find energy meters on a serial line and read them; no running agent is needed."""


@meter.command()
@click.argument("port")
@click.option("--units", help="Modbus addresses to ask, e.g. 1-10,42 [1-10 and those of new meters].")
@_baud_option
@_parity_option
@_stop_bits_option
def scan(
    port: str, units: str | None, baud_rate: str | None, parity: str | None, stop_bits: str | None
) -> None:
    """Ask every address on PORT with the usual line settings, and say which meters answer."""
    import asyncio

    from hal.commissioning import common_units, lines_to_try
    from hal.commissioning import scan as scan_port
    from hal.errors import HalError

    wanted = common_units() if units is None else parse_units(units)
    lines = lines_to_try(_number(baud_rate), parity, _number(stop_bits))
    is_terminal = sys.stderr.isatty()

    def on_progress(line: "LineSettings", unit: int) -> None:
        if is_terminal:
            click.echo(f"\r{line_text(line)}, unit {unit}   ", nl=False, err=True)

    try:
        found = asyncio.run(scan_port(port, wanted, lines, on_progress))
    except KeyboardInterrupt:
        _fail("stopped")
    except HalError as error:
        _fail(str(error))
    finally:
        if is_terminal:
            click.echo("\r" + " " * 40 + "\r", nl=False, err=True)
    if not found:
        _fail(
            f"no meter answers on {port}: check A and B, the termination, the address and the line settings"
        )
    for text in map(found_text, found):
        click.echo(text)
    snippet = config_text(port, found)
    if snippet:
        click.echo(f"\nFor the configuration file:\n\n{snippet}", nl=False)


@meter.command()
@click.argument("port", required=False)
@click.option("--model", "-m", help="Profile of the meter, as `meter scan` says it, or a .toml file.")
@click.option("--unit", "-u", type=click.IntRange(1, 247), help="Modbus address [of the model].")
@_baud_option
@_parity_option
@_stop_bits_option
@click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read the meters of this configuration file instead.",
)
@click.option(
    "--every", "every_s", type=click.FloatRange(0.2), default=1.0, show_default=True, help="Seconds."
)
@click.option("--times", type=click.IntRange(1), help="So many readings, then end [until Ctrl-C].")
def read(
    port: str | None,
    model: str | None,
    unit: int | None,
    baud_rate: str | None,
    parity: str | None,
    stop_bits: str | None,
    config_path: Path | None,
    every_s: float,
    times: int | None,
) -> None:
    """Show what a meter on PORT measures, or all meters of a configuration file, as a live table."""
    import asyncio

    from hal.commissioning import MeterBench
    from hal.errors import OutOfRange
    from hal.factory import MeterConfig

    if config_path is not None:
        configs = _configured(config_path)
    elif port is None or model is None:
        raise click.UsageError("name a PORT and a --model, or a --config file")
    else:
        configs = [
            MeterConfig(
                evse=1,
                model=model,
                port=port,
                unit=unit,
                baud_rate=_number(baud_rate),
                parity=parity,  # type: ignore[arg-type]
                stop_bits=_number(stop_bits),  # type: ignore[arg-type]
            )
        ]
    try:
        bench = MeterBench(configs)
    except OutOfRange as error:
        _fail(str(error))
    with suppress(KeyboardInterrupt):  # the way to end it
        if not asyncio.run(_show(bench, every_s, times)):
            sys.exit(ExitCode.FAILED)


async def _show(bench: "MeterBench", every_s: float, times: int | None) -> bool:
    """Did every meter answer, the last time?"""
    import asyncio

    from agent.cli_output import table

    shown = 0
    is_terminal = sys.stdout.isatty()
    try:
        while True:
            rows, is_complete = await table_rows(bench)
            if is_terminal and shown:
                click.echo(f"\x1b[{len(rows)}A\x1b[J", nl=False)
            click.echo("\n".join(table(rows)))
            shown += 1
            if shown == times:
                return is_complete
            await asyncio.sleep(every_s)
    finally:
        bench.close()


async def table_rows(bench: "MeterBench") -> tuple[list[list[str]], bool]:
    """The table of one round of readings, and whether every meter answered."""
    from hal.errors import HalError

    rows = [["meter", "unit", "energy", "power", "voltage", "current", "f", "note"]]
    is_complete = True
    for config, one in bench.meters:
        unit = str(config.unit)
        try:
            reading = await one.read()
        except HalError as error:
            rows.append([one.name, unit, "-", "-", "-", "-", "-", str(error)])
            is_complete = False
            continue
        serial_number = f"no. {one.serial_number}" if one.serial_number else ""
        note = serial_number if reading.quality == "ok" else f"{serial_number} {reading.quality}".strip()
        rows.append(
            [
                one.name,
                unit,
                "-" if reading.energy_import_wh is None else f"{reading.energy_import_wh / 1000:.3f} kWh",
                _number_text(reading.power_w, "W", 0),
                _phases_text(reading.voltage_v, "V", 1),
                _phases_text(reading.current_a, "A", 2),
                _number_text(reading.frequency_hz, "Hz", 2),
                note,
            ]
        )
    return rows, is_complete


def parse_units(text: str) -> tuple[int, ...]:
    """The addresses in a text such as 1-3,42. Raises click.BadParameter."""
    units: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise click.BadParameter(
                f"{text!r} is no list of addresses such as 1-10,42", param_hint="--units"
            )
        units.extend(range(int(first), int(last or first) + 1))
    if not units or min(units) < 1 or max(units) > 247:
        raise click.BadParameter("Modbus addresses are 1 to 247", param_hint="--units")
    return tuple(dict.fromkeys(units))


def line_text(line: "LineSettings") -> str:
    return f"{line.baudrate} 8{line.parity}{line.stopbits}"


def found_text(found: "FoundUnit") -> str:
    where = f"unit {found.unit}, {line_text(found.line)}"
    if not found.candidates:
        return f"{where}: answers, but no known meter"
    best = found.candidates[0]
    sure = "" if best.is_certain else " (by its numbers: compare with its label)"
    serial_number = f", no. {best.serial_number}" if best.serial_number else ""
    energy_wh, power_w = best.reading.energy_import_wh, best.reading.power_w
    shown = f"{(energy_wh or 0) / 1000:.3f} kWh, {power_w or 0:.0f} W"
    others = [one.model for one in found.candidates[1:] if not one.is_doubtful]
    or_else = "" if best.is_certain or not others else f"; could be {', '.join(others)}"
    return f"{where}: {best.model}, {best.profile.name}{serial_number}: {shown}{sure}{or_else}"


def config_text(port: str, found: Sequence["FoundUnit"]) -> str:
    """[[hal.meters]] for what was found; what is as from the factory is left out."""
    parities = {"N": "none", "E": "even", "O": "odd"}
    tables = []
    known = [one for one in found if one.candidates]
    for number, one in enumerate(known, start=1):
        profile = one.candidates[0].profile
        lines = [
            "[[hal.meters]]",
            f"evse = {number}",
            f'model = "{one.candidates[0].model}"',
            f'port = "{port}"',
            f"unit = {one.unit}",
        ]
        if one.line.baudrate != profile.line.baudrate:
            lines.append(f"baud_rate = {one.line.baudrate}")
        if one.line.parity != profile.line.parity:
            lines.append(f'parity = "{parities[one.line.parity]}"')
        if one.line.stopbits != profile.line.stopbits:
            lines.append(f"stop_bits = {one.line.stopbits}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _configured(path: Path) -> list[Any]:
    from agent.commissioning.meters import bench_meter
    from agent.config import load
    from agent.errors import ConfigError

    try:
        section = load(path).hal
    except ConfigError as error:
        listed = "\n".join(f"  {problem}" for problem in error.problems)
        _fail(f"{path}:\n{listed}", ExitCode.BAD_CONFIG)
    meters = [one for one in section.meters if one.port != "sim"]
    if not meters:
        _fail(f"{path} has no [[hal.meters]] on a real port")
    return [bench_meter(one) for one in meters]


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _number_text(value: float | None, unit: str, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f} {unit}"


def _phases_text(values: Sequence[float | None], unit: str, digits: int) -> str:
    given = [f"{value:.{digits}f}" for value in values if value is not None]
    return f"{'/'.join(given)} {unit}" if given else "-"


def _fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
