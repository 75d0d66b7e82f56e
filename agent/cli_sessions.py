"""`evse-agent sessions` and `session`: lists, shows, exports and draws what was charged. Parses, calls and prints.

Asks the running agent; without one, reads its store, which takes the rights to read it. Times are typed and shown in
local time and exported in UTC. docs/sessions.md.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from agent.cli_agent import agent_options, fail
from agent.exit_codes import ExitCode
from agent.printable import printable, printable_json

ALL = 10_000
STORE_FILE = "agent.db"
LAST = "last"
PICTURES = (".png", ".svg", ".pdf")

Json = dict[str, Any]


@click.command()
@agent_options
@click.option("--since", help="Those that ran at or after this local time, e.g. 2026-01-31, or 7d, 12h ago.")
@click.option("--until", help="Those that began at or before this time; 2026-01-31: the end of that day.")
@click.option("--evse", type=click.IntRange(1), help="Only of this EVSE.")
@click.option("--limit", "-n", type=click.IntRange(1, ALL), help="The latest so many [20; exported: all].")
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path, allow_dash=True), help="Export; - is stdout."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def sessions(
    agent: Any,
    since: str | None,
    until: str | None,
    evse: int | None,
    limit: int | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """List what was charged, newest first. Works without a running agent, too."""
    from agent.cli_output import count_text, session_table

    query = {"since": _utc(since, "--since"), "until": _utc(until, "--until"), "evse": evse}
    found = _list(agent, query, limit or (ALL if csv_file or as_json else 20))
    if csv_file is not None:
        with _opened(csv_file) as out:
            _write_csv(out, found)
        if str(csv_file) != "-":
            click.echo(f"{csv_file}: {count_text(len(found))}")
    if as_json:
        click.echo(printable_json(found, indent=2))
    elif csv_file is None:
        click.echo(session_table(found))


@click.command()
@agent_options
@click.argument("session_id", metavar="ID")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw power, current and limit into a .png, .svg or .pdf.",
)
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path, allow_dash=True), help="Its samples; - is stdout."
)
@click.option("--json", "as_json", is_flag=True, help="All of it with its samples as JSON.")
def session(agent: Any, session_id: str, picture: Path | None, csv_file: Path | None, as_json: bool) -> None:
    """Show one session. ID is its id or the beginning of it, or "last"."""
    from agent.cli_output import session_text

    if picture is not None and picture.suffix.lower() not in PICTURES:
        fail(ExitCode.USAGE, f"{picture}: the name must end in {', '.join(PICTURES)}")
    found = _find(agent, session_id)
    if picture is not None:
        _draw(found, picture)
    if csv_file is not None:
        with _opened(csv_file) as out:
            _write_samples(out, found["samples"])
    if as_json:
        click.echo(printable_json(found, indent=2))
    elif str(csv_file) != "-":
        click.echo(session_text(found))
    if picture is not None:
        click.echo(f"{picture}: drawn", err=as_json)


# --- where sessions come from ------------------------------------------------------------------------------


def _list(agent: Any, query: Json, limit: int) -> list[Json]:
    from agent.web.client import NoAgent

    try:
        found: list[Json] = agent.get("/api/v1/sessions", **query, limit=limit)["sessions"]
        return found
    except NoAgent as error:
        listed: list[Json] = _from_store(agent, error, lambda stored: stored.list(query, limit))
        return listed


def _find(agent: Any, session_id: str) -> Json:
    """By its id, its beginning, or "last"."""
    matching = [session_id]
    if len(session_id) < 36:
        known = [each["session_id"] for each in _list(agent, {}, ALL)]
        matching = (
            known[:1] if session_id == LAST else [each for each in known if each.startswith(session_id)]
        )
    if len(matching) > 1:
        fail(ExitCode.FAILED, f"{len(matching)} sessions begin with {session_id}: give more of the id")
    found = _one(agent, matching[0]) if matching else None
    if found is None:
        fail(ExitCode.FAILED, f"there is no session {session_id}: `evse-agent sessions` lists them")
    return found


def _one(agent: Any, session_id: str) -> Json | None:
    from urllib.parse import quote

    from agent.web.client import ApiError, NoAgent

    try:
        found: Json = agent.get(f"/api/v1/sessions/{quote(session_id, safe='')}")
        return found
    except NoAgent as error:
        one: Json | None = _from_store(agent, error, lambda stored: stored.one(session_id))
        return one
    except ApiError as error:
        if error.status != 404:
            raise
        return None


class _Stored:
    """The store of an agent that does not run, in the words of the API."""

    def __init__(self, path: Path) -> None:
        from agent.store.sessions import StoredSessions

        self._stored = StoredSessions(path, is_in_use=False)

    def list(self, query: Json, limit: int) -> "Sequence[Json]":
        from datetime import datetime

        from agent.charging.recording import SessionQuery
        from agent.web.sessions_api import session_json

        since, until = (
            None if query.get(name) is None else datetime.fromisoformat(query[name])
            for name in ("since", "until")
        )
        wanted = SessionQuery(since, until, query.get("evse"), limit)
        return [_plain(session_json(each)) for each in self._stored.sessions(wanted, _now())]

    def one(self, session_id: str) -> Json | None:
        from agent.web.sessions_api import curve_json

        curve = self._stored.session(session_id, _now())
        return None if curve is None else _plain(curve_json(curve))


def _from_store(agent: Any, no_agent: Exception, ask: Callable[[_Stored], Any]) -> Any:
    """Raises `no_agent` when there is no store, either."""
    from agent.errors import StoreError

    path = agent.socket_path.parent / STORE_FILE
    try:
        if not path.exists():
            raise no_agent
        return ask(_Stored(path))
    except PermissionError:
        fail(ExitCode.FAILED, f"{path} may be read by its owner only: the agent does not run, so use sudo")
    except StoreError as error:
        fail(ExitCode.BAD_STORE, str(error))


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _plain(value: Any) -> Any:
    """As it would come over the socket."""
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(value))


# --- what is written ---------------------------------------------------------------------------------------

COLUMNS = (
    "session_id",
    "reference",
    "evse_id",
    "connector_id",
    "started_at",
    "stopped_at",
    "duration_s",
    "energy_wh",
    "meter_start_wh",
    "meter_stop_wh",
    "max_power_w",
    "charging_s",
    "suspended_ev_s",
    "suspended_evse_s",
    "cost",
    "id_token",
    "id_token_type",
    "stop_reason",
)


def _write_csv(out: TextIO, found: Sequence[Json]) -> None:
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(each[name]) for name in COLUMNS] for each in found)


def _write_samples(out: TextIO, samples: Sequence[Json]) -> None:
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("at", "power_w", "current_l1_a", "current_l2_a", "current_l3_a", "offered_a", "energy_wh")
    )
    for each in samples:
        row = (each["at"], each["power_w"], *each["current_a"], each["offered_a"], each["energy_wh"])
        writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> object:
    """A spreadsheet must not take a token that somebody made up for a formula, nor a terminal for orders."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return "'" + text if text.lstrip()[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else text


