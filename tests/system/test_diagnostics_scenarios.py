"""GetDiagnostics and GetLog on the whole station, with real file servers: what the CSMS hears, what the server gets."""

import asyncio
import json
import logging
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import SecurityEventType
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.file_servers import HttpFiles
from tests.helpers.ftp_files import FtpFiles
from tests.helpers.sftp_files import SftpFiles

NAMES = {
    "about.json",
    "state.json",
    "settings.json",
    "config.json",
    "transactions.jsonl",
    "vendor-actions.jsonl",
    "messages.jsonl",
    "agent.log",
}
PASSWORD_OF_CSMS = "a very secret p4ss"
NEW_KEY = "correct horse 77"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@asynccontextmanager
async def station(
    state: Path, extra: str = "", csms: Csms | None = None, **given: Any
) -> AsyncIterator[Bench]:
    async with Bench(state, extra, csms, **given) as bench:
        for action in ("DiagnosticsStatusNotification", "LogStatusNotification"):
            bench.csms.always(action)
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=2)
        yield bench


async def ask(bench: Bench, action: str, **payload: Any) -> Any:
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer.description
    return answer.payload


async def get_log(bench: Bench, location: str, request_id: int = 7, **payload: Any) -> Any:
    log = {"remoteLocation": location, **payload.pop("log", {})}
    given = {"logType": "DiagnosticsLog", "requestId": request_id, "retries": 0, **payload, "log": log}
    return await ask(bench, "GetLog", **given)


def told(bench: Bench) -> list[str]:
    return [each["status"] for each in bench.sent("DiagnosticsStatusNotification")]


def told_of_logs(bench: Bench) -> list[tuple[str, int | None]]:
    return [(each["status"], each.get("requestId")) for each in bench.sent("LogStatusNotification")]


def unpack(file: Path) -> dict[str, str]:
    """Name within the archive's only directory -> text."""
    with tarfile.open(file) as archive:
        folders = {name.split("/")[0] for name in archive.getnames()}
        assert folders == {file.name.removesuffix(".tar.gz")}
        members = {name.split("/", 1)[1]: archive.extractfile(name) for name in archive.getnames()}
        return {name: member.read().decode() for name, member in members.items() if member is not None}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- the cases of the test tool ----------------------------------------------------------------------------


@pytest.mark.req("R16-300", "R16-301", "TC_045_1_CS")
@pytest.mark.parametrize("server", [HttpFiles, FtpFiles, SftpFiles])
async def test_diagnostics_are_uploaded_and_told_of(root: Path, state: Path, server: Any) -> None:
    async with server(root) as files, station(state) as bench:
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=30)
        logging.getLogger("agent.somewhere").warning("noticed by nobody")
        answer = await ask(bench, "GetDiagnostics", location=files.url(""), retries=0)
        assert bench.sent("DiagnosticsStatusNotification") == []  # nothing before the answer
        await bench.until(lambda: len(told(bench)) == 2)
        assert told(bench) == ["Uploading", "Uploaded"]
        assert names_in(root) == [answer["fileName"]]
        found = unpack(root / answer["fileName"])
        assert set(found) == NAMES
        about = json.loads(found["about.json"])
        assert about["identity"] == "CP001"
        assert about["agent_version"]
        assert about["board_firmware"]
        assert about["python"].startswith("CPython 3.")
        state_found = json.loads(found["state.json"])
        assert state_found["open_transactions"][0]["started"]["id_token"]["value"] == "TAG1"
        assert "StartTransaction" in found["messages.jsonl"]
        assert "WARNING agent.somewhere: noticed by nobody\n" in found["agent.log"]
        assert json.loads(found["settings.json"])["heartbeat_interval_s"]["key"] == "HeartbeatInterval"
        assert names_in(state / "diagnostics") == []


