"""The firmware update on disk: with its facts in one commit, and readable by the release before."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.charging.facts import FirmwareStatusChanged, SecurityEventRaised
from agent.charging.firmware import Stage, Update
from agent.charging.ids import FirmwareStatus, SecurityEventType
from agent.charging.ports import StoredUpdate
from agent.charging.requests import UpdateFirmware
from agent.errors import StoreTooNew
from agent.store.db import Database, copy_path, open_or_bring_back
from agent.store.journal import SqlJournal
from agent.store.updates import SqlUpdates
from tests.helpers.disk import Photographs

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UPDATE = Update(
    UpdateFirmware("ftp://u:p@host/fw", NOW, NOW, 3, 60, 7, "PEM", "c2ln"),
    4,
    Stage.TRIAL,
    2,
    NOW,
    "1.1",
    1,
    "x",
)
STATUS = FirmwareStatusChanged(NOW, FirmwareStatus.INSTALLING, 7)


async def test_nothing_is_under_way_at_first(database: Database) -> None:
    assert await SqlUpdates(database).load() == StoredUpdate(None, None, 0)


async def test_an_update_comes_back_as_it_was_with_its_facts_in_the_outbox(database: Database) -> None:
    updates = SqlUpdates(database)
    raised = SecurityEventRaised(NOW, SecurityEventType.FIRMWARE_UPDATED, "1.1")
    await updates.save(UPDATE, STATUS, raised)
    assert await updates.load() == StoredUpdate(UPDATE, STATUS, 4)
    journal = SqlJournal(database)
    for fact in (STATUS, raised):
        row = await journal.first()
        assert row is not None
        assert row.fact == fact
        await journal.confirm(row.row_id)


async def test_an_ended_update_is_forgotten_and_its_last_status_and_number_are_not(
    database: Database,
) -> None:
    updates = SqlUpdates(database)
    ended = FirmwareStatusChanged(NOW, FirmwareStatus.INSTALLED, 7)
    await updates.save(UPDATE, STATUS)
    await updates.save(replace(UPDATE, stage=Stage.ENDED), ended)
    assert await updates.load() == StoredUpdate(None, ended, 4)


async def test_stage_and_facts_are_one_step(database: Database, tmp_path: Path) -> None:
    taken = Photographs(database, tmp_path / "steps")
    await SqlUpdates(database).save(UPDATE, STATUS)
    assert len(taken.steps) == 1


async def test_an_update_that_another_release_wrote_differently_is_given_up(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.commit(
        lambda sql: sql.execute('UPDATE firmware_update SET last_number = 9, body = \'{"stage": "x"}\'')
    )
    assert await SqlUpdates(database).load() == StoredUpdate(None, None, 9)
    assert "cannot be read" in caplog.text


async def test_the_copy_takes_the_place_of_a_database_that_a_newer_release_has_changed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "agent.db"
    database = Database.open(path)
    updates = SqlUpdates(database)
    await updates.save(UPDATE, STATUS)
    await updates.keep_copy()
    await updates.keep_copy()
    assert copy_path(path).stat().st_mode & 0o777 == 0o600
    await updates.save(replace(UPDATE, stage=Stage.ENDED))
    await database.read(lambda sql: sql.execute("PRAGMA user_version = 9999"))
    database.close()
    with pytest.raises(StoreTooNew):
        Database.open(path)
    brought_back = open_or_bring_back(path)
    assert (await SqlUpdates(brought_back).load()).update == UPDATE
    assert not copy_path(path).exists()
    brought_back.close()
    again = open_or_bring_back(path)
    again.close()


async def test_without_a_copy_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    database = Database.open(path)
    await SqlUpdates(database).keep_copy()
    await SqlUpdates(database).drop_copy()
    await database.read(lambda sql: sql.execute("PRAGMA user_version = 9999"))
    database.close()
    content = path.read_bytes()
    with pytest.raises(StoreTooNew):
        open_or_bring_back(path)
    assert path.read_bytes() == content
