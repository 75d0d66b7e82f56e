"""The audit ring."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.charging.facts import VendorActionRun
from agent.charging.ports import AuditLog
from agent.store.audit import SqlAudit
from agent.store.db import Database

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _row(number: int) -> VendorActionRun:
    return VendorActionRun(
        NOW + timedelta(seconds=number), "csms", "output_set", 1, "done", f"number {number}"
    )


async def test_the_latest_rows_come_first_and_survive_a_restart(database: Database) -> None:
    log: AuditLog = SqlAudit(database)
    for number in range(5):
        await log.add(_row(number))
    database.close()
    reopened = Database.open(database.path)
    log = SqlAudit(reopened)
    assert await log.latest(2) == [_row(4), _row(3)]
    assert await log.latest(0) == []
    reopened.close()


async def test_a_full_ring_loses_the_oldest_row(database: Database) -> None:
    log = SqlAudit(database, capacity=3)
    for number in range(5):
        await log.add(_row(number))
    assert await log.latest(10) == [_row(4), _row(3), _row(2)]


async def test_a_time_without_zone_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        await SqlAudit(database).add(VendorActionRun(datetime(2026, 3, 1), "csms", "a", 1, "done"))
