"""The local authorization list. Tables: local_list, local_list_state; takes out of `tokens` what is listed.

Non-volatile (R16-214). An update is one commit whatever its length, so that a power cut leaves the old list or the new
one; a look-up is one read by key. It does not judge entries nor turn them Expired. Used by `charging/listing.py`.
OCPP 1.6 3.5.2, 3.5.3.
"""

import sqlite3
from collections.abc import Collection
from itertools import islice

from agent.charging.ids import IdToken, IdTokenInfo
from agent.charging.local_list import ListChange, Standing
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.token_rows import BEST_FIRST, COLUMNS, MATCHING, VALUE, columns_of, keys_for, known_of

KEYS_PER_QUERY = 500


class SqlLocalList:
    """Implements `charging.ports.LocalListStore`; tokens are told apart by `IdToken.typed_key`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self) -> Standing:
        return await self._database.read(_select_standing)

    async def get(self, id_token: IdToken) -> IdTokenInfo | None:
        return await self._database.read(_select, id_token)

    async def held(self, keys: Collection[str]) -> frozenset[str]:
        """Those of `keys` that the list has an entry for."""
        return await self._database.read(_select_held, tuple(keys)) if keys else frozenset()

    async def apply(self, change: ListChange) -> None:
        """One commit. What is listed leaves the cache: an old word about it must not return once it leaves the list."""
        await self._database.commit(_apply, change)


def _select_standing(sql: sqlite3.Connection) -> Standing:
    return Standing(*sql.execute("SELECT version, length FROM local_list_state").fetchone())


def _select(sql: sqlite3.Connection, id_token: IdToken) -> IdTokenInfo | None:
    question = f"SELECT {COLUMNS} FROM local_list WHERE {MATCHING} {BEST_FIRST}"
    row = sql.execute(question, keys_for(id_token)).fetchone()
    if row is None:
        return None
    try:
        return known_of(row)
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
    replaced = [*change.removals, *(id_token for id_token, _known in change.puts)]
    if not change.is_full:
        sql.executemany(f"DELETE FROM local_list WHERE {MATCHING}", [keys_for(each) for each in replaced])
    sql.executemany(
        f"INSERT OR REPLACE INTO local_list (key, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        [(id_token.typed_key, *columns_of(known)) for id_token, known in change.puts],
    )
    sql.execute(f"DELETE FROM tokens WHERE {VALUE} IN (SELECT {VALUE} FROM local_list)")
    sql.execute(
        "UPDATE local_list_state SET version = ?, length = (SELECT count(*) FROM local_list)",
        (change.standing.version,),
    )
