"""The command line: parses, calls, prints, and turns errors into exit codes. No logic of the station.

`run` and `demo` start an agent; the others talk to a running one over its unix socket. Heavy imports stand
inside the commands, so that help and mistakes answer at once. Every verb and exit code is in
docs/commands.md.
"""

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from agent.cli_board import board
from agent.cli_doctor import doctor
from agent.cli_firmware import firmware
from agent.cli_init import init
from agent.cli_meter import meter
from agent.cli_options import DEFAULT_CONFIG, config_option
from agent.exit_codes import ExitCode
from agent.version import VERSION

Command = Callable[..., None]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def main() -> None:
    """The agent of a charging station: board and meters on one side, OCPP on the other."""


main.add_command(board)
main.add_command(doctor)
main.add_command(firmware)
main.add_command(init)
main.add_command(meter)


@main.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@config_option
def run(file: Path | None, config_path: Path | None) -> None:
    """Run the agent until Ctrl-C or SIGTERM."""
    config = _load(file or config_path or DEFAULT_CONFIG)
    from agent.app import run as run_agent
    from agent.errors import ConfigError
    from agent.log import set_up_logging

    set_up_logging(config.agent.log_level)
    try:
        sys.exit(run_agent(config))
    except ConfigError as error:
        _bad_config(file or config_path or DEFAULT_CONFIG, error.problems)


@main.command()
@click.option("--once", is_flag=True, help="End after the story instead of staying.")
@click.option(
    "--state-dir", type=click.Path(path_type=Path, file_okay=False), help="Where to keep the demo's state."
)
def demo(once: bool, state_dir: Path | None) -> None:
    """Show the main job on simulated hardware with a CSMS on this machine. Needs no network."""
    from agent.demo import run as tell

    sys.exit(tell(once=once, state_dir=state_dir))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check_config(file: Path) -> None:
    """Check a configuration file and list every problem in it."""
    config = _load(file)
    from agent.app import hardware_problems
    from agent.config_check import find_problems

    problems = sorted(
        [*find_problems(config), *hardware_problems(config)], key=lambda problem: problem.line or 0
    )
    if problems:
        _bad_config(file, problems)
    click.echo(f"{file}: no problem found")


def _agent_options(command: Command) -> Command:
    """Options that say which agent is meant; the command gets an ApiClient as `agent`."""

    @config_option
    @click.option(
        "--state-dir",
        type=click.Path(path_type=Path),
        envvar="EVSE_AGENT_STATE_DIR",
        help="State directory of the agent [default: as the configuration file says].",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, config_path: Path | None, state_dir: Path | None, **options: Any) -> None:
        from agent.web.client import ApiClient, ApiError, NoAgent

        socket_path = _find_socket(config_path, state_dir)
        try:
            command(*args, agent=ApiClient(socket_path), **options)
        except NoAgent:
            _fail(
                ExitCode.NO_AGENT,
                f"no agent runs on {socket_path}: start one with `evse-agent run` or `evse-agent demo`, "
                "or name its state directory with --state-dir",
            )
        except PermissionError:
            _fail(ExitCode.FAILED, f"{socket_path} may be used by its owner and group only")
        except ApiError as error:
            _fail(ExitCode.FAILED, str(error))

    return wrapped


@main.command()
@_agent_options
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
def status(agent: Any, as_json: bool) -> None:
    """Show the station, its EVSEs and the connection to the CSMS."""
    from agent.cli_output import status_text

    answer = agent.get("/api/v1/status")
    click.echo(_json(answer) if as_json else status_text(answer))


@main.command()
@_agent_options
@click.option("--follow", "-f", is_flag=True, help="Go on with every new message until Ctrl-C.")
@click.option("--action", "-a", help="Only this action and its answers, e.g. MeterValues.")
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="How many old messages."
)
@click.option("--full", is_flag=True, help="Do not cut long lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def messages(agent: Any, follow: bool, action: str | None, limit: int, full: bool, as_json: bool) -> None:
    """Show the OCPP messages of the last minutes. Secrets are hidden."""
    from agent.cli_output import message_line

    width = None if full or not sys.stdout.isatty() else shutil.get_terminal_size().columns
    if follow:
        entries = agent.stream("/api/v1/messages", follow="true", action=action, limit=limit)
    else:
        entries = agent.get("/api/v1/messages", action=action, limit=limit)["messages"]
    with contextlib.suppress(KeyboardInterrupt):  # the way to end --follow
        for entry in entries:
            click.echo(_json(entry, indent=None) if as_json else message_line(entry, width))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=True))
@click.option("--since", "oldest", help="Leave out what is older, e.g. 2026-01-31T12:00:00Z.")
@click.option("--until", "latest", help="Leave out what is younger.")
@_agent_options
def diagnostics(agent: Any, file: Path, oldest: str | None, latest: str | None) -> None:
    """Write what GetDiagnostics would upload into FILE (tar.gz). Secrets are hidden."""
    part = file.with_name(file.name + ".part")
    try:
        out = part.open("wb")
    except OSError as error:
        _fail(ExitCode.FAILED, f"{file} cannot be written: {error.strerror}")
    try:
        with out:
            agent.download("/api/v1/diagnostics", out, oldest=oldest, latest=latest)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{file}: {file.stat().st_size} bytes")


