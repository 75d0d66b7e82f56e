"""What is on disk of one customer, for the CSMS that has to tell or to forget it. Reads: tokens, local_list,
transactions, reservations, discarded.

A row is told as it stands, column by column. The local list is the CSMS's own and stays; so does what still holds or
has still to be delivered: open transactions, messages in the outbox, reservations. Used by `charging/execution.py`.
OCPP 2.0.1 part 2, N09.FR.05, N10.FR.03, N10.FR.06.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from agent.charging.ids import IdToken
from agent.store.db import Database

_FINISHED = "stopped_at IS NOT NULL AND pending = 0"
_SOURCES: Mapping[str, str] = {
    "authorization cache": "SELECT * FROM tokens WHERE key IN (:key, :typed_key)",
    "local authorization list": "SELECT * FROM local_list WHERE key IN (:key, :typed_key)",
    "transaction": "SELECT * FROM transactions WHERE id_token = :value COLLATE NOCASE ORDER BY number",
    "reservation": "SELECT * FROM reservations WHERE id_token = :value COLLATE NOCASE ORDER BY position",
    "message given up": "SELECT * FROM discarded WHERE instr(lower(body), :in_json) ORDER BY row_id",
}
_HIDDEN = frozenset({"position", "number", "started", "body", "pending", "next_seq_no"})
"""Columns that say nothing of a customer."""


class SqlCustomers:
    """Implements `charging.ports.CustomerStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, id_token: IdToken) -> Sequence[str]:
        return await self._database.read(_select, _names(id_token))

    async def forget(self, id_token: IdToken) -> None:
        """One commit."""
        await self._database.commit(_forget, _names(id_token))


def _names(id_token: IdToken) -> dict[str, str]:
    in_json = f'"value":{json.dumps(id_token.value, ensure_ascii=False)}'.lower()
    keys = {"key": id_token.key, "typed_key": id_token.typed_key}
    return {**keys, "value": id_token.value, "in_json": in_json}


def _select(sql: sqlite3.Connection, names: Mapping[str, str]) -> list[str]:
    entries = []
    for source, question in _SOURCES.items():
        cursor = sql.execute(question, names)
        columns = [column for column, *_more in cursor.description]
        for row in cursor:
            content = {
                column: value
                for column, value in zip(columns, row, strict=True)
                if column not in _HIDDEN and value is not None
            }
            entries.append(f"{source}: {json.dumps(content, ensure_ascii=False)}")
    return entries


def _forget(sql: sqlite3.Connection, names: Mapping[str, str]) -> None:
    sql.execute("DELETE FROM tokens WHERE key IN (:key, :typed_key)", names)
    sql.execute("DELETE FROM discarded WHERE instr(lower(body), :in_json)", names)
    sql.execute(
        f"UPDATE transactions SET id_token = NULL, id_token_type = NULL, started = NULL"
        f" WHERE id_token = :value COLLATE NOCASE AND {_FINISHED}",
        names,
    )
