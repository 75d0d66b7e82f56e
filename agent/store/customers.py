"""What is on disk of one customer, for the CSMS that has to tell or to forget it. Reads: tokens, local_list,
transactions, reservations, discarded.

A customer is a token, or a text: the value of a token whatever its type, or the name of a group, as a fleet has it.
A row is told as it stands, column by column, times in milliseconds. The local list is the CSMS's own and stays; so
does what still holds or has still to be delivered: open transactions, messages in the outbox, reservations. Used by
`charging/execution.py`.
OCPP 2.0.1 part 2, N09.FR.05, N10.FR.03, N10.FR.06.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from agent.charging.ids import TYPE_MARK, IdToken
from agent.store.db import Database
from agent.store.timestamps import parse_time
from agent.store.token_rows import VALUE

_FINISHED = "stopped_at IS NOT NULL AND pending = 0"
_KNOWN = f"(key IN (:key, :typed_key) OR group_value = :group COLLATE NOCASE OR {VALUE} = :any_key)"
"""Rows of the cache and the list; `group` and `any_key` are NULL, and so match nothing, where a token is asked for."""
_SOURCES: Mapping[str, str] = {
    "authorization cache": f"SELECT * FROM tokens WHERE {_KNOWN}",
    "local authorization list": f"SELECT * FROM local_list WHERE {_KNOWN}",
    "transaction": "SELECT * FROM transactions WHERE id_token = :value COLLATE NOCASE ORDER BY number",
    "reservation": "SELECT * FROM reservations WHERE id_token = :value COLLATE NOCASE OR group_value = :group"
    " COLLATE NOCASE ORDER BY position",
    "message given up": "SELECT * FROM discarded WHERE instr(lower(body), :in_json) ORDER BY row_id",
}
_HIDDEN = frozenset({"position", "number", "started", "body", "pending", "next_seq_no"})
"""Columns that say nothing of a customer."""


class SqlCustomers:
    """Implements `charging.ports.CustomerStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, customer: IdToken | str) -> Sequence[str]:
        return await self._database.read(_select, _names(customer))

    async def forget(self, customer: IdToken | str) -> None:
        """One commit."""
        await self._database.commit(_forget, _names(customer))


Names: TypeAlias = Mapping[str, str | None]


def _names(customer: IdToken | str) -> Names:
    id_token = IdToken(customer) if isinstance(customer, str) else customer
    in_json = f'"value":{json.dumps(id_token.value, ensure_ascii=False)}'.lower()
    names = {
        "key": id_token.key,
        "typed_key": id_token.typed_key,
        "value": id_token.value,
        "in_json": in_json,
    }
    if isinstance(customer, str):
        return {**names, "any_key": id_token.key, "group": customer}
    return {**names, "any_key": None, "group": None}


def _select(sql: sqlite3.Connection, names: Names) -> list[str]:
    entries = []
    for source, question in _SOURCES.items():
        cursor = sql.execute(question, names)
        columns = [column for column, *_more in cursor.description]
        for row in cursor:
            content: dict[str, object] = {}
            for column, value in zip(columns, row, strict=True):
                if column == "key":
                    content |= _readable(value)
                elif column.endswith("_at") and value is not None:
                    content[column] = parse_time(value).isoformat(timespec="milliseconds")
                elif column not in _HIDDEN and value is not None:
                    content[column] = value
            entries.append(f"{source}: {json.dumps(content, ensure_ascii=False)}")
    return entries


def _readable(key: str) -> dict[str, object]:
    """A token by which rows are found, as a person reads it; one that came by 1.6 has no type."""
    value, _, kind = key.partition(TYPE_MARK)
    return {"id_token": value, "id_token_type": kind} if kind else {"id_token": value}


def _forget(sql: sqlite3.Connection, names: Names) -> None:
    sql.execute(f"DELETE FROM tokens WHERE {_KNOWN}", names)
    sql.execute("DELETE FROM discarded WHERE instr(lower(body), :in_json)", names)
    sql.execute(
        f"UPDATE transactions SET id_token = NULL, id_token_type = NULL, started = NULL"
        f" WHERE id_token = :value COLLATE NOCASE AND {_FINISHED}",
        names,
    )
