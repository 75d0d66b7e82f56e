"""The security log: every security event, told to the CSMS or not. Table: security_log, a ring of 10,000 rows.

Written by the journal in the commit that also holds the outbox row of an event that is pushed, so that neither is
without the other; read for GetLog and the local API. It decides nothing. Security white paper A04.FR.04, N01.FR.05
(R16-355).
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import SecurityEventType
from agent.store.db import Database
from agent.store.timestamps import parse_time, time_text

CAPACITY = 10_000


class SqlSecurityLog:
    """Implements `charging.ports.SecurityLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, oldest: datetime | None, latest: datetime | None) -> Sequence[SecurityEventRaised]:
        """From `oldest` to `latest`, both included, in the order in which they were written; None = no bound."""
        return await self._database.read(_select, oldest, latest)


def add_event(sql: sqlite3.Connection, event: SecurityEventRaised, capacity: int = CAPACITY) -> None:
    """Within the commit of the caller; the oldest row goes when the ring is full."""
    cursor = sql.execute(
        "INSERT INTO security_log (at, type, detail, is_pushed) VALUES (?, ?, ?, ?)",
        (time_text(event.at), event.type, event.detail, event.is_pushed),
    )
    position = cursor.lastrowid
    assert position is not None  # an INSERT into a table with a rowid gives one
    sql.execute("DELETE FROM security_log WHERE position <= ?", (position - capacity,))


def _select(
    sql: sqlite3.Connection, oldest: datetime | None, latest: datetime | None
) -> list[SecurityEventRaised]:
    rows = sql.execute(
        "SELECT at, type, detail, is_pushed FROM security_log"
        " WHERE (? IS NULL OR at >= ?) AND (? IS NULL OR at <= ?) ORDER BY position",
        [text for each in (oldest, latest) for text in [None if each is None else time_text(each)] * 2],
    )
    return [
        SecurityEventRaised(parse_time(at), SecurityEventType(kind), detail, bool(is_pushed))
        for at, kind, detail, is_pushed in rows
    ]
