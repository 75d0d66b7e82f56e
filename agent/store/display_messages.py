"""Messages for the display, so that they survive a reboot (2.0.1 O01.FR.10). Table: display_messages.

It does not know when a message is shown, nor which replaces which: `charging/display.py` does. Used by
`charging/screens.py`.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from agent.charging.display import DisplayMessage
from agent.errors import StoreCorrupt
from agent.store.db import Database


class SqlDisplayMessages:
    """Implements `charging.ports.MessageStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[DisplayMessage]:
        """In the order in which they were set."""
        return await self._database.read(_select)

    async def replace(self, gone: Sequence[int], new: DisplayMessage) -> None:
        """One commit: `gone` and what has the id of `new` are deleted, `new` is there; or nothing is changed."""
        await self._database.commit(_replace, tuple(gone), new)

    async def delete(self, gone: Sequence[int]) -> None:
        """One commit for all of them, or none."""
        await self._database.commit(_delete, tuple(gone))


def _select(sql: sqlite3.Connection) -> list[DisplayMessage]:
    rows = sql.execute("SELECT message_id, body FROM display_messages ORDER BY position").fetchall()
    return [_read(message_id, body) for message_id, body in rows]


def _read(message_id: int, body: str) -> DisplayMessage:
    try:
        return msgspec.json.decode(body, type=DisplayMessage)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"display message {message_id} cannot be read: {error}") from error


def _replace(sql: sqlite3.Connection, gone: Sequence[int], new: DisplayMessage) -> None:
    _delete(sql, gone)
    sql.execute(
        "INSERT OR REPLACE INTO display_messages (message_id, position, body)"
        " VALUES (?, (SELECT coalesce(max(position), 0) + 1 FROM display_messages), ?)",
        (new.message_id, msgspec.json.encode(new).decode()),
    )


def _delete(sql: sqlite3.Connection, gone: Sequence[int]) -> None:
    sql.executemany("DELETE FROM display_messages WHERE message_id = ?", [(each,) for each in gone])
