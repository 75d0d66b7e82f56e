"""Recorded sessions on disk: batches, the list, what is pruned, and a look while the agent runs or not."""

import zlib
from datetime import timedelta
from pathlib import Path

import pytest

from agent.charging.ids import StopReason
from agent.charging.recording import Batch, SessionQuery, SessionSample, Totals
from agent.errors import StoreError
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.sessions import SqlSessions, StoredSessions
from tests.store.example_facts import BEGIN, TOKEN, metered, minute, started, stopped

TOTALS = Totals(charging_s=3000.0, suspended_ev_s=600.0, max_power_w=11_040.0, cost="3.30")


def samples(first: int, count: int) -> tuple[SessionSample, ...]:
    return tuple(
        SessionSample(1000 * number, 11_040.0, (16.0, 16.0, None), 16.0, float(number))
        for number in range(first, first + count)
    )


def batch(name: str, taken: tuple[SessionSample, ...], *, is_whole: bool = False) -> Batch:
    return Batch(name, taken, 2, TOTALS, is_whole)


@pytest.fixture
def sessions(database: Database) -> SqlSessions:
    return SqlSessions(database)


@pytest.fixture
def stored(database: Database) -> StoredSessions:
    return StoredSessions(database.path, is_in_use=True)


async def charge(journal: SqlJournal, name: str) -> None:
    await journal.record(started(name))
    await journal.record(stopped(name, seq_no=1))


async def test_batches_are_put_together_and_a_whole_one_takes_their_place(
    journal: SqlJournal, sessions: SqlSessions
) -> None:
    await journal.record(started())
    await sessions.save([batch("tx1", samples(0, 30))])
    await sessions.save([batch("tx1", samples(30, 30))])
    assert await sessions.load("tx1") == (samples(0, 60), 2, TOTALS)
    await sessions.save([batch("tx1", samples(0, 20), is_whole=True)])
    assert await sessions.load("tx1") == (samples(0, 20), 2, TOTALS)
    assert await sessions.load("tx2") is None


async def test_a_session_is_what_the_journal_says_with_its_curve(
    journal: SqlJournal, sessions: SqlSessions, stored: StoredSessions
) -> None:
    await journal.record(started(), stopped(seq_no=1))
    await sessions.save([batch("tx1", samples(0, 3), is_whole=True)])
    curve = stored.session("tx1", minute(120))
    assert curve is not None
    assert (curve.samples, curve.pace_s) == (samples(0, 3), 2)
    session = curve.session
    assert (session.meter_start_wh, session.meter_stop_wh, session.energy_wh) == (1000, 2000, 1000.0)
    assert (session.id_token, session.stop_reason) == (TOKEN, StopReason.EV_DISCONNECTED)
    assert (session.started_at, session.stopped_at, session.duration_s) == (BEGIN, minute(60), 3600.0)
    assert session.totals == TOTALS
    assert stored.session("tx2", minute(120)) is None


async def test_a_session_without_a_recording_is_in_the_list_all_the_same(
    journal: SqlJournal, stored: StoredSessions
) -> None:
    await charge(journal, "tx1")
    (session,) = stored.sessions(SessionQuery(), minute(120))
    assert (session.session_id, session.totals) == ("tx1", Totals())
    curve = stored.session("tx1", minute(120))
    assert curve is not None
    assert not curve.samples


async def test_the_list_is_newest_first_and_cut_to_what_is_asked_for(
    journal: SqlJournal, stored: StoredSessions
) -> None:
    for number in range(1, 5):
        await charge(journal, f"tx{number}")
    await journal.record(started("tx5", evse_id=2))

    def found(query: SessionQuery) -> list[str]:
        return [each.session_id for each in stored.sessions(query, minute(120))]

    assert found(SessionQuery()) == ["tx5", "tx4", "tx3", "tx2", "tx1"]
    assert found(SessionQuery(limit=2)) == ["tx5", "tx4"]
    assert found(SessionQuery(evse_id=2)) == ["tx5"]
    assert found(SessionQuery(since=minute(61))) == ["tx5"], "a running one is never over"
    assert found(SessionQuery(until=BEGIN - timedelta(seconds=1))) == []
    assert len(found(SessionQuery(since=minute(60), until=BEGIN))) == 5, "both ends are inside"


