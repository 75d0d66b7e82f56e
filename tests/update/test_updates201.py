"""Firmware updates ordered by 2.0.1: one message for signed and unsigned ones, the id of the order in every status."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.update_yard import Yard
from tests.update.test_updates import charge

TWO = "[hal.sim]\nevses = 2\n"
OPEN = '[settings]\n"ChargingStation.AllowNewSessionsPendingFirmwareUpdate" = "true"\n'
UNSIGNED: dict[str, Any] = {"signingCertificate": None, "signature": None}
SIGNED = ["boot", "Downloading", "Downloaded", "SignatureVerified", "Installing"]


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    async with Yard(tmp_path, monkeypatch, version="ocpp2.0.1") as made:
        yield made


def statuses(bench: Bench, evse_id: int = 1) -> list[str]:
    told = bench.sent("StatusNotification")
    return [each["connectorStatus"] for each in told if each["evseId"] == evse_id]


def ids(bench: Bench) -> set[int]:
    return {each["requestId"] for each in bench.sent("FirmwareStatusNotification")}


@pytest.mark.req("L01.FR.01", "L01.FR.04", "L01.FR.05", "L01.FR.09", "L01.FR.10", "L01.FR.12", "L01.FR.28")
@pytest.mark.req("L01.FR.31", "L01.FR.32", "L01.FR.20", "TC_L_01_CS")
async def test_a_signed_update_is_verified_installed_and_told_with_its_id(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        assert await yard.order201(bench, yard.release(), 42) == {"status": "Accepted"}
        await bench.ended()
        assert statuses(bench) == ["Available", "Unavailable"]
    async with yard.bench() as bench:
        await bench.until(lambda: "Installed" in yard.told(bench))
        await bench.run_for(seconds=5)
        assert yard.told(bench) == [*SIGNED, "boot", "FirmwareUpdated", "Installed"]
        assert bench.sent("BootNotification")[-1]["reason"] == "FirmwareUpdate"
        assert statuses(bench)[-1] == "Available"
        assert ids(bench) == {42}


@pytest.mark.req("L02.FR.01", "L02.FR.02", "L02.FR.20", "L02.FR.21", "TC_L_18_CS")
async def test_an_unsigned_one_is_installed_where_signatures_are_not_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Yard(tmp_path / "free", monkeypatch, version="ocpp2.0.1") as yard:
        async with yard.bench() as bench:
            await yard.online(bench)
            assert await yard.order201(bench, yard.release(), **UNSIGNED) == {"status": "Accepted"}
            await bench.ended()
        async with yard.bench() as bench:
            await bench.until(lambda: "Installed" in yard.told(bench))
            assert "SignatureVerified" not in yard.told(bench)
    strict = "require_signature = true\n"
    async with (
        Yard(tmp_path / "strict", monkeypatch, strict, version="ocpp2.0.1") as yard,
        yard.bench() as bench,
    ):
        await yard.online(bench)
        assert (await yard.order201(bench, yard.release(), **UNSIGNED))["status"] == "Rejected"
        await bench.run_for(minutes=5)
        assert yard.told(bench) == ["boot"]


@pytest.mark.req("L01.FR.02", "L01.FR.21", "L01.FR.22", "TC_L_05_CS")
async def test_a_certificate_that_is_not_the_manufacturers_is_refused_with_its_event(yard: Yard) -> None:
    from tests.helpers.firmware import Manufacturer

    async with yard.bench() as bench:
        await yard.online(bench)
        stranger = Manufacturer().signer_text()
        answer = await yard.order201(bench, yard.release(), signingCertificate=stranger)
        assert answer["status"] == "InvalidCertificate"
        await bench.run_for(seconds=5)
        assert yard.told(bench) == ["boot", "InvalidFirmwareSigningCertificate"]


@pytest.mark.req("L01.FR.03", "L01.FR.04", "TC_L_06_CS")
async def test_a_wrong_signature_installs_nothing_and_is_an_event(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        other = yard.maker.sign(yard.release("1.2"))
        assert (await yard.order201(bench, yard.release(), signature=other))["status"] == "Accepted"
        await bench.until(lambda: "InvalidFirmwareSignature" in yard.told(bench))
        told = yard.told(bench)
        assert sorted(told[3:]) == ["InvalidFirmwareSignature", "InvalidSignature"]
        assert told[:3] == ["boot", "Downloading", "Downloaded"]


@pytest.mark.req("L01.FR.14", "L01.FR.30", "L02.FR.08", "L02.FR.19", "TC_L_07_CS")
async def test_a_download_that_fails_as_often_as_allowed_is_told(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        nowhere = "http://127.0.0.1:9/firmware"
        top = {"retries": 1, "retryInterval": 60}
        await yard.order201(bench, yard.release(), location=nowhere, top=top)
        await bench.until(lambda: "DownloadFailed" in yard.told(bench))
        loading = ["Downloading", "DownloadPaused", "Downloading", "DownloadFailed"]
        assert yard.told(bench) == ["boot", *loading]


@pytest.mark.req("F06.FR.04", "L01.FR.26", "TC_F_19_CS")
async def test_a_status_that_is_asked_for_is_that_of_the_download(yard: Yard) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await told.wait()
        writer.close()
        await writer.wait_closed()

    told = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1") as server, yard.bench() as bench:
        await yard.online(bench)
        port = server.sockets[0].getsockname()[1]
        await yard.order201(bench, yard.release(), location=f"http://127.0.0.1:{port}/firmware")
        await bench.until(lambda: "Downloading" in yard.told(bench))
        wanted = {"requestedMessage": "FirmwareStatusNotification"}
        assert (await bench.csms.call("TriggerMessage", wanted)).payload == {"status": "Accepted"}
        await bench.until(lambda: yard.told(bench) == ["boot", "Downloading", "Downloading"])
        told.set()
        await bench.until(lambda: yard.told(bench)[-1] == "DownloadFailed")


@pytest.mark.req("L01.FR.13", "L01.FR.16", "L02.FR.07", "L02.FR.10", "TC_L_02_CS", "TC_L_03_CS")
async def test_both_dates_are_waited_for_and_told(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        fetch, install = (yard.at(bench, timedelta(minutes=minutes)) for minutes in (10, 60))
        file = yard.release()
        await yard.order201(bench, file, retrieveDateTime=fetch, installDateTime=install)
        await bench.run_for(minutes=9)
        assert yard.told(bench) == ["boot", "DownloadScheduled"]
        await bench.run_for(minutes=45)
        waiting = ["DownloadScheduled", "Downloading", "Downloaded", "SignatureVerified", "InstallScheduled"]
        assert yard.told(bench) == ["boot", *waiting]
        await bench.ended()
        assert yard.told(bench)[-1] == "Installing"


@pytest.mark.req("L01.FR.29", "TC_L_08_CS")
@pytest.mark.parametrize("end", ["InstallVerificationFailed", "InstallationFailed"])
async def test_an_image_that_is_not_what_it_says_is_not_installed(
    yard: Yard, tmp_path: Path, end: str
) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"no release at all")
    if end == "InstallVerificationFailed":
        broken = yard.release(files={"agent/app.py": "raise RuntimeError('broken')"})
    async with yard.bench() as bench:
        await yard.online(bench)
        await yard.order201(bench, broken)
        await bench.until(lambda: yard.told(bench)[-1] == end)
        await bench.run_for(seconds=5)
        assert statuses(bench)[-1] == "Available"


@pytest.mark.req("L01.FR.24", "L02.FR.15", "TC_L_10_CS")
async def test_a_newer_order_takes_the_place_of_one_that_has_not_been_installed(yard: Yard) -> None:
    async with yard.bench() as bench:
        await yard.online(bench)
        later = yard.at(bench, timedelta(hours=1))
        assert (await yard.order201(bench, yard.release(), 1, installDateTime=later))["status"] == "Accepted"
        await bench.until(lambda: "InstallScheduled" in yard.told(bench))
        answer = await yard.order201(bench, yard.release(), 2)
        assert answer["status"] == "AcceptedCanceled"
        await bench.ended()
        last = bench.sent("FirmwareStatusNotification")[-1]
        assert last == {"status": "Installing", "requestId": 2}


@pytest.mark.req("FR.05", "L01.FR.23", "L01.FR.27", "L02.FR.18")
async def test_while_it_installs_another_order_is_rejected_and_the_first_goes_on(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.update.slots import SlotInstaller

    stage, may_go_on = SlotInstaller.stage, asyncio.Event()

    async def slow(slots: SlotInstaller, file: Path) -> str:
        await may_go_on.wait()
        return await stage(slots, file)

    monkeypatch.setattr(SlotInstaller, "stage", slow)
    async with yard.bench() as bench:
        await yard.online(bench)
        before = len(bench.csms.received)
        assert (await yard.order201(bench, yard.release(), 1))["status"] == "Accepted"
        frames = [json.loads(text) for _, text in bench.csms.received[before:]]
        assert next(frame[0] for frame in frames if frame[0] == 3 or "Firmware" in frame[2]) == 3
        await bench.until(lambda: "Installing" in yard.told(bench))
        refused = await yard.order201(bench, yard.release("1.2"), 2)
        assert refused["status"] == "Rejected"
        may_go_on.set()
        await bench.ended()
        assert ids(bench) == {1}


@pytest.mark.req("L01.FR.06", "L01.FR.07", "L01.FR.33", "L02.FR.03", "L02.FR.04", "L02.FR.22")
@pytest.mark.req("L01.FR.34", "L02.FR.23", "TC_L_14_CS", "TC_L_15_CS")
@pytest.mark.parametrize("is_open", [False, True])
async def test_a_transaction_is_waited_for_and_others_begin_only_if_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    extra = TWO + (OPEN if is_open else "")
    async with Yard(tmp_path, monkeypatch, extra, "ocpp2.0.1") as yard, yard.bench() as bench:
        await yard.online(bench)
        await charge(bench)
        await yard.order201(bench, yard.release())
        await bench.run_for(minutes=30)
        assert yard.told(bench)[-2:] == ["SignatureVerified", "InstallScheduled"]
        assert statuses(bench, 2) == (["Available"] if is_open else ["Available", "Unavailable"])
        bench.plug_in(2)
        bench.tap("TAG2", 2)
        await bench.run_for(seconds=30)
        assert (bench.evse(2).transaction is not None) is is_open
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=30)
        if is_open:
            assert not bench.has_ended
            bench.tap("TAG2", 2)
        await bench.ended()
        assert yard.told(bench)[-1] == "Installing"
