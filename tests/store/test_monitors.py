"""Monitors on disk: what is set survives, and an event is one commit with what its threshold knows."""

from pathlib import Path

import pytest

from agent.charging.facts import EventsNoticed, VariableEvent
from agent.charging.ids import Component, EventTrigger, MonitorOrigin, Variable
from agent.charging.monitors import Installed, Monitor, MonitoringBase, MonitorKind
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.monitors import SqlMonitors
from tests.store.example_facts import BEGIN

EVSE = Component("EVSE", evse_id=1)
MONITOR = Monitor(10_000, EVSE, Variable("Power"), MonitorKind.UPPER_THRESHOLD, 7000.5, 4)
OTHER = Monitor(
    10_001,
    Component("Connector", None, 1, 2),
    Variable("AvailabilityState", "x"),
    MonitorKind.DELTA,
    1.0,
    9,
    only_in_transaction=True,
)
EVENT = VariableEvent(
    7, BEGIN, EventTrigger.ALERTING, "7001.0", EVSE, Variable("Power"), MonitorOrigin.CUSTOM, 10_000
)
FACT = EventsNoticed(BEGIN, (EVENT,))


async def test_an_empty_store_has_the_monitors_of_the_manufacturer_only(database: Database) -> None:
    stored = await SqlMonitors(database).load()
    assert stored.installed == Installed()
    assert (stored.exceeded, stored.last_event_id, stored.references) == (frozenset(), 0, {})


@pytest.mark.req("N07.FR.13")
async def test_what_is_set_survives_in_its_order(tmp_path: Path) -> None:
    installed = Installed((OTHER, MONITOR), MonitoringBase.FACTORY_DEFAULT, 3, 10_001)
    database = Database.open(tmp_path / "agent.db")
    await SqlMonitors(database).save(installed, {10_001: "", 5: "false", 6: "true"})
    await SqlMonitors(database).note({10_000}, {10_001: "x", 6: "true"})
    await SqlMonitors(database).reserve_event_ids(1000)
    await SqlMonitors(database).reserve_event_ids(10)  # never back
    database.close()
    database = Database.open(tmp_path / "agent.db")
    stored = await SqlMonitors(database).load()
    database.close()
    assert stored.installed == installed
    assert (stored.exceeded, stored.last_event_id) == (frozenset({10_000}), 1000)
    assert stored.references == {10_001: "x", 6: "true"}


@pytest.mark.req("N07.FR.04")
async def test_an_event_is_one_commit_with_what_its_threshold_knows(database: Database) -> None:
    commits: list[None] = []
    database.on_commit.append(lambda: commits.append(None))
    await SqlMonitors(database).note({10_000}, {10_001: "1"}, FACT)
    assert len(commits) == 1
    row = await SqlJournal(database).first()
    assert row is not None
    assert row.fact == FACT
    await SqlMonitors(database).note((), {})
    assert (await SqlMonitors(database).load()).exceeded == frozenset()
    assert await SqlJournal(database).depth() == 1


async def test_a_monitor_that_cannot_be_read_is_damage(database: Database) -> None:
    await database.commit(
        lambda sql: sql.execute("INSERT INTO monitors (monitor_id, position, body) VALUES (1, 0, '{}')")
    )
    with pytest.raises(StoreCorrupt, match="monitor"):
        await SqlMonitors(database).load()
