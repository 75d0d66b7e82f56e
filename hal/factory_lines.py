"""The factory's part for what hangs on the host itself: card readers and GPIO lines.

Adds them to the hardware that `hal.factory` has built from the board or the simulation, and wraps its EVSEs, so that a
lost reader or a tripped contact is a fault. Nothing is opened here: ports and lines open in their tasks.
Called by hal.factory only.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hal.bus.byte_stream import ByteStream
from hal.ports import CardReader, FaultCode, Hardware, Output, Sensor

if TYPE_CHECKING:
    from hal.bus.gpio import GpioLine, RequestLine
    from hal.drivers.board_link import BoardLink
    from hal.drivers.guarded_evse import Guards

log = logging.getLogger("hal.reader")

ReaderModel = Literal["rdm6300", "pn532"]
GpioKind = Literal["output", "sensor", "button", "emergency_stop", "door_open", "tilt"]

ON_THE_BOARD = "board:"
"""Begin of the port of a reader that hangs on the I/O board; the name of the board's serial port follows."""
READER_BAUD_RATES: Mapping[str, int] = {"rdm6300": 9600, "pn532": 115_200}
CONTACTS: Mapping[str, FaultCode] = {
    "emergency_stop": FaultCode.EMERGENCY_STOP,
    "door_open": FaultCode.DOOR_OPEN,
    "tilt": FaultCode.TILT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """[[hal.readers]]: one card reader on a serial port of the host or of the board."""

    model: ReaderModel
    port: str
    baud_rate: int | None = None
    evses: Sequence[int] = ()
    """Empty: all."""

    @property
    def board_port(self) -> str | None:
        """Name of the board's serial port; None: on the host."""
        return self.port.removeprefix(ON_THE_BOARD) if self.port.startswith(ON_THE_BOARD) else None

    @property
    def line_baud_rate(self) -> int:
        return self.baud_rate or READER_BAUD_RATES[self.model]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioConfig:
    """[[hal.gpio]]: one GPIO line of the controller."""

    name: str
    kind: GpioKind
    line: str
    """Its name, or its number on the chip."""
    chip: str = "/dev/gpiochip0"
    active_low: bool = False
    bias: Literal["as_is", "none", "pull_up", "pull_down"] = "as_is"
    debounce_ms: int = 20
    evses: Sequence[int] = ()
    """Of a button or a contact; empty: all."""
    id_token: str = ""
    """Of a button: what pressing it presents."""
    token_type: str = "Local"


LineTask = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True, slots=True)
class Attached:
    """Hardware with readers and lines, and what keeps them alive."""

    hardware: Hardware
    tasks: Sequence[LineTask]
    close: Callable[[], Awaitable[None]]


def line_problems(
    readers: Sequence[ReaderConfig],
    gpio: Sequence[GpioConfig],
    evses: int,
    claim: Callable[[str, object, str], None],
    canonical: Callable[[str], str],
) -> Iterator[str]:
    """What is wrong with them by themselves; `claim` hears what each of them wants for itself alone."""
    for index, reader in enumerate(readers, start=1):
        owner = f"reader {index} ({reader.model})"
        claim("port", canonical(reader.port), owner)
        if reader.board_port is not None and not re.fullmatch("[a-z][a-z0-9_]{0,19}", reader.board_port):
            yield f"{owner}: {ON_THE_BOARD} is followed by the name of a serial port of the board, as in board:reader"
        yield from _unknown_evses(owner, reader.evses, evses)
    for line in gpio:
        owner = f"GPIO {line.name}"
        claim(f"on {canonical(line.chip)}, GPIO line", line.line, owner)
        yield from _unknown_evses(owner, line.evses, evses)
        if line.kind in ("output", "sensor"):
            claim(line.kind, line.name, owner)
        if line.kind == "button" and not line.id_token:
            yield f"{owner}: a button needs the id_token that it presents"


def _unknown_evses(owner: str, evse_ids: Sequence[int], evses: int) -> Iterator[str]:
    for evse_id in evse_ids:
        if not 1 <= evse_id <= evses:
            yield f"{owner}: there is no EVSE {evse_id}"


