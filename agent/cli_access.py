"""`evse-agent passwd` and `evse-agent token`: who may use the page and the local API over the network.

Changes the access file in the state directory, whether an agent runs or not; a running one obeys within a second.
Parses, calls and prints; what is stored and how is `agent/web/passwords.py`. docs/access.md.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli_options import DEFAULT_CONFIG, config_option
from agent.exit_codes import ExitCode

if TYPE_CHECKING:
    from agent.web.passwords import AccessFile

ROLES = ("viewer", "operator", "installer")
Command = Callable[..., None]

_role_option = click.option(
    "--role", "-r", "role_word", type=click.Choice(ROLES), default="installer", show_default=True
)


def _access_options(command: Command) -> Command:
    """Options that say which agent is meant; the command gets its AccessFile as `file`."""

    @config_option
    @click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="EVSE_AGENT_STATE_DIR",
        help="State directory of the agent [default: as the configuration file says].",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, config_path: Path | None, state_dir: Path | None, **options: Any) -> None:
        from agent.web.passwords import AccessError, AccessFile

        directory = state_dir or _configured(config_path)
        if not directory.is_dir():
            raise click.ClickException(f"there is no state directory {directory}: name it with --state-dir")
        try:
            command(*args, file=AccessFile(directory), **options)
        except AccessError as error:
            raise click.ClickException(str(error)) from error
        except PermissionError as error:
            raise click.ClickException(
                f"{directory} may be changed by its owner only: use sudo, or become that user"
            ) from error
        except OSError as error:
            raise click.ClickException(f"{directory}: {error.strerror}") from error

    return wrapped


def _configured(config_path: Path | None) -> Path:
    from agent.config import AgentConfig, load
    from agent.errors import ConfigError

    if config_path is None and not DEFAULT_CONFIG.exists():
        return Path(AgentConfig().state_dir)
    path = config_path or DEFAULT_CONFIG
    try:
        return load(path).state_dir
    except ConfigError as error:
        listed = "\n".join(f"  {problem}" for problem in error.problems)
        click.echo(f"Error: {path} cannot be used:\n{listed}", err=True)
        sys.exit(ExitCode.BAD_CONFIG)


@click.command()
@_role_option
@click.option("--remove", is_flag=True, help="Remove the password of this role.")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from a line of standard input.")
@_access_options
def passwd(file: "AccessFile", role_word: str, remove: bool, from_stdin: bool) -> None:
    """Set the password of a role for the page and the local API.

    Until one is set, only this machine gets in. Whoever is logged in with the former one is logged out."""
    from agent.web.roles import Role

    role = Role[role_word.upper()]
    if remove:
        had_one = file.remove_password(role)
        click.echo(f"The password of {role.word} is removed." if had_one else f"{role.word} has no password.")
        if had_one and not file.read().is_protected:
            click.echo("No password is set any more: addresses beyond this machine are closed.")
        return
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = click.prompt(f"New password of {role.word}", hide_input=True, confirmation_prompt=True)
    file.set_password(role, text)
    click.echo(f"The password of {role.word} is set.")


@click.group()
def token() -> None:
    """Tokens for programs that use the local API over the network."""


@token.command()
@click.argument("name")
@_role_option
@click.option("--days", type=click.IntRange(1, 36_500), help="How long it is good [for ever].")
@_access_options
def create(file: "AccessFile", name: str, role_word: str, days: int | None) -> None:
    """Make a token called NAME and print it, once.

    A program sends it as `Authorization: Bearer TOKEN`."""
    from agent.web.roles import Role

    text = file.create_token(name, Role[role_word.upper()], days)
    if not file.read().passwords:
        click.echo(
            "Note: beyond this machine it is of use once a password is set (evse-agent passwd).", err=True
        )
    click.echo(text)


@token.command("list")
@_access_options
def list_tokens(file: "AccessFile") -> None:
    """Show the tokens: name, role, made at, good until. The tokens themselves cannot be shown again."""
    from datetime import UTC, datetime

    from agent.cli_output import table

    state = file.read()
    if state.problem:
        raise click.ClickException(state.problem)
    now = datetime.now(UTC)
    rows = [
        (
            each.name,
            each.role.word,
            f"{each.created_at:%Y-%m-%d}",
            ("expired " if not each.is_valid(now) else "") + f"{each.expires_at:%Y-%m-%d}"
            if each.expires_at
            else "for ever",
        )
        for each in state.tokens
    ]
    for line in table([("Name", "Role", "Made", "Good until"), *rows]):
        click.echo(line)


@token.command()
@click.argument("name")
@_access_options
def revoke(file: "AccessFile", name: str) -> None:
    """Make the token NAME useless at once."""
    if not file.revoke_token(name):
        raise click.ClickException(f"there is no token {name}")
    click.echo(f"The token {name} is revoked.")
