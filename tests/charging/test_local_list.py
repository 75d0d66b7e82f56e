"""The local list as rules, against a plain dictionary; then at work in a station (OCPP 1.6 3.5.2, 5.10, 5.15)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.authorization import Accept, Ask, Rules, decide
from agent.charging.facts import FaultCleared, FaultRaised
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo
from agent.charging.local_list import (
    Limits,
    ListChange,
    Standing,
    change_by,
    contradicts,
    refusal,
)
from agent.charging.requests import ListAnswer, ListEntry, ListVerdict, UpdateLocalList
from tests.charging.rig import Rig, Stores, running
from tests.helpers.fake_stores import FULL as DISK_FULL

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALID = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)
LIMITS = Limits(list_entries=4, update_entries=5)


def update(version: int, *entries: tuple[str, IdTokenInfo | None], full: bool = True) -> UpdateLocalList:
    listed = tuple(ListEntry(IdToken(name), known) for name, known in entries)
    return UpdateLocalList(version, full, listed)


def applied(
    wanted: UpdateLocalList, standing: Standing, held: dict[str, IdTokenInfo]
) -> ListChange | ListAnswer:
    keys = {entry.id_token.typed_key for entry in wanted.entries if entry.id_token.key in held}
    return refusal(wanted, standing, LIMITS) or change_by(wanted, standing, keys, LIMITS)


updates = st.builds(
    UpdateLocalList,
    version=st.integers(-2, 6),
    is_full=st.booleans(),
    entries=st.lists(
        st.builds(
            ListEntry,
            id_token=st.sampled_from("aAbBcdefg").map(IdToken),
            known=st.sampled_from([VALID, BLOCKED, None]),
        ),
        max_size=7,
    ).map(tuple),
)


@pytest.mark.req("R16-216", "R16-217", "R16-218", "R16-219", "R16-220", "R16-221", "R16-222", "R16-223")
@given(st.lists(updates, max_size=12))
def test_any_updates_leave_what_a_plain_dictionary_would_have(sequence: list[UpdateLocalList]) -> None:
    model: dict[str, IdTokenInfo] = {}
    standing = Standing()
    for wanted in sequence:
        outcome = applied(wanted, standing, model)
        after = {} if wanted.is_full else dict(model)
        for entry in wanted.entries:
            after.pop(entry.id_token.key, None)
            if entry.known is not None:
                after[entry.id_token.key] = entry.known
        names = [entry.id_token.value.lower() for entry in wanted.entries]
        is_clearing = wanted.is_full and wanted.version == 0 and not names
        is_bad = (
            len(after) > 4
            or len(names) > 5
            or len(set(names)) < len(names)
            or (wanted.version < 1 and not is_clearing)
            or (wanted.is_full and any(entry.known is None for entry in wanted.entries))
        )
        is_behind = not wanted.is_full and wanted.version <= standing.version
        if is_bad or is_behind:
            assert isinstance(outcome, ListAnswer)
            assert outcome.verdict is not ListVerdict.ACCEPTED
            if not is_bad:
                assert outcome.verdict is ListVerdict.VERSION_MISMATCH
            if not is_behind:
                assert outcome.verdict is ListVerdict.FAILED
            continue
        assert isinstance(outcome, ListChange)
        assert outcome.standing == Standing(wanted.version if after else 0, len(after))
        assert {token.key: known for token, known in outcome.puts} == {
            key: known for key, known in after.items() if key in names
        }
        standing, model = outcome.standing, after


@pytest.mark.req("R16-219")
def test_an_empty_differential_update_takes_over_the_version_only() -> None:
    outcome = applied(update(9, full=False), Standing(3, 2), {"a": VALID, "b": VALID})
    assert outcome == ListChange(Standing(9, 2), False, (), ())


@pytest.mark.req("R16-086", "R16-225", "R16-226")
@pytest.mark.parametrize(
    ("listed", "answer", "is_conflict"),
    [
        (VALID, VALID, False),
        (VALID, BLOCKED, True),
        (BLOCKED, VALID, True),
        (BLOCKED, IdTokenInfo(AuthorizationStatus.INVALID), False),
        (VALID, IdTokenInfo(AuthorizationStatus.CONCURRENT_TX), False),
        (VALID, IdTokenInfo(AuthorizationStatus.NO_CREDIT), False),
        (IdTokenInfo(AuthorizationStatus.ACCEPTED, NOW - timedelta(days=1)), VALID, True),
        (IdTokenInfo(AuthorizationStatus.CONCURRENT_TX), BLOCKED, True),
    ],
)
def test_what_contradicts_an_entry(listed: IdTokenInfo, answer: IdTokenInfo, is_conflict: bool) -> None:
    assert contradicts(listed, answer, NOW) is is_conflict


@pytest.mark.req("R16-094", "R16-225", "R16-227")
def test_listed_as_in_use_elsewhere_is_listed_as_valid() -> None:
    known = IdTokenInfo(AuthorizationStatus.CONCURRENT_TX)
    rules = Rules(True, True, False)
    assert decide(known, None, rules, is_online=True, now=NOW) == Accept(known)
    assert isinstance(decide(None, known, rules, is_online=True, now=NOW), Ask)


# --- at work -----------------------------------------------------------------------------------------------


async def send(rig: Rig, wanted: UpdateLocalList) -> ListVerdict:
    answer = await rig.ask(wanted)
    assert isinstance(answer, ListAnswer)
    return answer.verdict


def version(rig: Rig) -> int | None:
    return rig.station.snapshot().local_list_version


@pytest.mark.req("R16-214", "R16-215")
async def test_version_and_entries_are_there_after_a_restart() -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        assert version(rig) == 0
        assert await send(rig, update(3, ("TAG1", VALID))) is ListVerdict.ACCEPTED
    async with running(stores=stores, given={"LocalPreAuthorize": "true"}) as rig:
        assert version(rig) == 3
        await rig.charge("tag1")
        assert not rig.authorizer.asked


@pytest.mark.req("R16-212", "R16-215")
async def test_switched_off_it_is_neither_changed_nor_asked_and_kept() -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        await send(rig, update(3, ("TAG1", VALID)))
        await rig.settings.change("local_list_enabled", "false")
        assert version(rig) is None
        assert await send(rig, update(4)) is ListVerdict.SWITCHED_OFF
        await rig.charge("TAG1")
        assert rig.authorizer.asked
        await rig.settings.change("local_list_enabled", "true")
        assert version(rig) == 3


@pytest.mark.req("R16-223")
async def test_what_the_disk_does_not_take_is_failed_and_changes_nothing() -> None:
    async with running() as rig:
        await send(rig, update(1, ("TAG1", VALID)))
        rig.stores.local_list.failure = DISK_FULL
        assert await send(rig, update(2, ("TAG2", VALID))) is ListVerdict.FAILED
        assert version(rig) == 1
        assert rig.station.snapshot().faults[0].code == "store"


async def test_a_list_that_cannot_be_read_knows_nobody() -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        await send(rig, update(1, ("TAG1", VALID)))
        rig.stores.local_list.failure = DISK_FULL
        await rig.charge("TAG1")
        assert rig.authorizer.asked


async def test_two_updates_at_once_are_one_after_the_other() -> None:
    async with running() as rig:
        await send(rig, update(1, ("TAG1", VALID)))
        both = [rig.ask(update(2, (name, VALID), full=False)) for name in ("TAG2", "TAG3")]
        verdicts = [answer.verdict for answer in await asyncio.gather(*both)]
        assert verdicts == [ListVerdict.ACCEPTED, ListVerdict.VERSION_MISMATCH]
        assert rig.stores.local_list.now == Standing(2, 2)


@pytest.mark.req("R16-099")
@pytest.mark.req("D01.FR.09")
@pytest.mark.parametrize("is_listed", [True, False])
async def test_the_word_of_the_csms_on_a_listed_token_stays_out_of_the_cache(is_listed: bool) -> None:
    async with running() as rig:
        if is_listed:
            await send(rig, update(1, ("TAG1", VALID)))
        started = await rig.charge("TAG1")
        assert started.id_token is not None
        await rig.station.token_answered(started.id_token, VALID, started.transaction_id, from_start=True)
        assert ("tag1" in rig.stores.tokens.known) is not is_listed


@pytest.mark.req("R16-086")
async def test_a_conflict_stands_until_every_token_agrees_again() -> None:
    async with running() as rig:
        await send(rig, update(1, ("TAG1", VALID), ("TAG2", VALID)))
        for name in ("TAG1", "TAG2", "TAG2"):
            await rig.station.token_answered(IdToken(name), BLOCKED, None, from_start=False)
        assert [fact.detail for fact in rig.told(FaultRaised)] == [
            "TAG1: Accepted here, Blocked there",
            "TAG2: Accepted here, Blocked there",
        ]
        (fault,) = rig.station.snapshot().faults
        assert not fault.stops_charging
        await rig.station.token_answered(IdToken("TAG2"), VALID, None, from_start=False)
        assert rig.station.snapshot().faults[0].detail.startswith("TAG1")
        assert not rig.told(FaultCleared)
        await send(rig, update(2, ("TAG1", BLOCKED), full=False))
        assert not rig.station.snapshot().faults
        await rig.charge("TAG3")


@pytest.mark.req("R16-086")
@pytest.mark.parametrize("is_switched_off", [True, False])
async def test_a_new_list_or_none_ends_every_conflict(is_switched_off: bool) -> None:
    async with running() as rig:
        await send(rig, update(1, ("TAG1", VALID)))
        await rig.station.token_answered(IdToken("TAG1"), BLOCKED, None, from_start=False)
        assert rig.station.snapshot().faults
        if is_switched_off:
            await rig.settings.change("local_list_enabled", "false")
        else:
            await send(rig, update(2, ("TAG9", VALID)))
        assert not rig.station.snapshot().faults


@pytest.mark.req("R16-092", "R16-236")
async def test_the_group_of_the_list_holds_where_the_csms_names_none() -> None:
    family = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=IdToken("FAMILY"))
    async with running() as rig:
        await send(rig, update(1, ("TAG1", family), ("TAG2", family)))
        await rig.charge("TAG1")
        await rig.tap("TAG2")
        assert [token.value for token in rig.authorizer.asked] == ["TAG1", "TAG2"]
        assert rig.stopped