def attach(
    hardware: Hardware,
    readers: Sequence[ReaderConfig],
    gpio: Sequence[GpioConfig],
    link: "BoardLink",
    request_line: "RequestLine | None" = None,
) -> Attached:
    """`link`: to the board, for readers that hang there; `request_line`: gives the lines, instead of the kernel."""
    from hal.drivers.guarded_evse import GuardedEvse, Guards

    guarded = {evse_id: GuardedEvse(ports.evse) for evse_id, ports in hardware.evses.items()}
    guards = Guards(guarded)
    tasks: list[LineTask] = []
    card_readers = [*hardware.readers]
    for config in readers:
        reader, task = _reader(config, guards, link)
        card_readers.append(reader)
        tasks.append(task)
    lines = _GpioLines(guards, request_line)
    for line in gpio:
        lines.add(line)

    async def close() -> None:
        lines.close()
        guards.close()

    return Attached(
        hardware=replace(
            hardware,
            evses={
                evse_id: replace(ports, evse=guarded[evse_id]) for evse_id, ports in hardware.evses.items()
            },
            readers=(*card_readers, *lines.buttons),
            outputs={**hardware.outputs, **lines.outputs},
            sensors={**hardware.sensors, **lines.sensors},
        ),
        tasks=(*tasks, *lines.tasks),
        close=close,
    )


def _reader(config: ReaderConfig, guards: "Guards", link: "BoardLink") -> tuple[CardReader, LineTask]:
    name = f"{config.model} on {config.port}"
    evse_ids = tuple(config.evses)
    said: str | None = None

    def on_health(problem: str | None) -> None:
        nonlocal said
        if problem != said:  # a fault is told with its first reason only
            log.warning("card reader %s: %s", name, problem or "works again")
            said = problem
        if problem is None:
            guards.end_fault(evse_ids, FaultCode.READER_FAILURE, name)
        else:
            guards.raise_fault(evse_ids, FaultCode.READER_FAILURE, name, problem)

    stream = _reader_stream(config, link)
    if config.model == "pn532":
        from hal.drivers.pn532_reader import Pn532Reader

        pn532 = Pn532Reader(stream, evse_ids, on_health)
        return pn532, (name, pn532.run)
    from hal.drivers.rdm6300_reader import Rdm6300Reader

    rdm6300 = Rdm6300Reader(stream, evse_ids, on_health)
    return rdm6300, (name, rdm6300.run)


def _reader_stream(config: ReaderConfig, link: "BoardLink") -> ByteStream:
    if config.board_port is not None:
        from hal.drivers.board_stream import BoardStream

        return BoardStream(link, config.board_port, config.line_baud_rate)
    from hal.bus.serial_port import LineSettings, SerialPort

    return SerialPort(config.port, LineSettings(config.line_baud_rate))


class _GpioLines:
    """Builds what each line is to be."""

    def __init__(self, guards: "Guards", request_line: "RequestLine | None") -> None:
        self._guards = guards
        self._request_line = request_line
        self._lines: list[GpioLine] = []
        self._closes: list[Callable[[], None]] = []
        self.tasks: list[LineTask] = []
        self.outputs: dict[str, Output] = {}
        self.sensors: dict[str, Sensor] = {}
        self.buttons: list[CardReader] = []

    def add(self, config: GpioConfig) -> None:
        from hal.bus.gpio import GpioLine, LinePlan
        from hal.drivers.gpio_ports import FaultContact, GpioButton, GpioOutput, GpioSensor

        is_output = config.kind == "output"
        plan = LinePlan(
            config.chip,
            config.line,
            is_output=is_output,
            active_low=config.active_low,
            bias=config.bias,
            debounce_ms=0 if is_output else config.debounce_ms,
        )
        line = GpioLine(plan, self._request_line)
        self._lines.append(line)
        self.tasks.append((f"GPIO {config.name}", line.run))
        match config.kind:
            case "output":
                output = GpioOutput(config.name, line)
                self._closes.append(output.close)
                self.outputs[config.name] = output
            case "sensor":
                self.sensors[config.name] = GpioSensor(config.name, line)
            case "button":
                self.buttons.append(GpioButton(line, config.id_token, config.token_type, config.evses))
            case "emergency_stop" | "door_open" | "tilt":
                FaultContact(config.name, line, CONTACTS[config.kind], self._guards, config.evses)

    def close(self) -> None:
        for close in self._closes:
            close()
        for line in self._lines:
            line.close()
