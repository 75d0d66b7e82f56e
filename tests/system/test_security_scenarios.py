"""Security profiles, certificates and security events on the whole station: wss on loopback, virtual time.

The CSMS is the scripted one; its authorities are made for the test. Security white paper edition 3.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.authorities import YEAR, Authority, Issued
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.secure_bench import (
    CPO,
    KEY,
    OTHER_KEY,
    ask,
    change,
    events,
    keys_of,
    logged,
    online,
    password_of,
    tls_csms,
)

# --- passwords -------------------------------------------------------------------------------------------


@pytest.mark.req("FIELD-7", "R16-314", "R16-315", "TC_085_CS")
async def test_the_password_goes_as_bytes_behind_the_identity(tmp_path: Path) -> None:
    keys = f'security_profile = 1\npassword_hex = "{KEY}"'
    async with Bench(tmp_path, csms_keys=keys) as bench:
        await online(bench)
        assert password_of(bench.csms.handshakes[0]) == bytes.fromhex(KEY)


@pytest.mark.req("R16-327", "R16-329", "R16-361", "TC_073_CS")
async def test_a_new_password_is_used_at_once_and_noted_without_its_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = f'security_profile = 1\npassword_hex = "{KEY}"'
    async with Bench(tmp_path, csms_keys=keys) as bench:
        await online(bench)
        assert await change(bench, "AuthorizationKey", OTHER_KEY) == "Accepted"
        await bench.until(lambda: len(bench.csms.handshakes) == 2)
        await online(bench)
        assert password_of(bench.csms.handshakes[1]) == bytes.fromhex(OTHER_KEY)
        assert bench.agent.settings.former("authorization_key") is None
        noted = [each for each in await logged(bench) if each.type == "ReconfigurationOfSecurityParameters"]
        assert [each.detail for each in noted] == ["authorization_key changed"]
        assert "ReconfigurationOfSecurityParameters" not in events(bench)
    assert OTHER_KEY.lower() not in caplog.text.lower()


@pytest.mark.req("R16-328")
@pytest.mark.parametrize("value", ["", "0011", "xyz", KEY[:-1], KEY + OTHER_KEY])
async def test_what_is_no_password_is_rejected_and_the_old_one_stays(value: str, tmp_path: Path) -> None:
    keys = f'security_profile = 1\npassword_hex = "{KEY}"'
    async with Bench(tmp_path, csms_keys=keys) as bench:
        await online(bench)
        assert await change(bench, "AuthorizationKey", value) == "Rejected"
        await bench.run_for(minutes=2)
        assert len(bench.csms.handshakes) == 1


@pytest.mark.req("R16-330")
async def test_a_password_that_is_refused_three_times_is_taken_back(tmp_path: Path) -> None:
    keys = f'security_profile = 1\npassword_hex = "{KEY}"'
    async with Bench(tmp_path, csms_keys=keys) as bench:
        await online(bench)
        bench.csms.refuse_status = 401
        assert await change(bench, "AuthorizationKey", OTHER_KEY) == "Accepted"
        await bench.until(lambda: len(bench.csms.handshakes) >= 5, minutes=30)
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online, minutes=30)
        used = [password_of(each) for each in bench.csms.handshakes]
        assert used[1:4] == [bytes.fromhex(OTHER_KEY)] * 3
        assert set(used[4:]) == {bytes.fromhex(KEY)}
        await bench.run_for(seconds=15)
        types = [each.type for each in await logged(bench)]
        assert "FailedToAuthenticateAtCsms" in types
        assert [each.detail for each in await logged(bench)][-1].endswith("the new one led nowhere")


@pytest.mark.req("R16-330")
async def test_an_outage_after_the_change_says_nothing_of_the_password(tmp_path: Path) -> None:
    keys = f'security_profile = 1\npassword_hex = "{KEY}"'
    async with Bench(tmp_path, csms_keys=keys) as bench:
        await online(bench)
        bench.csms.refuse_status = 503
        assert await change(bench, "AuthorizationKey", OTHER_KEY) == "Accepted"
        await bench.run_for(minutes=60)
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online, minutes=30)
        assert password_of(bench.csms.handshakes[-1]) == bytes.fromhex(OTHER_KEY)


async def test_a_password_on_trial_is_still_on_trial_after_a_restart(tmp_path: Path) -> None:
    keys = f'security_profile = 1\npassword_hex = "{KEY}"'
    async with Csms() as csms:
        friendly(csms)
        async with Bench(tmp_path, csms=csms, csms_keys=keys) as bench:
            await online(bench)
            csms.refuse_status = 401
            assert await change(bench, "AuthorizationKey", OTHER_KEY) == "Accepted"
            await bench.until(lambda: len(csms.handshakes) >= 2)
        async with Bench(tmp_path, csms=csms, csms_keys=keys) as bench:
            await bench.until(lambda: password_of(csms.handshakes[-1]) == bytes.fromhex(KEY), minutes=30)


# --- profiles --------------------------------------------------------------------------------------------


@pytest.mark.req("R16-317", "R16-320", "TC_086_CS")
async def test_profile_2_boots_over_tls_with_the_password(tmp_path: Path) -> None:
    root = Authority.root()
    keys = keys_of(root, tmp_path, security_profile=2, password_hex=KEY)
    async with tls_csms(root.issue()) as csms, Bench(tmp_path, csms=csms, csms_keys=keys) as bench:
        await online(bench)
        assert password_of(csms.handshakes[0]) == bytes.fromhex(KEY)
        assert bench.statuses(1) == ["Available"]


@pytest.mark.req("R16-331", "R16-313", "TC_084_CS")
@pytest.mark.parametrize("value", ["0", "1", "2"])
async def test_a_profile_is_never_lowered_or_set_again(value: str, tmp_path: Path) -> None:
    root = Authority.root()
    keys = keys_of(root, tmp_path, security_profile=2, password_hex=KEY)
    async with tls_csms(root.issue()) as csms, Bench(tmp_path, csms=csms, csms_keys=keys) as bench:
        await online(bench)
        assert await change(bench, "SecurityProfile", value) == "Rejected"
        await bench.run_for(minutes=2)
        assert len(csms.handshakes) == 1


@pytest.mark.req("R16-332")
async def test_a_profile_without_what_it_needs_is_rejected(tmp_path: Path) -> None:
    root = Authority.root()
    async with Bench(tmp_path, CPO) as bench:
        await online(bench)
        for profile in "123":
            assert await change(bench, "SecurityProfile", profile) == "Rejected"
        assert await change(bench, "AuthorizationKey", KEY) == "Accepted"
        await online(bench)
        assert await change(bench, "SecurityProfile", "2") == "Rejected"
        installed = await ask(
            bench,
            "InstallCertificate",
            certificateType="CentralSystemRootCertificate",
            certificate=root.pem,
        )
        assert installed == {"status": "Accepted"}
        assert await change(bench, "SecurityProfile", "3") == "Rejected"
        answer = await ask(bench, "GetConfiguration", key=["SecurityProfile"])
        assert answer["configurationKey"][0]["value"] == "0"


@pytest.mark.req("R16-332", "R16-333", "R16-335", "R16-349", "TC_083_CS")
async def test_a_profile_is_raised_to_tls_and_stays_there(tmp_path: Path) -> None:
    root = Authority.root()
    async with Csms() as plain, tls_csms(root.issue()) as secure:
        friendly(plain)
        extra = {"secure_url": secure.url}
        keys = "\n".join(f'{name} = "{value}"' for name, value in extra.items())
        async with Bench(tmp_path, csms=plain, csms_keys=keys) as bench:
            await online(bench)
            await ask(
                bench,
                "InstallCertificate",
                certificateType="CentralSystemRootCertificate",
                certificate=root.pem,
            )
            assert await change(bench, "AuthorizationKey", KEY) == "Accepted"
            await online(bench)
            assert await change(bench, "SecurityProfile", "2") == "Accepted"
            await secure.connected()
            await bench.run_for(seconds=15)
            assert password_of(secure.handshakes[0]) == bytes.fromhex(KEY)
            assert bench.agent.settings.former("security_profile") is None
            # Final: whatever happens now, the former profile is history.
            secure.refuse_status = 401
            secure.drop()
            count = len(plain.handshakes)
            await bench.run_for(minutes=60)
            assert len(secure.handshakes) > 5
            assert len(plain.handshakes) == count
        secure.refuse_status = None
        async with Bench(tmp_path, csms=plain, csms_keys=keys) as bench:
            await online(bench)
            assert len(plain.handshakes) == count


@pytest.mark.req("R16-334")
async def test_a_new_profile_that_does_not_connect_is_taken_back(tmp_path: Path) -> None:
    root = Authority.root()
    async with Csms() as plain:
        friendly(plain)
        keys = f'password_hex = "{KEY}"\nsecure_url = "wss://localhost:1/"\n' + keys_of(root, tmp_path)
        async with Bench(tmp_path, csms=plain, csms_keys=keys) as bench:
            await online(bench)
            assert await change(bench, "SecurityProfile", "2") == "Accepted"
            await plain.connected(False)
            await plain.connected()
            await online(bench)
            answer = await ask(bench, "GetConfiguration", key=["SecurityProfile"])
            assert answer["configurationKey"][0]["value"] == "0"
            assert await change(bench, "SecurityProfile", "1") == "Accepted"


# --- the CSMS's certificate ------------------------------------------------------------------------------


@pytest.mark.req("R16-318", "R16-354")
@pytest.mark.parametrize(
    "server",
    [
        lambda root: Authority.root().issue(),
        lambda root: root.issue("csms.example.com"),
        lambda root: root.issue(ends=-YEAR),
    ],
    ids=["unknown root", "wrong host", "expired"],
)
async def test_a_bad_certificate_of_the_csms_is_told_once_there_is_a_good_one(
    server: Callable[[Authority], Issued], tmp_path: Path
) -> None:
    root = Authority.root()
    keys = keys_of(root, tmp_path, security_profile=2, password_hex=KEY)
    async with tls_csms(server(root)) as bad, Bench(tmp_path, csms=bad, csms_keys=keys) as bench:
        await bench.run_for(minutes=30)
        assert bad.handshakes == []
        await bad.stop_listening()
        bad.ssl_context = root.issue().server_context()
        await bad.listen(bad.port)
        await online(bench)
        told = events(bench)
        assert sorted(told) == [
            "InvalidCentralSystemCertificate",
            "SettingSystemTime",
            "StartupOfTheDevice",
        ]
        types = [each.type for each in await logged(bench)]
        assert types.count("CsmsFailedToAuthenticate") == 1


# --- triggers and events ---------------------------------------------------------------------------------


@pytest.mark.req("R16-371", "R16-372", "R16-281")
@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("BootNotification", "BootNotification"),
        ("Heartbeat", "Heartbeat"),
        ("StatusNotification", "StatusNotification"),
        ("MeterValues", "MeterValues"),
        ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
        ("LogStatusNotification", "LogStatusNotification"),
    ],
)
async def test_an_extended_trigger_is_followed_after_its_answer(
    message: str, sent: str, tmp_path: Path
) -> None:
    async with Bench(tmp_path) as bench:
        bench.csms.always(sent)
        await online(bench)
        before = len(bench.csms.received)
        answer = await bench.csms.call("ExtendedTriggerMessage", {"requestedMessage": message})
        assert answer.payload == {"status": "Accepted"}
        await bench.run_for(seconds=2)
        frames = [json.loads(text) for _time, text in bench.csms.received[before:]]
        assert frames[0][0] == 3
        assert frames[1][2] == sent
        if sent.endswith(("FirmwareStatusNotification", "LogStatusNotification")):
            assert frames[1][3] == {"status": "Idle"}


@pytest.mark.req("R16-372")
@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"requestedMessage": "DiagnosticsStatusNotification"}, "NotImplemented"),
        ({"requestedMessage": "Nonsense"}, "NotImplemented"),
        ({"requestedMessage": "StatusNotification", "connectorId": 9}, "Rejected"),
        ({"requestedMessage": "MeterValues", "connectorId": 9}, "Rejected"),
    ],
)
async def test_an_extended_trigger_that_cannot_be_followed(
    payload: dict[str, Any], status: str, tmp_path: Path
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await ask(bench, "ExtendedTriggerMessage", **payload) == {"status": status}


@pytest.mark.req("R16-356", "R16-354")
async def test_start_and_clock_are_told_and_a_reset_is_told_after_it(tmp_path: Path) -> None:
    async with Csms() as csms:
        friendly(csms)
        async with Bench(tmp_path, csms=csms) as bench:
            await online(bench)
            assert events(bench) == ["StartupOfTheDevice", "SettingSystemTime"]
            answer = await csms.call("Reset", {"type": "Soft"})
            assert answer.payload == {"status": "Accepted"}
            await bench.ended()
        csms.received.clear()
        async with Bench(tmp_path, csms=csms) as bench:
            await online(bench)
            assert events(bench)[:2] == ["ResetOrReboot", "StartupOfTheDevice"]


@pytest.mark.req("R16-354", "R16-355")
@pytest.mark.req("A04.FR.02")
async def test_events_of_an_outage_are_queued_over_a_restart_and_told_in_order(tmp_path: Path) -> None:
    async with Csms() as csms:
        friendly(csms)
        csms.refuse_status = 503
        for _ in range(2):
            async with Bench(tmp_path, csms=csms) as bench:
                await bench.run_for(minutes=5)
        csms.refuse_status = None
        async with Bench(tmp_path, csms=csms) as bench:
            await online(bench)
            told = bench.sent("SecurityEventNotification")
            assert [each["type"] for each in told[:3]] == ["StartupOfTheDevice"] * 3


@pytest.mark.req("R16-034", "R16-355")
async def test_nonsense_is_noted_and_not_told(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        for number in range(50):
            bench.csms.send_text("no JSON " * number)
            bench.csms.send_text(f'[2,"{number}"]')
            bench.csms.send_text(f'[3,"late-{number}",{{}}]')
        await bench.run_for(seconds=10)
        noted = [each for each in await logged(bench) if each.type == "InvalidMessages"]
        assert 1 <= len(noted) <= 3
        assert "InvalidMessages" not in events(bench)


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
async def test_a_csms_that_does_not_know_the_message_gets_one_until_the_next_start(
    code: str, tmp_path: Path
) -> None:
    async with Csms() as csms:
        friendly(csms)
        csms.never("SecurityEventNotification")
        async with Bench(tmp_path, csms=csms) as bench:
            (await csms.expect("SecurityEventNotification")).error(code)
            await online(bench)
            assert await bench.agent.journal.depth() == 0
            assert len(events(bench)) == 1
            assert len(await logged(bench)) == 2


async def test_pushing_switched_off_leaves_the_queue_empty(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nSecurityEventPush = false\n") as bench:
        await online(bench)
        assert events(bench) == []
        assert [each.type for each in await logged(bench)] == ["StartupOfTheDevice", "SettingSystemTime"]


def test_nothing_cryptographic_is_loaded_before_it_is_needed() -> None:
    code = "import sys, agent.app; print([n for n in sys.modules if n.startswith('cryptography')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
