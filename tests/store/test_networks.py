"""Network profiles on disk: slot 1 is the configured connection until somebody says otherwise; what is put survives."""

from pathlib import Path

import pytest

from agent.charging.network import FORMER_SLOT, NetworkProfile, StoredNetworks
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.networks import SqlNetworks

PROFILE = NetworkProfile("wss://csms.example/ocpp", 2, 45, "Wired0")


async def test_a_new_store_has_the_connection_of_the_file_in_slot_1(database: Database) -> None:
    assert await SqlNetworks(database).load() == StoredNetworks({1: None})


@pytest.mark.req("B09.FR.01")
async def test_what_is_put_dropped_and_noted_survives(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "agent.db")
    networks = SqlNetworks(database)
    await networks.put(2, PROFILE)
    await networks.put(3, PROFILE)
    await networks.drop([1, 3])
    await networks.note_good(2)
    await networks.note_configured("ws://here")
    database.close()
    database = Database.open(tmp_path / "agent.db")
    assert await SqlNetworks(database).load() == StoredNetworks({2: PROFILE}, 2, "ws://here")
    await SqlNetworks(database).put(2, None)
    assert (await SqlNetworks(database).load()).profiles == {2: None}
    database.close()


@pytest.mark.req("B10.FR.07")
async def test_what_worked_is_kept_until_what_replaces_it_works(database: Database) -> None:
    networks, commits = SqlNetworks(database), 0
    other = NetworkProfile("wss://elsewhere.example/ocpp", 2, 45, "Wired0")

    def count() -> None:
        nonlocal commits
        commits += 1

    await networks.put_new(2, other)  # an empty slot: nothing is replaced
    await networks.note_good(1)
    await networks.put_new(2, PROFILE)  # neither is it the one that worked
    assert await networks.load() == StoredNetworks({1: None, 2: PROFILE}, 1)
    database.on_commit.append(count)
    await networks.put_new(1, PROFILE)
    assert commits == 1
    assert await networks.load() == StoredNetworks({FORMER_SLOT: None, 1: PROFILE, 2: PROFILE}, FORMER_SLOT)
    await networks.put_new(1, other)
    assert (await networks.load()).profiles[FORMER_SLOT] is None, "what never worked is not kept"
    await networks.note_good(FORMER_SLOT)
    assert FORMER_SLOT in (await networks.load()).profiles
    await networks.note_good(1)
    await networks.put_new(1, other)  # the same again
    assert await networks.load() == StoredNetworks({1: other, 2: PROFILE}, 1)


async def test_what_nobody_wrote_is_damage(database: Database) -> None:
    await database.commit(lambda sql: sql.execute("UPDATE network_profiles SET body = '{}'"))
    with pytest.raises(StoreCorrupt, match="network profile"):
        await SqlNetworks(database).load()
