"""Settings survive; all of a change or none of it."""

from pathlib import Path

import pytest

from agent.charging.ports import SettingStore
from agent.store.db import Database
from agent.store.settings import SqlSettings
from tests.helpers.disk import Photographs


async def test_a_fresh_store_has_no_settings(database: Database) -> None:
    store: SettingStore = SqlSettings(database)
    assert await store.load() == {}


@pytest.mark.req("R16-209")
async def test_saved_settings_survive_a_restart(database: Database) -> None:
    store = SqlSettings(database)
    await store.save({"heartbeat_interval_s": "300", "empty": ""})
    await store.save({"heartbeat_interval_s": "60", "Ünïcode": "ß"})
    await store.save({})
    database.close()
    reopened = Database.open(database.path)
    assert await SqlSettings(reopened).load() == {"heartbeat_interval_s": "60", "empty": "", "Ünïcode": "ß"}
    reopened.close()


async def test_several_settings_are_saved_in_one_durable_step(database: Database, tmp_path: Path) -> None:
    photographs = Photographs(database, tmp_path / "photographs")
    await SqlSettings(database).save({"a": "1", "b": "2"})
    (step,) = photographs.steps
    after = Database.open(step)
    assert await SqlSettings(after).load() == {"a": "1", "b": "2"}
    after.close()
