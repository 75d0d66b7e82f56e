"""The journal: one commit per event, rows in order, deleted with what they taught us."""

import dataclasses
import sqlite3
from datetime import datetime, timedelta, timezone
from typing import get_args

import pytest
from msgspec.structs import replace

from agent.charging.facts import DurableFact, ReservationLapsed
from agent.charging.ids import IdToken, ReadingContext, ReservationEnd, StopReason
from agent.charging.ports import Journal, Outbox, OutboxRow
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.journal import DISCARDED_LIMIT, OutboxState, SqlJournal
from tests.store.example_facts import (
    BEGIN,
    TOKEN,
    events_noticed,
    firmware_status,
    log_upload,
    meter_read,
    metered,
    minute,
    sample,
    security_event,
    started,
    stopped,
    updated,
)

EVERY_KIND: list[DurableFact] = [
    started(),
    updated(),
    metered(),
    stopped(samples=(sample(),)),
    meter_read(),
    security_event(),
    firmware_status(),
    log_upload(),
    events_noticed(),
    ReservationLapsed(17, ReservationEnd.EXPIRED, minute(4)),
]


def _as_ports(journal: SqlJournal) -> tuple[Journal, Outbox]:
    """mypy checks here that one class is both ports."""
    return journal, journal


async def _first(journal: SqlJournal) -> OutboxRow:
    row = await journal.first()
    assert row is not None
    return row


async def _deliver(journal: SqlJournal, reference: str | None = None) -> list[DurableFact]:
    """Acknowledge everything, in order."""
    facts: list[DurableFact] = []
    while (row := await journal.first()) is not None:
        facts.append(row.fact)
        await journal.confirm(row.row_id, reference)
    return facts


@pytest.mark.req("R16-134", "R16-135")
async def test_every_kind_of_fact_comes_back_as_it_was_and_in_order(journal: SqlJournal) -> None:
    assert {type(fact) for fact in EVERY_KIND} == set(get_args(DurableFact))
    for fact in EVERY_KIND:
        await journal.record(fact)
    assert await journal.depth() == len(EVERY_KIND)
    assert await _deliver(journal) == EVERY_KIND
    assert await journal.depth() == 0


async def test_the_stored_names_of_facts_never_change(database: Database) -> None:
    """They are in released databases: a renamed class needs a migration."""
    await SqlJournal(database).record(*EVERY_KIND)
    rows = await database.read(lambda sql: sql.execute("SELECT kind, body FROM outbox").fetchall())
    assert [kind for kind, _ in rows] == [
        "TransactionStarted",
        "TransactionUpdated",
        "TransactionMetered",
        "TransactionStopped",
        "MeterRead",
        "SecurityEventRaised",
        "FirmwareStatusChanged",
        "LogUploadChanged",
        "EventsNoticed",
        "ReservationLapsed",
    ]
    assert rows[0][1] == (
        '{"transaction_id":"tx1","evse_id":1,"connector_id":1,"at":"2026-03-01T12:00:00Z","seq_no":0,'
        '"id_token":{"value":"04A1B2C3D4","type":"ISO14443"},"meter_start_wh":1000,"trigger":"Authorized",'
        '"offline":false,"reservation_id":null,"remote_start_id":null,'
        '"sample":{"at":"2026-03-01T12:00:00Z","context":"Transaction.Begin","values":['
        '{"measurand":"Energy.Active.Import.Register","value":1000.5,"unit":"Wh","phase":null,"location":"Outlet",'
        '"signed":null},'
        '{"measurand":"Current.Import","value":15.9,"unit":"A","phase":"L1","location":"Outlet",'
        '"signed":null}]},"charging_state":"EVConnected","is_placed":true,"phases":null,"cable_max_a":null}'
    )


async def test_an_event_is_one_durable_step(database: Database) -> None:
    journal = SqlJournal(database)
    commits: list[int] = []
    database.on_commit.append(lambda: commits.append(1))
    await journal.record(started(), security_event())
    await journal.note_register("tx1", 1100, minute(1))
    await journal.add_stop_sample("tx1", sample())
    await journal.record(stopped(seq_no=1))
    await journal.confirm(1, "17")
    await journal.count_attempt(2)
    await journal.discard(2, "enough")
    await journal.confirm(3)
    assert len(commits) == 8


async def test_nothing_to_record_is_no_step(database: Database) -> None:
    database.on_commit.append(lambda: pytest.fail("a commit for nothing"))
    await SqlJournal(database).record()


