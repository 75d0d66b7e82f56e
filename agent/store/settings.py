"""Settings as text by name. Table: settings.

It does not know which names exist or what is allowed: `charging/settings.py` does, and is its only user.
An answer of Accepted to a change means that `save` returned (R16-209).
"""

import sqlite3
from collections.abc import Mapping

from agent.store.db import Database


class SqlSettings:
    """Implements `charging.ports.SettingStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Mapping[str, str]:
        return await self._database.read(_select)

    async def save(self, values: Mapping[str, str]) -> None:
        """One commit for all of `values`, or none of them; other settings are let be."""
        if values:
            await self._database.commit(_upsert, dict(values))


def _select(sql: sqlite3.Connection) -> dict[str, str]:
    return dict(sql.execute("SELECT name, value FROM settings").fetchall())


def _upsert(sql: sqlite3.Connection, values: Mapping[str, str]) -> None:
    sql.executemany("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", list(values.items()))
