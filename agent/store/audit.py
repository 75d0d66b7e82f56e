"""Who asked for which local hardware action, and what came of it. Table: audit, a ring of 10,000 rows.

Written by the vendor commands, read by the local API; nothing is decided by it.
"""

import sqlite3
from collections.abc import Sequence

from agent.charging.facts import VendorActionRun
from agent.store.db import Database
from agent.store.timestamps import parse_time, time_text

CAPACITY = 10_000


class SqlAudit:
    """Implements `charging.ports.AuditLog`."""

    def __init__(self, database: Database, capacity: int = CAPACITY) -> None:
        """`capacity`: how many rows are kept."""
        self._database = database
        self._capacity = capacity

    async def add(self, row: VendorActionRun) -> None:
        """One commit; the oldest row goes when the ring is full."""
        await self._database.commit(_insert, row, self._capacity)

    async def latest(self, limit: int) -> Sequence[VendorActionRun]:
        """The last `limit` rows, newest first."""
        return await self._database.read(_select, limit)


def _insert(sql: sqlite3.Connection, row: VendorActionRun, capacity: int) -> None:
    cursor = sql.execute(
        "INSERT INTO audit (at, source, action, evse_id, outcome, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (time_text(row.at), row.source, row.action, row.evse_id, row.outcome, row.detail),
    )
    position = cursor.lastrowid
    assert position is not None  # an INSERT into a table with a rowid gives one
    sql.execute("DELETE FROM audit WHERE position <= ?", (position - capacity,))


def _select(sql: sqlite3.Connection, limit: int) -> list[VendorActionRun]:
    rows = sql.execute(
        "SELECT at, source, action, evse_id, outcome, detail FROM audit ORDER BY position DESC LIMIT ?",
        (max(0, limit),),
    )
    return [VendorActionRun(parse_time(at), *rest) for at, *rest in rows]
