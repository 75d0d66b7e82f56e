"""[hal] configuration -> drivers: the only place that knows which class stands behind a port.

Every port, unit address, relay and EVSE's meter is claimed once; `problems` names both owners when two want the
same. Nothing is opened here but the simulation: links open in their tasks, meters at their first reading, and
only the modules of what is configured are imported. Called by agent.app; the file's keys: docs/hardware.md.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from hal.bus.byte_stream import ByteStream
from hal.drivers.board_evse import (
    BoardEvse,
    BoardIndicator,
    BoardLock,
    BoardOutput,
    BoardSensor,
    IoBoard,
)
from hal.drivers.board_link import BoardLink
from hal.drivers.screen import Screen
from hal.errors import OutOfRange
from hal.factory_lines import GpioConfig as GpioConfig
from hal.factory_lines import ReaderConfig as ReaderConfig
from hal.factory_lines import attach, line_problems
from hal.ports import CardReader, EnergyMeter, EvsePorts, Hardware, MeterReading, MeterSigner

if TYPE_CHECKING:
    from hal.bus.gpio import RequestLine
    from hal.bus.modbus import ModbusBus
    from hal.bus.register_map import MeterProfile
    from hal.bus.serial_port import LineSettings
    from hal.sim.card_readers import TapPlayer
    from hal.sim.firmware import SimulatedBoard
    from hal.sim.world import World

SIMULATED_PORT = "sim"
"""A meter's port that is played by the simulation, through real Modbus frames."""