@pytest.mark.req("R16-301", "R16-302", "TC_045_2_CS")
async def test_an_unreachable_server_and_no_retries_is_one_attempt(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files:
        nowhere = files.url("")
    async with station(state) as bench:
        await ask(bench, "GetDiagnostics", location=nowhere, retries=0)
        await bench.run_for(minutes=10)
        assert told(bench) == ["Uploading", "UploadFailed"]
        assert names_in(state / "diagnostics") == []
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=30)
        assert bench.statuses(1)[-1] == "Charging"


@pytest.mark.req("R16-357", "R16-358", "R16-359", "TC_079_CS")
async def test_the_security_log_is_uploaded_with_the_id_in_every_status(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        tampered = SecurityEventType.TAMPER_DETECTION_ACTIVATED
        event = SecurityEventRaised(bench.agent.clock.now(), tampered, "lid open")
        await bench.agent.station.report(event)
        answer = await get_log(bench, files.url(""), 4711, logType="SecurityLog")
        assert answer["status"] == "Accepted"
        await bench.until(lambda: len(told_of_logs(bench)) == 2)
        assert told_of_logs(bench) == [("Uploading", 4711), ("Uploaded", 4711)]
        assert answer["filename"].endswith(".jsonl")
        rows = [json.loads(line) for line in (root / answer["filename"]).read_text().splitlines()]
        assert ("TamperDetectionActivated", "lid open") in [(row["type"], row["detail"]) for row in rows]


@pytest.mark.req("R16-300", "R16-361")
async def test_what_was_said_before_a_restart_is_in_the_archive_without_secrets(
    root: Path, state: Path
) -> None:
    csms = Csms()
    async with HttpFiles(root) as files, csms:
        friendly(csms)
        async with station(state, csms=csms) as bench:
            await ask(bench, "ChangeConfiguration", key="AuthorizationKey", value=NEW_KEY)
            await ask(bench, "ClearCache")
        async with station(state, csms=csms) as bench:
            await ask(bench, "Reset", type="Soft")
            await bench.ended()
        async with station(state, csms=csms) as bench:
            answer = await ask(bench, "GetDiagnostics", location=files.url(""), retries=0)
            await bench.until(lambda: (root / answer["fileName"]).exists() and "Uploaded" in told(bench))
            begin = bench.agent.clock.now().isoformat()
            await bench.run_for(minutes=20)
            later = await ask(bench, "GetDiagnostics", location=files.url(""), retries=0, startTime=begin)
            await bench.until(lambda: told(bench).count("Uploaded") == 2)
        text = unpack(root / answer["fileName"])["messages.jsonl"]
        actions = [json.loads(line)["action"] for line in text.splitlines()]
        assert actions.index("ClearCache") < actions.index("Reset") < actions.index("GetDiagnostics")
        assert NEW_KEY not in text
        assert NEW_KEY not in (state / "log" / "messages.jsonl").read_text()
        assert "ClearCache" not in unpack(root / later["fileName"])["messages.jsonl"]


async def test_the_local_api_hands_out_the_same_archive(root: Path, state: Path) -> None:
    async with station(state) as bench:
        await bench.run_for(seconds=5)
        connector = aiohttp.UnixConnector(str(bench.agent.config.socket_path))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get("http://localhost/api/v1/diagnostics") as response,
        ):
            name = response.headers["Content-Disposition"].split('"')[1]
            (root / name).write_bytes(await response.read())
        assert set(unpack(root / name)) == NAMES
        assert names_in(state / "export") == []


# --- retries and failures ----------------------------------------------------------------------------------


