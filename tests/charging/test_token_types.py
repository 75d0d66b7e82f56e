"""Types of tokens: which are the same, which are asked for, which are remembered; and a station that asks nobody."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.authorization import is_same_driver
from agent.charging.conventions import Conventions
from agent.charging.facts import TokenRefused
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType, Reservation
from agent.charging.requests import PresentToken, RequestStart, Reserve, Verdict
from agent.ocpp.choosing import CONVENTIONS
from tests.charging.rig import TAG, Rig, running

VALID = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)
UNTYPED, CENTRAL = IdToken("tag1", IdTokenType.UNTYPED), IdToken("TAG1", IdTokenType.CENTRAL)
FLEET = IdToken("FLEET", IdTokenType.CENTRAL)
OCPP201 = CONVENTIONS["ocpp2.0.1"]


def obeying(rig: Rig, conventions: Conventions = OCPP201) -> Rig:
    rig.station.follow(conventions)
    return rig


async def change(rig: Rig, **values: str) -> None:
    for name, value in values.items():
        assert (await rig.settings.change(name, value)).verdict is Verdict.ACCEPTED


# --- the same token ----------------------------------------------------------------------------------------


@pytest.mark.req("C01.FR.25")
def test_two_tokens_are_the_same_by_value_and_type() -> None:
    assert IdToken("04ab").is_same(IdToken("04AB"))
    assert not TAG.is_same(CENTRAL)
    assert not TAG.is_same(None)


@given(st.sampled_from(IdTokenType), st.sampled_from(IdTokenType))
def test_a_token_of_1_6_has_no_type_and_is_the_same_as_one_of_any(
    one: IdTokenType, other: IdTokenType
) -> None:
    first, second = IdToken("A", one), IdToken("a", other)
    assert first.is_same(second) is second.is_same(first)
    assert first.is_same(second) is (one is other or IdTokenType.UNTYPED in (one, other))


@pytest.mark.req("C09.FR.03", "C09.FR.13")
def test_a_group_is_the_same_whatever_type_the_csms_gives_it() -> None:
    assert is_same_driver(TAG, FLEET, IdToken("TAG2"), IdToken("fleet"))
    assert not is_same_driver(TAG, None, IdToken("TAG2"), None)


@pytest.mark.req("C04.FR.04")
def test_a_key_code_is_never_shown() -> None:
    assert "1234" not in IdToken("1234", IdTokenType.KEY_CODE).shown
    assert TAG.shown == "TAG1"


# --- who is asked for --------------------------------------------------------------------------------------


@pytest.mark.req("C06.FR.02", "C04.FR.03", "C01.FR.02")
@pytest.mark.parametrize(
    "kind", ["ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "eMAID", "Central"]
)
async def test_what_is_presented_here_is_asked_for_with_its_type(kind: str) -> None:
    async with running() as rig:
        token = IdToken("TAG1", IdTokenType(kind))
        rig.evse().plug()
        await rig.ask(PresentToken(token))
        await rig.run_for()
        assert rig.authorizer.asked == [token]
        assert rig.started[0].id_token == token


@pytest.mark.req("C03.FR.01", "C03.FR.02", "C05.FR.01", "C05.FR.02")
@pytest.mark.parametrize("kind", [IdTokenType.CENTRAL, IdTokenType.NO_AUTHORIZATION])
async def test_a_token_that_the_csms_made_up_is_neither_asked_for_nor_remembered(kind: IdTokenType) -> None:
    async with running() as rig:
        rig.evse().plug()
        token = IdToken("TAG1", kind)
        assert (await rig.ask(RequestStart(token, 1))).verdict is Verdict.ACCEPTED
        await rig.run_for()
        assert rig.started[0].id_token == token
        assert rig.authorizer.asked == []
        await rig.station.token_answered(token, VALID, None, from_start=False)
        assert rig.stores.tokens.known == {}


async def test_a_remote_start_without_a_type_is_asked_for_as_ever() -> None:
    async with running() as rig:
        rig.evse().plug()
        await rig.ask(RequestStart(UNTYPED, 1))
        await rig.run_for()
        assert rig.authorizer.asked == [UNTYPED]


@pytest.mark.req("F01.FR.21", "F01.FR.22")
async def test_where_the_group_decides_a_token_that_nobody_may_be_asked_about_is_refused() -> None:
    async with running() as rig:
        end = rig.clock.now() + timedelta(hours=1)
        await rig.ask(Reserve(Reservation(1, IdToken("X"), FLEET, end, 1)))
        assert (await rig.ask(RequestStart(CENTRAL, 1))).verdict is Verdict.REJECTED
        ours = RequestStart(CENTRAL, 1, group=IdToken("FLEET"))
        assert (await rig.ask(ours)).verdict is Verdict.ACCEPTED


@pytest.mark.req("C02.FR.01", "C02.FR.03")
async def test_a_start_button_starts_without_a_question_and_stops_with_the_next_press() -> None:
    async with running() as rig:
        rig.evse().plug()
        for _ in range(2):
            rig.reader.tap("", "NoAuthorization")
            await rig.run_for()
        assert rig.started[0].id_token == IdToken("", IdTokenType.NO_AUTHORIZATION)
        assert len(rig.stopped) == 1
        assert (rig.authorizer.asked, rig.stores.tokens.known) == ([], {})


# --- nobody has to identify --------------------------------------------------------------------------------


@pytest.mark.req("C01.FR.01")
async def test_where_nobody_has_to_identify_a_cable_is_all_it_takes() -> None:
    async with running() as rig:
        await change(rig, authorization_enabled="false")
        rig.evse().plug()
        await rig.run_for()
        assert rig.evse().setpoint.allow_power
        assert rig.started[0].id_token == IdToken("", IdTokenType.NO_AUTHORIZATION)
        assert rig.authorizer.asked == []
        rig.evse().unplug()
        await rig.run_for()
        assert len(rig.stopped) == 1


async def test_a_token_that_is_presented_all_the_same_is_taken_unasked() -> None:
    async with running() as rig:
        await change(rig, authorization_enabled="false")
        rig.authorizer.answers["TAG1"] = BLOCKED
        await rig.tap()
        rig.evse().plug()
        await rig.run_for()
        assert rig.started[0].id_token == TAG
        assert rig.authorizer.asked == []


async def test_an_evse_that_is_reserved_waits_for_its_driver_also_where_nobody_has_to_identify() -> None:
    async with running() as rig:
        await change(rig, authorization_enabled="false")
        await rig.ask(Reserve(Reservation(1, TAG, None, rig.clock.now() + timedelta(hours=1), 1)))
        rig.evse().plug()
        await rig.run_for()
        assert not rig.started
        await rig.tap()
        assert rig.started[0].reservation_id == 1


# --- groups ------------------------------------------------------------------------------------------------


@pytest.mark.req("C01.FR.03", "C09.FR.03", "C09.FR.07", "TC_C_41_CS")
async def test_a_valid_token_of_the_group_that_is_known_here_stops_unasked() -> None:
    async with running() as rig:
        obeying(rig)
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=FLEET)
        rig.stores.tokens.known["tag2"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=FLEET)
        await rig.charge()
        await rig.tap("TAG2")
        assert rig.stopped[0].id_token == IdToken("TAG2")
        assert rig.authorizer.asked == [TAG]


@pytest.mark.req("C09.FR.05", "C09.FR.11", "TC_C_42_CS", "TC_C_44_CS")
@pytest.mark.parametrize("known", [None, IdTokenInfo(AuthorizationStatus.BLOCKED, group=FLEET)])
async def test_one_that_is_not_known_or_not_valid_is_asked_for_and_a_no_stops_nothing(
    known: IdTokenInfo | None,
) -> None:
    async with running() as rig:
        obeying(rig)
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=FLEET)
        rig.authorizer.answers["TAG2"] = IdTokenInfo(AuthorizationStatus.BLOCKED, group=FLEET)
        if known is not None:
            rig.stores.tokens.known["tag2"] = known
        await rig.charge()
        await rig.tap("TAG2")
        assert rig.authorizer.asked == [TAG, IdToken("TAG2")]
        assert not rig.stopped


@pytest.mark.req("C01.FR.02", "TC_C_04_CS")
@pytest.mark.parametrize(("version", "times"), [("ocpp2.0.1", 2), ("ocpp1.6", 1)])
async def test_another_token_during_a_transaction_is_asked_for_in_2x_only(version: str, times: int) -> None:
    async with running() as rig:
        obeying(rig, CONVENTIONS[version])
        await rig.charge()
        await rig.tap("TAG2")
        assert len(rig.authorizer.asked) == times
        assert not rig.stopped


# --- the cache ---------------------------------------------------------------------------------------------


@pytest.mark.req("C10.FR.08", "C10.FR.10", "TC_C_46_CS")
async def test_a_word_without_a_date_is_good_for_the_life_time_of_the_cache_since_its_last_use() -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        await rig.tap()
        await change(rig, cache_life_time_s="3600")  # it counts for what is known already
        for pause_s, asked in ((2400, 1), (2400, 1), (3601, 2)):
            await rig.run_for(pause_s)
            await rig.tap()
            assert rig.authorizer.asked == [TAG] * asked, pause_s


@pytest.mark.req("C10.FR.08", "C10.FR.10")
async def test_offline_a_token_that_nobody_used_for_its_life_time_is_refused() -> None:
    async with running(is_online=False) as rig:
        await change(rig, cache_life_time_s="3600")
        rig.stores.tokens.known["tag1"] = VALID
        rig.stores.tokens.used["tag1"] = rig.clock.now() - timedelta(seconds=3600)
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        rig.stores.tokens.used["tag1"] = rig.clock.now() - timedelta(seconds=3000)
        await rig.tap()
        assert len(rig.started) == 1


@pytest.mark.req("C10.FR.13")
async def test_a_date_of_the_csms_beats_the_life_time() -> None:
    async with running() as rig:
        await change(rig, cache_life_time_s="3600")
        until = rig.clock.now() + timedelta(minutes=5)
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, until)
        await rig.tap()
        assert rig.stores.tokens.known["tag1"].expires_at == until


@pytest.mark.req("C10.FR.03", "C12.FR.05", "C14.FR.03", "TC_C_09_CS", "TC_C_57_CS", "TC_C_58_CS")
@pytest.mark.parametrize("is_listed", [False, True])
@pytest.mark.parametrize("is_final", [False, True])
async def test_a_token_known_as_bad_is_asked_for_again_unless_that_is_switched_off(
    is_listed: bool, is_final: bool
) -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        name = "listed_stay_refused" if is_listed else "cached_stay_refused"
        await change(rig, **{name: str(is_final).lower()})
        if is_listed:
            rig.stores.local_list.entries["tag1"] = BLOCKED
            rig.stores.local_list.now = type(rig.stores.local_list.now)(1, 1)
            await rig.station.load()
        else:
            rig.stores.tokens.known["tag1"] = BLOCKED
        rig.evse().plug()
        await rig.tap()
        assert rig.authorizer.asked == ([] if is_final else [TAG])
        assert len(rig.started) == (0 if is_final else 1)
        if is_final:
            assert rig.told(TokenRefused)[-1].reason == "Blocked"


@pytest.mark.req("C16.FR.03", "C12.FR.09")
@pytest.mark.parametrize("is_asked", ["true", "false"])
async def test_a_master_pass_cannot_be_started_remotely(is_asked: str) -> None:
    given = {"AuthCtrlr.MasterPassGroupId": "FLEET", "AuthorizeRemoteTxRequests": is_asked}
    async with running(given=given) as rig:
        rig.evse().plug()
        assert (await rig.ask(RequestStart(TAG, 1, group=FLEET))).verdict is Verdict.REJECTED
        await rig.run_for(5)
        assert not rig.started
        assert (await rig.ask(RequestStart(TAG, 1, group=IdToken("OTHERS")))).verdict is Verdict.ACCEPTED


@pytest.mark.req("C09.FR.05", "C09.FR.07")
async def test_one_who_is_known_here_in_another_group_is_asked_for_and_stops_nothing() -> None:
    async with running(given={"AuthorizationCacheEnabled": "true"}) as rig:
        obeying(rig)
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=FLEET)
        others = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=IdToken("OTHERS"))
        rig.authorizer.answers["TAG2"] = rig.stores.tokens.known["tag2"] = others
        await rig.charge()
        rig.authorizer.asked.clear()
        await rig.tap("TAG2")
        assert [each.value for each in rig.authorizer.asked] == ["TAG2"]
        assert rig.shown().transaction is not None


@pytest.mark.req("TC_E_52_CS")
@pytest.mark.parametrize(
    ("known", "reason"), [(None, "unknown, and nobody is to be asked"), (BLOCKED, "Blocked"), (VALID, "")]
)
async def test_where_nobody_is_to_be_asked_only_what_is_known_here_counts(
    known: IdTokenInfo | None, reason: str
) -> None:
    """DisableRemoteAuthorization, also for a remote start and with LocalPreAuthorize off."""
    given = {"AuthCtrlr.DisableRemoteAuthorization": "true", "AuthorizeRemoteTxRequests": "true"}
    async with running(given=given) as rig:
        if known is not None:
            rig.stores.tokens.known["tag1"] = known
        rig.evse().plug()
        await rig.tap()
        assert len(rig.started) == (0 if reason else 1)
        if reason:
            assert rig.told(TokenRefused)[-1].reason == reason
            assert (await rig.ask(RequestStart(TAG, 1))).verdict is Verdict.ACCEPTED
            await rig.run_for(5)
            assert not rig.started
        assert not rig.authorizer.asked


# --- key codes that nobody has -----------------------------------------------------------------------------


WRONG = {str(code): IdTokenInfo(AuthorizationStatus.INVALID) for code in range(1111, 1121)}


async def enter(rig: Rig, *codes: str) -> int:
    """Key codes at the pad, one after the other; how many of them were asked for."""
    before = len(rig.authorizer.asked)
    for code in codes:
        await rig.ask(PresentToken(IdToken(code, IdTokenType.KEY_CODE), (1,)))
        await rig.run_for(0.5)
    return len(rig.authorizer.asked) - before


@pytest.mark.req("C04.FR.06")
async def test_who_tries_key_codes_has_to_wait_longer_and_longer() -> None:
    async with running() as rig:
        rig.authorizer.answers.update(WRONG)
        assert await enter(rig, "1111", "1112", "1113", "1114", "1115") == 3
        assert rig.told(TokenRefused)[-1].reason == "too many wrong key codes"
        await rig.run_for(10)
        assert await enter(rig, "1116", "1117") == 1
        await rig.run_for(10)
        assert await enter(rig, "1118") == 0, "20 s this time"
        await rig.run_for(10)
        assert await enter(rig, "1119") == 1
        await rig.ask(PresentToken(TAG, (1,)))
        await rig.run_for(1)
        assert len(rig.authorizer.asked) == 6, "a card waits for nothing"
        await rig.run_for(3600)
        for _ in range(20):
            assert await enter(rig, "1120") == 1
            await rig.run_for(600)


@pytest.mark.req("C04.FR.06")
async def test_a_good_code_starts_the_count_anew_and_always_stops_its_own_transaction() -> None:
    async with running() as rig:
        obeying(rig)
        rig.authorizer.answers.update(WRONG)
        rig.evse().plug()
        assert await enter(rig, "1111", "1112", "4711") == 3
        await rig.run_for(5)
        assert rig.shown().transaction is not None
        assert await enter(rig, "1113", "1114", "1115", "1116") == 3
        assert await enter(rig, "4711") == 0
        await rig.run_for(10)
        assert rig.shown().transaction is None


@pytest.mark.req("C04.FR.06")
async def test_a_good_code_that_may_not_charge_here_is_no_attempt() -> None:
    async with running() as rig:
        rig.authorizer.answers["4711"] = BLOCKED
        assert await enter(rig, *(["4711"] * 6)) == 6