# --- open transactions ------------------------------------------------------------------------------------


async def test_an_open_transaction_is_found_with_its_last_register_and_next_number(
    journal: SqlJournal,
) -> None:
    await journal.record(started("a", seq_no=0))
    await journal.record(started("b", evse_id=2, seq_no=0))
    await journal.record(updated("a", seq_no=1), metered("a", seq_no=2, register_wh=1500, number=2))
    first, second = await journal.open_transactions()
    assert first.started == started("a")
    assert (first.last_register_wh, first.last_register_at, first.next_seq_no) == (1500, minute(2), 3)
    assert first.last_seen_at == minute(2)
    assert second.started == started("b", evse_id=2)
    assert (second.last_register_wh, second.last_register_at, second.next_seq_no) == (1000, BEGIN, 1)


async def test_what_happened_after_the_last_reading_is_the_last_that_is_known_of_a_transaction(
    journal: SqlJournal,
) -> None:
    await journal.record(started())
    (found,) = await journal.open_transactions()
    assert found.last_seen_at == BEGIN
    await journal.record(metered(seq_no=1, number=2), updated(seq_no=2, number=3))
    (found,) = await journal.open_transactions()
    assert (found.last_register_at, found.last_seen_at) == (minute(2), minute(3))
    await journal.note_register("tx1", 5000, minute(4))
    (found,) = await journal.open_transactions()
    assert found.last_seen_at == minute(4)


async def test_a_register_is_remembered_without_sending_anything(journal: SqlJournal) -> None:
    await journal.record(started())
    await journal.note_register("tx1", 1234, minute(5))
    (transaction,) = await journal.open_transactions()
    assert (transaction.last_register_wh, transaction.last_register_at) == (1234, minute(5))
    assert await journal.depth() == 1


@pytest.mark.req("R16-159")
async def test_a_register_never_decreases_within_a_transaction(journal: SqlJournal) -> None:
    await journal.record(started(meter_start_wh=1000))
    await journal.note_register("tx1", 1500, minute(1))
    await journal.note_register("tx1", 3, minute(2))
    await journal.record(metered(register_wh=1400, number=3))
    (transaction,) = await journal.open_transactions()
    assert (transaction.last_register_wh, transaction.last_register_at) == (1500, minute(1))


async def test_a_stopped_transaction_is_not_open_any_more(journal: SqlJournal) -> None:
    await journal.record(started())
    await journal.record(stopped())
    assert await journal.open_transactions() == []


async def test_a_reading_that_comes_after_the_stop_is_let_be(journal: SqlJournal) -> None:
    await journal.record(started(), stopped(meter_stop_wh=2000))
    await journal.note_register("tx1", 2001, minute(61))
    await journal.add_stop_sample("tx1", sample())
    assert await journal.stop_samples("tx1") == []
    assert (await journal.history(1))[0].meter_stop_wh == 2000


@pytest.mark.parametrize(
    "facts",
    [
        (started(), started()),
        (stopped(),),
        (metered(),),
        (started(), stopped(), stopped(seq_no=4)),
        (started(), stopped(), updated(seq_no=4)),
    ],
    ids=[
        "started twice",
        "stopped unstarted",
        "metered unstarted",
        "stopped twice",
        "updated after the stop",
    ],
)
async def test_facts_that_cannot_follow_each_other_are_refused_whole(
    journal: SqlJournal, facts: tuple[DurableFact, ...]
) -> None:
    with pytest.raises(ValueError, match=r"is not open|was started before"):
        await journal.record(*facts)
    assert await journal.depth() == 0
    assert await journal.open_transactions() == []


async def test_a_time_without_zone_is_refused(journal: SqlJournal) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        await journal.record(replace(started(), at=datetime(2026, 3, 1)))
    assert await journal.depth() == 0


async def test_times_are_utc_whatever_zone_they_came_in(journal: SqlJournal) -> None:
    in_rome = BEGIN.astimezone(timezone(timedelta(hours=1)))
    await journal.record(replace(started(), at=in_rome), replace(stopped(), at=in_rome))
    (ended,) = await journal.history(1)
    assert ended.started_at == BEGIN
    assert ended.started_at.utcoffset() == timedelta(0)


# --- samples for the stop ---------------------------------------------------------------------------------


