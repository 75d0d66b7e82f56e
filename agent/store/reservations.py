"""Reservations that have not ended, so that they survive a reboot (R16-241). Table: reservations.

It knows no clock and no EVSE: what of it still holds is decided by `charging/reserving.py`, its only user. A start that
uses a reservation deletes its row in the commit of the start (`journal.py`); one that lapsed leaves its outbox row in
the commit that deletes it.
"""

import sqlite3
from collections.abc import Sequence

from agent.charging.facts import ReservationLapsed
from agent.charging.ids import IdToken, IdTokenType, Reservation
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.journal import HISTORY_LIMIT, record_facts
from agent.store.timestamps import parse_time, time_text


class SqlReservations:
    """Implements `charging.ports.ReservationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[Reservation]:
        """In the order in which they were made."""
        return await self._database.read(_select)

    async def save(self, reservations: Sequence[Reservation], *lapsed: ReservationLapsed) -> None:
        """One commit: from now on these are all there are, made in this order; an outbox row for each lapse."""
        await self._database.commit(_replace, tuple(reservations), lapsed)


def _select(sql: sqlite3.Connection) -> list[Reservation]:
    rows = sql.execute(
        "SELECT reservation_id, id_token, id_token_type, group_value, group_type, expires_at, evse_id,"
        " connector_id, connector_type FROM reservations ORDER BY position"
    )
    try:
        return [
            Reservation(
                reservation_id,
                IdToken(token, IdTokenType(token_type)),
                None if group is None else IdToken(group, IdTokenType(group_type)),
                parse_time(expires_at),
                evse_id,
                connector_id,
                connector_type,
            )
            for (
                reservation_id,
                token,
                token_type,
                group,
                group_type,
                expires_at,
                evse_id,
                connector_id,
                connector_type,
            ) in rows
        ]
    except ValueError as error:
        raise StoreCorrupt(f"a reservation cannot be read: {error}") from error


def _replace(
    sql: sqlite3.Connection, reservations: tuple[Reservation, ...], lapsed: tuple[ReservationLapsed, ...]
) -> None:
    sql.execute("DELETE FROM reservations")
    sql.executemany(
        "INSERT INTO reservations (reservation_id, id_token, id_token_type, group_value, group_type, expires_at,"
        " evse_id, connector_id, connector_type) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                each.reservation_id,
                each.id_token.value,
                each.id_token.type,
                None if each.group is None else each.group.value,
                None if each.group is None else each.group.type,
                time_text(each.expires_at),
                each.evse_id,
                each.connector_id,
                each.connector_type,
            )
            for each in reservations
        ],
    )
    if lapsed:
        record_facts(sql, lapsed, HISTORY_LIMIT)