PARITIES: Mapping[str, Literal["N", "E", "O"]] = {"none": "N", "even": "E", "odd": "O"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """[hal.sim]"""

    evses: int = 1
    connectors_per_evse: int = 1
    has_lock: bool = True
    """False: a fixed cable."""
    phases: int = 3
    max_current_a: float = 32.0
    can_switch_phases: bool = False
    """There is a relay between one and three phases."""
    meter_start_wh: float = 0.0
    meter_resets_on_plug_in: bool = False
    outputs: Sequence[str] = ("fan",)
    signs_readings: bool = False
    """The meters sign their readings, as certified ones do."""
    has_screen: bool = True
    """Each EVSE has a display for its driver."""
    memory_file: str = ""
    """Where cars and meters are remembered over a restart; empty: a new world each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardConfig:
    """[hal.board]: what the board can do it says itself; the file may only restrict."""

    port: str = ""
    pcb: str = "reference"
    """Which circuit it is: a file of board/pins. Only `deploy.sh` needs it."""
    baud_rate: int = 115_200
    evses: int = 1
    connectors_per_evse: int = 1
    has_lock: bool = True
    """False: the lock is not used, even if the board has one."""
    max_current_a: float = 80.0
    outputs: Mapping[str, int] = field(default_factory=dict)
    """Name -> number of the board's auxiliary relay, from 0."""
    sensors: Sequence[str] = ()
    """Names of the board's sensors that the agent shall know."""
    has_screen: bool = False
    """Each EVSE has a display, driven by another program that asks the local API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig:
    """[[hal.meters]]: one Modbus RTU meter. What is None is as the meter comes from the factory."""

    evse: int
    """0 = the station's main meter."""
    model: str
    """A profile of hal/drivers/meters, or the path of a .toml file."""
    port: str
    unit: int | None = None
    baud_rate: int | None = None
    parity: Literal["none", "even", "odd"] | None = None
    stop_bits: Literal[1, 2] | None = None
    signs_readings: bool = False
    public_key: str = ""
    """Of a meter that signs: as printed on it, if it is to be known before the first record."""
    evse_name: str = ""
    """What the signed record calls the EVSE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalConfig:
    """The whole of [hal]."""

    driver: Literal["sim", "board"] = "sim"
    sim: SimConfig = SimConfig()
    board: BoardConfig = BoardConfig()
    meters: Sequence[MeterConfig] = ()
    readers: Sequence[ReaderConfig] = ()
    gpio: Sequence[GpioConfig] = ()
    host_version: str = "0"
    """Told to the board in HELLO."""

    @property
    def evses(self) -> int:
        return self.sim.evses if self.driver == "sim" else self.board.evses


HalTask = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True, slots=True)
class OpenedHardware:
    """Hardware and what keeps it alive.

    The caller runs every task until the end, then awaits `close` (permissions are taken back and confirmed), then
    cancels the tasks. Cancelling first is safe, too: the link sends its last setpoint while it goes down."""

    hardware: Hardware
    tasks: Sequence[HalTask]
    close: Callable[[], Awaitable[None]]
    simulation: "World | None" = None
    simulated_board: "SimulatedBoard | None" = None


def problems(config: HalConfig) -> list[str]:
    """What is wrong with a configuration: unknown models, and everything that two owners want."""
    found: list[str] = []
    claims: dict[tuple[str, object], str] = {}

    def claim(kind: str, what: object, owner: str) -> None:
        first = claims.setdefault((kind, what), owner)
        if first != owner:
            found.append(f"{kind} {what} is wanted by {first} and by {owner}")

    if config.driver == "board":
        if not config.board.port:
            found.append("the board needs a port")
        if config.board.pcb not in (known := pin_maps()):
            found.append(f"the board's pcb {config.board.pcb!r} is none of {', '.join(known)}")
        claim("port", _canonical(config.board.port), "the board")
        for name, number in config.board.outputs.items():
            claim("board relay", number, f"output {name}")
    lines: dict[str, tuple[LineSettings, str]] = {}
    for index, meter in enumerate(config.meters, start=1):
        owner = f"meter {index} ({meter.model})"
        if not 0 <= meter.evse <= config.evses:
            found.append(f"{owner}: there is no EVSE {meter.evse}")
        if meter.port == SIMULATED_PORT and config.driver != "sim":
            found.append(f"{owner}: port {SIMULATED_PORT!r} needs the sim driver")
        try:
            profile = _profile(meter)
        except OutOfRange as error:
            found.append(f"{owner}: {error}")
            continue
        port = _canonical(meter.port)
        unit = _unit(meter, profile)
        if not 1 <= unit <= 247:
            found.append(f"{owner}: unit {unit} is not in 1..247")
        if claims.get(("port", port)) == "the board":
            found.append(f"port {port} is wanted by the board and by {owner}")
        claim(
            "the meter's place of EVSE" if meter.evse else "the place of the main meter, EVSE",
            meter.evse,
            owner,
        )
        claim(f"on port {port}, unit", unit, owner)
        found.extend(_signing_problems(meter, profile, owner))
        settings, first = lines.setdefault(port, (_line_settings(meter, profile), owner))
        if settings != _line_settings(meter, profile):
            found.append(f"port {port}: {first} and {owner} want different line settings")
    for name in config.sim.outputs if config.driver == "sim" else config.board.outputs:
        claim("output", name, "the board")
    for name in config.board.sensors if config.driver == "board" else ():
        claim("sensor", name, "the board")
    for reader_port in {_canonical(reader.port) for reader in config.readers} & lines.keys():
        found.append(f"port {reader_port} is wanted by {lines[reader_port][1]} and by a reader")
    found.extend(line_problems(config.readers, config.gpio, config.evses, claim, _canonical))
    return found


def _signing_problems(meter: MeterConfig, profile: "MeterProfile", owner: str) -> list[str]:
    if not meter.signs_readings:
        return []
    if profile.signing is None:
        return [f"{owner}: this model does not sign readings"]
    if meter.evse == 0:
        return [f"{owner}: only the meter of an EVSE signs readings"]
    if meter.port == SIMULATED_PORT:
        return [f"{owner}: a simulated meter signs with hal.sim.signs_readings"]
    return []


def open_hardware(
    config: HalConfig, loop: asyncio.AbstractEventLoop, request_line: "RequestLine | None" = None
) -> OpenedHardware:
    """Build every driver. `request_line` gives GPIO lines instead of the kernel, for tests and rigs.

    Raises OutOfRange with all `problems`, one a line."""
    found = problems(config)
    if found:
        raise OutOfRange("\n".join(found))
    opened, link = _open_simulation(config, loop) if config.driver == "sim" else _open_board(config, loop)
    if not config.readers and not config.gpio:
        return opened
    attached = attach(opened.hardware, config.readers, config.gpio, link, request_line)

    async def close() -> None:
        await attached.close()
        await opened.close()

    return replace(opened, hardware=attached.hardware, tasks=(*opened.tasks, *attached.tasks), close=close)


def _open_simulation(config: HalConfig, loop: asyncio.AbstractEventLoop) -> tuple[OpenedHardware, BoardLink]:
    from hal.sim.firmware import SimulatedBoard
    from hal.sim.meter import SimulatedMeter
    from hal.sim.reader import SimulatedReader
    from hal.sim.world import World

    sim = config.sim
    try:
        world = World(
            evses=sim.evses,
            connectors_per_evse=sim.connectors_per_evse,
            has_lock=sim.has_lock,
            phases=sim.phases,
            meter_start_wh=sim.meter_start_wh,
            meter_resets_on_plug_in=sim.meter_resets_on_plug_in,
            loop=loop,
        )
    except ValueError as error:
        raise OutOfRange(f"[hal.sim] {error}") from error
    memory = None
    if sim.memory_file:
        from hal.sim.memory import WorldMemory

        memory = WorldMemory(world, Path(sim.memory_file))
        memory.recall()
    board = SimulatedBoard(
        world,
        outputs=tuple(sim.outputs),
        max_current_a=sim.max_current_a,
        limits={"can_switch_phases": int(sim.can_switch_phases)},
        serial_ports={
            reader.board_port: reader.line_baud_rate for reader in config.readers if reader.board_port
        },
    )
    players = _tap_players(config, world, board)
    link = BoardLink(board.line, config.host_version)
    meters: dict[int, EnergyMeter] = {0: SimulatedMeter(world.main_meter_reading, "SIM-0")}
    for evse_id, evse in world.evses.items():
        meters[evse_id] = SimulatedMeter(evse.meter_reading, f"SIM-{evse_id}")
    buses, on_modbus, signers = _open_meters(config, world)
    meters.update(on_modbus)
    if sim.signs_readings:
        signers = _simulated_signers(world) | signers
    built = BoardConfig(
        evses=sim.evses,
        connectors_per_evse=sim.connectors_per_evse,
        has_lock=sim.has_lock,
        max_current_a=sim.max_current_a,
        outputs={name: number for number, name in enumerate(sim.outputs)},
        sensors=tuple(board.sensors),
        has_screen=sim.has_screen,
    )

    async def close() -> None:
        await link.shut_down()
        _close_all(buses)
        if memory is not None:
            memory.close()
        for player in players:
            player.close()
        board.close()
        world.close()

    opened = OpenedHardware(
        hardware=_ports(built, link, meters, (SimulatedReader(world, players),), loop, signers),
        tasks=(("board link", link.run),),
        close=close,
        simulation=world,
        simulated_board=board,
    )
    return opened, link


def _tap_players(config: HalConfig, world: "World", board: "SimulatedBoard") -> "list[TapPlayer]":
    """A played reader on each serial port of the simulated board that a reader is configured for."""
    from hal.sim.card_readers import PlayedPn532, PlayedRdm6300, TapPlayer

    players = []
    for reader in config.readers:
        if reader.board_port is not None:
            port = board.serial[reader.board_port]
            played = PlayedPn532(port) if reader.model == "pn532" else PlayedRdm6300(port)
            players.append(TapPlayer(world, played, reader.evses))
    return players


def _simulated_signers(world: "World") -> dict[int, MeterSigner]:
    from hal.sim.signing import SimulatedSigner

    return {
        evse_id: SimulatedSigner(evse.meter_reading, f"SIM-{evse_id}")
        for evse_id, evse in world.evses.items()
    }


def _open_board(config: HalConfig, loop: asyncio.AbstractEventLoop) -> tuple[OpenedHardware, BoardLink]:
    from hal.bus.serial_port import LineSettings, SerialPort

    stream = SerialPort(config.board.port, LineSettings(config.board.baud_rate))
    link = BoardLink(stream, config.host_version)
    buses, meters, signers = _open_meters(config, None)

    async def close() -> None:
        await link.shut_down()
        _close_all(buses)
        stream.close()

    opened = OpenedHardware(
        hardware=_ports(config.board, link, meters, (), loop, signers),
        tasks=(("board link", link.run),),
        close=close,
    )
    return opened, link


def _ports(
    config: BoardConfig,
    link: BoardLink,
    meters: Mapping[int, EnergyMeter],
    readers: Sequence[CardReader],
    loop: asyncio.AbstractEventLoop,
    signers: Mapping[int, MeterSigner] = MappingProxyType({}),
) -> Hardware:
    board = IoBoard(link)
    evses = {
        evse_id: EvsePorts(
            evse=BoardEvse(link, evse_id, config.max_current_a, loop.time()),
            connectors=config.connectors_per_evse,
            meter=meters.get(evse_id),
            lock=BoardLock(link, evse_id) if config.has_lock else None,
            indicator=BoardIndicator(link, evse_id),
            signer=signers.get(evse_id),
            display=Screen() if config.has_screen else None,
        )
        for evse_id in range(1, config.evses + 1)
    }
    return Hardware(
        evses=evses,
        main_meter=meters.get(0),
        outputs={name: BoardOutput(link, name, number) for name, number in config.outputs.items()},
        sensors={name: BoardSensor(board, name) for name in config.sensors},
        readers=readers,
        board=board,
    )


# ---- meters


def _open_meters(
    config: HalConfig, world: "World | None"
) -> "tuple[list[ModbusBus], dict[int, EnergyMeter], dict[int, MeterSigner]]":
    """Buses; meters and signers by EVSE id."""
    if not config.meters:
        return [], {}, {}
    from hal.bus.modbus import ModbusBus
    from hal.drivers.modbus_meter import ModbusMeter

    buses: dict[str, ModbusBus] = {}
    meters: dict[int, EnergyMeter] = {}
    signers: dict[int, MeterSigner] = {}
    for meter in config.meters:
        profile = _profile(meter)
        port = _canonical(meter.port)
        if port not in buses:
            settings = _line_settings(meter, profile)
            buses[port] = ModbusBus(_meter_stream(config, meter.port, settings, world), settings)
        meters[meter.evse] = ModbusMeter(buses[port], profile, _unit(meter, profile))
        if meter.signs_readings:
            signers[meter.evse] = _open_signer(meter, profile, buses[port])
    return list(buses.values()), meters, signers


def _open_signer(meter: MeterConfig, profile: "MeterProfile", bus: "ModbusBus") -> MeterSigner:
    unit = _unit(meter, profile)
    if profile.signing == "em580":
        from hal.drivers.em580_signer import Em580Signer

        return Em580Signer(bus, unit, evse_name=meter.evse_name, public_key=meter.public_key)
    from hal.drivers.wm3m4_signer import Wm3m4Signer

    return Wm3m4Signer(bus, unit, evse_name=meter.evse_name, public_key=meter.public_key)


def _meter_stream(
    config: HalConfig, port: str, settings: "LineSettings", world: "World | None"
) -> ByteStream:
    if port != SIMULATED_PORT or world is None:
        from hal.bus.serial_port import SerialPort

        return SerialPort(port, settings)
    from hal.sim.modbus_meters import ModbusMeterLine, ModbusMeters, PlayedMeter

    played: dict[int, PlayedMeter] = {}
    for meter in config.meters:
        if meter.port == SIMULATED_PORT:
            profile = _profile(meter)
            take: Callable[[], MeterReading] = (
                world.evse(meter.evse).meter_reading if meter.evse else world.main_meter_reading
            )
            played[_unit(meter, profile)] = PlayedMeter(profile, take, f"{1000 + meter.evse}")
    return ModbusMeterLine(ModbusMeters(played))


def _profile(meter: MeterConfig) -> "MeterProfile":
    from hal.drivers.modbus_meter import load_profile

    return load_profile(meter.model)


def _unit(meter: MeterConfig, profile: "MeterProfile") -> int:
    return profile.unit if meter.unit is None else meter.unit


def _line_settings(meter: MeterConfig, profile: "MeterProfile") -> "LineSettings":
    from hal.bus.serial_port import LineSettings

    line = profile.line
    return LineSettings(
        baudrate=meter.baud_rate or line.baudrate,
        parity=PARITIES[meter.parity] if meter.parity else line.parity,
        stopbits=meter.stop_bits or line.stopbits,
    )


def pin_maps() -> list[str]:
    """The circuits that the packaged firmware knows. By their files: the host does not run the firmware."""
    folder = resources.files("board").joinpath("pins")
    names = (path.name.partition(".")[0] for path in folder.iterdir() if path.name.endswith(".py"))
    return sorted(name for name in names if name != "__init__")


def _canonical(port: str) -> str:
    """The device behind a name, so that /dev/serial/by-id/... and /dev/ttyUSB0 are seen to be one port."""
    return os.path.realpath(port) if port.startswith("/") else port


def _close_all(buses: "Sequence[ModbusBus]") -> None:
    for bus in buses:
        bus.close()
