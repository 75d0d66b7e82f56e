"""Tokens at the readers: what is asked, what is known, which EVSE is meant."""

import pytest

from agent.charging.facts import TokenPresented, TokenRefused
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.requests import PresentToken
from agent.charging.snapshot import SessionState
from tests.charging.rig import TAG, running
from tests.helpers.fake_hardware import fake_hardware

VALID = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)


@pytest.mark.req("R16-089", "R16-100", "R16-101")
async def test_unknown_token_is_asked_for_and_remembered() -> None:
    async with running() as rig:
        await rig.charge()
        assert rig.authorizer.asked == [TAG]
        assert await rig.stores.tokens.get(IdToken("tag1")) == VALID
        assert rig.light().shown == [("blink", 3.0)]


@pytest.mark.req("R16-090", "R16-100")
async def test_refused_token_is_remembered_too_and_seen_at_the_light() -> None:
    async with running(given={"BlinkRepeat": "5"}) as rig:
        rig.authorizer.answers["TAG1"] = BLOCKED
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        assert rig.told(TokenRefused)[0].reason == "Blocked"
        assert await rig.stores.tokens.get(TAG) == BLOCKED
        assert rig.light().shown == [("fast", 5.0)]


async def test_dark_light_stays_dark() -> None:
    async with running(given={"LightIntensity": "0"}) as rig:
        await rig.charge()
        assert not rig.light().shown


@pytest.mark.req("R16-094")
async def test_known_token_starts_without_waiting_for_the_csms() -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        rig.stores.tokens.known["tag1"] = VALID
        await rig.charge()
        assert not rig.authorizer.asked


@pytest.mark.req("R16-106")
async def test_cache_that_is_switched_off_is_neither_read_nor_written() -> None:
    given = {"LocalPreAuthorize": "true", "AuthorizationCacheEnabled": "false"}
    async with running(given=given) as rig:
        rig.stores.tokens.known["tag1"] = VALID
        await rig.charge()
        assert rig.authorizer.asked == [TAG]
        rig.evse().unplug()
        await rig.run_for()
        await rig.charge("TAG2")
        assert "tag2" not in rig.stores.tokens.known


@pytest.mark.req("R16-095", "R16-097", "R16-096")
async def test_offline_only_what_is_known_may_start() -> None:
    async with running(is_online=False) as rig:
        rig.stores.tokens.known["bad"] = BLOCKED
        rig.evse().plug()
        await rig.tap("TAG1")
        await rig.tap("BAD")
        assert not rig.started
        rig.stores.tokens.known["tag1"] = VALID
        await rig.tap("TAG1")
        assert rig.started[0].offline


async def test_no_answer_counts_as_offline() -> None:
    async with running() as rig:
        rig.authorizer.answers["TAG1"] = None
        rig.stores.tokens.known["tag1"] = VALID
        await rig.charge()
        assert rig.authorizer.asked == [TAG]


async def test_a_csms_that_never_answers_does_not_block_the_evse() -> None:
    async with running() as rig:
        rig.authorizer.delay_s = 100_000
        rig.evse().plug()
        rig.reader.tap("TAG1")
        await rig.run_for(59)
        assert rig.shown().session is SessionState.AUTHORIZING
        await rig.run_for(5)
        assert rig.shown().session is SessionState.PLUGGED


async def test_every_presentation_counts_however_quick() -> None:
    async with running() as rig:
        rig.evse().plug()
        rig.reader.tap("TAG1")
        await rig.run_for(0.3)
        rig.reader.tap("TAG1")
        await rig.run_for(0.3)
        assert len(rig.stopped) == len(rig.started) == 1
        assert len(rig.told(TokenPresented)) == 2


async def test_unknown_kind_of_token_is_local() -> None:
    async with running() as rig:
        rig.reader.tap("1234", "Sonar")
        assert rig.told(TokenPresented)[0].id_token == IdToken("1234", IdTokenType.LOCAL)


