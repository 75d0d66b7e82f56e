"""Gathers what the station knows of itself and has it packed: the archive of diagnostics, the security log as lines.

Everything that belongs to the loop is read here first, quickly; parsing, hiding of secrets and packing are done in a
thread. State is that of now, everything with a time is cut to the period asked for. Called by `uploads.py` and by the
local API. OCPP 1.6 5.9 (R16-302); security white paper N01.FR.03, .04 (R16-357).
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.charging.diagnostics import Period, file_name
from agent.charging.ids import LogKind
from agent.charging.ports import AuditLog, Clock, OpenTransaction, SecurityLog
from agent.charging.settings import Settings
from agent.charging.settings_table import Mutability
from agent.charging.snapshot import StationSnapshot
from agent.config import Config
from agent.diagnostics.archive import Part, write_archive, write_lines
from agent.diagnostics.former_messages import FILE, former_lines
from agent.diagnostics.secrets import Secrets
from agent.log import HIDDEN, MessageJournal
from agent.log_file import LogFile, lines_within

LOCAL_FOLDER = "export"
"""Within the state directory: archives for people on this machine, for as long as it takes to hand them over."""
LEFT_BEHIND_S = 3600.0
TRANSACTIONS_MOST = 1_000
VENDOR_ACTIONS_MOST = 1_000
LIBRARIES = ("aiohttp", "asyncssh", "cryptography", "msgspec", "pyserial", "uvloop")
SECRET_KEYS_OF_FILE = ("password", "password_hex")
"""Names of configuration keys whose value is never shown; files with secrets are only named there."""


class EndedTransaction(Protocol):
    """One line of the journal's history."""

    @property
    def started_at(self) -> datetime: ...
    @property
    def stopped_at(self) -> datetime: ...


