"""The command line: parses, calls, prints, and turns errors into exit codes. No logic of the station.

`run` and `demo` start an agent; the others talk to a running one over its unix socket. Heavy imports stand
inside the commands, so that help and mistakes answer at once. Every verb and exit code is in
docs/commands.md.
"""

import contextlib
import gc
import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from agent.cli_agent import agent_options, bad_config, fail, load_config
from agent.cli_options import DEFAULT_CONFIG, config_option
from agent.exit_codes import ExitCode
from agent.printable import printable, printable_json
from agent.version import VERSION

Command = Callable[..., None]


_ELSEWHERE = {
    "board": "agent.cli_board",
    "doctor": "agent.cli_doctor",
    "firmware": "agent.cli_firmware",
    "init": "agent.cli_init",
    "meter": "agent.cli_meter",
    "passwd": "agent.cli_access",
    "progress": "agent.cli_progress",
    "session": "agent.cli_sessions",
    "sessions": "agent.cli_sessions",
    "token": "agent.cli_access",
}
"""Verbs with a module of their own, which names the command like the verb."""


class _Verbs(click.Group):
    """Imports a verb when it is used: an agent that runs needs none of them, and no memory for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE and cmd_name not in self.commands:
            self.add_command(getattr(importlib.import_module(_ELSEWHERE[cmd_name]), cmd_name))
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def main() -> None:
    """The agent of a charging station: board and meters on one side, OCPP on the other."""


@main.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@config_option
def run(file: Path | None, config_path: Path | None) -> None:
    """Run the agent until Ctrl-C or SIGTERM."""
    gc.disable()  # what is loaded now stays; `agent/app.py` lets the collector in after the first connection attempt
    try:
        _run(file or config_path or DEFAULT_CONFIG)
    finally:
        gc.enable()


def _run(path: Path) -> NoReturn:
    config = load_config(path)
    from agent.app import run as run_agent
    from agent.errors import ConfigError
    from agent.log import set_up_logging

    set_up_logging(config.agent.log_level, log_format=config.agent.log_format)
    try:
        sys.exit(run_agent(config))
    except ConfigError as error:
        bad_config(path, error.problems)


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
    config = load_config(file)
    from agent.app import hardware_problems
    from agent.config_check import find_problems, web_problems

    problems = sorted(
        [*find_problems(config), *hardware_problems(config), *web_problems(config)],
        key=lambda problem: problem.line or 0,
    )
    if problems:
        bad_config(file, problems)
    click.echo(f"{file}: no problem found")


@main.command()
@agent_options
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
def status(agent: Any, as_json: bool) -> None:
    """Show the station, its EVSEs and the connection to the CSMS."""
    from agent.cli_output import status_text

    answer = agent.get("/api/v1/status")
    click.echo(_json(answer) if as_json else status_text(answer))


@main.command()
@agent_options
@click.option("--follow", "-f", is_flag=True, help="Go on with every new message until Ctrl-C.")
@click.option("--action", "-a", help="Only this action and its answers, e.g. MeterValues.")
@click.option(
    "--direction", "-d", type=click.Choice(["in", "out"]), help="in: of the CSMS; out: of the station."
)
@click.option("--text", "-t", help="Only messages that contain this, in any case.")
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="How many old messages."
)
@click.option("--full", is_flag=True, help="Do not cut long lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def messages(agent: Any, follow: bool, limit: int, full: bool, as_json: bool, **chosen: str | None) -> None:
    """Show the OCPP messages of the last minutes. Secrets are hidden."""
    from agent.cli_output import message_line

    width = None if full or not sys.stdout.isatty() else shutil.get_terminal_size().columns
    if follow:
        entries = agent.stream("/api/v1/messages", follow="true", limit=limit, **chosen)
    else:
        entries = agent.get("/api/v1/messages", limit=limit, **chosen)["messages"]
    with contextlib.suppress(KeyboardInterrupt):  # the way to end --follow
        for entry in entries:
            click.echo(_json(entry, indent=None) if as_json else message_line(entry, width))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=True))
@click.option("--since", "oldest", help="Leave out what is older, e.g. 2026-01-31T12:00:00Z.")
@click.option("--until", "latest", help="Leave out what is younger.")
@agent_options
def diagnostics(agent: Any, file: Path, oldest: str | None, latest: str | None) -> None:
    """Write what GetDiagnostics would upload into FILE (tar.gz). Secrets are hidden."""
    from agent.terminal_progress import TerminalProgress

    part = file.with_name(file.name + ".part")
    try:
        out = part.open("wb")
    except OSError as error:
        fail(ExitCode.FAILED, f"{file} cannot be written: {error.strerror}")
    try:
        with out:
            bar = TerminalProgress("diagnostics")
            agent.download("/api/v1/diagnostics", out, on_progress=bar.show, oldest=oldest, latest=latest)
            bar.clear()
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
@agent_options
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
    click.echo(printable(answer["status"] + (f": {answer['reason']}" if answer["reason"] else "")))
    if answer["data"] is not None:
        is_text = isinstance(answer["data"], str)
        click.echo(printable(answer["data"], keep="\n\t") if is_text else _json(answer["data"]))
    if answer["status"] != "Accepted":
        sys.exit(ExitCode.FAILED)


@main.command()
@agent_options
@click.option(
    "--limit", "-n", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many rows."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def audit(agent: Any, limit: int, as_json: bool) -> None:
    """Show who did what on the page, the local API and by vendor commands, oldest first."""
    from agent.cli_output import audit_line

    for row in reversed(agent.get("/api/v1/audit", limit=limit)["audit"]):
        click.echo(_json(row, indent=None) if as_json else audit_line(row))


@main.command()
@click.argument("command", type=click.Choice(["connect", "disconnect"]))
@agent_options
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
@agent_options
def plug(agent: Any, evse: int, **car: object) -> None:
    """Plug a car into EVSE [1]."""
    given = {name: value for name, value in car.items() if value is not None}
    agent.post(f"/sim/v1/evse/{evse}/plug", given)


@sim.command()
@_evse_argument
@click.option("--torn-out", is_flag=True, help="At once, under load.")
@agent_options
def unplug(agent: Any, evse: int, torn_out: bool) -> None:
    """Pull the cable out of EVSE [1]."""
    agent.post(f"/sim/v1/evse/{evse}/unplug", {"is_torn_out": torn_out})


@sim.command()
@_evse_argument
@agent_options
def pause(agent: Any, evse: int) -> None:
    """Let the EV stop asking for power."""
    agent.post(f"/sim/v1/evse/{evse}/pause", {})


@sim.command()
@_evse_argument
@agent_options
def resume(agent: Any, evse: int) -> None:
    """Let the EV ask for power again."""
    agent.post(f"/sim/v1/evse/{evse}/resume", {})


@sim.command()
@click.argument("id_token")
@click.option("--type", "token_type", default="ISO14443", show_default=True, help="Kind of token.")
@click.option(
    "--evse", "evses", type=click.IntRange(1), multiple=True, help="EVSE of the reader; repeatable [all]."
)
@agent_options
def tap(agent: Any, id_token: str, token_type: str, evses: tuple[int, ...]) -> None:
    """Hold a card to the reader."""
    agent.post("/sim/v1/tap", {"id_token": id_token, "type": token_type, "evses": list(evses)})


@sim.command()
@click.argument("code")
@_evse_argument
@agent_options
def fault(agent: Any, code: str, evse: int) -> None:
    """Break something: CODE is a fault code such as rcd_dc."""
    agent.post(f"/sim/v1/evse/{evse}/fault", {"code": code})


@sim.command("clear-fault")
@click.argument("code")
@_evse_argument
@agent_options
def clear_fault(agent: Any, code: str, evse: int) -> None:
    """Mend it again."""
    agent.delete(f"/sim/v1/evse/{evse}/fault/{code}")


def _json(content: object, indent: int | None = 2) -> str:
    return printable_json(content, indent)


def _json_or_text(text: str) -> object:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text
