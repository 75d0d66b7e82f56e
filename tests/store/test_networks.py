"""Network profiles on disk: slot 1 is the configured connection until somebody says otherwise; what is put survives."""

from pathlib import Path

import pytest

from agent.charging.network import NetworkProfile, StoredNetworks
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


async def test_what_nobody_wrote_is_damage(database: Database) -> None:
    await database.commit(lambda sql: sql.execute("UPDATE network_profiles SET body = '{}'"))
    with pytest.raises(StoreCorrupt, match="network profile"):
        await SqlNetworks(database).load()
