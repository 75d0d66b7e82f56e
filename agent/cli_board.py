"""`evse-agent board`: what the I/O board is and sees, and the limits that are set on it.

Asks the running agent; without one it opens the board's port itself (`hal/commissioning.py`). Only parses, calls and
prints. The board checks what is set. Heavy imports stand inside the commands. docs/board-bring-up.md.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from agent.cli_options import DEFAULT_CONFIG, config_option
from agent.exit_codes import ExitCode

Json = dict[str, Any]
UNITS = {"da": (0.1, "A"), "dc": (0.1, "C"), "ms": (1, "ms"), "s": (1, "s")}
"""Suffix of a limit's name -> what one of it is."""

_port_option = click.option("--port", help="Port of the board [that of the configuration file].")
_connector_option = click.option(
    "--connector", type=click.IntRange(1), default=1, show_default=True, help="Which of its connectors."
)


@click.group()
def board() -> None:
    """Look at the I/O board and set its limits; with or without a running agent."""


@board.command()
@config_option
@_port_option
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
def show(config_path: Path | None, port: str | None, as_json: bool) -> None:
    """Show what the board is, and what it sees at each connector."""
    found = _desk(config_path, port).show()
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(show_text(found))
    if not found["is_linked"]:
        sys.exit(ExitCode.FAILED)


@board.group()
def config() -> None:
    """The limits of the board's connectors: show them, lower them, or take them back."""


@config.command("show")
@config_option
@_port_option
@_connector_option
def show_config(config_path: Path | None, port: str | None, connector: int) -> None:
    """Show the limits that hold, beside what the circuit allows."""
    click.echo(limits_text(_desk(config_path, port).limits(connector)))


@config.command("set")
@click.argument("settings", metavar="NAME=VALUE...", nargs=-1, required=True)
@config_option
@_port_option
@_connector_option
def set_config(settings: tuple[str, ...], config_path: Path | None, port: str | None, connector: int) -> None:
    """Set limits of a connector; the board writes them and restarts. Only while no car is there."""
    values = parse_settings(settings)
    _desk(config_path, port).write(connector, values)
    click.echo("The board has written it and restarts")


@config.command("reset")
@config_option
@_port_option
def reset_config(config_path: Path | None, port: str | None) -> None:
    """Back to what the circuit allows, at every connector."""
    _desk(config_path, port).reset()
    click.echo("The board has forgotten its settings and restarts")


def parse_settings(settings: tuple[str, ...]) -> dict[str, int]:
    """Raises click.BadParameter."""
    values = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not (name and equals and value.lstrip("-").isdigit()):
            raise click.BadParameter(f"{each!r} is not like max_da=160", param_hint="NAME=VALUE")
        values[name] = int(value)
    return values


# ---- who is asked ------------------------------------------------------------------------------------------


