"""`evse-agent progress`: how far uploads and firmware updates of the running agent are. Parses, calls and prints."""

import contextlib
from typing import Any

import click

from agent.cli_agent import agent_options
from agent.printable import printable_json
from agent.terminal_progress import TerminalProgress


@click.command()
@agent_options
@click.option("--follow", "-f", is_flag=True, help="Go on waiting for operations until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def progress(agent: Any, follow: bool, as_json: bool) -> None:
    """Show uploads and firmware updates until they have ended."""
    under_way = {
        each["name"] for each in agent.get("/api/v1/progress")["operations"] if not each["is_finished"]
    }
    if not under_way and not follow:
        click.echo("Nothing is under way.", err=as_json)
        return
    with contextlib.suppress(KeyboardInterrupt):  # the way to end --follow
        _watch(agent, under_way, follow, as_json)


def _watch(agent: Any, under_way: set[str], follow: bool, as_json: bool) -> None:
    bars: dict[str, TerminalProgress] = {}
    for event, each in agent.events("/api/v1/events"):
        if event != "progress":
            if not under_way and not follow:  # it ended between the question and the stream
                return
            continue
        if as_json:
            click.echo(printable_json(each))
        elif each["is_finished"]:
            bars.pop(each["name"], TerminalProgress(each["name"])).end(each["text"])
        else:
            bar = bars.setdefault(each["name"], TerminalProgress(each["name"]))
            bar.show(each["done"], each["total"], each["unit"], each["stage"])
        if each["is_finished"]:
            under_way.discard(each["name"])
            if not under_way and not follow:
                return
        else:
            under_way.add(each["name"])
