"""The security log: a ring that is written in the commit of the outbox row, or without one."""

import sqlite3
from datetime import timedelta

import pytest

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import SecurityEventType
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.security_log import SqlSecurityLog, add_event
from tests.store.example_facts import BEGIN, security_event, started

INVALID = SecurityEventType.INVALID_MESSAGES


def noted(minutes: int, detail: str = "") -> SecurityEventRaised:
    return SecurityEventRaised(BEGIN + timedelta(minutes=minutes), INVALID, detail, is_pushed=False)


@pytest.mark.req("R16-354", "R16-355")
async def test_an_event_is_in_the_log_and_only_a_pushed_one_in_the_outbox(database: Database) -> None:
    journal, log = SqlJournal(database), SqlSecurityLog(database)
    await journal.record(noted(0), security_event(), started())
    assert list(await log.rows(None, None)) == [noted(0), security_event()]
    row = await journal.first()
    assert row is not None
    assert row.fact == security_event()
    assert await journal.depth() == 2


@pytest.mark.req("R16-355")
async def test_a_log_is_asked_for_by_time_with_both_ends_included(database: Database) -> None:
    journal, log = SqlJournal(database), SqlSecurityLog(database)
    await journal.record(*(noted(minute) for minute in range(5)))
    assert list(await log.rows(noted(1).at, noted(3).at)) == [noted(1), noted(2), noted(3)]
    assert list(await log.rows(None, noted(0).at)) == [noted(0)]
    assert list(await log.rows(noted(4).at, None)) == [noted(4)]
    assert list(await log.rows(noted(5).at, None)) == []


@pytest.mark.req("R16-355")
async def test_the_oldest_row_goes_when_the_ring_is_full(database: Database) -> None:
    def fill(sql: sqlite3.Connection) -> None:
        for minute in range(7):
            add_event(sql, noted(minute), capacity=3)

    await database.commit(fill)
    assert list(await SqlSecurityLog(database).rows(None, None)) == [noted(4), noted(5), noted(6)]


async def test_neither_log_nor_outbox_has_an_event_whose_commit_failed(database: Database) -> None:
    journal, log = SqlJournal(database), SqlSecurityLog(database)
    await journal.record(started())
    with pytest.raises(ValueError, match="started before"):
        await journal.record(security_event(), started())
    assert list(await log.rows(None, None)) == []
    assert await journal.depth() == 1
