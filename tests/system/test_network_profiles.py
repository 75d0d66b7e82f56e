"""Moving between CSMSs by network profiles: whole stations on real sockets, two CSMSs on loopback, restarts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.errors import StoreFull
from agent.security_desk import PROVEN_AFTER_S
from agent.store.networks import SqlNetworks
from agent.store.settings import SqlSettings
from tests.helpers.authorities import Authority
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.secure_bench import ask, events, keys_of, logged, password_of, tls_csms

QUICK = """[settings]
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 10
"OCPPCommCtrlr.RetryBackOffRandomRange" = 0
"OCPPCommCtrlr.RetryBackOffRepeatTimes" = 0
"OCPPCommCtrlr.NetworkProfileConnectionAttempts" = 2
"""
PRIORITY = {"name": "NetworkConfigurationPriority"}
COMM = {"name": "OCPPCommCtrlr"}


def station(state_dir: Path, csms: Csms, **more: Any) -> Bench:
    return Bench(state_dir, more.pop("extra", QUICK), csms, version="ocpp2.0.1", **more)


@asynccontextmanager
async def two_csmss() -> AsyncIterator[tuple[Csms, Csms]]:
    async with Csms() as old, Csms() as new:
        yield friendly(old), friendly(new)


async def set_profile(bench: Bench, slot: int, url: str, **change: Any) -> dict[str, Any]:
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 25,
        "securityProfile": 0,
        "ocppInterface": "Wired0",
        **change,
    }
    answer = await ask(bench, "SetNetworkProfile", configurationSlot=slot, connectionData=profile)
    assert isinstance(answer, dict)
    return answer


async def set_priority(bench: Bench, value: str) -> str:
    wanted = {"component": COMM, "variable": PRIORITY, "attributeValue": value}
    answer = await ask(bench, "SetVariables", setVariableData=[wanted])
    return str(answer["setVariableResult"][0]["attributeStatus"])


async def get(bench: Bench, csms: Csms, component: str, variable: str, instance: str | None = None) -> str:
    named = {"name": variable} | ({"instance": instance} if instance else {})
    question = {"getVariableData": [{"component": {"name": component}, "variable": named}]}
    answer = await csms.call("GetVariables", question)
    return str(answer.payload["getVariableResult"][0]["attributeValue"])


async def reset(bench: Bench) -> None:
    assert (await ask(bench, "Reset", type="OnIdle"))["status"] == "Accepted"
    await bench.ended()


async def accepted(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=1)


async def moved(state_dir: Path, old: Csms, url: str, priority: str, **change: Any) -> None:
    """A first life of the station: it connects to `old`, and learns where to go next."""
    async with station(state_dir, old) as bench:
        await accepted(bench)
        assert (await set_profile(bench, 2, url, **change)) == {"status": "Accepted"}
        assert await set_priority(bench, priority) == "RebootRequired"
        await bench.run_for(minutes=2)
        assert len(old.handshakes) == 1, "nothing happens before a restart"
        await reset(bench)


@pytest.mark.req("B09.FR.01", "B10.FR.01", "B10.FR.04", "B10.FR.06", "TC_B_45_CS")
@pytest.mark.req("B09.FR.06")
async def test_after_a_reset_the_station_is_at_the_new_csms_with_its_timeout(tmp_path: Path) -> None:
    async with two_csmss() as (old, new):
        await moved(tmp_path, old, new.url, "2,1")
        async with station(tmp_path, new, url=old.url) as bench:
            await accepted(bench)
            assert (len(old.handshakes), len(new.handshakes)) == (1, 1)
            assert bench.sent("BootNotification")
            assert new.handshakes[0].path == "/ocpp/CP001"
            assert await get(bench, new, "OCPPCommCtrlr", "ActiveNetworkProfile") == "2"
            assert await get(bench, new, "OCPPCommCtrlr", "MessageTimeout", "Default") == "25"
            assert await get(bench, new, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "2,1"
        async with station(tmp_path, new, url=old.url) as bench:  # and after a power cut, too
            await accepted(bench)
            assert (len(old.handshakes), len(new.handshakes)) == (1, 2)


@pytest.mark.req("B10.FR.03", "B10.FR.04", "B10.FR.10", "TC_B_46_CS")
async def test_a_csms_that_is_not_there_has_its_attempts_then_the_next_one_has_its_turn(
    tmp_path: Path,
) -> None:
    async with two_csmss() as (old, new):
        new.refuse_status = 503
        await moved(tmp_path, old, new.url, "2,1")
        async with station(tmp_path, old) as bench:
            await accepted(bench)
            assert (len(new.handshakes), len(old.handshakes)) == (2, 2)
            assert new.handshakes[1].time - new.handshakes[0].time >= 10
            assert await get(bench, old, "OCPPCommCtrlr", "ActiveNetworkProfile") == "1"
            await bench.run_for(seconds=PROVEN_AFTER_S)
            new.refuse_status = None
            old.refuse_status = 503
            old.drop()
            await new.connected()
            await bench.until(lambda: bench.agent.conversation.is_online)
            # two more at the one that worked, then the other; it has never seen us: BootNotification
            assert len(old.handshakes) == 4
            assert any("BootNotification" in text for _time, text in new.received)


@pytest.mark.req("B10.FR.07", "TC_B_49_CS")
async def test_the_last_csms_that_worked_is_tried_although_the_list_does_not_name_it(tmp_path: Path) -> None:
    async with two_csmss() as (old, new):
        new.refuse_status = 404
        await moved(tmp_path, old, new.url, "2")
        async with station(tmp_path, old) as bench:
            old.refuse_status = 503
            await bench.until(lambda: len(old.handshakes) == 3)
            old.refuse_status = None
            await accepted(bench)
            assert len(new.handshakes) == 2
            assert old.handshakes[-1].time - old.handshakes[-2].time >= 10


@pytest.mark.req("B10.FR.07", "B10.FR.08", "B10.FR.09")
async def test_a_wrong_address_in_the_slot_in_use_does_not_strand_the_station(tmp_path: Path) -> None:
    async with two_csmss() as (old, new):
        new.refuse_status = 404
        async with station(tmp_path, old) as bench:
            await accepted(bench)
            assert (await set_profile(bench, 1, new.url, messageTimeout=44)) == {"status": "Accepted"}
            old.drop()  # and the connection of now, which is another one, is told to be good once more
            await old.connected()
            await bench.run_for(seconds=PROVEN_AFTER_S + 1)
            await reset(bench)
        async with station(tmp_path, old) as bench:
            await accepted(bench)
            assert len(new.handshakes) == 2
            assert await get(bench, old, "OCPPCommCtrlr", "ActiveNetworkProfile") == "0"
            assert await get(bench, old, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "1"
            await bench.run_for(seconds=PROVEN_AFTER_S + 1)
        new.refuse_status = None
        async with station(tmp_path, new, url=old.url) as bench:
            await accepted(bench)
            await bench.run_for(seconds=PROVEN_AFTER_S + 1)
            assert await get(bench, new, "OCPPCommCtrlr", "ActiveNetworkProfile") == "1"
            assert set((await SqlNetworks(bench.agent.database).load()).profiles) == {1}


@pytest.mark.req("B10.FR.04")
async def test_a_power_cut_between_the_answer_and_the_reset_loses_nothing(tmp_path: Path) -> None:
    async with two_csmss() as (old, new):
        async with station(tmp_path, old) as bench:
            await accepted(bench)
            await set_profile(bench, 2, new.url)
            await set_priority(bench, "2,1")
            await SqlNetworks(bench.agent.database).load()
        async with station(tmp_path, new, url=old.url) as bench:
            await accepted(bench)
            assert len(new.handshakes) == 1


@pytest.mark.req("B09.FR.02", "B09.FR.04", "B09.FR.05", "TC_B_43_CS", "TC_A_22_CS")
@pytest.mark.parametrize(
    ("slot", "change", "code"),
    [
        (999, {}, "InvalidConfSlot"),
        (0, {}, "InvalidConfSlot"),
        (2, {"ocppCsmsUrl": "http://csms.example/"}, "InvalidNetworkConf"),
        (2, {"ocppCsmsUrl": "ws://user:secret@csms.example/"}, "InvalidNetworkConf"),
        (2, {"ocppCsmsUrl": "ws://csms.example:99999999/"}, "InvalidNetworkConf"),
        (2, {"ocppCsmsUrl": ""}, "InvalidNetworkConf"),
        (2, {"securityProfile": 2}, "InvalidNetworkConf"),  # ws:// and TLS do not go together
        (2, {"securityProfile": 4}, "InvalidNetworkConf"),
        (2, {"messageTimeout": 0}, "InvalidNetworkConf"),
        (2, {"messageTimeout": 3601}, "InvalidNetworkConf"),
        (2, {"securityProfile": 0}, "NoSecurityDowngrade"),
    ],
)
async def test_a_profile_that_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, slot: int, change: dict[str, Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = 'security_profile = 1\npassword = "a long enough password"'
    async with (
        Csms() as csms,
        Bench(tmp_path, QUICK, friendly(csms), csms_keys=keys, version="ocpp2.0.1") as bench,
    ):
        await accepted(bench)
        before = await SqlNetworks(bench.agent.database).load()
        given = {"securityProfile": 1, **change}
        refused = await set_profile(bench, slot, given.pop("ocppCsmsUrl", csms.url), **given)
        assert refused["status"] == "Rejected"
        assert refused["statusInfo"]["reasonCode"] == code
        assert await SqlNetworks(bench.agent.database).load() == before
        assert f"network profile {slot} is refused" in caplog.text


@pytest.mark.req("A05.FR.02", "A05.FR.03", "A05.FR.10", "B10.FR.02", "TC_A_20_CS", "TC_A_21_CS")
async def test_an_order_with_a_slot_that_cannot_work_is_rejected(tmp_path: Path) -> None:
    async with two_csmss() as (old, _new), station(tmp_path, old) as bench:
        await accepted(bench)
        for value in ("2,1", "4", "1,x", "", "1,2,3"):
            assert await set_priority(bench, value) == "Rejected", value
        for level in (2, 3):  # no root of the CSMS, no certificate of the station, no password
            secure = old.url.replace("ws:", "wss:")
            assert (await set_profile(bench, 2, secure, securityProfile=level))["status"] == "Accepted"
            assert await set_priority(bench, "2,1") == "Rejected"
        assert await get(bench, old, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "1"


@pytest.mark.req("B09.FR.03")
async def test_a_profile_that_cannot_be_written_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFull("no space left")

    async with two_csmss() as (old, new), station(tmp_path, old) as bench:
        await accepted(bench)
        monkeypatch.setattr(SqlNetworks, "put_new", full)
        assert (await set_profile(bench, 2, new.url))["status"] == "Failed"
        assert await set_priority(bench, "2") == "Rejected"


@pytest.mark.req("A05.FR.04", "A05.FR.05", "A05.FR.06", "TC_A_19_CS")
async def test_a_safer_profile_that_works_is_final_and_the_less_safe_ones_are_gone(tmp_path: Path) -> None:
    root = Authority.root("Root")
    keys = keys_of(root, tmp_path, password="a long enough password")
    async with Csms() as old, tls_csms(root.issue("localhost")) as new:
        state = tmp_path / "state"
        async with station(state, friendly(old), csms_keys=keys) as bench:
            await accepted(bench)
            assert (await set_profile(bench, 2, new.url, securityProfile=2))["status"] == "Accepted"
            assert await set_priority(bench, "2,1") == "RebootRequired"
            await reset(bench)
        async with station(state, new, url=old.url, csms_keys=keys) as bench:
            await accepted(bench)
            assert password_of(new.handshakes[0]) == b"a long enough password"
            assert await get(bench, new, "SecurityCtrlr", "SecurityProfile") == "2"
            assert await get(bench, new, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "2"
            await bench.run_for(seconds=15)
            assert "security profile 2 by network profile 2" in [each.detail for each in await logged(bench)]
            assert "StartupOfTheDevice" in events(bench)
            new.drop()
            new.refuse_status = 503
            await bench.run_for(minutes=30)
            assert len(old.handshakes) == 1, "never less safe again"
        assert bench.agent.link.config.security_profile == 2


@pytest.mark.req("A05.FR.05", "B10.FR.07")
async def test_a_safer_profile_that_leads_nowhere_leaves_everything_as_it_was(tmp_path: Path) -> None:
    root, stranger = Authority.root("Root"), Authority.root("Stranger")
    keys = keys_of(root, tmp_path, password="a long enough password")
    async with Csms() as old, tls_csms(stranger.issue("localhost")) as new:
        state = tmp_path / "state"
        async with station(state, friendly(old), csms_keys=keys) as bench:
            await accepted(bench)
            await set_profile(bench, 2, new.url, securityProfile=2)
            await set_priority(bench, "2,1")
            await reset(bench)
        async with station(state, old, csms_keys=keys) as bench:
            await accepted(bench)
            assert await get(bench, old, "SecurityCtrlr", "SecurityProfile") == "0"
            assert await get(bench, old, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "2,1"
            await bench.until(lambda: "InvalidCsmsCertificate" in events(bench))


@pytest.mark.req("M05.FR.13", "M05.FR.15", "M05.FR.16", "TC_B_47_CS", "TC_B_50_CS")
@pytest.mark.parametrize("shows", ["the new root", "the old root"])
async def test_another_csms_is_trusted_by_the_new_root_and_the_former_one_by_the_old_one(
    tmp_path: Path, shows: str
) -> None:
    root = Authority.root("Old")
    renewed = root.renewed(common_name="New")
    keys = keys_of(root, tmp_path, security_profile=2, password="a long enough password")
    shown = renewed if shows == "the new root" else root
    kind = "CSMSRootCertificate"
    async with tls_csms(root.issue()) as old, tls_csms(shown.issue()) as new:
        state, extra = tmp_path / "state", QUICK + "AdditionalRootCertificateCheck = true\n"
        async with station(state, old, csms_keys=keys, extra=extra) as bench:
            await accepted(bench)
            given = {"certificateType": kind, "certificate": renewed.pem}
            assert (await ask(bench, "InstallCertificate", **given))["status"] == "Accepted"
            await set_profile(bench, 2, new.url, securityProfile=2)
            assert await set_priority(bench, "2") == "RebootRequired"
            await reset(bench)
        there = new if shown is renewed else old
        async with station(state, there, url=old.url, csms_keys=keys, extra=extra) as bench:
            await accepted(bench)
            await bench.run_for(seconds=PROVEN_AFTER_S + 5)
            listed = await there.call("GetInstalledCertificateIds", {"certificateType": [kind]})
            serials = {
                each["certificateHashData"]["serialNumber"]
                for each in listed.payload["certificateHashDataChain"]
            }
            both = {f"{each.certificate.serial_number:x}" for each in (root, renewed)}
            assert serials == ({f"{renewed.certificate.serial_number:x}"} if there is new else both)
            assert len(old.handshakes) == (1 if there is new else 2)


async def test_who_edits_the_address_in_the_file_means_it(tmp_path: Path) -> None:
    async with two_csmss() as (old, new), Csms() as third:
        await moved(tmp_path, old, new.url, "2,1")
        async with station(tmp_path, friendly(third)) as bench:
            await accepted(bench)
            assert await get(bench, third, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "1,2"
        assert new.handshakes == []


async def test_a_connection_that_ends_at_once_is_no_good_one(tmp_path: Path) -> None:
    async with two_csmss() as (old, new):
        new.close_at_once = 1008
        await moved(tmp_path, old, new.url, "2,1")
        async with station(tmp_path, old) as bench:
            await accepted(bench)
            assert len(new.handshakes) == 2
            stored = await SqlNetworks(bench.agent.database).load()
            assert stored.last_good_slot == 1
            assert "network_priority" in await SqlSettings(bench.agent.database).load()
