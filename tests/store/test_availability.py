"""Availability survives a reboot."""

import pytest

from agent.charging.ports import AvailabilityStore
from agent.store.availability import SqlAvailability
from agent.store.db import Database


async def test_a_fresh_store_knows_nothing_inoperative(database: Database) -> None:
    store: AvailabilityStore = SqlAvailability(database)
    assert await store.load() == ({}, {})


@pytest.mark.req("R16-191")
async def test_availability_persists_over_a_reboot(database: Database) -> None:
    store = SqlAvailability(database)
    await store.save({(0, 0): False, (1, 0): False, (1, 2): True}, {(1, 0): False})
    await store.save({(0, 0): True, (1, 0): True}, {(0, 0): True})
    await store.save({}, {})
    database.close()
    reopened = Database.open(database.path)
    states, own = await SqlAvailability(reopened).load()
    assert states == {(0, 0): True, (1, 0): True, (1, 2): True}
    assert own == {(0, 0): True, (1, 0): False, (1, 2): True}
    reopened.close()