def _draw(found: Json, picture: Path) -> None:
    try:
        from agent.session_plot import draw
    except ImportError:
        fail(
            ExitCode.FAILED,
            "drawing needs matplotlib, which is not installed here: pip install 'evse-agent[plot]'. "
            "Or export on this machine (--csv) and draw on another",
        )
    if len(found["samples"]) < 2:
        fail(
            ExitCode.FAILED,
            "nothing to draw: the curve of this session was not recorded, or is not kept any more",
        )
    try:
        draw(found, picture)
    except OSError as error:
        fail(ExitCode.FAILED, f"{picture} cannot be written: {error.strerror}")


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if str(file) == "-":
        yield sys.stdout
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        fail(ExitCode.FAILED, f"{file} cannot be written: {error.strerror}")


def _utc(text: str | None, option: str) -> str | None:
    """A local time, or how long ago, in UTC. A day without a time begins "since" and is over with "until"."""
    from datetime import UTC, datetime, timedelta

    if text is None:
        return None
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
    try:
        if text[-1:] in units and text[:-1].isascii() and text[:-1].isdigit():
            at = datetime.now(UTC) - int(text[:-1]) * units[text[-1]]
        else:
            at = datetime.fromisoformat(text)
            if option == "--until" and _is_day(text):
                at = (at + timedelta(days=1)).astimezone(UTC) - timedelta(microseconds=1)
            at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        _bad_time(text, option)
    return at.isoformat()


def _is_day(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _bad_time(text: str, option: str) -> NoReturn:
    raise click.BadParameter(
        f"{text!r} is no time like 2026-01-31T12:00 and no age like 7d", param_hint=option
    )