class History(Protocol):
    """What the journal remembers (`agent/store/journal.py`)."""

    async def history(self, limit: int) -> Sequence[EndedTransaction]: ...
    async def open_transactions(self) -> Sequence[OpenTransaction]: ...
    async def depth(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sources:
    config: Config
    about: Callable[[], Mapping[str, str]]
    """Identity, vendor, model, versions of agent, firmware and board."""
    settings: Settings
    snapshot: Callable[[], StationSnapshot]
    journal: History
    messages: MessageJournal
    audit: AuditLog
    security_log: SecurityLog
    crashes: Callable[[], Mapping[str, int]]
    link: Callable[[], Mapping[str, object]]
    """Where the connection to the CSMS stands."""
    log_file: LogFile | None
    clock: Clock
    secrets: Callable[[], Secrets]


class Collection:
    """Implements `uploads.Collector`."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def write(self, kind: LogKind, target: Path, period: Period) -> None:
        """Make the file `target`. Raises OSError, StoreError; nothing is there then."""
        sources = self._sources
        secrets = sources.secrets()
        if kind is LogKind.SECURITY:
            rows = await sources.security_log.rows(period.oldest, period.latest)
            await asyncio.to_thread(write_lines, target, map(_json_line, rows), secrets)
            return
        parts = await self._parts(target.name, period)
        await asyncio.to_thread(write_archive, target, parts, secrets, sources.clock.now())

    async def archive(self, oldest: datetime | None, latest: datetime | None) -> Path:
        """The archive of diagnostics, for whoever asks on this machine and removes it. Raises OSError, StoreError."""
        sources = self._sources
        name = file_name(LogKind.DIAGNOSTICS, sources.config.station.identity, sources.clock.now())
        target = sources.config.state_dir / LOCAL_FOLDER / name
        await asyncio.to_thread(_sweep, target.parent)
        await self.write(LogKind.DIAGNOSTICS, target, Period(oldest, latest))
        return target

    async def _parts(self, name: str, period: Period) -> list[Part]:
        sources = self._sources
        now = sources.clock.now()
        about = {
            "file": name,
            "made_at": now,
            "oldest": period.oldest,
            "latest": period.latest,
            **sources.about(),
        }
        ended = [
            row
            for row in await sources.journal.history(TRANSACTIONS_MOST)
            if period.touches(row.started_at, row.stopped_at)
        ]
        actions = [row for row in await sources.audit.latest(VENDOR_ACTIONS_MOST) if period.includes(row.at)]
        state = {
            "station": sources.snapshot(),
            "link": sources.link(),
            "outbox_depth": await sources.journal.depth(),
            "crashed_tasks": sources.crashes(),
            "open_transactions": await sources.journal.open_transactions(),
        }
        # Encoded here, as it is now: nothing of it may change under the packing thread.
        return [
            Part("about.json", _Versions(about)),
            Part("state.json", [_json(state)]),
            Part("settings.json", [_json(_settings(sources.settings))]),
            Part("config.json", [_json(_without_secrets(_plain(sources.config)))]),
            Part("transactions.jsonl", [_json_line(row) for row in reversed(ended)]),
            Part("vendor-actions.jsonl", [_json_line(row) for row in reversed(actions)]),
            Part(
                "messages.jsonl",
                chain(
                    former_lines(sources.config.state_dir / FILE, period),
                    messages_within(sources.messages.copy(), period),
                ),
            ),
            Part("agent.log", _log_lines(sources.log_file, period)),
        ]


def _sweep(folder: Path) -> None:
    """What nobody has fetched within `LEFT_BEHIND_S`: the agent ended before it could hand it over."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.stat().st_mtime < time.time() - LEFT_BEHIND_S:
                path.unlink(missing_ok=True)


class _Versions:
    """What runs here. Asked for in the packing thread: looking at libraries reads files."""

    def __init__(self, about: Mapping[str, object]) -> None:
        self._about = about

    def __iter__(self) -> Iterator[str]:
        import platform  # here, because it is only ever needed here, as is what `_version` imports

        found = {name: _version(name) for name in LIBRARIES}
        system = {
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "executable": sys.executable,
            "system": platform.platform(),
            "machine": platform.machine(),
            "distribution": _distribution(platform.freedesktop_os_release),
            "libraries": {name: version for name, version in found.items() if version},
        }
        yield _json({**self._about, **system})


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _distribution(release: Callable[[], Mapping[str, str]]) -> str:
    try:
        return release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _settings(settings: Settings) -> dict[str, Any]:
    """What may be read; of a write-only setting only whether it is set."""
    return {
        row.name: {
            "key": row.key16,
            "value": (HIDDEN if settings.raw(row.name) else "")
            if row.mutability is Mutability.WRITE_ONLY
            else settings.raw(row.name),
            "default": "" if row.mutability is Mutability.WRITE_ONLY else row.default,
        }
        for row in settings.rows()
    }


def _plain(config: Config) -> dict[str, Any]:
    """The configuration as read from its file, defaults filled in."""
    tables = {
        name: getattr(config, name)
        for name in config.__dataclass_fields__
        if name not in ("lines", "settings")
    }
    plain: dict[str, Any] = msgspec.to_builtins(tables, enc_hook=_as_plain)
    # Judged by their names: a write-only setting may stand here in clear.
    plain["settings"] = dict.fromkeys(config.settings, "see settings.json")
    return plain


def _without_secrets(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: (HIDDEN if member else "") if name in SECRET_KEYS_OF_FILE else _without_secrets(member)
                for name, member in value.items()
            }
        case list():
            return [_without_secrets(member) for member in value]
        case _:
            return value


def messages_within(journal: MessageJournal, period: Period) -> Iterator[str]:
    for entry in journal.entries():
        if period.includes(entry.at):
            yield _json_line(asdict(entry))


def _log_lines(log_file: LogFile | None, period: Period) -> Iterator[str]:
    if log_file is None:
        yield "the agent keeps no log on disk (agent.log_file_bytes is 0)\n"
        return
    log_file.settle()
    for path in log_file.paths():
        try:
            yield from lines_within(path, period.includes)
        except FileNotFoundError:  # it was rotated away meanwhile
            continue


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_as_plain)).decode() + "\n"


def _json_line(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=_as_plain).decode() + "\n"


def _as_plain(value: object) -> object:
    """For msgspec: what it does not know by itself."""
    if isinstance(value, Mapping):
        return dict(value)
    return repr(value)
