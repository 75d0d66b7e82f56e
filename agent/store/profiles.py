"""Installed charging profiles, so that they survive a reboot (R16-268). Table: charging_profiles.

It does not know what a profile means, nor which replaces which: `charging/profiles.py` does. Used by
`charging/limiting.py`.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from agent.charging.profiles import InstalledProfile
from agent.errors import StoreCorrupt
from agent.store.db import Database


class SqlProfiles:
    """Implements `charging.ports.ProfileStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[InstalledProfile]:
        return await self._database.read(_select)

    async def replace(self, gone: Sequence[int], new: InstalledProfile) -> None:
        """One commit: `gone` and what has the id of `new` are deleted, `new` is there; or nothing is changed."""
        await self._database.commit(_replace, tuple(gone), new)

    async def delete(self, gone: Sequence[int]) -> None:
        """One commit for all of them, or none."""
        if gone:
            await self._database.commit(_delete, tuple(gone))


def _select(sql: sqlite3.Connection) -> list[InstalledProfile]:
    rows = sql.execute("SELECT profile_id, body FROM charging_profiles ORDER BY position").fetchall()
    return [_read(profile_id, body) for profile_id, body in rows]


def _read(profile_id: int, body: str) -> InstalledProfile:
    try:
        return msgspec.json.decode(body, type=InstalledProfile)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"charging profile {profile_id} cannot be read: {error}") from error


def _replace(sql: sqlite3.Connection, gone: Sequence[int], new: InstalledProfile) -> None:
    _delete(sql, gone)
    sql.execute(
        "INSERT OR REPLACE INTO charging_profiles (profile_id, position, body)"
        " VALUES (?, (SELECT coalesce(max(position), 0) + 1 FROM charging_profiles), ?)",
        (new.profile.profile_id, msgspec.json.encode(new).decode()),
    )


def _delete(sql: sqlite3.Connection, gone: Sequence[int]) -> None:
    sql.executemany("DELETE FROM charging_profiles WHERE profile_id = ?", [(each,) for each in gone])
