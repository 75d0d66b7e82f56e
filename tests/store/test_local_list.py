"""The local authorization list on disk: one commit for any update, one read for a look-up (OCPP 1.6 3.5.2)."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.local_list import ListChange, Standing
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.local_list import KEYS_PER_QUERY, SqlLocalList
from agent.store.tokens import SqlTokens
from tests.helpers.disk import power_cuts

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALID = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)


CARD = IdTokenType.ISO14443


def full(version: int, *names: str, known: IdTokenInfo = VALID) -> ListChange:
    return ListChange(
        Standing(version, len(names)), True, tuple((IdToken(name), known) for name in names), ()
    )


@pytest.mark.req("R16-214")
async def test_the_list_survives_a_restart(database: Database) -> None:
    group = IdToken("PARENT", IdTokenType.CENTRAL)
    known = IdTokenInfo(AuthorizationStatus.EXPIRED, NOW, group, frozenset({3}))
    await SqlLocalList(database).apply(full(7, "Tag1", "TAG2", known=known))
    database.close()
    reopened = Database.open(database.path)
    store = SqlLocalList(reopened)
    assert await store.standing() == Standing(7, 2)
    assert await store.get(IdToken("tAG1")) == known
    assert await store.get(IdToken("TAG3")) is None
    reopened.close()


async def test_an_empty_store_has_an_empty_list(database: Database) -> None:
    assert await SqlLocalList(database).standing() == Standing()


@pytest.mark.req("R16-216", "R16-218")
async def test_a_full_change_replaces_and_a_differential_one_changes(database: Database) -> None:
    store = SqlLocalList(database)
    await store.apply(full(1, "A", "B"))
    await store.apply(full(2, "B", "C", known=BLOCKED))
    assert [await store.get(IdToken(name)) for name in "ABC"] == [None, BLOCKED, BLOCKED]
    change = ListChange(
        Standing(3, 2), False, ((IdToken("c"), VALID), (IdToken("D"), VALID)), (IdToken("b"),)
    )
    await store.apply(change)
    assert [await store.get(IdToken(name)) for name in "BCD"] == [None, VALID, VALID]
    assert await store.standing() == Standing(3, 2)


async def test_any_number_of_keys_can_be_looked_for(database: Database) -> None:
    store = SqlLocalList(database)
    names = [f"T{number}" for number in range(2 * KEYS_PER_QUERY + 1)]
    await store.apply(full(1, *names))
    asked = [IdToken(name).typed_key for name in (*names, "X", "Y")]
    assert await store.held(asked) == {IdToken(name).typed_key for name in names}
    assert await store.held([]) == frozenset()


async def test_ten_thousand_entries_are_one_commit(database: Database) -> None:
    commits: list[None] = []
    database.on_commit.append(lambda: commits.append(None))
    store = SqlLocalList(database)
    await store.apply(full(1, *(f"TOKEN{number:015}" for number in range(10_000))))
    assert len(commits) == 1
    assert await store.get(IdToken("TOKEN000000000009999")) == VALID

    def plan(sql: sqlite3.Connection) -> str:
        return str(sql.execute("EXPLAIN QUERY PLAN SELECT status FROM local_list WHERE key = 'x'").fetchall())

    assert "SEARCH local_list USING PRIMARY KEY" in await database.read(plan)


@pytest.mark.req("R16-223")
async def test_a_cut_leaves_the_old_list_or_the_new_one(tmp_path: Path) -> None:
    names = [f"T{number}" for number in range(1000)]

    async def update(database: Database) -> None:
        store = SqlLocalList(database)
        await store.apply(full(1, *names))
        await store.apply(full(2, *names[:500], known=BLOCKED))

    found = []
    for cut in power_cuts(tmp_path):
        database = Database.open(cut.before / "agent.db")
        cut.watch(database)
        await cut.during(update(database))
        database.close()
        after = Database.open(cut.after / "agent.db")
        store = SqlLocalList(after)
        standing = await store.standing()
        keys = await store.held([IdToken(name).typed_key for name in names])
        found.append((standing.version, len(keys), await store.get(IdToken("T0"))))
        assert standing.length == len(keys)
        after.close()
    assert found == [(1, 1000, VALID), (2, 500, BLOCKED), (2, 500, BLOCKED)]


@pytest.mark.req("R16-099")
async def test_what_is_listed_leaves_the_cache(database: Database) -> None:
    tokens = SqlTokens(database)
    for name in ("A", "B"):
        await tokens.put(IdToken(name), VALID, NOW)
    await SqlLocalList(database).apply(full(1, "a", known=BLOCKED))
    assert [await tokens.get(IdToken(name)) for name in "AB"] == [None, VALID]


async def test_an_entry_that_cannot_be_read_is_told(database: Database) -> None:
    store = SqlLocalList(database)
    await store.apply(full(1, "A"))

    def break_entry(sql: sqlite3.Connection) -> None:
        sql.execute("UPDATE local_list SET status = 'Perhaps'")

    await database.commit(break_entry)
    with pytest.raises(StoreCorrupt, match="local list"):
        await store.get(IdToken("A"))


def typed(name: str, kind: IdTokenType) -> IdToken:
    return IdToken(name, kind)


@pytest.mark.req("C01.FR.25", "D01.FR.06")
async def test_entries_differ_by_their_types_and_an_entry_without_one_is_for_all(database: Database) -> None:
    store = SqlLocalList(database)
    card, central, untyped = (typed("A", kind) for kind in (CARD, IdTokenType.CENTRAL, IdTokenType.UNTYPED))
    await store.apply(ListChange(Standing(1, 2), True, ((card, VALID), (central, BLOCKED)), ()))
    assert [await store.get(each) for each in (card, central)] == [VALID, BLOCKED]
    assert await store.held([card.typed_key, typed("A", IdTokenType.LOCAL).typed_key]) == {card.typed_key}
    await store.apply(ListChange(Standing(2, 1), False, ((untyped, BLOCKED),), ()))
    assert [await store.get(each) for each in (card, central)] == [BLOCKED, BLOCKED]
    assert await store.standing() == Standing(2, 1)
    await store.apply(ListChange(Standing(3, 0), False, (), (card,)))
    assert await store.get(central) is None
    assert await store.standing() == Standing(3, 0)


async def test_what_is_listed_without_a_type_leaves_the_cache_whatever_its_type(database: Database) -> None:
    tokens = SqlTokens(database)
    await tokens.put(IdToken("A"), VALID, NOW)
    untyped = typed("a", IdTokenType.UNTYPED)
    await SqlLocalList(database).apply(ListChange(Standing(1, 1), True, ((untyped, BLOCKED),), ()))
    assert await tokens.get(IdToken("A")) is None
