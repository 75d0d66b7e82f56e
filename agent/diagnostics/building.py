"""Builds the uploads of logs as the configuration wants them, when they are first needed. Called by `agent/app.py`.

Nothing of it has to be there before BootNotification is on the wire, so the rest of this package is imported late.
Holds no logic of uploads.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.charging.diagnostics import Period
from agent.charging.ports import Clock
from agent.charging.requests import UploadAnswer, UploadLog
from agent.charging.settings import Settings
from agent.config import Config
from agent.log_file import LogFile
from agent.progress import Report, report_nothing

if TYPE_CHECKING:
    from agent.diagnostics.collecting import Collection, Sources
    from agent.diagnostics.secrets import Secrets
    from agent.diagnostics.uploads import StationPort, Uploads

FOLDER = "diagnostics"
"""Within the state directory: the file on its way and its order."""
LOG = Path("log", "agent.log")
"""Within the state directory."""


def build_log_file(config: Config, clock: Clock) -> LogFile | None:
    """None: the configuration wants no log on disk."""
    section = config.agent
    if not section.log_file_bytes:
        return None
    return LogFile(config.state_dir / LOG, section.log_file_bytes, section.log_files, clock.now)


class Diagnostics:
    """Implements `charging.ports.LogUploads`, and gives archives to people on this machine."""

    def __init__(
        self,
        station: "StationPort",
        sources: "Callable[[], Sources]",
        roots: Callable[[], str],
        report: Report = report_nothing,
        *,
        folder: Path,
    ) -> None:
        """`sources` is called once, when it is first needed. `roots`: the installed root certificates of the CSMS as
        PEM; it blocks and raises OSError. `folder`: of the file on its way and its order."""
        self._folder = folder
        self._ordered = asyncio.Event()
        self._station = station
        self._make_sources = sources
        self._roots = roots
        self._report = report

    async def order(self, request: UploadLog) -> UploadAnswer:
        answer = await self._uploads.order(request)
        self._ordered.set()
        return answer

    async def archive(self, oldest: datetime | None, latest: datetime | None) -> Path:
        """See `Collection.archive`. Raises OSError, StoreError."""
        return await self._collection.archive(oldest, latest)

    async def keep_messages(self) -> None:
        """At an orderly end, for archives that are made later; nothing where no log is kept. Raises OSError."""
        sources = self._sources
        if sources.log_file is None:
            return
        from agent.diagnostics.collecting import messages_within
        from agent.diagnostics.former_messages import FILE, keep

        config, messages = sources.config, messages_within(sources.messages.copy(), Period())
        path, most = config.state_dir / FILE, config.agent.message_journal
        await asyncio.to_thread(keep, path, messages, most, sources.secrets())

    async def run(self, turn: Callable[[], Awaitable[object]]) -> None:
        """Once `turn` has come, for ever. Until there is an order, also one of before a restart, it needs no memory."""
        await turn()
        if not await asyncio.to_thread(self._has_leftovers):
            await self._ordered.wait()
        await self._uploads.run()

    def _has_leftovers(self) -> bool:
        try:
            return any(self._folder.iterdir())
        except FileNotFoundError:
            return False
        except OSError:  # who works there says what is wrong
            return True

    @cached_property
    def _sources(self) -> "Sources":
        return self._make_sources()

    @cached_property
    def _collection(self) -> "Collection":
        from agent.diagnostics.collecting import Collection

        return Collection(self._sources)

    @cached_property
    def _uploads(self) -> "Uploads":
        from agent.diagnostics.uploads import UploadRules, Uploads
        from agent.transfer.trust import authorities

        sources = self._sources
        config, settings = sources.config, sources.settings
        rules = UploadRules(
            folder=self._folder,
            identity=config.station.identity,
            protocols=lambda: settings.listed("file_transfer_protocols"),
            trust=lambda: authorities(config.csms.ca_file, self._roots()),
            known_hosts=config.known_hosts,
        )
        return Uploads(
            self._station, sources.clock, self._collection, sources.security_log, rules, self._report
        )


def secrets_of(config: Config, settings: Settings) -> "Callable[[], Secrets]":
    """All that must never leave the station, as it is when asked."""

    def secrets() -> "Secrets":
        from agent.diagnostics.secrets import Secrets

        found: list[bytes] = [config.csms.password.encode(), bytes.fromhex(config.csms.password_hex)]
        with suppress(OSError):
            found.append(config.csms.read_password() or b"")
        for key in (settings.raw("authorization_key"), settings.former("authorization_key")):
            found.append(bytes.fromhex(key or ""))
        return Secrets([each for each in found if each], config.station.identity)

    return secrets
