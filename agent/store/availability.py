"""What ChangeAvailability left, so that it survives a reboot (R16-191). Table: availability.

It does not know which EVSEs exist nor what follows from a state. Used by `charging/station.py`.
"""

import sqlite3
from collections.abc import Mapping
from typing import TypeAlias

from agent.charging.ids import ConnectorId, EvseId
from agent.store.db import Database

States: TypeAlias = Mapping[tuple[EvseId, ConnectorId], bool]


class SqlAvailability:
    """Implements `charging.ports.AvailabilityStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[States, States]:
        """What holds at each place, and what was said of this very place."""
        return await self._database.read(_select)

    async def save(self, states: States, own: States) -> None:
        """One commit for all of them, or none; other entries are let be. `own` may name places of `states` only."""
        if states:
            await self._database.commit(_upsert, dict(states), dict(own))


def _select(sql: sqlite3.Connection) -> tuple[States, States]:
    rows = sql.execute("SELECT evse_id, connector_id, is_operative, own FROM availability").fetchall()
    return (
        {(evse_id, connector_id): bool(state) for evse_id, connector_id, state, _own in rows},
        {(evse_id, connector_id): bool(own) for evse_id, connector_id, _state, own in rows},
    )


def _upsert(sql: sqlite3.Connection, states: States, own: States) -> None:
    sql.executemany(
        "INSERT INTO availability (evse_id, connector_id, is_operative) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET is_operative = excluded.is_operative",
        [(*place, state) for place, state in states.items()],
    )
    sql.executemany(
        "UPDATE availability SET own = ? WHERE evse_id = ? AND connector_id = ?",
        [(word, *place) for place, word in own.items()],
    )
