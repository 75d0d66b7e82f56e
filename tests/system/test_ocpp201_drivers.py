"""Who may charge in 2.0.1, on the whole station: tokens with types, cache and list over restarts, EVSEs, languages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.secure_bench import ask

PRE = '"AuthCtrlr.LocalPreAuthorize" = "true"\n'
ACCEPTED = {"status": "Accepted"}
BLOCKED = {"status": "Blocked"}


@asynccontextmanager
async def online(tmp_path: Path, settings: str = "", more: str = "") -> AsyncIterator[Bench]:
    async with Bench(tmp_path, f"[settings]\n{settings}{more}", version="ocpp2.0.1") as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=2)
        yield bench


def token(value: str = "TAG1", kind: str = "ISO14443") -> dict[str, str]:
    return {"idToken": value, "type": kind}


def asked(bench: Bench) -> list[dict[str, str]]:
    return [each["idToken"] for each in bench.sent("Authorize")]


def tokens_told(bench: Bench) -> list[dict[str, str]]:
    return [each["idToken"] for each in bench.sent("TransactionEvent") if "idToken" in each]


async def send_list(bench: Bench, version: int, kind: str, *entries: Any) -> str:
    more = {"localAuthorizationList": list(entries)} if entries else {}
    answer = await ask(bench, "SendLocalList", versionNumber=version, updateType=kind, **more)
    return str(answer["status"])


def entry(value: str, info: Any = None, kind: str = "ISO14443") -> dict[str, Any]:
    return {"idToken": token(value, kind)} | ({} if info is None else {"idTokenInfo": info})


async def version(bench: Bench) -> int:
    return int((await ask(bench, "GetLocalListVersion"))["versionNumber"])


async def charge(bench: Bench, value: str = "TAG1", seconds: float = 20) -> bool:
    bench.plug_in()
    bench.tap(value)
    await bench.run_for(seconds=seconds)
    return bench.evse().transaction is not None


# --- the local list ----------------------------------------------------------------------------------------


@pytest.mark.req("D01.FR.04")
@pytest.mark.req("D01.FR.02", "D01.FR.05", "D01.FR.10", "D01.FR.15", "D01.FR.16", "D01.FR.17", "D01.FR.19")
@pytest.mark.req(
    "D02.FR.01", "D02.FR.02", "TC_D_01_CS", "TC_D_02_CS", "TC_D_03_CS", "TC_D_04_CS", "TC_D_05_CS"
)
@pytest.mark.req("TC_D_06_CS", "TC_D_07_CS", "TC_D_08_CS")
async def test_a_list_is_replaced_changed_emptied_and_kept(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await version(bench) == 0
        assert await send_list(bench, 3, "Full", entry("TAG1", ACCEPTED)) == "Accepted"
        assert await send_list(bench, 4, "Differential", entry("TAG2", BLOCKED)) == "Accepted"
        assert await send_list(bench, 4, "Differential", entry("TAG3", ACCEPTED)) == "VersionMismatch"
        assert await send_list(bench, 5, "Differential") == "Accepted"
        assert await version(bench) == 5
    async with online(tmp_path) as bench:
        assert await version(bench) == 5
        assert await send_list(bench, 6, "Differential", entry("TAG1"), entry("TAG2")) == "Accepted"
        assert await version(bench) == 6
        assert await send_list(bench, 2, "Full", entry("TAG1", ACCEPTED)) == "Accepted"
        assert await send_list(bench, 2, "Full") == "Accepted"
        assert await version(bench) == 2, "it is empty, and that is version 2 of it"
    async with online(tmp_path) as bench:
        assert await version(bench) == 2, "also after a restart"
        assert await send_list(bench, 9, "Full", entry("TAG1", ACCEPTED)) == "Accepted"
        assert await send_list(bench, 0, "Full") == "Accepted"
        assert await version(bench) == 0, "no list, as versionNumber 0 says"
        assert await send_list(bench, 1, "Differential", entry("TAG1", ACCEPTED)) == "Accepted"


@pytest.mark.req("D01.FR.11", "D01.FR.12")
async def test_the_csms_can_see_how_much_is_listed_and_how_much_a_message_may_hold(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await send_list(bench, 1, "Full", entry("TAG1", ACCEPTED), entry("TAG2", BLOCKED))
        names = ("Entries", "ItemsPerMessage", "BytesPerMessage")
        wanted = [{"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": name}} for name in names]
        answer = await ask(bench, "GetVariables", getVariableData=wanted)
        values = [each["attributeValue"] for each in answer["getVariableResult"]]
        assert values == ["2", "1000", "500000"]


@pytest.mark.req("D01.FR.06", "D01.FR.18", "D01.FR.19", "C01.FR.25")
async def test_versions_begin_with_1_and_a_token_is_in_a_list_once_for_each_type(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        first, other = entry("TAG1", ACCEPTED), entry("tag1", BLOCKED, "Local")
        assert await send_list(bench, 0, "Full", first) == "Failed"
        assert await send_list(bench, -1, "Full", first) == "Failed"
        assert await send_list(bench, 0, "Differential", first) == "VersionMismatch"
        assert await send_list(bench, 1, "Full", first, entry("tag1", BLOCKED)) == "Failed"
        assert await version(bench) == 0
        assert await send_list(bench, 1, "Full", first, other) == "Accepted"


@pytest.mark.req("C13.FR.01", "C14.FR.01", "C14.FR.02", "C14.FR.03")
async def test_the_list_beats_the_cache_and_who_is_listed_is_not_asked_for(tmp_path: Path) -> None:
    async with online(tmp_path, PRE) as bench:
        bench.csms.always("Authorize", idTokenInfo=BLOCKED)
        assert not await charge(bench)
        bench.unplug()
        await bench.run_for(seconds=5)
        assert asked(bench) == [token()]
        await send_list(bench, 1, "Full", entry("TAG1", ACCEPTED), entry("TAG2", BLOCKED))
        assert await charge(bench)
        bench.unplug()
        await bench.run_for(seconds=5)
        bench.csms.always("Authorize", idTokenInfo=ACCEPTED)
        assert await charge(bench, "TAG2"), "the CSMS knows better than its old list"
        assert asked(bench) == [token(), token("TAG2")]


@pytest.mark.req("D02.FR.03", "D01.FR.13", "TC_D_10_CS")
async def test_a_list_that_is_switched_off_has_no_version_and_takes_none(tmp_path: Path) -> None:
    async with online(tmp_path, '"LocalAuthListCtrlr.Enabled" = "false"\n') as bench:
        assert await version(bench) == 0
        assert await send_list(bench, 1, "Full", entry("TAG1", ACCEPTED)) == "Failed"


# --- the cache ---------------------------------------------------------------------------------------------


@pytest.mark.req("C10.FR.01", "C10.FR.02", "C10.FR.04", "C12.FR.02", "C12.FR.04", "TC_C_08_CS", "TC_C_09_CS")
async def test_what_the_csms_said_holds_after_a_restart(tmp_path: Path) -> None:
    async with online(tmp_path, PRE) as bench:
        assert await charge(bench)
    async with online(tmp_path, PRE) as bench:
        assert await charge(bench)
        assert asked(bench) == []
        assert tokens_told(bench)[0] == token()
        assert (await ask(bench, "ClearCache"))["status"] == "Accepted"
        bench.unplug()
        await bench.run_for(seconds=5)
        assert await charge(bench)
        assert asked(bench) == [token()]


@pytest.mark.req("C11.FR.04", "C10.FR.11")
async def test_a_cache_that_is_switched_off_cannot_be_cleared(tmp_path: Path) -> None:
    async with online(tmp_path, '"AuthCacheCtrlr.Enabled" = "false"\n') as bench:
        refused = await ask(bench, "ClearCache")
        assert refused["status"] == "Rejected"


@pytest.mark.req("C01.FR.25", "C04.FR.04")
async def test_a_key_code_is_asked_for_as_such_and_seen_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with online(tmp_path, PRE) as bench:
        bench.csms.always("Authorize", idTokenInfo=BLOCKED)
        bench.world.tap("998877", type="KeyCode")
        await bench.run_for(seconds=5)
        assert asked(bench) == [token("998877", "KeyCode")]
        shown = str(bench.agent.messages.entries())
        assert "KeyCode" in shown
        assert "998877" not in shown + caplog.text


# --- offline -----------------------------------------------------------------------------------------------


@pytest.mark.req("C13.FR.02", "C13.FR.04", "C13.FR.05", "C15.FR.01", "C15.FR.08")
@pytest.mark.parametrize(
    ("value", "unknown_may", "starts"),
    [
        ("GOOD", False, True),
        ("BAD", True, False),
        ("OLD", True, False),
        ("NEW", False, False),
        ("NEW", True, True),
    ],
)
async def test_offline_the_list_decides_and_of_who_is_unknown_the_setting(
    tmp_path: Path, value: str, unknown_may: bool, starts: bool
) -> None:
    settings = f'"AuthCtrlr.OfflineTxForUnknownIdEnabled" = "{str(unknown_may).lower()}"\n'
    async with online(tmp_path, settings) as bench:
        old = {"status": "Accepted", "cacheExpiryDateTime": "2020-01-01T00:00:00Z"}
        await send_list(bench, 1, "Full", entry("GOOD", ACCEPTED), entry("BAD", BLOCKED), entry("OLD", old))
        bench.csms.refuse_status = 503
        bench.csms.drop()
        assert await charge(bench, value) is starts
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=10)
        if starts:
            assert {each.get("offline") for each in bench.sent("TransactionEvent")} >= {True}


# --- where -------------------------------------------------------------------------------------------------


@pytest.mark.req("C01.FR.20", "C01.FR.21")
async def test_a_token_for_some_evses_starts_nowhere_else(tmp_path: Path) -> None:
    async with online(tmp_path, more="[hal.sim]\nevses = 2\n") as bench:
        bench.csms.always("Authorize", idTokenInfo={"status": "Accepted", "evseId": [2]})
        bench.plug_in(1)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert bench.evse(1).transaction is None
        bench.plug_in(2)
        bench.tap("TAG1", 2)
        await bench.run_for(seconds=20)
        assert bench.evse(2).transaction is not None


@pytest.mark.req("C01.FR.01", "C02.FR.01", "C02.FR.03")
async def test_where_nobody_has_to_identify_the_cable_starts_and_the_token_is_told_as_none(
    tmp_path: Path,
) -> None:
    async with online(tmp_path, '"AuthCtrlr.Enabled" = "false"\n') as bench:
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert bench.evse().transaction is not None
        assert tokens_told(bench)[0] == {"idToken": "", "type": "NoAuthorization"}
        assert asked(bench) == []


@pytest.mark.req("C03.FR.01", "C05.FR.01", "F01.FR.02", "F02.FR.01")
@pytest.mark.parametrize("kind", ["Central", "NoAuthorization", "ISO14443", "eMAID"])
async def test_a_remote_start_is_asked_for_unless_the_token_is_the_csms_own(
    tmp_path: Path, kind: str
) -> None:
    async with online(tmp_path) as bench:
        wanted = token("" if kind == "NoAuthorization" else "APP-4711", kind)
        answer = await ask(bench, "RequestStartTransaction", idToken=wanted, remoteStartId=5)
        assert answer["status"] == "Accepted"
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert bench.evse().transaction is not None
        assert tokens_told(bench)[0] == wanted
        assert asked(bench) == ([] if kind in ("Central", "NoAuthorization") else [wanted])


# --- one EVSE is reset -------------------------------------------------------------------------------------


@pytest.mark.req("B11.FR.08", "B12.FR.02", "B12.FR.08", "TC_B_25_CS", "TC_B_27_CS")
async def test_an_evse_is_reset_and_shows_it(tmp_path: Path) -> None:
    async with online(tmp_path, more="[hal.sim]\nevses = 2\n") as bench:
        assert await charge(bench)
        assert (await ask(bench, "Reset", type="Immediate", evseId=1))["status"] == "Accepted"
        await bench.run_for(seconds=15)
        ended = [each for each in bench.sent("TransactionEvent") if each["eventType"] == "Ended"]
        assert [each["triggerReason"] for each in ended] == ["ResetCommand"]
        assert ended[0]["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        told = bench.sent("StatusNotification")
        assert [each["connectorStatus"] for each in told if each["evseId"] == 1] == [
            "Available",
            "Occupied",
            "Unavailable",
            "Occupied",
        ]
        assert [each["connectorStatus"] for each in told if each["evseId"] == 2] == ["Available"]
        assert not bench.has_ended
        assert len(bench.sent("BootNotification")) == 1


@pytest.mark.req("B12.FR.01", "B12.FR.07", "TC_B_26_CS")
async def test_an_evse_that_is_reset_when_idle_waits_for_its_transaction(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await charge(bench)
        assert (await ask(bench, "Reset", type="OnIdle", evseId=1))["status"] == "Scheduled"
        await bench.run_for(minutes=5)
        bench.tap("TAG1")
        await bench.run_for(seconds=2)
        bench.unplug()
        await bench.run_for(seconds=15)
        told = [each["connectorStatus"] for each in bench.sent("StatusNotification")]
        assert told[-2:] == ["Unavailable", "Available"]