class _AgentDesk:
    """The board of a running agent."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def show(self) -> Json:
        answer: Json = self._agent.get("/api/v1/board")
        return answer

    def limits(self, connector: int) -> Json:
        answer: Json = self._agent.get("/api/v1/board/config", connector=connector)
        return answer

    def write(self, connector: int, values: dict[str, int]) -> None:
        self._agent.post("/api/v1/board/config", {"connector": connector, "values": values})

    def reset(self) -> None:
        self._agent.delete("/api/v1/board/config")


class _PortDesk:
    """The board at its port."""

    def __init__(self, port: str, baud_rate: int) -> None:
        self._port = port
        self._baud_rate = baud_rate

    def _ask(self, work: Callable[[Any], Any]) -> Any:
        import asyncio

        from agent.version import VERSION
        from hal.commissioning import ask_board

        return asyncio.run(ask_board(self._port, self._baud_rate, VERSION, work))

    def show(self) -> Json:
        import asyncio
        from dataclasses import asdict

        from agent.version import VERSION
        from agent.web.board_api import connector_json
        from hal.commissioning import look_at_board

        seen = asyncio.run(look_at_board(self._port, self._baud_rate, VERSION))
        if seen.facts is None:
            _fail(f"no board of ours answers on {self._port}: {seen.answer.value} {seen.detail}".strip())
        return {
            "is_linked": True,
            "board": asdict(seen.facts),
            "connectors": [connector_json(number, state) for number, state in seen.states.items()],
            "pings_lost": seen.pings_lost,
            "bad_lines": seen.bad_lines,
        }

    def limits(self, connector: int) -> Json:
        from dataclasses import asdict

        return asdict(self._ask(lambda board: board.read_config(connector)))

    def write(self, connector: int, values: dict[str, int]) -> None:
        self._ask(lambda board: board.write_config({connector: values}))

    def reset(self) -> None:
        self._ask(lambda board: board.reset_config())


class _Guarded:
    """A desk whose errors end the command with a line."""

    def __init__(self, desk: "_AgentDesk | _PortDesk") -> None:
        self._desk = desk

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from agent.web.client import ApiError, NoAgent
        from hal.errors import HalError

        method = getattr(self._desk, name)

        def guarded(*words: Any) -> Any:
            try:
                return method(*words)
            except (ApiError, HalError) as error:
                _fail(str(error))
            except NoAgent as error:
                _fail(f"the agent has gone: {error}", ExitCode.NO_AGENT)

        return guarded


def _desk(config_path: Path | None, port: str | None) -> _Guarded:
    """The agent if one runs, else the port: given, or of the configuration file."""
    from agent.config import AgentConfig, load, socket_path
    from agent.errors import ConfigError
    from agent.web.client import ApiClient
    from agent.web.unix_socket import connect

    if port is not None:
        return _Guarded(_PortDesk(port, 115_200))
    path = config_path or DEFAULT_CONFIG
    loaded = None
    if config_path is not None or path.exists():
        try:
            loaded = load(path)
        except ConfigError as error:
            _fail(f"{path}: {error}", ExitCode.BAD_CONFIG)
    socket = socket_path(Path(AgentConfig().state_dir)) if loaded is None else loaded.socket_path
    try:
        connect(socket, 1.0).close()
        return _Guarded(_AgentDesk(ApiClient(socket)))
    except PermissionError:
        _fail(f"{socket} may be used by its owner and group only")
    except OSError:
        if loaded is None or loaded.hal.driver != "board":
            _fail(f"no agent runs on {socket}, and no --port is given", ExitCode.NO_AGENT)
    return _Guarded(_PortDesk(loaded.hal.board.port, loaded.hal.board.baud_rate))


# ---- texts -------------------------------------------------------------------------------------------------


def show_text(found: Json) -> str:
    """The answer of GET /api/v1/board for a terminal."""
    from agent.cli_output import table

    facts = found["board"]
    if facts is None:
        return "The board has not answered yet"
    lines = [
        f"Board     {facts['hardware']} ({facts['pcb'] or 'unknown pin map'}), no. {facts['unique_id']}, "
        f"firmware {facts['firmware']}" + ("" if found["is_linked"] else ": not linked now"),
        f"Start     last by {facts['reset_cause']}",
        f"Circuit   {facts['connectors']} connectors, {facts['max_current_a']:g} A, {facts['phases']} phases, "
        + ("socket with lock" if facts["has_lock"] else "fixed cable"),
        f"Settings  {facts['config_hash']}",
    ]
    if facts["problem"]:
        lines.append(f"Problem   {facts['problem']}")
    if "pings_lost" in found:
        lines.append(f"Line      {found['pings_lost']} of 20 pings lost, {found['bad_lines']} damaged lines")
    if found["connectors"]:
        head = (
            "",
            "Pilot",
            "High",
            "Low",
            "Duty",
            "Contactor",
            "Lock",
            "Cable",
            "Residual",
            "Temp.",
            "Faults",
        )
        rows = [_connector_row(each) for each in found["connectors"]]
        lines += ["", *table([head, *rows])]
    return "\n".join(lines)


def _connector_row(each: Json) -> tuple[str, ...]:
    locked = {None: "-", True: "locked", False: "open"}[each["locked"]]
    return (
        str(each["connector"]),
        each["pilot"] if each["link_ok"] else f"({each['pilot']})",
        f"{each['pilot_high_v']:.2f} V",
        f"{each['pilot_low_v']:.2f} V",
        f"{each['duty_percent']:.2f} %",
        each["contactor"],
        locked,
        "-" if each["cable_a"] is None else f"{each['cable_a']:g} A",
        f"{each['residual_ma']:.1f} mA",
        "-" if each["temperature_c"] is None else f"{each['temperature_c']:.0f} C",
        ", ".join(each["faults"]) or "-",
    )


def limits_text(limits: Json) -> str:
    """The answer of GET /api/v1/board/config for a terminal."""
    from agent.cli_output import table

    rows = [("limit", "value", "", "circuit")]
    for name, value in limits["values"].items():
        allowed = limits["allowed"].get(name)
        mark = "" if value == allowed else "*"
        rows.append((name, str(value) + mark, _meaning(name, value), "" if allowed is None else str(allowed)))
    return "\n".join([*table(rows), f"* differs from the circuit; settings {limits['hash']}"])


def _meaning(name: str, value: int) -> str:
    factor, unit = UNITS.get(name.rpartition("_")[2], (None, ""))
    if factor is None:
        return "yes" if value else "no"
    return f"{value * factor:g} {unit}"


def _fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
