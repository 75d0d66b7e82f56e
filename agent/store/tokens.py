"""The authorization cache: what the CSMS last said of each token. Table: tokens.

Non-volatile (R16-104) and bounded. It neither judges a token nor turns it Expired: `get` gives what was put, and
`charging/authorization.py` compares `expires_at` with the clock (R16-102). Used by `charging/station.py`.
OCPP 1.6 3.5.1.
"""

import sqlite3
from datetime import datetime

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.timestamps import parse_time, time_text
from agent.store.token_rows import BEST_FIRST, COLUMNS, MATCHING, columns_of, keys_for, known_of

CAPACITY = 1_000


class SqlTokens:
    """Implements `charging.ports.TokenStore`; tokens are told apart by `IdToken.typed_key`."""

    def __init__(self, database: Database, capacity: int = CAPACITY) -> None:
        """`capacity`: how many tokens are kept, at least 1."""
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._database = database
        self._capacity = capacity

    async def get(self, id_token: IdToken) -> IdTokenInfo | None:
        return await self._database.read(_select, id_token)

    async def put(self, id_token: IdToken, known: IdTokenInfo, now: datetime) -> None:
        """One commit. A full cache first loses all tokens that are not valid at `now`, then the oldest valid ones
        (OCPP 1.6 3.5.1, R16-103); never the one being put."""
        await self._database.commit(_put, id_token, known, now, self._capacity)

    async def use(self, id_token: IdToken, now: datetime) -> None:
        """One commit."""
        await self._database.commit(_use, id_token, now)

    async def used_at(self, id_token: IdToken) -> datetime | None:
        """The last `use` or `put`; None: it is not cached, or by a release that did not note it."""
        return await self._database.read(_select_use, id_token)

    async def clear(self) -> None:
        """One commit."""
        await self._database.commit(_clear)


def _select(sql: sqlite3.Connection, id_token: IdToken) -> IdTokenInfo | None:
    question = f"SELECT {COLUMNS} FROM tokens WHERE {MATCHING} {BEST_FIRST}"
    row = sql.execute(question, keys_for(id_token)).fetchone()
    if row is None:
        return None
    try:
        return known_of(row)
    except ValueError as error:
        raise StoreCorrupt(f"a cached token cannot be read: {error}") from error


def _put(
    sql: sqlite3.Connection, id_token: IdToken, known: IdTokenInfo, now: datetime, capacity: int
) -> None:
    sql.execute(f"DELETE FROM tokens WHERE {MATCHING}", keys_for(id_token))
    if _excess(sql, capacity) > 0:
        sql.execute(
            "DELETE FROM tokens WHERE status <> ? OR expires_at <= ?",
            (AuthorizationStatus.ACCEPTED, time_text(now)),
        )
    sql.execute(
        "DELETE FROM tokens WHERE position IN (SELECT position FROM tokens ORDER BY position LIMIT ?)",
        (max(0, _excess(sql, capacity)),),
    )
    sql.execute(
        f"INSERT INTO tokens (key, {COLUMNS}, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id_token.typed_key, *columns_of(known), time_text(now)),
    )


def _use(sql: sqlite3.Connection, id_token: IdToken, now: datetime) -> None:
    sql.execute(f"UPDATE tokens SET used_at = ? WHERE {MATCHING}", (time_text(now), *keys_for(id_token)))


def _select_use(sql: sqlite3.Connection, id_token: IdToken) -> datetime | None:
    question = f"SELECT used_at FROM tokens WHERE {MATCHING} {BEST_FIRST}"
    row = sql.execute(question, keys_for(id_token)).fetchone()
    try:
        return None if row is None or row[0] is None else parse_time(row[0])
    except ValueError as error:
        raise StoreCorrupt(f"a cached token cannot be read: {error}") from error


def _excess(sql: sqlite3.Connection, capacity: int) -> int:
    """How many tokens must go to make room for one more."""
    return int(sql.execute("SELECT count(*) FROM tokens").fetchone()[0]) + 1 - capacity


def _clear(sql: sqlite3.Connection) -> None:
    sql.execute("DELETE FROM tokens")
