"""What is known of a customer, and what is left after it was forgotten."""

import json

import pytest
from msgspec.structs import replace

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.local_list import ListChange, Standing
from agent.store.customers import SqlCustomers
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.local_list import SqlLocalList
from agent.store.tokens import SqlTokens
from tests.store.example_facts import BEGIN, TOKEN, started, stopped

KNOWN = IdTokenInfo(AuthorizationStatus.ACCEPTED)
OTHER = IdToken("FFFF")


async def _fill(database: Database) -> None:
    """The customer in the cache, in the list, in an ended transaction, and somebody else beside him."""
    for token in (TOKEN, OTHER):
        await SqlTokens(database).put(token, KNOWN, BEGIN)
    await SqlLocalList(database).apply(
        ListChange(is_full=True, puts=((OTHER, KNOWN),), removals=(), standing=Standing(1, 1))
    )
    await SqlTokens(database).put(OTHER, KNOWN, BEGIN)
    journal = SqlJournal(database)
    await journal.record(started())
    await journal.record(stopped())


async def _deliver(database: Database) -> None:
    journal = SqlJournal(database)
    while (row := await journal.first()) is not None:
        await journal.confirm(row.row_id)


@pytest.mark.req("N09.FR.05", "N09.FR.06", "TC_N_27_CS", "TC_N_28_CS")
async def test_every_row_with_the_token_is_told(database: Database) -> None:
    await _fill(database)
    entries = await SqlCustomers(database).find(IdToken(TOKEN.value.lower()))
    assert [entry.partition(":")[0] for entry in entries] == ["authorization cache", "transaction"]
    cached = json.loads(entries[0].partition(": ")[2])
    assert (cached["id_token"], cached["id_token_type"]) == (TOKEN.key, TOKEN.type)
    assert '"meter_start_wh"' in entries[1]
    listed = await SqlCustomers(database).find(OTHER)
    assert [entry.partition(":")[0] for entry in listed] == [
        "authorization cache",
        "local authorization list",
    ]
    assert await SqlCustomers(database).find(IdToken("nobody")) == []


@pytest.mark.req("N10.FR.03", "N10.FR.06", "TC_N_30_CS", "TC_N_32_CS")
async def test_a_customer_is_forgotten_but_for_the_local_list(database: Database) -> None:
    await _fill(database)
    await _deliver(database)
    customers = SqlCustomers(database)
    for token in (TOKEN, OTHER):
        await customers.forget(token)
    assert await customers.find(TOKEN) == []
    assert [entry.partition(":")[0] for entry in await customers.find(OTHER)] == ["local authorization list"]
    (ended,) = await SqlJournal(database).history(10)
    assert (ended.id_token, ended.meter_start_wh) == (None, started().meter_start_wh)


@pytest.mark.req("N09.FR.05", "N10.FR.03", "N10.FR.04", "TC_N_62_CS")
async def test_an_identifier_is_the_value_of_any_token_or_the_name_of_a_group(database: Database) -> None:
    await _fill(database)
    await _deliver(database)
    customers, tokens = SqlCustomers(database), SqlTokens(database)
    fleet = IdTokenInfo(
        AuthorizationStatus.ACCEPTED, group=IdToken("OpenChargeAlliance", IdTokenType.CENTRAL)
    )
    await tokens.put(IdToken("car1", IdTokenType.ISO14443), fleet, BEGIN)
    await tokens.put(IdToken("car2", IdTokenType.EMAID), fleet, BEGIN)
    assert len(await customers.find("openchargealliance")) == 2
    assert len(await customers.find("CAR2")) == 1, "whatever its type"
    assert await customers.find("car") == []
    assert await customers.find(IdToken("OpenChargeAlliance")) == [], "a token is not a group"
    sources = [entry.partition(":")[0] for entry in await customers.find(TOKEN.value)]
    assert sources == ["authorization cache", "transaction"]
    await customers.forget("OpenChargeAlliance")
    assert await customers.find("OpenChargeAlliance") == await customers.find("car1") == []
    await customers.forget(TOKEN.value)
    assert await customers.find(TOKEN.value) == []
    assert len(await customers.find(OTHER.value)) == 2, "others are untouched"


async def test_what_has_still_to_be_delivered_is_not_forgotten(database: Database) -> None:
    await _fill(database)
    await SqlCustomers(database).forget(TOKEN)
    assert [entry.partition(":")[0] for entry in await SqlCustomers(database).find(TOKEN)] == ["transaction"]
    row = await SqlJournal(database).first()
    assert row is not None
    assert row.fact == started()


async def test_messages_that_were_given_up_are_forgotten_too(database: Database) -> None:
    journal = SqlJournal(database)
    other = replace(started(), transaction_id="tx2", id_token=OTHER)
    await journal.record(started(), other)
    for reason in ("no", "no"):
        row = await journal.first()
        assert row is not None
        await journal.discard(row.row_id, reason)
    customers = SqlCustomers(database)
    told = [entry.partition(":")[0] for entry in await customers.find(TOKEN)]
    assert told == ["transaction", "message given up"]
    await customers.forget(TOKEN)
    assert [entry.partition(":")[0] for entry in await customers.find(TOKEN)] == ["transaction"]
    assert len(await customers.find(OTHER)) == 2
