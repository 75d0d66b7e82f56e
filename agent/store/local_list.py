"""The local authorization list. Tables: local_list, local_list_state; takes out of `tokens` what is listed.

Non-volatile (R16-214). An update is one commit whatever its length, so that a power cut leaves the old list or the new
one; a look-up is one read by key. It does not judge entries nor turn them Expired. Used by `charging/listing.py`.
OCPP 1.6 3.5.2, 3.5.3.
"""

import sqlite3
from collections.abc import Collection, Iterator
from itertools import islice

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.local_list import ListChange, Standing
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.timestamps import parse_time, time_text

KEYS_PER_QUERY = 500


class SqlLocalList:
    """Implements `charging.ports.LocalListStore`; tokens are told apart by `IdToken.key`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self) -> Standing:
        return await self._database.read(_select_standing)

    async def get(self, id_token: IdToken) -> IdTokenInfo | None:
        return await self._database.read(_select, id_token.key)

    async def held(self, keys: Collection[str]) -> frozenset[str]:
        """Those of `keys` that the list has an entry for."""
        return await self._database.read(_select_held, tuple(keys)) if keys else frozenset()

    async def apply(self, change: ListChange) -> None:
        """One commit. What is listed leaves the cache: an old word about it must not return once it leaves the list."""
        await self._database.commit(_apply, change)


def _select_standing(sql: sqlite3.Connection) -> Standing:
    return Standing(*sql.execute("SELECT version, length FROM local_list_state").fetchone())


def _select(sql: sqlite3.Connection, key: str) -> IdTokenInfo | None:
    row = sql.execute(
        "SELECT status, expires_at, group_value, group_type FROM local_list WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    status, expires_at, group_value, group_type = row
    try:
        return IdTokenInfo(
            AuthorizationStatus(status),
            None if expires_at is None else parse_time(expires_at),
            None if group_value is None else IdToken(group_value, IdTokenType(group_type)),
        )
    except ValueError as error:
        raise StoreCorrupt(f"an entry of the local list cannot be read: {error}") from error


def _select_held(sql: sqlite3.Connection, keys: tuple[str, ...]) -> frozenset[str]:
    found: set[str] = set()
    left = iter(keys)
    while some := tuple(islice(left, KEYS_PER_QUERY)):
        marks = ",".join("?" * len(some))
        found.update(
            key for (key,) in sql.execute(f"SELECT key FROM local_list WHERE key IN ({marks})", some)
        )
    return frozenset(found)


def _apply(sql: sqlite3.Connection, change: ListChange) -> None:
    if change.is_full:
        sql.execute("DELETE FROM local_list")
    sql.executemany("DELETE FROM local_list WHERE key = ?", [(each.key,) for each in change.removals])
    sql.executemany(
        "INSERT OR REPLACE INTO local_list (key, status, expires_at, group_value, group_type)"
        " VALUES (?, ?, ?, ?, ?)",
        _rows(change),
    )
    sql.execute("DELETE FROM tokens WHERE key IN (SELECT key FROM local_list)")
    standing = change.standing
    sql.execute("UPDATE local_list_state SET version = ?, length = ?", (standing.version, standing.length))


def _rows(change: ListChange) -> Iterator[tuple[str, str, str | None, str | None, str | None]]:
    for id_token, known in change.puts:
        group = known.group
        yield (
            id_token.key,
            known.status,
            None if known.expires_at is None else time_text(known.expires_at),
            None if group is None else group.value,
            None if group is None else group.type,
        )
