"""Installed charging profiles survive a reboot, one commit for each change."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.charging.ports import ProfileStore
from agent.charging.profiles import (
    InstalledProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.profiles import SqlProfiles
from tests.charging.test_profiles import installed
from tests.helpers.disk import Photographs

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FULL: InstalledProfile = installed(
    -7,
    Purpose.TX,
    (2, 1),
    stack_level=3,
    kind=ProfileKind.RECURRING,
    recurrency=Recurrency.WEEKLY,
    transaction_id="t1",
    valid_from=AT,
    valid_to=AT.replace(year=2027),
    unit=RateUnit.WATT,
    starts_at=AT,
    duration_s=3600,
    least_rate=1400.5,
    periods=(SchedulePeriod(0, 8.1), SchedulePeriod(60, 0.0, 1)),
)


async def test_a_fresh_store_knows_no_profile(database: Database) -> None:
    store: ProfileStore = SqlProfiles(database)
    assert await store.load() == []
    await store.delete([1, 2])


@pytest.mark.req("R16-268")
async def test_profiles_persist_over_a_reboot_field_by_field_and_in_order(database: Database) -> None:
    store = SqlProfiles(database)
    for one in (installed(9), FULL, installed(2**62)):
        await store.replace([], one)
    database.close()
    reopened = Database.open(database.path)
    assert await SqlProfiles(reopened).load() == [installed(9), FULL, installed(2**62)]
    reopened.close()


@pytest.mark.req("R16-251", "R16-268", "R16-270")
async def test_the_old_one_goes_and_the_new_one_comes_in_one_step(database: Database, tmp_path: Path) -> None:
    store = SqlProfiles(database)
    await store.replace([], installed(1))
    await store.replace([], installed(2))
    photographs = Photographs(database, tmp_path / "photographs")
    await store.replace([1, 2], installed(3))
    await store.replace([], installed(3, Purpose.STATION_MAX))
    await store.delete([3, 4])
    found = []
    for step in photographs.steps:
        copy = Database.open(step)
        found.append(await SqlProfiles(copy).load())
        copy.close()
    assert found == [[installed(3)], [installed(3, Purpose.STATION_MAX)], []]


async def test_a_profile_that_cannot_be_read_is_damage(database: Database) -> None:
    store = SqlProfiles(database)
    await store.replace([], installed(1))
    await database.commit(lambda sql: sql.execute("UPDATE charging_profiles SET body = '{}'"))
    with pytest.raises(StoreCorrupt, match="charging profile 1"):
        await store.load()