@pytest.mark.req("R16-164")
async def test_stop_samples_are_kept_in_order_until_the_stop_carries_them(journal: SqlJournal) -> None:
    await journal.record(started("a"), started("b", evse_id=2))
    samples = [sample(0, ReadingContext.TRANSACTION_BEGIN), sample(1), sample(2)]
    for one in samples:
        await journal.add_stop_sample("a", one)
    await journal.add_stop_sample("b", sample(7))
    assert await journal.stop_samples("a") == samples
    await journal.record(stopped("a", samples=tuple(samples)))
    assert await journal.stop_samples("a") == []
    assert await journal.stop_samples("b") == [sample(7)]


# --- delivery ---------------------------------------------------------------------------------------------


async def test_an_empty_outbox_has_no_first_row(journal: SqlJournal) -> None:
    assert await journal.first() is None
    assert await journal.depth() == 0


async def test_confirming_binds_the_reference_of_the_csms(journal: SqlJournal) -> None:
    await journal.record(started(), metered(seq_no=1))
    row = await _first(journal)
    assert await journal.reference("tx1") is None
    await journal.confirm(row.row_id, "17")
    assert await journal.reference("tx1") == "17"
    (transaction,) = await journal.open_transactions()
    assert transaction.reference == "17"
    await _deliver(journal)
    assert await journal.reference("tx1") == "17", "a confirmation without reference must not unbind it"


async def test_the_reference_of_an_ended_transaction_is_known_while_it_has_rows(journal: SqlJournal) -> None:
    await journal.record(started(), stopped())
    row = await _first(journal)
    await journal.confirm(row.row_id, "0")
    assert await journal.reference("tx1") == "0"
    assert await journal.reference("nobody") is None


async def test_confirming_twice_does_no_harm(journal: SqlJournal) -> None:
    await journal.record(started(), stopped())
    row = await _first(journal)
    await journal.confirm(row.row_id, "17")
    await journal.confirm(row.row_id, "18")
    assert await journal.depth() == 1
    assert await journal.reference("tx1") == "17"


async def test_a_row_id_is_never_used_twice(database: Database) -> None:
    """A late confirmation of a row that is gone must not hit a younger one, not even after a restart."""
    journal = SqlJournal(database)
    await journal.record(security_event())
    row = await _first(journal)
    await journal.confirm(row.row_id)
    database.close()
    reopened = Database.open(database.path)
    journal = SqlJournal(reopened)
    await journal.record(security_event())
    await journal.confirm(row.row_id)
    assert await journal.depth() == 1
    reopened.close()


