"""What ChangeAvailability left, so that it survives a reboot (R16-191). Table: availability.

It does not know which EVSEs exist nor what follows from a state. Used by `charging/station.py`.
"""

import sqlite3
from collections.abc import Mapping

from agent.charging.ids import ConnectorId, EvseId
from agent.store.db import Database


class SqlAvailability:
    """Implements `charging.ports.AvailabilityStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Mapping[tuple[EvseId, ConnectorId], bool]:
        return await self._database.read(_select)

    async def save(self, changes: Mapping[tuple[EvseId, ConnectorId], bool]) -> None:
        """One commit for all of `changes`, or none of them; other entries are let be."""
        if changes:
            await self._database.commit(_upsert, dict(changes))


def _select(sql: sqlite3.Connection) -> dict[tuple[EvseId, ConnectorId], bool]:
    rows = sql.execute("SELECT evse_id, connector_id, is_operative FROM availability")
    return {(evse_id, connector_id): bool(is_operative) for evse_id, connector_id, is_operative in rows}


def _upsert(sql: sqlite3.Connection, changes: Mapping[tuple[EvseId, ConnectorId], bool]) -> None:
    sql.executemany(
        "INSERT OR REPLACE INTO availability (evse_id, connector_id, is_operative) VALUES (?, ?, ?)",
        [(evse_id, connector_id, is_operative) for (evse_id, connector_id), is_operative in changes.items()],
    )