@main.command("data-transfer")
@click.argument("vendor_id")
@click.argument("message_id", required=False)
@click.argument("content", metavar="[DATA]", required=False)
@click.option(
    "--local", is_flag=True, help="Run the vendor command on this station instead of sending it to the CSMS."
)
@_agent_options
def data_transfer(
    agent: Any, vendor_id: str, message_id: str | None, content: str | None, local: bool
) -> None:
    """Send a vendor message to the CSMS and print its answer. DATA is JSON, or else a text."""
    body: dict[str, object] = {"vendor_id": vendor_id, "to": "station" if local else "csms"}
    if message_id:
        body["message_id"] = message_id
    if content is not None:
        body["data"] = _json_or_text(content)
    answer = agent.post("/api/v1/data-transfer", body)
    click.echo(answer["status"] + (f": {answer['reason']}" if answer["reason"] else ""))
    if answer["data"] is not None:
        click.echo(answer["data"] if isinstance(answer["data"], str) else _json(answer["data"]))
    if answer["status"] != "Accepted":
        sys.exit(ExitCode.FAILED)


@main.command()
@click.argument("command", type=click.Choice(["connect", "disconnect"]))
@_agent_options
def link(agent: Any, command: str) -> None:
    """Connect to the CSMS, or disconnect and stay offline."""
    agent.post("/api/v1/link", {"command": command})


@main.group()
def sim() -> None:
    """Drive the simulated world of an agent with driver = "sim"."""


_evse_argument = click.argument("evse", type=click.IntRange(1), default=1)


@sim.command()
@_evse_argument
@click.option("--after", "after_s", type=float, help="Seconds until the cable is plugged in.")
@click.option("--draw-after", "draw_after_s", type=float, help="Seconds until the EV asks for power.")
@click.option("--current", "current_a", type=float, help="What the EV draws at most, in A per phase.")
@click.option("--phases", type=click.IntRange(1, 3), help="Phases that the EV uses.")
@click.option("--unplug-after", "unplug_after_s", type=float, help="Seconds until it is unplugged again.")
@click.option(
    "--diode-fail-after", "diode_fail_after_s", type=float, help="Seconds until its diode is shorted."
)
@click.option("--connector", "connector_id", type=click.IntRange(1), help="Connector of the EVSE.")
@click.option("--half-in", "is_half_in", is_flag=True, default=None, help="So that it cannot be locked.")
@_agent_options
def plug(agent: Any, evse: int, **car: object) -> None:
    """Plug a car into EVSE [1]."""
    given = {name: value for name, value in car.items() if value is not None}
    agent.post(f"/sim/v1/evse/{evse}/plug", given)


@sim.command()
@_evse_argument
@click.option("--torn-out", is_flag=True, help="At once, under load.")
@_agent_options
def unplug(agent: Any, evse: int, torn_out: bool) -> None:
    """Pull the cable out of EVSE [1]."""
    agent.post(f"/sim/v1/evse/{evse}/unplug", {"is_torn_out": torn_out})


@sim.command()
@_evse_argument
@_agent_options
def pause(agent: Any, evse: int) -> None:
    """Let the EV stop asking for power."""
    agent.post(f"/sim/v1/evse/{evse}/pause", {})


@sim.command()
@_evse_argument
@_agent_options
def resume(agent: Any, evse: int) -> None:
    """Let the EV ask for power again."""
    agent.post(f"/sim/v1/evse/{evse}/resume", {})


@sim.command()
@click.argument("id_token")
@click.option("--type", "token_type", default="ISO14443", show_default=True, help="Kind of token.")
@click.option(
    "--evse", "evses", type=click.IntRange(1), multiple=True, help="EVSE of the reader; repeatable [all]."
)
@_agent_options
def tap(agent: Any, id_token: str, token_type: str, evses: tuple[int, ...]) -> None:
    """Hold a card to the reader."""
    agent.post("/sim/v1/tap", {"id_token": id_token, "type": token_type, "evses": list(evses)})


@sim.command()
@click.argument("code")
@_evse_argument
@_agent_options
def fault(agent: Any, code: str, evse: int) -> None:
    """Break something: CODE is a fault code such as rcd_dc."""
    agent.post(f"/sim/v1/evse/{evse}/fault", {"code": code})


@sim.command("clear-fault")
@click.argument("code")
@_evse_argument
@_agent_options
def clear_fault(agent: Any, code: str, evse: int) -> None:
    """Mend it again."""
    agent.delete(f"/sim/v1/evse/{evse}/fault/{code}")


def _load(path: Path) -> Any:
    from agent.config import load
    from agent.errors import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        from agent.config_check import all_problems

        _bad_config(path, all_problems(path, error.problems))


def _fail(code: ExitCode, message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)


def _bad_config(path: Path, problems: list[Any]) -> NoReturn:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    listed = "\n".join(f"  {problem}" for problem in problems)
    _fail(ExitCode.BAD_CONFIG, f"{path} has {count}:\n{listed}")


def _find_socket(config_path: Path | None, state_dir: Path | None) -> Path:
    from agent.config import AgentConfig, socket_path

    if state_dir is not None:
        return socket_path(state_dir)
    if config_path is not None or os.access(DEFAULT_CONFIG, os.R_OK):
        found: Path = _load(config_path or DEFAULT_CONFIG).socket_path
        return found
    return socket_path(Path(AgentConfig().state_dir))


def _json(content: object, indent: int | None = 2) -> str:
    import json

    return json.dumps(content, indent=indent, ensure_ascii=False)


def _json_or_text(text: str) -> object:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text