@pytest.mark.req("R16-302")
async def test_it_is_tried_again_as_often_and_as_late_as_asked_for(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        name = (await ask(bench, "GetDiagnostics", location=files.url("x"), retries=2, retryInterval=90))[
            "fileName"
        ]
        files.statuses["x"] = 503
        began = asyncio.get_running_loop().time()
        await bench.until(lambda: len(told(bench)) == 2)
        assert told(bench) == ["Uploading", "UploadFailed"]
        assert files.requests == ["PUT /x"] * 3
        assert 180 <= asyncio.get_running_loop().time() - began < 190
        assert names_in(state / "diagnostics") == []
        assert name.startswith("CP001_diagnostics_")


@pytest.mark.req("R16-302")
async def test_an_attempt_that_succeeds_ends_the_retries(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        files.statuses["x"] = 503
        await ask(bench, "GetDiagnostics", location=files.url("x"))
        await bench.run_for(seconds=30)
        files.statuses.clear()
        await bench.until(lambda: len(told(bench)) == 2)
        assert told(bench) == ["Uploading", "Uploaded"]
        assert files.requests == ["PUT /x"] * 2


@pytest.mark.req("R16-358")
@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("{base}denied", "PermissionDenied"),
        ("{base}busy", "UploadFailure"),
        ("gopher://example.com/", "NotSupportedOperation"),
        ("not a location", "BadMessage"),
        ("http:///nowhere", "BadMessage"),
        ("", "BadMessage"),
    ],
)
async def test_the_status_says_why_as_precisely_as_it_can(
    root: Path, state: Path, location: str, status: str
) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        files.statuses.update(denied=403, busy=503)
        answer = await get_log(bench, location.format(base=files.url("")))
        assert answer["status"] == "Accepted"
        await bench.until(lambda: len(told_of_logs(bench)) == 2)
        assert told_of_logs(bench) == [("Uploading", 7), (status, 7)]


@pytest.mark.req("R16-303")
async def test_a_root_that_the_csms_installed_vouches_for_its_file_server(root: Path, state: Path) -> None:
    authority = trustme.CA()
    text = authority.cert_pem.bytes().decode()
    async with HttpFiles(root, ca=authority) as files, station(state) as bench:
        await get_log(bench, files.url(""), 1)
        await bench.until(lambda: len(told_of_logs(bench)) == 2)
        use = "CentralSystemRootCertificate"
        answer = await ask(bench, "InstallCertificate", certificateType=use, certificate=text)
        assert answer == {"status": "Accepted"}
        await get_log(bench, files.url(""), 2)
        await bench.until(lambda: len(told_of_logs(bench)) == 4)
        assert [status for status, _id in told_of_logs(bench)[1::2]] == ["UploadFailure", "Uploaded"]


@pytest.mark.req("R16-303")
async def test_a_protocol_that_the_setting_does_not_list_is_not_used(root: Path, state: Path) -> None:
    async with (
        HttpFiles(root) as files,
        station(state, "[settings]\nSupportedFileTransferProtocols = 'HTTPS,SFTP'") as bench,
    ):
        await get_log(bench, files.url(""))
        await bench.until(lambda: len(told_of_logs(bench)) == 2)
        assert told_of_logs(bench)[1] == ("NotSupportedOperation", 7)
        assert files.requests == []