@pytest.mark.req("R16-139")
async def test_attempts_survive_a_restart(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(started(), stopped())
    row = await _first(journal)
    assert row.attempts == 0
    await journal.count_attempt(row.row_id)
    await journal.count_attempt(row.row_id)
    database.close()
    reopened = Database.open(database.path)
    again = await _first(SqlJournal(reopened))
    assert again == dataclasses.replace(row, attempts=2)
    reopened.close()


@pytest.mark.req("R16-141")
async def test_a_discarded_row_leaves_the_queue_but_not_the_disk(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SqlJournal(database)
    await journal.record(started(), stopped())
    await journal.count_attempt(1)
    await journal.discard(1, "3 attempts failed")
    await journal.discard(1, "twice")
    assert [type(fact).__name__ for fact in await _deliver(journal)] == ["TransactionStopped"]
    rows = await database.read(
        lambda sql: sql.execute("SELECT row_id, kind, attempts, reason FROM discarded").fetchall()
    )
    assert rows == [(1, "TransactionStarted", 1, "3 attempts failed")]
    assert caplog.messages == ["gave up the TransactionStarted in outbox row 1: 3 attempts failed"]
    assert (await journal.history(1))[0].is_delivered


async def test_the_discarded_rows_are_bounded(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(*[security_event()] * (DISCARDED_LIMIT + 5))
    for row_id in range(1, DISCARDED_LIMIT + 6):
        await journal.discard(row_id, "")
    rows = await database.read(
        lambda sql: sql.execute("SELECT count(*), min(row_id), max(row_id) FROM discarded").fetchone()
    )
    assert rows == (DISCARDED_LIMIT, 6, DISCARDED_LIMIT + 5)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE outbox SET body = '{' WHERE row_id = 1",
        "UPDATE outbox SET body = CAST(x'ff00fe' AS TEXT) WHERE row_id = 1",
        "UPDATE outbox SET kind = 'SomethingNewer' WHERE row_id = 1",
        "UPDATE outbox SET kind = CAST(x'ff' AS TEXT) WHERE row_id = 1",
    ],
)
async def test_a_row_that_cannot_be_read_does_not_block_those_behind_it(
    database: Database, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    journal = SqlJournal(database)
    await journal.record(started(), stopped())

    def break_row(sql: sqlite3.Connection) -> None:
        sql.execute(damage)

    await database.commit(break_row)
    row = await _first(journal)
    assert row.fact == stopped()
    assert await journal.depth() == 1
    assert "cannot be read" in caplog.text


async def test_a_stop_sample_that_cannot_be_read_is_told(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(started())
    await journal.add_stop_sample("tx1", sample())

    def break_row(sql: sqlite3.Connection) -> None:
        sql.execute("UPDATE stop_samples SET body = 'x'")

    await database.commit(break_row)
    with pytest.raises(StoreCorrupt, match="sample of a transaction cannot be read"):
        await journal.stop_samples("tx1")


async def test_an_open_transaction_that_cannot_be_read_stops_the_start(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(started())

    def break_row(sql: sqlite3.Connection) -> None:
        sql.execute("UPDATE transactions SET started = '{}'")

    await database.commit(break_row)
    with pytest.raises(StoreCorrupt, match="open transaction cannot be read"):
        await journal.open_transactions()


# --- history ----------------------------------------------------------------------------------------------


async def test_history_tells_what_a_transaction_came_to(journal: SqlJournal) -> None:
    await journal.record(started("a"), stopped("a", meter_stop_wh=2500))
    (ended,) = await journal.history(10)
    assert (ended.transaction_id, ended.evse_id, ended.connector_id, ended.id_token) == ("a", 1, 1, TOKEN)
    assert (ended.started_at, ended.stopped_at) == (BEGIN, minute(60))
    assert (ended.meter_start_wh, ended.meter_stop_wh) == (1000, 2500)
    assert ended.reason is StopReason.EV_DISCONNECTED
    assert (ended.reference, ended.is_delivered) == (None, False)
    await _deliver(journal, "17")
    (ended,) = await journal.history(10)
    assert (ended.reference, ended.is_delivered) == ("17", True)


async def test_a_token_learned_during_the_transaction_is_in_the_history(journal: SqlJournal) -> None:
    late = IdToken("LATE")
    await journal.record(replace(started(), id_token=None), updated(id_token=late), stopped())
    assert (await journal.history(1))[0].id_token == late


async def test_history_is_newest_first_and_limited(journal: SqlJournal) -> None:
    for name in "abc":
        await journal.record(started(name), stopped(name))
    await journal.record(started("d"))
    assert [ended.transaction_id for ended in await journal.history(2)] == ["c", "b"]
    assert await journal.history(0) == []


async def test_history_is_bounded_and_never_drops_what_is_not_delivered(database: Database) -> None:
    journal = SqlJournal(database, history_limit=3)
    await journal.record(started("open"))
    await journal.record(started("undelivered"), stopped("undelivered"))
    for number in range(6):
        await journal.record(started(f"{number}"), stopped(f"{number}"))
    for row_id in range(4, 16):
        await journal.confirm(row_id)
    await journal.record(started("last"))
    assert [ended.transaction_id for ended in await journal.history(10)] == ["5", "4", "undelivered"]
    assert [one.started.transaction_id for one in await journal.open_transactions()] == ["open", "last"]
    assert await journal.depth() == 4


async def test_a_delivered_transaction_leaves_one_short_line(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(started())
    await journal.add_stop_sample("tx1", sample())
    await journal.record(stopped())
    await _deliver(journal)
    counts = await database.read(
        lambda sql: [
            sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("transactions", "stop_samples", "outbox")
        ]
    )
    assert counts == [1, 0, 0]
    assert await database.read(lambda sql: sql.execute("SELECT started FROM transactions").fetchone()) == (
        None,
    )


# --- transactions without a driver, or without a place yet -------------------------------------------------


@pytest.mark.req("E01.FR.07", "E02.FR.20", "E07.FR.02")
async def test_who_is_authorized_is_kept_and_who_only_ended_it_is_not(journal: SqlJournal) -> None:
    await journal.record(replace(started(), id_token=None))
    (found,) = await journal.open_transactions()
    assert (found.id_token, found.is_authorized, found.is_placed) == (None, False, True)
    await journal.record(updated(seq_no=1, id_token=TOKEN))
    (found,) = await journal.open_transactions()
    assert (found.id_token, found.is_authorized) == (TOKEN, True)
    await journal.record(replace(updated(seq_no=2, id_token=IdToken("SISTER")), is_authorized=False))
    (found,) = await journal.open_transactions()
    assert (found.id_token, found.is_authorized) == (TOKEN, False)


@pytest.mark.req("E01.FR.16", "E01.FR.17")
async def test_where_a_transaction_went_is_kept_with_the_register_that_it_began_at(
    journal: SqlJournal,
) -> None:
    await journal.record(replace(started(meter_start_wh=1000), is_placed=False))
    (found,) = await journal.open_transactions()
    assert not found.is_placed
    placed = replace(updated(seq_no=1), evse_id=2, connector_id=3, is_placed=True, meter_start_wh=50)
    await journal.record(placed)
    (found,) = await journal.open_transactions()
    assert found.is_placed
    assert (found.started.evse_id, found.started.connector_id) == (2, 3)
    assert (found.started.meter_start_wh, found.last_register_wh) == (50, 50)


@pytest.mark.req("E14.FR.04", "E14.FR.05", "E14.FR.07", "E14.FR.08")
async def test_it_knows_what_waits_of_one_transaction_and_of_any(journal: SqlJournal) -> None:
    await journal.record(security_event())
    assert not await journal.has_queued(None), "not about a transaction"
    await journal.record(started())
    assert await journal.has_queued("tx1")
    assert await journal.has_queued(None)
    assert not await journal.has_queued("tx2")
    await _deliver(journal)
    assert not await journal.has_queued("tx1")
    assert not await journal.has_queued(None)


@pytest.mark.req("E11.FR.07")
async def test_row_ids_only_grow(journal: SqlJournal) -> None:
    assert await journal.last_row_id() == 0
    await journal.record(started(), updated())
    before = await journal.last_row_id()
    assert before == (await _first(journal)).row_id + 1
    await _deliver(journal)
    assert await journal.last_row_id() == before
    await journal.record(metered())
    assert (await _first(journal)).row_id > before


async def test_a_start_uses_its_reservation_also_when_its_driver_comes_later(
    journal: SqlJournal, database: Database
) -> None:
    def reserve(sql: sqlite3.Connection) -> None:
        columns = [row[1] for row in sql.execute("PRAGMA table_info(reservations)")]
        assert "reservation_id" in columns
        row = {
            "reservation_id": 3,
            "id_token": "TAG",
            "id_token_type": "ISO14443",
            "expires_at": "2030-01-01",
        }
        known = {name: value for name, value in row.items() if name in columns}
        marks = ", ".join("?" * len(known))
        sql.execute(f"INSERT INTO reservations ({', '.join(known)}) VALUES ({marks})", tuple(known.values()))

    def held(sql: sqlite3.Connection) -> int:
        return int(sql.execute("SELECT count(*) FROM reservations").fetchone()[0])

    await database.commit(reserve)
    await journal.record(replace(started(), id_token=None))
    assert await database.read(held) == 1
    await journal.record(replace(updated(id_token=TOKEN), reservation_id=3))
    assert await database.read(held) == 0


async def test_the_state_of_the_outbox_names_its_oldest_fact_of_every_kind(journal: SqlJournal) -> None:
    assert (await journal.outbox_state()) == OutboxState(0, None, 0)
    for fact in EVERY_KIND:
        await journal.record(fact)
    for number, fact in enumerate(EVERY_KIND):
        state = await journal.outbox_state()
        assert (state.depth, state.oldest_at) == (len(EVERY_KIND) - number, fact.at)
        await journal.confirm((await _first(journal)).row_id)
    await journal.record(security_event())
    await journal.discard((await _first(journal)).row_id, "test")
    assert (await journal.outbox_state()) == OutboxState(0, None, 1)


async def test_a_damaged_row_does_not_hide_the_depth(journal: SqlJournal, database: Database) -> None:
    await journal.record(security_event())
    await database.commit(lambda sql: sql.execute("UPDATE outbox SET body = '{\"at\": broken'"))
    assert (await journal.outbox_state()) == OutboxState(1, None, 0)
    await database.commit(lambda sql: sql.execute("UPDATE outbox SET body = '{\"at\": 5}'"))
    assert (await journal.outbox_state()) == OutboxState(1, None, 0)
