"""What several verbs of the command line share: where the configuration file is. Called by `cli*.py`."""

from pathlib import Path

import click

DEFAULT_CONFIG = Path("/etc/evse-agent/config.toml")

config_option = click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="EVSE_AGENT_CONFIG",
    help=f"Configuration file [default: {DEFAULT_CONFIG}].",
)
