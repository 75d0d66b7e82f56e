"""The cases of block C, one after the other: cache, local list, groups and unknown tokens, online and offline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.secure_bench import ask
from tests.system.test_ocpp201_drivers import asked, entry, online, send_list, token

PRE = '"AuthCtrlr.LocalPreAuthorize" = "true"\n'
UNKNOWN_MAY = '"AuthCtrlr.OfflineTxForUnknownIdEnabled" = "true"\n'
FLEET = {"idToken": "FLEET", "type": "Central"}
ACCEPTED, INVALID = {"status": "Accepted"}, {"status": "Invalid"}
BAD = ["Invalid", "Blocked", "Expired", "Unknown", "ConcurrentTx"]


def answers(bench: Bench, info: dict[str, Any]) -> None:
    """What the CSMS says of every token from now on."""
    bench.csms.always("Authorize", idTokenInfo=info)


async def tap(bench: Bench, value: str = "TAG1", seconds: float = 10) -> None:
    bench.tap(value)
    await bench.run_for(seconds=seconds)


async def plug(bench: Bench) -> None:
    bench.plug_in()
    await bench.run_for(seconds=3)


async def unplug(bench: Bench) -> None:
    bench.unplug()
    await bench.run_for(seconds=5)


def is_charging(bench: Bench) -> bool:
    return bench.evse().transaction is not None and bench.evse().offered_current_a > 0


@asynccontextmanager
async def cached(tmp_path: Path, info: dict[str, Any], settings: str = PRE) -> AsyncIterator[Bench]:
    """TAG1 is in the cache with `info`; a cable is in, and nobody charges."""
    async with online(tmp_path, settings) as bench:
        answers(bench, info)
        await tap(bench)
        if info["status"] == "Accepted":
            await tap(bench)  # and takes it back
        await plug(bench)
        bench.csms.received.clear()
        yield bench


@asynccontextmanager
async def listed(tmp_path: Path, *entries: Any, settings: str = PRE) -> AsyncIterator[Bench]:
    async with online(tmp_path, settings) as bench:
        assert await send_list(bench, 1, "Full", *entries) == "Accepted"
        await plug(bench)
        bench.csms.received.clear()
        yield bench


async def go_offline(bench: Bench) -> None:
    bench.csms.refuse_status = 503
    bench.csms.drop()
    await bench.run_for(seconds=3)


async def come_back(bench: Bench) -> None:
    bench.csms.refuse_status = None
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=10)


def told(bench: Bench, trigger: str) -> list[dict[str, Any]]:
    return [each for each in bench.sent("TransactionEvent") if each["triggerReason"] == trigger]


# --- the CSMS decides --------------------------------------------------------------------------------------


@pytest.mark.req("C01.FR.02", "C01.FR.07", "C06.FR.01", "C06.FR.02", "C06.FR.04", "TC_C_02_CS", "TC_C_05_CS")
@pytest.mark.req("TC_C_06_CS", "TC_C_07_CS", "TC_C_56_CS")
@pytest.mark.parametrize("status", [*BAD, "NoCredit", "NotAtThisTime", "NotAtThisLocation", "ConcurrentTx"])
async def test_a_token_that_the_csms_refuses_gets_no_energy(tmp_path: Path, status: str) -> None:
    async with online(tmp_path) as bench:
        answers(bench, {"status": status})
        await plug(bench)
        await tap(bench, seconds=30)
        assert asked(bench) == [token()]
        assert not is_charging(bench)


# --- the cache ---------------------------------------------------------------------------------------------


@pytest.mark.req("C12.FR.02", "C12.FR.04", "TC_C_08_CS", "TC_C_13_CS")
@pytest.mark.parametrize("is_plugged", [True, False])
async def test_a_cached_token_starts_without_a_question(tmp_path: Path, is_plugged: bool) -> None:
    async with cached(tmp_path, ACCEPTED) as bench:
        if not is_plugged:
            await unplug(bench)
        await tap(bench)
        if not is_plugged:
            await plug(bench)
            await bench.run_for(seconds=10)
        assert is_charging(bench)
        assert asked(bench) == []
        assert [each["idToken"] for each in bench.sent("TransactionEvent") if "idToken" in each] == [token()]


@pytest.mark.req("C10.FR.03", "C12.FR.05", "TC_C_09_CS", "TC_C_10_CS", "TC_C_11_CS", "TC_C_12_CS")
@pytest.mark.parametrize("status", BAD)
@pytest.mark.parametrize("now", [INVALID, ACCEPTED])
async def test_a_token_cached_as_bad_is_asked_for_again(
    tmp_path: Path, status: str, now: dict[str, str]
) -> None:
    async with cached(tmp_path, {"status": status}) as bench:
        answers(bench, now)
        await tap(bench, seconds=20)
        assert asked(bench) == [token()]
        assert is_charging(bench) is (now is ACCEPTED)


@pytest.mark.req("C10.FR.04", "C12.FR.06", "TC_C_33_CS", "TC_C_36_CS")
async def test_the_answer_to_authorize_is_the_new_word_of_the_cache(tmp_path: Path) -> None:
    async with cached(tmp_path, ACCEPTED, '"AuthCtrlr.LocalPreAuthorize" = "false"\n') as bench:
        answers(bench, INVALID)
        await tap(bench)
        assert asked(bench) == [token()], "without LocalPreAuthorize the cache starts nobody"
        assert not is_charging(bench)
        await bench.agent.settings.change("local_pre_authorize", "true")
        await tap(bench)
        assert asked(bench) == [token(), token()]


@pytest.mark.req("C10.FR.05", "C12.FR.06", "TC_C_34_CS")
async def test_the_answer_to_a_transaction_event_is_one_too(tmp_path: Path) -> None:
    async with cached(tmp_path, ACCEPTED) as bench:
        bench.csms.always("TransactionEvent", idTokenInfo=INVALID)
        await tap(bench, seconds=20)
        assert asked(bench) == []
        await tap(bench)  # the cable was kept for its owner (C15.FR.05)
        await unplug(bench)
        answers(bench, INVALID)
        await plug(bench)
        await tap(bench, seconds=20)
        assert asked(bench) == [token()]
        assert not is_charging(bench)


@pytest.mark.req("C10.FR.02", "TC_C_32_CS")
async def test_the_cache_survives_a_reset(tmp_path: Path) -> None:
    async with cached(tmp_path, ACCEPTED) as bench:
        await ask(bench, "Reset", type="Immediate")
        await bench.ended()
    async with online(tmp_path, PRE) as bench:
        await plug(bench)
        await tap(bench)
        assert is_charging(bench)
        assert asked(bench) == []


@pytest.mark.req("C11.FR.01", "C11.FR.02", "C11.FR.03", "C11.FR.04", "TC_C_37_CS", "TC_C_38_CS")
@pytest.mark.parametrize("has_cache", [True, False])
async def test_a_cleared_cache_knows_nobody(tmp_path: Path, has_cache: bool) -> None:
    settings = PRE + ("" if has_cache else '"AuthCacheCtrlr.Enabled" = "false"\n')
    async with cached(tmp_path, ACCEPTED, settings) as bench:
        answer = await ask(bench, "ClearCache")
        assert answer["status"] == ("Accepted" if has_cache else "Rejected")
        await tap(bench)
        assert asked(bench) == [token()]
        assert is_charging(bench)


# --- the local list ----------------------------------------------------------------------------------------


@pytest.mark.req("C14.FR.02", "C14.FR.04", "TC_C_27_CS")
async def test_who_is_listed_starts_without_a_question(tmp_path: Path) -> None:
    future = {"status": "Accepted", "cacheExpiryDateTime": "2099-01-01T00:00:00Z"}
    async with listed(tmp_path, entry("TAG1", future)) as bench:
        await tap(bench)
        assert asked(bench) == []
        assert is_charging(bench)


@pytest.mark.req("C14.FR.03", "C14.FR.05", "TC_C_28_CS", "TC_C_29_CS", "TC_C_30_CS", "TC_C_31_CS")
@pytest.mark.parametrize("info", [*({"status": each} for each in BAD), {"expired": True}])
@pytest.mark.parametrize("now", [INVALID, ACCEPTED])
async def test_who_is_listed_as_bad_is_asked_for(
    tmp_path: Path, info: dict[str, Any], now: dict[str, str]
) -> None:
    past = {"status": "Accepted", "cacheExpiryDateTime": "2020-01-01T00:00:00Z"}
    async with listed(tmp_path, entry("TAG1", past if "expired" in info else info)) as bench:
        answers(bench, now)
        await tap(bench, seconds=20)
        assert asked(bench) == [token()]
        assert is_charging(bench) is (now is ACCEPTED)


@pytest.mark.req("C13.FR.02", "C13.FR.03", "C13.FR.05", "C15.FR.02", "TC_C_21_CS", "TC_C_22_CS")
@pytest.mark.req("TC_C_23_CS", "TC_C_24_CS")
@pytest.mark.parametrize("status", ["Accepted", *BAD])
async def test_offline_only_who_is_listed_as_good_starts_and_it_is_told_later(
    tmp_path: Path, status: str
) -> None:
    async with listed(tmp_path, entry("TAG1", {"status": status})) as bench:
        await go_offline(bench)
        await tap(bench, seconds=20)
        assert is_charging(bench) is (status == "Accepted")
        await tap(bench)
        await come_back(bench)
        assert asked(bench) == []
        tokens = [each["idToken"] for each in bench.sent("TransactionEvent") if "idToken" in each]
        assert bool(tokens) is (status == "Accepted")
        stops = told(bench, "StopAuthorized")
        assert [each["offline"] for each in stops] == ([True] if status == "Accepted" else [])


@pytest.mark.req("C13.FR.01", "C13.FR.06", "C14.FR.01", "TC_C_25_CS")
async def test_what_the_list_says_beats_the_cache_offline_too(tmp_path: Path) -> None:
    async with cached(tmp_path, ACCEPTED, PRE + UNKNOWN_MAY) as bench:
        await send_list(bench, 1, "Full", entry("TAG1", INVALID))
        await go_offline(bench)
        await tap(bench, seconds=20)
        assert not is_charging(bench)
        await come_back(bench)
        assert [each for each in bench.sent("TransactionEvent") if "idToken" in each] == []


# --- unknown, and refused afterwards -----------------------------------------------------------------------


@pytest.mark.req("C13.FR.04", "C15.FR.01", "C15.FR.02", "C15.FR.08", "TC_C_26_CS")
async def test_offline_an_unknown_token_may_start_and_is_not_remembered(tmp_path: Path) -> None:
    async with online(tmp_path, PRE + UNKNOWN_MAY) as bench:
        await plug(bench)
        await go_offline(bench)
        await tap(bench, "NEW", seconds=20)
        assert is_charging(bench)
        await tap(bench, "NEW")
        await unplug(bench)
        await bench.agent.settings.change("allow_offline_tx_for_unknown_id", "false")
        await plug(bench)
        await tap(bench, "NEW", seconds=20)
        assert not is_charging(bench)


@pytest.mark.req("C15.FR.03", "C15.FR.04", "C15.FR.06", "C15.FR.07", "TC_C_15_CS", "TC_C_16_CS", "TC_C_17_CS")
@pytest.mark.req("TC_C_18_CS")
@pytest.mark.parametrize(("stops", "energy_wh"), [(True, 0), (False, 0), (False, 500), (True, 500)])
async def test_what_was_started_offline_and_is_refused_afterwards(
    tmp_path: Path, stops: bool, energy_wh: int
) -> None:
    settings = (
        f'"TxCtrlr.StopTxOnInvalidId" = "{str(stops).lower()}"\n'
        f'"TxCtrlr.MaxEnergyOnInvalidId" = "{energy_wh}"\n'
    )
    async with cached(tmp_path, ACCEPTED, PRE + settings) as bench:
        await go_offline(bench)
        await tap(bench, seconds=20)
        assert is_charging(bench)
        bench.csms.always("TransactionEvent", idTokenInfo=INVALID)
        await come_back(bench)
        ended = told(bench, "Deauthorized")
        if stops:
            assert not is_charging(bench)
            assert ended[-1]["transactionInfo"]["stoppedReason"] == "DeAuthorized"
        elif energy_wh:
            assert is_charging(bench), "within the energy that is granted all the same"
        else:
            assert bench.evse().transaction is not None
            assert bench.evse().offered_current_a == 0
            state = bench.sent("TransactionEvent")[-1]["transactionInfo"]["chargingState"]
            assert state == "SuspendedEVSE"


# --- groups ------------------------------------------------------------------------------------------------

MEMBER = {"status": "Accepted", "groupIdToken": FLEET}


@pytest.mark.req("C01.FR.06", "C09.FR.02", "C09.FR.03", "C09.FR.05", "C09.FR.10", "TC_C_39_CS")
async def test_another_one_of_the_group_is_asked_for_and_stops(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        answers(bench, MEMBER)
        await plug(bench)
        await tap(bench)
        await tap(bench, "TAG2")
        assert asked(bench) == [token(), token("TAG2")]
        (stop,) = told(bench, "StopAuthorized")
        assert stop["idToken"] == token("TAG2")


@pytest.mark.req("C01.FR.03", "C09.FR.07", "TC_C_40_CS")
async def test_one_who_is_listed_in_the_group_stops_unasked(tmp_path: Path) -> None:
    async with listed(tmp_path, entry("TAG1", MEMBER), entry("TAG2", MEMBER)) as bench:
        await tap(bench)
        await tap(bench, "TAG2")
        assert asked(bench) == []
        assert told(bench, "StopAuthorized")[0]["idToken"] == token("TAG2")


@pytest.mark.req("C09.FR.11", "TC_C_43_CS")
async def test_one_who_is_listed_as_bad_in_the_group_is_asked_for_and_stops_nothing(tmp_path: Path) -> None:
    blocked = {"status": "Blocked", "groupIdToken": FLEET}
    async with listed(tmp_path, entry("TAG1", MEMBER), entry("TAG2", blocked)) as bench:
        answers(bench, blocked)
        await tap(bench)
        await tap(bench, "TAG2")
        assert asked(bench) == [token("TAG2")]
        assert is_charging(bench)


@pytest.mark.req("C12.FR.09", "C16.FR.02", "C16.FR.03", "C16.FR.04", "C16.FR.05", "TC_C_14_CS")
@pytest.mark.parametrize("known", ["cache", "list"])
async def test_a_master_pass_that_is_known_here_stops_unasked_and_starts_nothing(
    tmp_path: Path, known: str
) -> None:
    settings = PRE + '"AuthCtrlr.MasterPassGroupId" = "FLEET"\n'
    async with online(tmp_path, settings) as bench:
        if known == "list":
            assert await send_list(bench, 1, "Full", entry("POLICE", MEMBER)) == "Accepted"
        else:
            answers(bench, MEMBER)
            await tap(bench, "POLICE")
            answers(bench, ACCEPTED)
        await plug(bench)
        bench.csms.received.clear()
        await tap(bench, "POLICE", seconds=20)
        assert not is_charging(bench)
        await tap(bench)
        assert is_charging(bench)
        await tap(bench, "POLICE")
        assert asked(bench) == [token()]
        (end,) = told(bench, "StopAuthorized")
        assert (end["idToken"], end["transactionInfo"]["stoppedReason"]) == (token("POLICE"), "MasterPass")


@pytest.mark.req("C01.FR.05")
async def test_a_cached_token_is_asked_for_where_the_csms_wants_to_be_asked(tmp_path: Path) -> None:
    async with cached(tmp_path, ACCEPTED, PRE.replace("true", "false")) as bench:
        await tap(bench, seconds=20)
        assert asked(bench) == [token()]
        assert is_charging(bench)


@pytest.mark.req("C12.FR.09", "C16.FR.03", "TC_C_45_CS")
async def test_a_master_pass_starts_nothing(tmp_path: Path) -> None:
    async with online(tmp_path, '"AuthCtrlr.MasterPassGroupId" = "FLEET"\n') as bench:
        answers(bench, MEMBER)
        await plug(bench)
        await tap(bench, seconds=30)
        assert asked(bench) == [token()]
        assert not is_charging(bench)