@pytest.mark.req("R16-091", "R16-093")
async def test_shared_reader_finds_the_evse_that_is_meant() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.charge("TAG1", 1)
        rig.evse(2).plug()
        await rig.tap("TAG2")
        assert [started.evse_id for started in rig.started] == [1, 2]
        await rig.tap("TAG3")
        assert not rig.stopped
        await rig.tap("TAG2")
        assert [stopped.evse_id for stopped in rig.stopped] == [2]


async def test_card_first_at_a_shared_reader_goes_where_the_cable_goes() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.tap("TAG1")
        assert rig.shown(1).session is SessionState.AUTHORIZED
        rig.evse(2).plug()
        await rig.run_for()
        assert [started.evse_id for started in rig.started] == [2]
        assert rig.shown(1).session is SessionState.IDLE


async def test_cable_that_comes_while_the_csms_is_asked_decides_too() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        rig.authorizer.delay_s = 1.0
        rig.reader.tap("TAG1")
        await rig.run_for(0.5)
        rig.evse(2).plug()
        await rig.run_for(2)
        assert [started.evse_id for started in rig.started] == [2]
        assert rig.shown(1).session is SessionState.IDLE


async def test_reader_of_one_evse_means_that_one() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        rig.evse(1).plug()
        await rig.ask(PresentToken(TAG, (2,)))
        await rig.run_for()
        assert rig.shown(2).session is SessionState.AUTHORIZED
        assert not rig.started


@pytest.mark.req("R16-092", "R16-093")
async def test_nobody_is_asked_of_another_token_when_the_one_that_started_has_no_group() -> None:
    async with running() as rig:
        await rig.charge("TAG1", 1)
        asked = len(rig.authorizer.asked)
        await rig.tap("TAG2")
        assert not rig.stopped
        assert len(rig.authorizer.asked) == asked
        assert [refused.id_token.value for refused in rig.told(TokenRefused)] == ["TAG2"]


@pytest.mark.req("R16-092")
async def test_group_decides_among_several_running_transactions() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        family = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=IdToken("FAMILY"))
        rig.authorizer.answers.update({"TAG2": family, "TAG3": family})
        await rig.charge("TAG1", 1)
        await rig.charge("TAG2", 2)
        await rig.tap("TAG3")
        assert [stopped.evse_id for stopped in rig.stopped] == [2]
        assert not [refused for refused in rig.told(TokenRefused) if refused.id_token.value == "TAG3"]


@pytest.mark.req("C01.FR.21")
async def test_a_token_starts_only_where_the_csms_allows_it() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, None, None, frozenset({2}))
        rig.evse(1).plug()
        await rig.ask(PresentToken(TAG, (1,)))
        await rig.run_for()
        assert rig.told(TokenRefused)[0].reason == "not allowed at this EVSE"
        assert not rig.started
        rig.evse(2).plug()
        await rig.tap("TAG1")  # a reader for both: where a cable waits is not where it may start
        assert [started.evse_id for started in rig.started] == [2]


@pytest.mark.req("C01.FR.21")
async def test_where_a_token_may_start_is_remembered_with_it() -> None:
    async with running(fake_hardware(evses=2), given={"LocalPreAuthorize": "true"}) as rig:
        rig.stores.tokens.known["tag1"] = IdTokenInfo(
            AuthorizationStatus.ACCEPTED, None, None, frozenset({2})
        )
        rig.evse(1).plug()
        await rig.ask(PresentToken(TAG, (1,)))
        await rig.run_for()
        assert not rig.authorizer.asked
        assert not rig.started


@pytest.mark.req("C01.FR.21")
async def test_a_driver_who_may_start_at_one_evse_does_not_start_at_another_by_plugging_in_there() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, None, None, frozenset({1}))
        await rig.tap("TAG1")
        assert rig.shown(1).session is SessionState.AUTHORIZED
        rig.evse(2).plug()
        await rig.run_for()
        assert not rig.started
