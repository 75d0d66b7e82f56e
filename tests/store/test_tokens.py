"""The authorization cache: non-volatile, bounded, the least useful entries go first (OCPP 1.6 3.5.1)."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.ports import TokenStore
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.tokens import SqlTokens

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALID = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)
PAST = IdTokenInfo(AuthorizationStatus.ACCEPTED, NOW - timedelta(seconds=1))
FUTURE = IdTokenInfo(AuthorizationStatus.ACCEPTED, NOW + timedelta(seconds=1))


async def _held(store: TokenStore, names: str) -> str:
    """Those of `names` that are in the cache."""
    return "".join([name for name in names if await store.get(IdToken(name)) is not None])


@pytest.mark.req("R16-104")
async def test_what_the_csms_said_survives_a_restart(database: Database) -> None:
    group = IdToken("PARENT", IdTokenType.CENTRAL)
    full = IdTokenInfo(AuthorizationStatus.EXPIRED, NOW, group, frozenset({1, 12}))
    store = SqlTokens(database)
    await store.put(IdToken("A"), full, NOW)
    await store.put(IdToken("B"), VALID, NOW)
    database.close()
    reopened = Database.open(database.path)
    store = SqlTokens(reopened)
    assert await store.get(IdToken("A")) == full
    assert await store.get(IdToken("B")) == VALID
    assert await store.get(IdToken("C")) is None
    reopened.close()


async def test_tokens_are_compared_without_case(database: Database) -> None:
    store = SqlTokens(database)
    await store.put(IdToken("04aBcD"), VALID, NOW)
    assert await store.get(IdToken("04ABCD")) == VALID


@pytest.mark.req("R16-101")
async def test_the_latest_word_replaces_the_one_before(database: Database) -> None:
    store = SqlTokens(database, capacity=1)
    await store.put(IdToken("A"), VALID, NOW)
    await store.put(IdToken("a"), BLOCKED, NOW)
    assert await store.get(IdToken("A")) == BLOCKED


@pytest.mark.req("R16-103")
@pytest.mark.req("C10.FR.07")
@pytest.mark.parametrize("useless", [BLOCKED, PAST], ids=["blocked", "expired"])
async def test_a_full_cache_loses_tokens_that_are_not_valid_before_older_valid_ones(
    database: Database, useless: IdTokenInfo
) -> None:
    store = SqlTokens(database, capacity=3)
    await store.put(IdToken("A"), VALID, NOW)
    await store.put(IdToken("B"), FUTURE, NOW)
    await store.put(IdToken("C"), useless, NOW)
    await store.put(IdToken("D"), VALID, NOW)
    assert await _held(store, "ABCD") == "ABD"


@pytest.mark.req("R16-103")
async def test_a_full_cache_of_valid_tokens_loses_the_one_heard_of_longest_ago(database: Database) -> None:
    store = SqlTokens(database, capacity=3)
    for name in "ABCA":  # A is heard of again
        await store.put(IdToken(name), VALID, NOW)
    await store.put(IdToken("D"), VALID, NOW)
    assert await _held(store, "ABCD") == "ACD"


@pytest.mark.req("R16-100")
async def test_a_token_that_is_not_valid_is_kept_too_even_in_a_full_cache(database: Database) -> None:
    store = SqlTokens(database, capacity=2)
    for name in "AB":
        await store.put(IdToken(name), VALID, NOW)
    await store.put(IdToken("C"), BLOCKED, NOW)
    assert await _held(store, "ABC") == "BC"


async def test_a_smaller_capacity_takes_effect_with_the_next_token(database: Database) -> None:
    store = SqlTokens(database, capacity=10)
    for name in "ABCDEF":
        await store.put(IdToken(name), VALID, NOW)
    store = SqlTokens(database, capacity=2)
    await store.put(IdToken("G"), VALID, NOW)
    assert await _held(store, "ABCDEFG") == "FG"


@pytest.mark.req("R16-107")
async def test_clear_empties_the_cache(database: Database) -> None:
    store = SqlTokens(database)
    for name in "AB":
        await store.put(IdToken(name), VALID, NOW)
    await store.clear()
    assert await _held(store, "AB") == ""


async def test_a_cache_without_room_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="below 1"):
        SqlTokens(database, capacity=0)


async def test_an_expiry_without_zone_is_not_guessed(database: Database) -> None:
    store = SqlTokens(database)
    await store.put(IdToken("A"), FUTURE, NOW)

    def break_entry(sql: sqlite3.Connection) -> None:
        sql.execute("UPDATE tokens SET expires_at = '2026-03-01T00:00:00'")

    await database.commit(break_entry)
    with pytest.raises(StoreCorrupt, match="no time zone"):
        await store.get(IdToken("A"))


async def test_an_entry_that_cannot_be_read_is_told(database: Database) -> None:
    store = SqlTokens(database)
    await store.put(IdToken("A"), VALID, NOW)

    def break_entry(sql: sqlite3.Connection) -> None:
        sql.execute("UPDATE tokens SET status = 'Perhaps'")

    await database.commit(break_entry)
    with pytest.raises(StoreCorrupt, match="cached token"):
        await store.get(IdToken("A"))


@pytest.mark.req("C01.FR.25")
async def test_the_same_value_of_another_type_is_another_token(database: Database) -> None:
    store = SqlTokens(database)
    card, central = IdToken("A"), IdToken("a", IdTokenType.CENTRAL)
    await store.put(card, VALID, NOW)
    assert await store.get(central) is None
    await store.put(central, BLOCKED, NOW)
    assert (await store.get(card), await store.get(central)) == (VALID, BLOCKED)


async def test_what_a_csms_without_types_said_holds_for_every_type_and_takes_their_place(
    database: Database,
) -> None:
    store = SqlTokens(database)
    card, untyped = IdToken("A"), IdToken("a", IdTokenType.UNTYPED)
    await store.put(card, VALID, NOW)
    assert await store.get(untyped) == VALID
    await store.put(untyped, BLOCKED, NOW)
    assert (await store.get(card), await store.get(untyped)) == (BLOCKED, BLOCKED)
    assert await store.get(IdToken("AB")) is None
    await store.put(card, VALID, NOW)
    assert await store.get(untyped) == VALID
    rows = await database.read(lambda sql: sql.execute("SELECT count(*) FROM tokens").fetchone()[0])
    assert rows == 1


@pytest.mark.req("C10.FR.08", "C10.FR.02")
async def test_the_last_use_of_a_token_is_known_after_a_restart(database: Database) -> None:
    store = SqlTokens(database)
    await store.put(IdToken("A"), VALID, NOW)
    assert await store.used_at(IdToken("a")) == NOW
    await store.use(IdToken("A"), NOW + timedelta(hours=1))
    database.close()
    reopened = Database.open(database.path)
    assert await SqlTokens(reopened).used_at(IdToken("A")) == NOW + timedelta(hours=1)
    assert await SqlTokens(reopened).used_at(IdToken("B")) is None
    reopened.close()