# --- a newer order -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-360")
async def test_a_newer_get_log_cancels_the_older(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        files.statuses["slow"] = 503
        assert (await get_log(bench, files.url("slow"), 1, retries=5))["status"] == "Accepted"
        await bench.run_for(seconds=5)
        answer = await get_log(bench, files.url(""), 2)
        assert answer["status"] == "AcceptedCanceled"
        await bench.until(lambda: len(told_of_logs(bench)) == 3)
        await bench.run_for(minutes=10)
        assert told_of_logs(bench) == [("Uploading", 1), ("Uploading", 2), ("Uploaded", 2)]
        assert names_in(root) == [answer["filename"]]
        assert names_in(state / "diagnostics") == []


@pytest.mark.req("R16-304", "FIELD-74")
async def test_a_second_get_diagnostics_replaces_the_first_and_is_told_of(root: Path, state: Path) -> None:
    """Field note 74: the second one got no status at all."""
    async with HttpFiles(root) as files, station(state) as bench:
        files.hangs = True
        files.cut_after_bytes = 1
        first = await ask(bench, "GetDiagnostics", location=files.url("first"))
        await bench.until(lambda: files.requests)
        second = await ask(bench, "GetDiagnostics", location=files.url("second"))
        assert first["fileName"] != second["fileName"]
        await bench.until(lambda: len(told(bench)) == 3)
        await bench.run_for(minutes=10)
        assert told(bench) == ["Uploading", "Uploading", "Uploaded"]
        third = await ask(bench, "GetDiagnostics", location=files.url("third"))
        await bench.until(lambda: len(told(bench)) == 5)
        assert told(bench)[3:] == ["Uploading", "Uploaded"]
        assert set(names_in(root)) >= {"second", "third"}
        assert third["fileName"]
        assert bench.agent.supervisor.crashes() == {}


async def test_five_orders_at_once_end_in_one_upload(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        answers = await asyncio.gather(*(get_log(bench, files.url(""), number) for number in range(5)))
        await bench.run_for(minutes=2)
        assert told_of_logs(bench)[-2:] == [("Uploading", 4), ("Uploaded", 4)]
        assert ("Uploaded", 0) not in told_of_logs(bench)
        assert answers[-1]["status"] == "AcceptedCanceled"
        assert names_in(state / "diagnostics") == []


# --- what goes on, when asked ------------------------------------------------------------------------------


@pytest.mark.req("R16-289", "R16-359", "TC_054_CS")
async def test_a_trigger_tells_what_goes_on_and_idle_before_and_after(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:

        async def trigger() -> list[tuple[str, Any]]:
            before = (
                len(bench.sent("DiagnosticsStatusNotification")),
                len(bench.sent("LogStatusNotification")),
            )
            await ask(bench, "TriggerMessage", requestedMessage="DiagnosticsStatusNotification")
            await ask(bench, "ExtendedTriggerMessage", requestedMessage="LogStatusNotification")
            await bench.run_for(seconds=2)
            plain = bench.sent("DiagnosticsStatusNotification")[before[0] :]
            logs = bench.sent("LogStatusNotification")[before[1] :]
            return [(plain[0]["status"], logs[0])]

        assert await trigger() == [("Idle", {"status": "Idle"})]
        files.statuses["x"] = 503
        await get_log(bench, files.url("x"), 9, retries=1)
        await bench.run_for(seconds=10)
        assert await trigger() == [("Idle", {"status": "Uploading", "requestId": 9})]
        await ask(bench, "GetDiagnostics", location=files.url("x"), retries=1)
        await bench.run_for(seconds=10)
        assert await trigger() == [("Uploading", {"status": "Idle"})]
        await bench.run_for(minutes=5)
        assert await trigger() == [("Idle", {"status": "Idle"})]


# --- time --------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-302")
async def test_only_what_lies_in_the_time_asked_for_is_sent(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        bench.csms.always("Authorize", idTagInfo={"status": "Accepted"})
        stamps: list[datetime] = []
        for tag in ("EARLY", "MIDDLE", "LATE"):
            stamps.append(bench.agent.clock.now())
            bench.plug_in()
            bench.tap(tag)
            await bench.run_for(minutes=5)
            bench.unplug()
            await bench.run_for(minutes=55)
        answer = await ask(
            bench,
            "GetDiagnostics",
            location=files.url(""),
            startTime=(stamps[1] - timedelta(minutes=1)).isoformat(),
            stopTime=(stamps[2] - timedelta(minutes=1)).isoformat(),
        )
        await bench.until(lambda: len(told(bench)) == 2)
        found = unpack(root / answer["fileName"])
        for name in ("transactions.jsonl", "messages.jsonl"):
            assert "MIDDLE" in found[name]
            assert "EARLY" not in found[name]
            assert "LATE" not in found[name]


@pytest.mark.req("R16-300")
@pytest.mark.parametrize(
    ("start", "stop"), [("2999-01-01T00:00:00Z", None), ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z")]
)
async def test_where_nothing_can_lie_no_file_is_named_and_nothing_is_told(
    root: Path, state: Path, start: str, stop: str | None
) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        given = {"startTime": start} | ({"stopTime": stop} if stop else {})
        assert await ask(bench, "GetDiagnostics", location=files.url(""), **given) == {}
        await bench.run_for(minutes=1)
        assert told(bench) == []
        assert files.requests == []


@pytest.mark.req("R16-357")
async def test_a_security_log_without_rows_in_that_time_is_refused(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        log = {"oldestTimestamp": "2001-01-01T00:00:00", "latestTimestamp": "2002-01-01T00:00:00+0200"}
        answer = await get_log(bench, files.url(""), logType="SecurityLog", log=log)
        assert answer == {"status": "Rejected"}
        assert told_of_logs(bench) == []


# --- power, restart, no network ----------------------------------------------------------------------------


@pytest.mark.req("R16-301", "R16-302")
async def test_a_restart_in_the_middle_is_one_failed_attempt(root: Path, state: Path) -> None:
    async with Csms() as csms, HttpFiles(root) as files:
        friendly(csms)
        files.hangs = True
        files.cut_after_bytes = 1
        async with station(state, csms=csms) as bench:
            name = (await ask(bench, "GetDiagnostics", location=files.url(""), retries=1))["fileName"]
            await bench.until(lambda: files.requests)
        assert name in names_in(state / "diagnostics")
        async with station(state, csms=csms) as bench:
            await bench.until(lambda: "Uploaded" in told(bench))
            assert told(bench) == ["Uploading", "Uploading", "Uploaded"]
            assert names_in(root) == [name]
            assert names_in(state / "diagnostics") == []


@pytest.mark.req("R16-302")
async def test_after_a_restart_no_attempt_is_made_that_was_not_granted(root: Path, state: Path) -> None:
    async with Csms() as csms, HttpFiles(root) as files:
        friendly(csms)
        files.hangs = True
        files.cut_after_bytes = 1
        async with station(state, csms=csms) as bench:
            await get_log(bench, files.url(""), 5)
            await bench.until(lambda: files.requests)
        async with station(state, csms=csms) as bench:
            await bench.until(lambda: len(told_of_logs(bench)) >= 3)
            assert told_of_logs(bench)[-1] == ("UploadFailure", 5)
            assert len(files.requests) == 1
            assert names_in(state / "diagnostics") == []


@pytest.mark.req("R16-301")
async def test_offline_the_upload_goes_on_and_its_statuses_wait(root: Path, state: Path) -> None:
    async with HttpFiles(root) as files, station(state) as bench:
        files.statuses["x"] = 503
        await ask(bench, "GetDiagnostics", location=files.url("x"), retryInterval=30)
        await bench.run_for(seconds=5)
        port = bench.csms.port
        await bench.csms.stop_listening()
        bench.csms.drop()
        files.statuses.clear()
        await bench.until(lambda: names_in(root) == ["x"])
        await bench.run_for(minutes=5)
        assert told(bench) == ["Uploading"]
        await bench.csms.listen(port)
        await bench.until(lambda: told(bench) == ["Uploading", "Uploaded"])


# --- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-361")
async def test_no_secret_is_in_the_archive(root: Path, state: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    profile = f'security_profile = 1\npassword = "{PASSWORD_OF_CSMS}"'
    async with HttpFiles(root) as files, station(state, csms_keys=profile) as bench:
        key = NEW_KEY.encode().hex()
        for spelling in ("AuthorizationKey", "authorizationkey"):
            await ask(bench, "ChangeConfiguration", key=spelling, value=key)
        await bench.run_for(minutes=1)
        await bench.until(lambda: bench.agent.conversation.is_online)
        location = files.url("?X-Amz-Signature=s1gn4ture&x=1")
        answer = await get_log(bench, location)
        await bench.until(lambda: ("Uploaded", 7) in told_of_logs(bench))
        texts = [*unpack(root / answer["filename"]).values(), caplog.text]
        for secret in (
            NEW_KEY,
            key,
            key.upper(),
            PASSWORD_OF_CSMS,
            PASSWORD_OF_CSMS.encode().hex(),
            "s3cr3t",
            "s1gn4ture",
        ):
            assert not [text for text in texts if secret in text], secret
        config_found = json.loads(unpack(root / answer["filename"])["config.json"])
        assert config_found["csms"]["password"] == "***"
