"""Messages for the display survive a reboot, one commit for each change."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.charging.display import DisplayMessage, MessagePriority, MessageState
from agent.charging.ids import Component
from agent.charging.ports import MessageStore
from agent.charging.tariff import Text
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.display_messages import SqlDisplayMessages
from tests.charging.test_display import message
from tests.helpers.disk import Photographs

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FULL = DisplayMessage(
    2**62,
    MessagePriority.ALWAYS_FRONT,
    Text("Grüezi", "de-CH", "UTF8"),
    MessageState.FAULTED,
    AT,
    AT.replace(year=2027),
    "t1",
    Component("Display", evse_id=2),
)


async def test_a_fresh_store_knows_no_message(database: Database) -> None:
    store: MessageStore = SqlDisplayMessages(database)
    assert await store.load() == []
    await store.delete([1, 2])


@pytest.mark.req("O01.FR.10", "O02.FR.10")
async def test_messages_persist_over_a_reboot_field_by_field_and_in_order(database: Database) -> None:
    store = SqlDisplayMessages(database)
    for one in (message(9), FULL, message(3)):
        await store.replace([], one)
    database.close()
    reopened = Database.open(database.path)
    assert await SqlDisplayMessages(reopened).load() == [message(9), FULL, message(3)]
    reopened.close()


@pytest.mark.req("O01.FR.16", "O06.FR.01")
async def test_the_old_one_goes_and_the_new_one_comes_in_one_step(database: Database, tmp_path: Path) -> None:
    store = SqlDisplayMessages(database)
    await store.replace([], message(1))
    await store.replace([], message(2))
    photographs = Photographs(database, tmp_path / "photographs")
    await store.replace([1, 2], message(3))
    await store.replace([], message(3, "new"))
    await store.delete([3, 4])
    found = []
    for step in photographs.steps:
        copy = Database.open(step)
        found.append([each.text.content for each in await SqlDisplayMessages(copy).load()])
        copy.close()
    assert found == [["m3"], ["new"], []]


async def test_a_message_that_cannot_be_read_is_a_broken_store(database: Database) -> None:
    await database.commit(
        lambda sql: sql.execute(
            "INSERT INTO display_messages (message_id, position, body) VALUES (1, 1, '{}')"
        )
    )
    with pytest.raises(StoreCorrupt, match="display message 1"):
        await SqlDisplayMessages(database).load()
