"""The authorization cache: what the CSMS last said of each token. Table: tokens.

Non-volatile (R16-104) and bounded. It neither judges a token nor turns it Expired: `get` gives what was put, and
`charging/authorization.py` compares `expires_at` with the clock (R16-102). Used by `charging/station.py`.
OCPP 1.6 3.5.1.
"""

import sqlite3
from datetime import datetime

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.timestamps import parse_time, time_text

CAPACITY = 1_000


class SqlTokens:
    """Implements `charging.ports.TokenStore`; tokens are told apart by `IdToken.key`."""

    def __init__(self, database: Database, capacity: int = CAPACITY) -> None:
        """`capacity`: how many tokens are kept, at least 1."""
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._database = database
        self._capacity = capacity

    async def get(self, id_token: IdToken) -> IdTokenInfo | None:
        return await self._database.read(_select, id_token.key)

    async def put(self, id_token: IdToken, known: IdTokenInfo, now: datetime) -> None:
        """One commit. A full cache first loses all tokens that are not valid at `now`, then the oldest valid ones
        (OCPP 1.6 3.5.1, R16-103); never the one being put."""
        await self._database.commit(_put, id_token.key, known, now, self._capacity)

    async def clear(self) -> None:
        """One commit."""
        await self._database.commit(_clear)


def _select(sql: sqlite3.Connection, key: str) -> IdTokenInfo | None:
    row = sql.execute(
        "SELECT status, expires_at, group_value, group_type FROM tokens WHERE key = ?", (key,)
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
        raise StoreCorrupt(f"a cached token cannot be read: {error}") from error


def _put(sql: sqlite3.Connection, key: str, known: IdTokenInfo, now: datetime, capacity: int) -> None:
    sql.execute("DELETE FROM tokens WHERE key = ?", (key,))
    if _excess(sql, capacity) > 0:
        sql.execute(
            "DELETE FROM tokens WHERE status <> ? OR expires_at <= ?",
            (AuthorizationStatus.ACCEPTED, time_text(now)),
        )
    sql.execute(
        "DELETE FROM tokens WHERE position IN (SELECT position FROM tokens ORDER BY position LIMIT ?)",
        (max(0, _excess(sql, capacity)),),
    )
    group = known.group
    sql.execute(
        "INSERT INTO tokens (key, status, expires_at, group_value, group_type) VALUES (?, ?, ?, ?, ?)",
        (
            key,
            known.status,
            None if known.expires_at is None else time_text(known.expires_at),
            None if group is None else group.value,
            None if group is None else group.type,
        ),
    )


def _excess(sql: sqlite3.Connection, capacity: int) -> int:
    """How many tokens must go to make room for one more."""
    return int(sql.execute("SELECT count(*) FROM tokens").fetchone()[0]) + 1 - capacity


def _clear(sql: sqlite3.Connection) -> None:
    sql.execute("DELETE FROM tokens")