async def test_a_running_session_lasts_until_now_and_without_an_agent_until_its_last_register(
    journal: SqlJournal, sessions: SqlSessions, stored: StoredSessions, database: Database
) -> None:
    await journal.record(started(), metered(seq_no=1, register_wh=1500, number=2))
    await sessions.save([batch("tx1", samples(0, 3))])
    (session,) = stored.sessions(SessionQuery(), minute(10))
    assert (session.is_running, session.duration_s, session.energy_wh) == (True, 600.0, 500.0)
    database.close()
    (session,) = StoredSessions(database.path, is_in_use=False).sessions(SessionQuery(), minute(10))
    assert session.duration_s == 120.0


async def test_beyond_the_count_the_oldest_curves_go_and_the_sessions_stay(
    journal: SqlJournal, sessions: SqlSessions, stored: StoredSessions
) -> None:
    for number in range(1, 6):
        await charge(journal, f"tx{number}")
        await sessions.save([batch(f"tx{number}", samples(0, 3), is_whole=True)])
    assert await sessions.prune(3, None) == 2
    assert await sessions.prune(3, None) == 0
    listed = stored.sessions(SessionQuery(), minute(120))
    assert [each.totals == TOTALS for each in listed] == [True, True, True, False, False]
    assert all(each.id_token == TOKEN for each in listed)


async def test_beyond_the_age_who_charged_is_forgotten_once_the_csms_knows_all(
    journal: SqlJournal, sessions: SqlSessions, stored: StoredSessions
) -> None:
    await charge(journal, "tx1")
    await sessions.save([batch("tx1", samples(0, 3), is_whole=True)])
    await sessions.prune(100, minute(61))
    (session,) = stored.sessions(SessionQuery(), minute(120))
    assert session.id_token == TOKEN, "it is still to be told"
    assert session.totals == Totals()
    while (row := await journal.first()) is not None:
        await journal.confirm(row.row_id)
    await sessions.prune(100, minute(60))
    assert stored.sessions(SessionQuery(), minute(120))[0].id_token == TOKEN, "not older than that"
    await sessions.prune(100, minute(61))
    (session,) = stored.sessions(SessionQuery(), minute(120))
    assert (session.id_token, session.energy_wh) == (None, 1000.0)


async def test_a_running_session_is_never_pruned(
    journal: SqlJournal, sessions: SqlSessions, stored: StoredSessions
) -> None:
    for name in ("tx1", "tx2"):
        await journal.record(started(name))
        await sessions.save([batch(name, samples(0, 3))])
    assert await sessions.prune(1, minute(1000)) == 0


async def test_a_batch_of_an_unknown_transaction_and_a_damaged_one_cost_nothing_else(
    journal: SqlJournal, sessions: SqlSessions, database: Database
) -> None:
    await journal.record(started())
    await sessions.save([batch("tx9", samples(0, 3)), batch("tx1", samples(0, 3))])
    for body in (b"nonsense", zlib.compress(b"[[]]")):
        await database.commit(
            lambda sql, body: sql.execute("INSERT INTO session_samples VALUES (NULL, 1, ?)", (body,)), body
        )
    await sessions.save([batch("tx1", samples(3, 3))])
    recorded = await sessions.load("tx1")
    assert recorded is not None
    assert recorded[0] == samples(0, 6)


async def test_an_hour_of_charging_is_a_few_kilobytes(
    journal: SqlJournal, sessions: SqlSessions, database: Database
) -> None:
    await journal.record(started())
    await sessions.save([batch("tx1", samples(0, 1000), is_whole=True)])

    def size(sql: object) -> int:
        (found,) = sql.execute("SELECT length(body) FROM session_samples").fetchone()  # type: ignore[attr-defined]
        return int(found)

    assert await database.read(size) < 16_000


async def test_reading_without_an_agent_leaves_no_trace(
    journal: SqlJournal, sessions: SqlSessions, database: Database
) -> None:
    await charge(journal, "tx1")
    database.close()
    folder = database.path.parent
    before = {each.name: (each.stat().st_mtime_ns, each.stat().st_size) for each in folder.iterdir()}
    assert len(StoredSessions(database.path, is_in_use=False).sessions(SessionQuery(), minute(120))) == 1
    assert {each.name: (each.stat().st_mtime_ns, each.stat().st_size) for each in folder.iterdir()} == before


def test_a_store_that_is_not_there_or_too_old_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        StoredSessions(tmp_path / "agent.db", is_in_use=False).sessions(SessionQuery(), BEGIN)
    (tmp_path / "agent.db").write_bytes(b"")
    with pytest.raises(StoreError, match="recorded no sessions"):
        StoredSessions(tmp_path / "agent.db", is_in_use=False).sessions(SessionQuery(), BEGIN)
