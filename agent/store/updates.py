"""The firmware update under way, so that it survives a power cut and goes on. Table: firmware_update.

The stage of an update and the facts that it leads to are one commit, so no status is skipped and none is told of a
stage that was not reached. It knows no stage. Used by `agent/update/updater.py`.
"""

import logging
import os
import sqlite3
from pathlib import Path

import msgspec

from agent.charging.facts import DurableFact, FirmwareStatusChanged
from agent.charging.firmware import Stage, Update
from agent.charging.ports import StoredUpdate
from agent.store.db import Database, copy_path
from agent.store.journal import HISTORY_LIMIT, record_facts

log = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()
_update_decoder = msgspec.json.Decoder(Update)
_status_decoder = msgspec.json.Decoder(FirmwareStatusChanged)


class SqlUpdates:
    """Implements `charging.ports.UpdateStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> StoredUpdate:
        """What was under way. An update that cannot be read (another release wrote it) is given up with a log entry."""
        number, body, last_status = await self._database.read(_select)
        update: Update | None = None
        last: FirmwareStatusChanged | None = None
        try:
            update = None if body is None else _update_decoder.decode(body)
            last = None if last_status is None else _status_decoder.decode(last_status)
        except msgspec.DecodeError as error:
            log.error("what was noted of a firmware update cannot be read: %s", error)
        return StoredUpdate(update, last, number)

    async def save(self, update: Update, *facts: DurableFact) -> None:
        """One commit: the update as it is now (an ended one is forgotten), and one outbox row for each fact."""
        await self._database.commit(_save, update, facts)

    async def keep_copy(self) -> None:
        """Keep a copy of the whole database for the release that runs now, should it have to come back."""
        await self._database.read(_copy, copy_path(self._database.path))

    async def drop_copy(self) -> None:
        """The running release is here to stay."""
        await self._database.read(_drop, copy_path(self._database.path))


def _select(sql: sqlite3.Connection) -> tuple[int, str | None, str | None]:
    row: tuple[int, str | None, str | None] = sql.execute(
        "SELECT last_number, body, last_status FROM firmware_update"
    ).fetchone()
    return row


def _save(sql: sqlite3.Connection, update: Update, facts: tuple[DurableFact, ...]) -> None:
    body = None if update.stage is Stage.ENDED else _encoder.encode(update).decode()
    sql.execute("UPDATE firmware_update SET last_number = ?, body = ?", (update.number, body))
    for fact in facts:
        if isinstance(fact, FirmwareStatusChanged):
            sql.execute("UPDATE firmware_update SET last_status = ?", (_encoder.encode(fact).decode(),))
    if facts:
        record_facts(sql, facts, HISTORY_LIMIT)


def _copy(sql: sqlite3.Connection, target: Path) -> None:
    """Never half a copy under its name: that is what a rollback starts from."""
    draft = target.with_name(target.name + ".new")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        sql.execute("VACUUM INTO ?", (str(draft),))
        os.fsync(file)
    finally:
        os.close(file)
    draft.replace(target)


def _drop(_sql: sqlite3.Connection, target: Path) -> None:
    target.unlink(missing_ok=True)
