"""How the verbs of the command line find the running agent, and how they end when something is wrong.

A verb under `agent_options` gets an `ApiClient`. Every error becomes one line and an exit code (docs/commands.md).
Called by `cli*.py`.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from agent.cli_options import DEFAULT_CONFIG, config_option
from agent.exit_codes import ExitCode
from agent.printable import printable

Command = Callable[..., None]


def agent_options(command: Command) -> Command:
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

        socket_path = find_socket(config_path, state_dir)
        try:
            command(*args, agent=ApiClient(socket_path), **options)
        except NoAgent:
            fail(
                ExitCode.NO_AGENT,
                f"no agent runs on {socket_path}: start one with `evse-agent run` or `evse-agent demo`, "
                "or name its state directory with --state-dir",
            )
        except PermissionError:
            fail(ExitCode.FAILED, f"{socket_path} may be used by its owner and group only")
        except ApiError as error:
            fail(ExitCode.FAILED, str(error))

    return wrapped


def load_config(path: Path) -> Any:
    from agent.config import load
    from agent.errors import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        from agent.config_check import all_problems

        bad_config(path, all_problems(path, error.problems))


def find_socket(config_path: Path | None, state_dir: Path | None) -> Path:
    from agent.config import AgentConfig, socket_path

    if state_dir is not None:
        return socket_path(state_dir)
    if config_path is not None or os.access(DEFAULT_CONFIG, os.R_OK):
        found: Path = load_config(config_path or DEFAULT_CONFIG).socket_path
        return found
    return socket_path(Path(AgentConfig().state_dir))


def fail(code: ExitCode, message: str) -> NoReturn:
    click.echo(f"Error: {printable(message, keep=chr(10))}", err=True)
    sys.exit(code)


def bad_config(path: Path, problems: list[Any]) -> NoReturn:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    listed = "\n".join(f"  {problem}" for problem in problems)
    fail(ExitCode.BAD_CONFIG, f"{path} has {count}:\n{listed}")
