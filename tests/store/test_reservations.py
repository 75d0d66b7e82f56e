"""Reservations on disk: all of them in one commit, and a start that uses one ends it in its own commit."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from agent.charging.facts import ReservationLapsed
from agent.charging.ids import IdToken, IdTokenType, Reservation, ReservationEnd
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.reservations import SqlReservations
from tests.store.example_facts import started

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = Reservation(17, IdToken("TAG1"), None, NOON)
FULL = Reservation(
    -3, IdToken("Tag2", IdTokenType.CENTRAL), IdToken("P", IdTokenType.LOCAL), NOON, 2, 1, "sType2"
)


@pytest.mark.req("R16-241")
async def test_reservations_survive_a_restart_in_their_order(database: Database) -> None:
    await SqlReservations(database).save((PLAIN, FULL))
    database.close()
    reopened = Database.open(database.path)
    assert await SqlReservations(reopened).load() == [PLAIN, FULL]
    reopened.close()


async def test_what_is_saved_is_all_there_is(database: Database) -> None:
    store = SqlReservations(database)
    await store.save((PLAIN, FULL))
    await store.save((FULL,))
    assert await store.load() == [FULL]
    await store.save(())
    assert await store.load() == []


@pytest.mark.req("H01.FR.16", "H04.FR.01")
async def test_what_lapsed_leaves_the_table_and_enters_the_outbox_in_one_commit(database: Database) -> None:
    store = SqlReservations(database)
    await store.save((PLAIN, FULL))
    commits: list[None] = []
    database.on_commit.append(lambda: commits.append(None))
    lapse = ReservationLapsed(17, ReservationEnd.EXPIRED, NOON)
    await store.save((FULL,), lapse)
    row = await SqlJournal(database).first()
    assert (len(commits), await store.load(), row and row.fact) == (1, [FULL], lapse)


async def test_an_expiry_in_any_zone_is_the_same_instant(database: Database) -> None:
    store = SqlReservations(database)
    local = NOON.astimezone(timezone(timedelta(hours=5)))
    await store.save((Reservation(1, IdToken("A"), None, local),))
    assert (await store.load())[0].expires_at == NOON


@pytest.mark.req("R16-110", "R16-237")
async def test_a_start_that_uses_a_reservation_ends_it_in_one_commit(database: Database) -> None:
    store = SqlReservations(database)
    await store.save((PLAIN, FULL))
    commits: list[None] = []
    database.on_commit.append(lambda: commits.append(None))
    await SqlJournal(database).record(msgspec.structs.replace(started("tx1"), reservation_id=17))
    assert len(commits) == 1
    assert await store.load() == [FULL]
    await SqlJournal(database).record(started("tx2", evse_id=2))
    assert await store.load() == [FULL]


async def test_a_row_that_cannot_be_read_is_told(database: Database) -> None:
    store = SqlReservations(database)
    await store.save((PLAIN,))

    def break_row(sql: sqlite3.Connection) -> None:
        sql.execute("UPDATE reservations SET expires_at = 'soon'")

    await database.commit(break_row)
    with pytest.raises(StoreCorrupt, match="reservation"):
        await store.load()
