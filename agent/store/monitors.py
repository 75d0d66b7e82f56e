"""Monitors that the CSMS has set, so that they survive a reboot. Tables: monitors, exceeded_monitors,
monitor_references, monitoring.

What is told by a monitor and what is known of it is one commit, with the outbox row of the event. It judges nothing:
`charging/monitoring_watch.py` does, its only user. OCPP 2.0.1 part 2, N04, N07.FR.13, N07.FR.14, N07.FR.18.
"""

import sqlite3
from collections.abc import Collection, Mapping

import msgspec

from agent.charging.facts import DurableFact
from agent.charging.monitors import Installed, Monitor, MonitoringBase
from agent.charging.ports import StoredMonitoring
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.journal import HISTORY_LIMIT, record_facts

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Monitor)


class SqlMonitors:
    """Implements `charging.ports.MonitorStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> StoredMonitoring:
        return await self._database.read(_select)

    async def save(self, installed: Installed, references: Mapping[int, str]) -> None:
        """One commit: from now on these are all monitors of the CSMS, and this is the base and the level."""
        await self._database.commit(_replace, installed, dict(references))

    async def note(
        self, exceeded: Collection[int], references: Mapping[int, str], *facts: DurableFact
    ) -> None:
        """One commit: the thresholds that are exceeded, from where changes count, an outbox row for each fact."""
        await self._database.commit(_note, frozenset(exceeded), dict(references), facts)

    async def reserve_event_ids(self, last: int) -> None:
        """One commit."""
        await self._database.commit(_reserve, last)


def _select(sql: sqlite3.Connection) -> StoredMonitoring:
    rows = sql.execute("SELECT CAST(body AS BLOB) FROM monitors ORDER BY position").fetchall()
    base, level, last_id, last_event_id = sql.execute(
        "SELECT base, level, last_monitor_id, last_event_id FROM monitoring"
    ).fetchone()
    try:
        custom = tuple(_decoder.decode(body) for (body,) in rows)
        installed = Installed(custom, MonitoringBase(base), level, last_id)
    except (msgspec.DecodeError, ValueError) as error:
        raise StoreCorrupt(f"a monitor cannot be read: {error}") from error
    exceeded = sql.execute("SELECT monitor_id FROM exceeded_monitors").fetchall()
    references = dict(sql.execute("SELECT monitor_id, value FROM monitor_references"))
    return StoredMonitoring(installed, frozenset(number for (number,) in exceeded), last_event_id, references)


def _replace(sql: sqlite3.Connection, installed: Installed, references: dict[int, str]) -> None:
    sql.execute("DELETE FROM monitors")
    sql.executemany(
        "INSERT INTO monitors (monitor_id, position, body) VALUES (?, ?, ?)",
        [
            (each.monitor_id, position, _encoder.encode(each).decode())
            for position, each in enumerate(installed.custom)
        ],
    )
    sql.execute(
        "UPDATE monitoring SET base = ?, level = ?, last_monitor_id = ?",
        (installed.base, installed.level, installed.last_id),
    )
    _refer(sql, references)


def _refer(sql: sqlite3.Connection, references: dict[int, str]) -> None:
    """Only what is another one is written: most changes are of one monitor."""
    kept = dict(sql.execute("SELECT monitor_id, value FROM monitor_references"))
    gone = [(number,) for number in kept if number not in references]
    sql.executemany("DELETE FROM monitor_references WHERE monitor_id = ?", gone)
    changed = [(number, value) for number, value in references.items() if kept.get(number) != value]
    sql.executemany("INSERT OR REPLACE INTO monitor_references (monitor_id, value) VALUES (?, ?)", changed)


def _note(
    sql: sqlite3.Connection,
    exceeded: frozenset[int],
    references: dict[int, str],
    facts: tuple[DurableFact, ...],
) -> None:
    sql.execute("DELETE FROM exceeded_monitors")
    sql.executemany(
        "INSERT INTO exceeded_monitors (monitor_id) VALUES (?)", [(number,) for number in sorted(exceeded)]
    )
    _refer(sql, references)
    if facts:
        record_facts(sql, facts, HISTORY_LIMIT)


def _reserve(sql: sqlite3.Connection, last: int) -> None:
    sql.execute("UPDATE monitoring SET last_event_id = max(last_event_id, ?)", (last,))
