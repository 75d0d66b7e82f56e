"""The local authorization list on the whole station: real agent, real firmware, a scripted CSMS, virtual time."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms

LISTED = "[settings]\nLocalPreAuthorize = true\nLocalAuthListEnabled = true\n"
ACCEPTED = {"status": "Accepted"}


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


def entry(id_tag: str, status: str | None = "Accepted", **info: Any) -> dict[str, Any]:
    return {"idTag": id_tag} if status is None else {"idTag": id_tag, "idTagInfo": {"status": status, **info}}


async def send_list(bench: Bench, version: int, *entries: dict[str, Any], full: bool = True) -> Any:
    kind = "Full" if full else "Differential"
    payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)}
    answer = await bench.csms.call("SendLocalList", payload)
    assert answer.error is None, answer.description
    await bench.run_for(seconds=2)
    return answer.payload["status"]


async def version(bench: Bench) -> Any:
    answer = await bench.csms.call("GetLocalListVersion", {})
    assert answer.error is None, answer.description
    return answer.payload["listVersion"]


async def charge(bench: Bench, id_token: str) -> None:
    bench.plug_in()
    bench.tap(id_token)
    await bench.run_for(seconds=20)


def conflicts(bench: Bench) -> list[tuple[int, str, str]]:
    """(connector, status, errorCode) of the statuses of connector 0, from the first conflict on."""
    told = [
        (each["connectorId"], each["status"], each["errorCode"])
        for each in bench.sent("StatusNotification")
        if each["connectorId"] == 0
    ]
    return told[1:]


# --- updates -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-212", "R16-213", "R16-216", "R16-218", "R16-227", "TC_043_CS")
async def test_a_listed_token_starts_and_a_removed_one_is_asked_for(tmp_path: Path) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        assert await version(bench) == 0
        assert await send_list(bench, 1, entry("TAG1"), entry("TAG2")) == "Accepted"
        assert await version(bench) == 1
        assert await send_list(bench, 2, entry("TAG2", None), entry("TAG3"), full=False) == "Accepted"
        assert await version(bench) == 2
        await charge(bench, "TAG3")
        assert bench.sent("StartTransaction")[0]["idTag"] == "TAG3"
        assert not bench.sent("Authorize")
        bench.unplug()
        await bench.run_for(seconds=20)
        await charge(bench, "TAG2")
        assert [each["idTag"] for each in bench.sent("Authorize")] == ["TAG2"]


@pytest.mark.req("R16-094", "R16-106", "R16-171", "R16-227", "TC_008_CS")
async def test_a_remote_start_with_a_listed_token_asks_nobody(tmp_path: Path) -> None:
    extra = LISTED + "AuthorizeRemoteTxRequests = true\nAuthorizationCacheEnabled = false\n"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1")) == "Accepted"
        bench.plug_in()
        await bench.run_for(seconds=5)
        answer = await bench.csms.call("RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1})
        assert answer.payload == ACCEPTED
        await bench.run_for(seconds=20)
        assert [each["idTag"] for each in bench.sent("StartTransaction")] == ["TAG1"]
        assert not bench.sent("Authorize")
        assert bench.statuses(1) == ["Available", "Preparing", "Charging"]


@pytest.mark.req("R16-215", "TC_042_1_CS")
@pytest.mark.parametrize(
    "extra",
    ["[settings]\nLocalAuthListEnabled = false", '[settings]\nSupportedFeatureProfiles = "Core"'],
    ids=["switched off", "no profile"],
)
async def test_version_and_updates_without_lists(tmp_path: Path, extra: str) -> None:
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        assert await version(bench) == -1
        assert await send_list(bench, 2, entry("TAG1")) == "NotSupported"


@pytest.mark.req("R16-224", "TC_043_1_CS")
async def test_without_the_profile_a_list_is_not_supported(tmp_path: Path) -> None:
    async with Bench(tmp_path, '[settings]\nSupportedFeatureProfiles = "Core,RemoteTrigger"') as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1")) == "NotSupported"


@pytest.mark.req("R16-215", "R16-217", "TC_042_2_CS")
async def test_an_empty_list_has_version_0(tmp_path: Path) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        assert await send_list(bench, 7, entry("TAG1")) == "Accepted"
        assert await send_list(bench, 1) == "Accepted"
        assert await version(bench) == 0
        answer = await bench.csms.call("SendLocalList", {"listVersion": 3, "updateType": "Full"})
        assert answer.payload == ACCEPTED
        assert await version(bench) == 0


@pytest.mark.req("R16-220", "TC_043_2_CS")
async def test_a_differential_update_has_to_go_forward(tmp_path: Path) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        answers = []
        for number, is_full in ((2, True), (5, False), (4, False), (5, False)):
            answers.append(
                (await send_list(bench, number, entry("TAG1"), full=is_full), await version(bench))
            )
        assert answers == [
            ("Accepted", 2),
            ("Accepted", 5),
            ("VersionMismatch", 5),
            ("VersionMismatch", 5),
        ]


@pytest.mark.req("R16-216", "R16-221", "R16-222", "R16-223", "TC_043_3_CS")
@pytest.mark.parametrize(
    ("number", "entries", "is_full"),
    [
        (2, [entry(f"T{n}") for n in range(4)], True),
        (2, [entry(f"T{n}") for n in range(6)], True),
        (2, [entry("Tag2"), entry("tAG2", "Blocked")], True),
        (2, [entry("TAG2"), entry("TAG3", None)], True),
        (0, [entry("TAG2")], True),
        (-1, [entry("TAG2")], True),
        (0, [entry("TAG2")], False),
        (2, [entry("A"), entry("B"), entry("C")], False),
    ],
    ids=[
        "list too long",
        "update too long",
        "twice",
        "no info",
        "version 0",
        "version -1",
        "0 diff",
        "grows",
    ],
)
async def test_a_bad_update_fails_and_changes_nothing(
    tmp_path: Path, number: int, entries: list[dict[str, Any]], is_full: bool
) -> None:
    extra = LISTED + "LocalAuthListMaxLength = 3\nSendLocalListMaxLength = 5\n"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1")) == "Accepted"
        assert await send_list(bench, number, *entries, full=is_full) == "Failed"
        assert await version(bench) == 1
        await charge(bench, "TAG1")
        assert not bench.sent("Authorize")
        assert bench.evse().transaction is not None


@pytest.mark.req("FIELD-75", "R16-222")
async def test_version_0_and_no_entries_clears_the_list(tmp_path: Path) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1")) == "Accepted"
        assert await send_list(bench, 0) == "Accepted"
        assert await version(bench) == 0
        await charge(bench, "TAG1")
        assert bench.sent("Authorize")


@pytest.mark.req("R16-223", "FIELD-15", "FIELD-75")
async def test_a_long_list_keeps_the_connection_and_one_beyond_the_frame_limit_too(tmp_path: Path) -> None:
    """Neither dropped nor cut."""
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        long = [
            entry(f"TOKEN-{n:014}", expiryDate="2030-01-01T00:00:00Z", parentIdTag="P" * 20)
            for n in range(1000)
        ]
        assert await send_list(bench, 1, *long) == "Accepted"
        assert await send_list(bench, 2, *long, entry("ONE MORE")) == "Failed"
        assert await version(bench) == 1
        frame = {
            "listVersion": 3,
            "updateType": "Full",
            "localAuthorizationList": [entry(f"TOKEN-{n:014}") for n in range(20_000)],
        }
        bench.csms.send_text(json.dumps([2, "huge", "SendLocalList", frame]))
        await bench.run_for(seconds=5)
        answers = [json.loads(text) for _, text in bench.csms.received]
        assert [frame[0] for frame in answers if frame[1] == "huge"] == [4]
        assert len(bench.csms.handshakes) == 1
        assert await version(bench) == 1
        await charge(bench, "TOKEN-00000000000999")
        assert not bench.sent("Authorize")


# --- what it is good for -----------------------------------------------------------------------------------


@pytest.mark.req("R16-095", "R16-097", "R16-214", "R16-225", "R16-226")
@pytest.mark.parametrize(
    ("status", "expiry", "offline_ok", "starts"),
    [
        ("Accepted", None, True, True),
        ("ConcurrentTx", None, True, True),
        ("Accepted", "2030-01-01T00:00:00Z", True, True),
        ("Accepted", None, False, False),
        ("Accepted", "2020-01-01T00:00:00Z", True, False),
        ("Blocked", None, True, False),
        ("Expired", None, True, False),
        ("Invalid", None, True, False),
    ],
)
async def test_offline_after_a_restart_the_list_decides(
    tmp_path: Path, status: str, expiry: str | None, offline_ok: bool, starts: bool
) -> None:
    info = {} if expiry is None else {"expiryDate": expiry}
    extra = (
        f"[settings]\nAllowOfflineTxForUnknownId = true\nLocalAuthorizeOffline = {str(offline_ok).lower()}\n"
    )
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1", status, **info)) == "Accepted"
    csms = Csms(refuse_status=503)
    async with csms, Bench(tmp_path, extra, csms=csms) as bench:
        await bench.run_for(seconds=5)
        await charge(bench, "tag1")
        assert (bench.evse().transaction is not None) is starts


@pytest.mark.req("R16-098", "R16-099")
async def test_the_list_beats_the_cache_and_its_tokens_never_enter_it(tmp_path: Path) -> None:
    extra = "[settings]\nLocalPreAuthorize = true\n"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        await charge(bench, "TAG1")  # into the cache
        bench.unplug()
        await bench.run_for(seconds=20)
        assert await send_list(bench, 1, entry("TAG1", "Blocked"), entry("TAG2")) == "Accepted"
        bench.csms.drop()
        bench.csms.refuse_status = 503
        await bench.run_for(seconds=5)
        await charge(bench, "TAG1")
        assert bench.evse().transaction is None
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online)
        bench.unplug()
        await bench.run_for(seconds=20)
        await charge(bench, "TAG2")  # StartTransaction.conf says Accepted: not into the cache
        bench.unplug()
        await bench.run_for(seconds=20)
        assert await send_list(bench, 2) == "Accepted"
        before = len(bench.sent("Authorize"))
        await charge(bench, "TAG2")
        assert [each["idTag"] for each in bench.sent("Authorize")[before:]] == ["TAG2"]
        bench.unplug()
        await bench.run_for(seconds=20)
        await charge(bench, "TAG1")  # what the cache knew before the list is gone with it
        assert [each["idTag"] for each in bench.sent("Authorize")[before:]] == ["TAG2", "TAG1"]


@pytest.mark.req("R16-092", "R16-098")
async def test_the_group_of_the_list_stops_a_transaction_of_the_group(tmp_path: Path) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        family = [entry(f"TAG{n}", parentIdTag="FAMILY") for n in (1, 2)]
        assert await send_list(bench, 1, *family, entry("TAG3", parentIdTag="OTHER")) == "Accepted"
        await charge(bench, "TAG1")
        bench.tap("TAG3")
        await bench.run_for(seconds=10)
        assert not bench.sent("StopTransaction")
        bench.tap("TAG2")
        await bench.run_for(seconds=10)
        assert [each["idTag"] for each in bench.sent("StopTransaction")] == ["TAG2"]
        assert not bench.sent("Authorize")


@pytest.mark.req("R16-094", "R16-212")
@pytest.mark.parametrize("switch", ["LocalPreAuthorize", "LocalAuthListEnabled"])
async def test_with_a_switch_off_the_csms_is_asked(tmp_path: Path, switch: str) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        assert await send_list(bench, 4, entry("TAG1")) == "Accepted"
        await bench.csms.call("ChangeConfiguration", {"key": switch, "value": "false"})
        await charge(bench, "TAG1")
        assert [each["idTag"] for each in bench.sent("Authorize")] == ["TAG1"]
        await bench.csms.call("ChangeConfiguration", {"key": switch, "value": "true"})
        assert await version(bench) == 4, "switched off the list is kept"


async def test_a_transaction_goes_on_when_its_token_leaves_the_list(tmp_path: Path) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1")) == "Accepted"
        await charge(bench, "TAG1")
        assert await send_list(bench, 2, entry("TAG1", None), full=False) == "Accepted"
        await bench.run_for(minutes=2)
        assert bench.statuses(1)[-1] == "Charging"
        bench.tap("TAG1")
        await bench.run_for(seconds=10)
        assert bench.sent("StopTransaction")[0]["reason"] == "Local"


# --- conflicts ---------------------------------------------------------------------------------------------


@pytest.mark.req("R16-086")
@pytest.mark.parametrize("is_new_list", [True, False])
async def test_a_start_that_the_csms_refuses_for_a_listed_token_is_a_conflict(
    tmp_path: Path, is_new_list: bool
) -> None:
    async with Bench(tmp_path, LISTED) as bench:
        await online(bench)
        assert await send_list(bench, 1, entry("TAG1")) == "Accepted"
        bench.csms.always("StartTransaction", idTagInfo={"status": "Blocked"})
        await charge(bench, "TAG1")
        assert conflicts(bench) == [(0, "Available", "LocalListConflict")]
        assert bench.sent("StopTransaction")[0]["reason"] == "DeAuthorized"
        if is_new_list:
            assert await send_list(bench, 2, entry("TAG1", "Blocked"), full=False) == "Accepted"
        else:
            friendly(bench.csms)
            bench.tap("TAG1")  # frees the cable
            await bench.run_for(seconds=10)
            bench.unplug()
            await bench.run_for(seconds=10)
            await charge(bench, "TAG1")
        assert conflicts(bench)[1:] == [(0, "Available", "NoError")]


@pytest.mark.req("R16-086", "R16-225")
async def test_every_contradiction_is_told_and_agreement_is_not(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nLocalPreAuthorize = false\n") as bench:
        await online(bench)
        bad = [entry("TAG1", "Blocked"), entry("TAG2", "Invalid"), entry("TAG3", "Blocked")]
        assert await send_list(bench, 1, *bad, entry("TAG4")) == "Accepted"
        answers = {"TAG1": "Accepted", "TAG2": "Accepted", "TAG3": "Invalid", "TAG4": "ConcurrentTx"}
        del bench.csms._granted["Authorize"]
        for id_token, status in answers.items():
            bench.tap(id_token)
            (await bench.csms.expect("Authorize")).reply({"idTagInfo": {"status": status}})
            await bench.run_for(minutes=2)
        assert conflicts(bench) == [(0, "Available", "LocalListConflict")] * 2
        told = [each["info"] for each in bench.sent("StatusNotification") if each["errorCode"] != "NoError"]
        assert told == ["TAG1: Blocked here, Accepted there", "TAG2: Invalid here, Accepted there"]
