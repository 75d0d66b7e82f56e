"""What `evse-agent init` finds by itself: boards, meters and readers on the serial ports, GPIO chips.

Each port is asked once, in the order board, PN532, meters; reading only. What cannot be looked at is told with the
reason. An RDM6300 says nothing before a card lies on it and cannot be found. Called by `agent/cli_init.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commissioning.answers import MeterAnswer, read_port
from agent.version import VERSION
from hal.errors import HalError
from hal.ports import BoardFacts

if TYPE_CHECKING:
    from hal.commissioning import BoardLook, FoundUnit, LineSettings

PARITY_WORDS = {"N": "none", "E": "even", "O": "odd"}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FoundBoard:
    port: str
    facts: BoardFacts


@dataclass(frozen=True, slots=True)
class FoundMeter:
    meter: MeterAnswer
    """With `evse` 0: whose it is nobody has said yet."""
    description: str


@dataclass(slots=True)
class Detected:
    boards: list[FoundBoard] = field(default_factory=list)
    meters: list[FoundMeter] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    """Ports with a PN532."""
    gpio_chips: list[str] = field(default_factory=list)


async def detect(
    more_ports: Sequence[str], tell: Tell, show_progress: Tell, root: Path = Path("/")
) -> Detected:
    """Ask every serial port of this machine, and `more_ports`. `tell` hears each find, `show_progress` what goes on."""
    from hal.commissioning import gpio_chips, obstacle, serial_ports

    detected = Detected(gpio_chips=gpio_chips(root))
    known = serial_ports(root)
    described = {port.name: port.description for port in known}
    wanted = list(dict.fromkeys([*described, *more_ports]))
    if not wanted:
        tell("no serial port here")
    for port in wanted:
        kind = f" ({described[port]})" if described.get(port) else ""
        if "://" in port:
            try:
                read_port(port)
            except ValueError as error:
                tell(f"{port}: not looked at: {error}")
                continue
        problem = obstacle(port, root if port in described else Path("/"))
        if problem is not None:
            tell(f"{port}{kind}: not looked at: {_why_not(problem.kind, problem.detail)}")
            continue
        show_progress(f"{port}{kind} ...")
        try:
            said = await _ask(port, detected, show_progress)
        except HalError as error:
            said = f"cannot be used: {str(error).removeprefix(f'{port}: ')}"
        show_progress("")
        tell(f"{port}{kind}: {said}")
    return detected


def _why_not(kind: str, detail: str) -> str:
    match kind:
        case "busy":
            return f"{detail} uses it; stop that first (the agent: sudo systemctl stop evse-agent)"
        case "forbidden":
            return f"you may not use it ({detail}); try sudo"
        case "console":
            return "the system's console is on it (sudo raspi-config switches it off)"
    return detail


async def _ask(port: str, detected: Detected, show_progress: Tell) -> str:
    """What is on the port, in words; `detected` gets it. Raises HalError."""
    from hal.commissioning import Answer, find_pn532, look_at_board

    look = await look_at_board(port, host_version=VERSION)
    if look.answer is Answer.FIRMWARE and look.facts is not None and look.facts.connectors == 0:
        return f"an I/O board that takes no connector into service: {look.facts.problem or 'it does not say why'}"
    if look.answer is Answer.FIRMWARE and look.facts is not None:
        detected.boards.append(FoundBoard(port, look.facts))
        return board_words(look.facts)
    if look.answer is Answer.INCOMPATIBLE:
        return f"an I/O board whose firmware does not fit ({look.detail}): ./deploy.sh firmware USER@HOST"
    if look.answer is Answer.PROMPT:
        return "a board with MicroPython and without our firmware: ./deploy.sh firmware --new-board USER@HOST"
    if look.is_unasked:  # a bus that never falls quiet would be asked for a quarter of an hour
        what = "GPS, modem, RDM6300 with a card on it, another master?"
        return f"something speaks there by itself ({what}): {look.detail}"
    version = await find_pn532(port)
    if version is not None:
        detected.readers.append(port)
        return f"a card reader PN532, firmware {version}"
    found = await _scan(port, show_progress)
    meters = [_as_meter(port, each) for each in found]
    detected.meters += [meter for meter in meters if meter is not None]
    return _scan_words(look, found, meters)


async def _scan(port: str, show_progress: Tell) -> "list[FoundUnit]":
    from hal.commissioning import common_units, lines_to_try, scan

    units, lines = common_units(), lines_to_try()

    def on_progress(line: "LineSettings", unit: int) -> None:
        settings = f"{line.baudrate} 8{line.parity}{line.stopbits}"
        show_progress(f"{port}: is there a meter at {settings}, address {unit}?")

    return await scan(port, units, lines, on_progress, is_quick=True)


def _as_meter(port: str, found: "FoundUnit") -> FoundMeter | None:
    if not found.candidates:
        return None
    best = found.candidates[0]
    line, factory = found.line, best.profile.line
    number = f", no. {best.serial_number}" if best.serial_number else ""
    sure = "" if best.is_certain else "; compare with its label"
    energy_wh = best.reading.energy_import_wh or 0.0
    return FoundMeter(
        MeterAnswer(
            evse=0,
            model=best.model,
            port=port,
            unit=found.unit,
            baud_rate=line.baudrate if line.baudrate != factory.baudrate else None,
            parity=PARITY_WORDS[line.parity] if line.parity != factory.parity else None,
            stop_bits=line.stopbits if line.stopbits != factory.stopbits else None,
        ),
        f"{best.profile.name}{number}, unit {found.unit} on {port}: {energy_wh / 1000:.3f} kWh{sure}",
    )


def _scan_words(look: "BoardLook", found: "list[FoundUnit]", meters: list[FoundMeter | None]) -> str:
    from hal.commissioning import Answer

    known = [meter.description for meter in meters if meter is not None]
    if known:
        return "; ".join(known)
    if found:
        return "a Modbus device that is no meter we know (docs/hardware.md: add a meter)"
    if look.answer is Answer.NOISE:
        return f"something speaks there that we do not know: {look.detail}"
    return "nobody answers (an RDM6300 card reader only speaks when a card lies on it)"


def board_words(facts: BoardFacts) -> str:
    connectors = f"{facts.connectors} connector{'s' * (facts.connectors > 1)}"
    lock = "with" if facts.has_lock else "without"
    what = f"{connectors} of {facts.max_current_a:g} A, {lock} lock"
    return f"I/O board {facts.hardware}, firmware {facts.firmware}, {what}"
