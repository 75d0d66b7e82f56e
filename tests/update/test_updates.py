"""Firmware updates on the bench: the whole station, real files, a real server on loopback; restarts included."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from agent.charging.ids import CertificateUse
from agent.exit_codes import ExitCode
from agent.progress import Progress
from agent.security.certificates import CertificateStore
from agent.update import slots
from tests.helpers.bench import Bench
from tests.helpers.file_servers import HttpFiles
from tests.helpers.update_yard import Yard

STATUSES = ["Available", "Unavailable", "Available"]


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    async with Yard(tmp_path, monkeypatch) as made:
        yield made


async def charge(bench: Bench) -> None:
    bench.plug_in()
    bench.tap("TAG1", 1)
    await bench.until(lambda: bench.evse().transaction)
    await bench.run_for(seconds=20)


async def test_whoever_watches_sees_an_update_go_on(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        seen: list[Progress] = []
        bench.agent.progress.subscribe(seen.append)
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.ended()
    assert {each.name for each in seen} == {"firmware update 1"}
    downloading = [each for each in seen if each.unit == "B"]
    assert downloading
    assert downloading[-1].total
    stages = list(dict.fromkeys(each.stage for each in seen))
    assert stages == [
        "downloading",
        "waits for running transactions",
        "installing",
        "switching to the new release",
    ]
    async with yard.bench() as bench:
        await bench.until(lambda: "Installed" in yard.told(bench))
        (last,) = bench.agent.progress.current()
    assert (last.stage, last.outcome) == ("installed", "done")


# --- unsigned ----------------------------------------------------------------------------------------------


@pytest.mark.req(
    "R16-073", "R16-292", "R16-293", "R16-295", "R16-296", "R16-297", "R16-368", "FIELD-73", "TC_044_1_CS"
)
async def test_download_install_restart_and_installed_once_the_csms_accepted_the_new_release(
    yard: Yard,
) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        answer = await yard.order(bench, yard.files.serve(yard.release()))
        assert (answer.error, answer.payload) == (None, {})
        assert await bench.ended() is ExitCode.RESET_SOFT
        assert yard.told(bench) == ["boot", "Downloading", "Downloaded", "Installing"]
        assert bench.statuses(1) == ["Available", "Unavailable"]
    assert os.readlink(yard.root / "current") == "releases/1.1"
    async with yard.bench() as bench:
        await bench.until(lambda: "Installed" in yard.told(bench))
        await bench.run_for(seconds=10)
        assert yard.told(bench) == [
            "boot",
            "Downloading",
            "Downloaded",
            "Installing",
            "boot",
            "FirmwareUpdated",
            "Installed",
        ]
        assert bench.statuses(1)[-1] == "Available"
        assert not (yard.root / "trial").exists()
        assert not list((yard.state_dir / "firmware").iterdir())
        await charge(bench)
    async with yard.bench() as bench:
        await yard.online(bench)
        assert yard.told(bench)[-2:] == ["Installed", "boot"], "said once"


@pytest.mark.req("R16-293", "R16-294", "R16-298", "TC_044_2_CS")
async def test_a_download_that_fails_leaves_everything_as_it_was(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, "http://127.0.0.1:9/none.zip", retries=0)
        await bench.run_for(minutes=2)
        assert yard.told(bench) == ["boot", "Downloading", "DownloadFailed"]
        assert bench.statuses(1) == ["Available"]
        await charge(bench)


@pytest.mark.req("R16-293", "R16-298", "TC_044_3_CS")
@pytest.mark.parametrize("kind", ["garbage", "for another machine", "does not load"])
async def test_an_image_that_cannot_be_installed_leaves_the_old_one_running(yard: Yard, kind: str) -> None:
    match kind:
        case "garbage":
            file = yard.folder / "fw.bin"
            file.write_bytes(b"no firmware at all")
        case "for another machine":
            file = yard.release(machines=("pdp11",))
        case _:
            file = yard.release(files={"agent/app.py": "import no_such_module"})
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, yard.files.serve(file))
        await bench.until(lambda: "InstallationFailed" in yard.told(bench))
        await bench.run_for(seconds=5)
        assert yard.told(bench) == ["boot", "Downloading", "Downloaded", "Installing", "InstallationFailed"]
        assert bench.statuses(1) == STATUSES
        assert os.readlink(yard.root / "current") == "releases/1.0"
        await charge(bench)


@pytest.mark.req("R16-292", "R16-367")
async def test_nothing_is_fetched_before_its_time(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        file = yard.files.serve(yard.release())
        await yard.order(bench, file, retrieveDate=yard.at(bench, timedelta(minutes=30)))
        await bench.run_for(minutes=29)
        assert not yard.files.requests
        assert yard.told(bench) == ["boot"], "1.6 has no word for a scheduled download"
        await bench.run_for(minutes=2)
        assert yard.files.requests


@pytest.mark.req("R16-294", "R16-303")
async def test_a_download_that_breaks_is_tried_again_after_the_interval_and_goes_on(yard: Yard) -> None:
    failures = [web.Response(status=503), web.Response(status=503)]
    yard.files.before = lambda _request: failures.pop() if failures else None
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, yard.files.serve(yard.release()), retries=2, retryInterval=120)
        await bench.run_for(seconds=60)
        assert len(yard.files.requests) == 1
        await bench.ended()
        assert len(yard.files.requests) == 3
        assert yard.told(bench) == [
            "boot",
            "Downloading",
            "Downloading",
            "Downloading",
            "Downloaded",
            "Installing",
        ]


@pytest.mark.req("R16-294", "R16-303")
@pytest.mark.parametrize("has_power_cut", [False, True])
async def test_what_has_arrived_is_not_fetched_twice(yard: Yard, has_power_cut: bool) -> None:
    file = yard.release(files={"agent/large.txt": "".join(f"{hash(str(n)):x}" for n in range(40_000))})
    async with HttpFiles(yard.folder) as server:
        server.cut_after_bytes = 200_000
        async with yard.bench() as bench:
            await yard.online(bench)
            await yard.order(bench, server.url(file.name), retries=1, retryInterval=60)
            await bench.run_for(seconds=30)
            if not has_power_cut:
                await bench.ended()
        if has_power_cut:
            async with yard.bench() as bench:
                await bench.ended()
        first, second = server.requests
        assert "bytes=" not in first
        assert int(second.rpartition("bytes=")[2].rstrip("-")) >= 65_536
    assert os.readlink(yard.root / "current") == "releases/1.1"


@pytest.mark.req("R16-294")
async def test_a_clock_that_is_set_back_makes_no_pause_longer(yard: Yard) -> None:
    yard.files.before = lambda _request: web.Response(status=503)
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, yard.files.serve(yard.release()), retries=1, retryInterval=120)
        await bench.run_for(seconds=10)
        assert len(yard.files.requests) == 1
        bench.agent.clock.synchronize(bench.agent.clock.now() - timedelta(days=400))
        await bench.run_for(seconds=130)
        assert len(yard.files.requests) == 2
        assert yard.told(bench)[-1] == "DownloadFailed"


@pytest.mark.req("R16-303")
async def test_firmware_comes_from_a_server_that_an_installed_root_of_the_csms_vouches_for(
    yard: Yard,
) -> None:
    authority = trustme.CA()
    file = yard.release()
    CertificateStore(yard.state_dir / "certificates").install_root(
        CertificateUse.CSMS_ROOT, authority.cert_pem.bytes().decode(), datetime.now(UTC), limit=32
    )
    async with HttpFiles(yard.folder, ca=authority) as server, yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, server.url(file.name), retries=0)
        await bench.run_for(seconds=10)
        assert yard.told(bench)[:3] == ["boot", "Downloading", "Downloaded"]


@pytest.mark.req("R16-293", "R16-298")
async def test_a_location_that_is_no_url_ends_in_download_failed(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, "http://server..example/firmware.zip")
        await bench.run_for(seconds=10)
        assert yard.told(bench) == ["boot", "Downloading", "DownloadFailed"]
        assert bench.agent.supervisor.crashes() == {}


@pytest.mark.req("R16-293", "R16-298")
async def test_an_image_that_our_own_code_stumbles_over_ends_the_update(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_args: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(slots, "read_manifest", stumble)
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.run_for(minutes=5)
        assert yard.told(bench) == ["boot", "Downloading", "Downloaded", "Installing", "InstallationFailed"]
        assert bench.statuses(1) == STATUSES
        assert bench.agent.supervisor.crashes() == {"firmware update": 1}
        await charge(bench)


@pytest.mark.req("R16-304")
async def test_a_newer_order_takes_the_place_of_one_that_still_loads(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        later = yard.at(bench, timedelta(hours=1))
        await yard.order(bench, yard.files.serve(yard.release("1.1")), retrieveDate=later)
        assert (await yard.order(bench, yard.files.serve(yard.release("1.2")))).payload == {}
        await bench.ended()
    assert os.readlink(yard.root / "current") == "releases/1.2"
    assert [request.path for request in yard.files.requests] == ["/evse-agent-1.2.zip"]


@pytest.mark.req("R16-289", "R16-299")
async def test_a_trigger_tells_what_goes_on_and_idle_when_nothing_does(yard: Yard) -> None:
    async def triggered(bench: Bench) -> str:
        mark = len(yard.told(bench))
        answer = await bench.csms.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        assert answer.payload == {"status": "Accepted"}
        await bench.run_for(seconds=1)
        (word,) = yard.told(bench)[mark:]
        return word

    yard.files.before = lambda _request: web.Response(status=503)
    async with yard.bench() as bench:
        await yard.online(bench)
        assert await triggered(bench) == "Idle"
        await yard.order(bench, yard.files.serve(yard.release()), retries=1, retryInterval=600)
        await bench.run_for(seconds=5)
        assert await triggered(bench) == "Downloading"
        await bench.run_for(minutes=11)
        assert yard.told(bench)[-1] == "DownloadFailed"
        assert await triggered(bench) == "Idle"


# --- transactions ------------------------------------------------------------------------------------------


@pytest.mark.req("R16-296", "R16-368")
async def test_a_running_transaction_is_waited_for_and_no_new_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Yard(tmp_path, monkeypatch, "[hal.sim]\nevses = 2\n") as yard,
        yard.bench() as bench,
    ):
        await yard.online(bench)
        await charge(bench)
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.run_for(minutes=30)
        assert yard.told(bench)[-1] == "Downloaded"
        assert bench.statuses(1)[-1] == "Charging"
        assert bench.statuses(2) == ["Available", "Unavailable"]
        bench.plug_in(2)
        bench.tap("TAG2", 2)
        await bench.run_for(seconds=30)
        started = await bench.csms.call("RemoteStartTransaction", {"idTag": "TAG3", "connectorId": 2})
        assert started.payload == {"status": "Rejected"}
        assert len(bench.sent("StartTransaction")) == 1
        bench.tap("TAG1", 1)
        await bench.ended()
        assert bench.sent("StopTransaction")
        assert yard.told(bench)[-1] == "Installing"
        assert bench.statuses(1)[-1] == "Unavailable"


@pytest.mark.req("R16-298")
async def test_a_release_that_the_csms_does_not_accept_is_rolled_back_by_itself(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.ended()
    yard.csms.refuse_status = 500
    async with yard.bench() as bench:
        assert await bench.ended() is ExitCode.RESET_SOFT
        assert os.readlink(yard.root / "current") == "releases/1.0"
    yard.csms.refuse_status = None
    async with yard.bench() as bench:
        await bench.until(lambda: "InstallationFailed" in yard.told(bench))
        await bench.run_for(seconds=5)
        assert yard.told(bench) == [
            "boot",
            "Downloading",
            "Downloaded",
            "Installing",
            "boot",
            "InstallationFailed",
        ]
        assert bench.statuses(1)[-1] == "Available"
        # and the same order may come again
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.ended()
    async with yard.bench() as bench:
        await bench.until(lambda: yard.told(bench)[-1] == "Installed")


# --- signed ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-356", "R16-363", "R16-364", "R16-365", "TC_080_CS")
async def test_a_signed_update_is_checked_told_with_its_id_and_installed(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        answer = await yard.order_signed(bench, yard.release(), request_id=42)
        assert answer.payload == {"status": "Accepted"}
        await bench.ended()
    async with yard.bench() as bench:
        await bench.until(lambda: "Installed" in yard.told(bench))
        await bench.run_for(seconds=5)
        assert yard.told(bench) == [
            "boot",
            "Downloading",
            "Downloaded",
            "SignatureVerified",
            "Installing",
            "boot",
            "FirmwareUpdated",
            "Installed",
        ]
        assert {each["requestId"] for each in bench.sent("SignedFirmwareStatusNotification")} == {42}
        assert not bench.sent("FirmwareStatusNotification")


@pytest.mark.req("R16-365", "R16-366", "TC_081_CS")
@pytest.mark.parametrize("signature", ["of another file", "", "!!!", "☺"])
async def test_a_wrong_or_missing_signature_installs_nothing(yard: Yard, signature: str) -> None:
    file = yard.release()
    if signature == "of another file":
        signature = yard.maker.sign(yard.release("1.2"))
    async with yard.bench() as bench:
        await yard.online(bench)
        answer = await yard.order_signed(bench, file, signature=signature)
        assert answer.payload == {"status": "Accepted"}
        await bench.until(lambda: "InvalidSignature" in yard.told(bench))
        await bench.run_for(minutes=5)
        assert yard.told(bench) == [
            "boot",
            "Downloading",
            "Downloaded",
            "InvalidSignature",
            "InvalidFirmwareSignature",
        ]
        assert bench.statuses(1) == ["Available"]
        assert sorted(path.name for path in (yard.root / "releases").iterdir()) == ["1.0"]


@pytest.mark.req("R16-363")
async def test_a_certificate_that_is_not_from_the_manufacturer_is_refused_before_anything_is_fetched(
    yard: Yard,
) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        answer = await yard.order_signed(bench, yard.release(), signingCertificate=yard.maker.root_text)
        assert answer.payload == {"status": "InvalidCertificate"}
        await bench.run_for(minutes=2)
        assert yard.told(bench) == ["boot", "InvalidFirmwareSigningCertificate"]
        assert not yard.files.requests


@pytest.mark.req("R16-367")
async def test_a_signed_update_waits_for_both_its_dates(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order_signed(
            bench,
            yard.release(),
            retrieveDateTime=yard.at(bench, timedelta(minutes=10)),
            installDateTime=yard.at(bench, timedelta(minutes=60)),
        )
        await bench.run_for(minutes=9)
        assert yard.told(bench) == ["boot", "DownloadScheduled"]
        await bench.run_for(minutes=50)
        assert yard.told(bench)[2:] == ["Downloading", "Downloaded", "SignatureVerified", "InstallScheduled"]
        assert bench.statuses(1) == ["Available"], "until then the station works"
        await bench.ended()
        assert yard.told(bench)[-1] == "Installing"


@pytest.mark.req("R16-364", "R16-370", "R16-371")
async def test_a_newer_signed_order_cancels_the_older_one(yard: Yard) -> None:
    yard.files.before = lambda _request: web.Response(status=503)
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order_signed(bench, yard.release(), 1, top={"retries": 9, "retryInterval": 60})
        await bench.run_for(seconds=10)
        answer = await yard.order_signed(bench, yard.release("1.2"), 2, top={"retries": 0})
        assert answer.payload == {"status": "AcceptedCanceled"}
        await bench.run_for(minutes=30)
        told = [
            (each["requestId"], each["status"]) for each in bench.sent("SignedFirmwareStatusNotification")
        ]
        assert told == [(1, "Downloading"), (1, "DownloadPaused"), (2, "Downloading"), (2, "DownloadFailed")]
        assert len(yard.files.requests) == 2


@pytest.mark.req("R16-371")
async def test_the_extended_trigger_tells_the_last_signed_status_over_a_restart_too(yard: Yard) -> None:
    async def triggered(bench: Bench) -> dict[str, object]:
        answer = await bench.csms.call(
            "ExtendedTriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}
        )
        assert answer.payload == {"status": "Accepted"}
        await bench.run_for(seconds=1)
        return bench.sent("SignedFirmwareStatusNotification")[-1]

    async with yard.bench() as bench:
        await yard.online(bench)
        assert await triggered(bench) == {"status": "Idle"}
        await yard.order_signed(bench, yard.release(), 9, signature="")
        await bench.run_for(seconds=30)
    async with yard.bench() as bench:
        await yard.online(bench)
        assert await triggered(bench) == {"status": "InvalidSignature", "requestId": 9}


@pytest.mark.req("R16-370")
async def test_an_order_during_the_installation_is_rejected_and_disturbs_nothing(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.ended()
    yard.csms.always("BootNotification", status="Pending", interval=3600)
    async with yard.bench() as bench:
        await bench.until(lambda: yard.told(bench).count("boot") == 2)
        await bench.run_for(seconds=5)
        answer = await yard.order_signed(bench, yard.release("1.2"))
        assert answer.payload == {"status": "Rejected"}
        plain = await yard.order(bench, yard.files.serve(yard.release("1.2")))
        assert (plain.error, plain.payload) == (None, {}), "the plain message has no word for it (R16-304)"


@pytest.mark.req("R16-362")
@pytest.mark.parametrize(
    ("rule", "is_taken"),
    [("", True), ("require_signature = true", False), ("require_signature = false", True)],
)
async def test_where_signatures_are_required_the_plain_order_is_not_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, is_taken: bool
) -> None:
    async with Yard(tmp_path, monkeypatch, rule) as yard, yard.bench() as bench:
        await yard.online(bench)
        answer = await yard.order(bench, "http://127.0.0.1:9/x", retries=0)
        assert answer.error == (None if is_taken else "NotSupported")
        await bench.run_for(minutes=1)
        assert ("Downloading" in yard.told(bench)) is is_taken


async def test_without_an_installer_nothing_is_fetched_and_the_answer_says_so(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        answer = await bench.csms.call(
            "UpdateFirmware", {"location": "http://127.0.0.1:9/x", "retrieveDate": "2020-01-01T00:00:00Z"}
        )
        assert (answer.error, answer.description) == ("NotSupported", "no installer is configured")


async def test_a_file_that_got_lost_in_a_power_cut_is_fetched_again(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await charge(bench)
        await yard.order(bench, yard.files.serve(yard.release()))
        await bench.until(lambda: "Downloaded" in yard.told(bench))
    for file in (yard.state_dir / "firmware").iterdir():
        file.unlink()
    async with yard.bench() as bench:
        await bench.ended()
        assert [word for word in yard.told(bench)[3:] if word != "boot"] == [
            "Installing",
            "Downloading",
            "Downloaded",
            "Installing",
        ]
    assert os.readlink(yard.root / "current") == "releases/1.1"


@pytest.mark.req("TOLERATE-6")
async def test_a_scheme_that_nobody_knows_fails_at_once(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order(bench, "dummy://dummy", retries=5)
        await bench.run_for(seconds=30)
        assert yard.told(bench) == ["boot", "Downloading", "DownloadFailed"]
