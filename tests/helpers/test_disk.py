"""The power cut itself."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from agent.store.db import Database
from tests.helpers.disk import PowerCut, PowerLost, power_cuts


def _insert(sql: sqlite3.Connection, name: str) -> None:
    sql.execute("INSERT INTO settings (name, value) VALUES (?, '')", (name,))


def _names(path: Path) -> list[str]:
    database = Database.open(path)
    with database.transaction() as sql:
        names = [name for (name,) in sql.execute("SELECT name FROM settings ORDER BY name")]
    database.close()
    return names


async def test_the_cut_moves_on_by_one_step_until_none_is_left(tmp_path: Path) -> None:
    found = []
    for cut in power_cuts(tmp_path):
        database = Database.open(cut.before / "agent.db")
        cut.watch(database)

        async def scenario(database: Database = database) -> None:
            for name in "abc":
                await database.commit(_insert, name)

        was_cut = await cut.during(scenario())
        database.close()
        found.append((cut.step, was_cut, "".join(_names(cut.after / "agent.db"))))
    assert found == [(1, True, "a"), (2, True, "ab"), (3, True, "abc"), (4, False, "abc")]


async def test_nothing_after_the_cut_happens(tmp_path: Path) -> None:
    cut = PowerCut(1, tmp_path)
    database = Database.open(cut.before / "agent.db")
    cut.watch(database)
    told: list[str] = []

    async def scenario() -> None:
        await database.commit(_insert, "a")
        told.append("the CSMS")
        await asyncio.sleep(3600)

    assert await cut.during(scenario())
    assert told == []
    with pytest.raises(PowerLost):
        await database.commit(_insert, "b")
    database.close()
    assert _names(cut.after / "agent.db") == ["a"]


async def test_a_cut_in_a_background_task_ends_the_scenario_too(tmp_path: Path) -> None:
    cut = PowerCut(1, tmp_path)
    database = Database.open(cut.before / "agent.db")
    cut.watch(database)
    background = asyncio.create_task(database.commit(_insert, "a"))
    assert await cut.during(asyncio.Event().wait())  # type: ignore[arg-type]
    with pytest.raises(PowerLost):
        await background
    database.close()


async def test_a_scenario_that_fails_by_itself_is_not_hidden(tmp_path: Path) -> None:
    cut = PowerCut(1, tmp_path)
    database = Database.open(cut.before / "agent.db")
    cut.watch(database)

    async def scenario() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await cut.during(scenario())
    database.close()


async def test_a_scenario_without_end_is_noticed(tmp_path: Path) -> None:
    async def cut_everywhere() -> None:
        for cut in power_cuts(tmp_path, limit=2):
            database = Database.open(cut.before / "agent.db")
            cut.watch(database)

            async def scenario(database: Database = database) -> None:
                for number in range(5):
                    await database.commit(_insert, f"{number}")

            await cut.during(scenario())
            database.close()

    with pytest.raises(AssertionError, match="more than 2 durable steps"):
        await cut_everywhere()
