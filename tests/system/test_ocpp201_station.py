"""A whole station that speaks 2.0.1, or chooses between versions, on virtual time with a scripted CSMS."""

from pathlib import Path

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms

BOTH = 'subprotocols = ["ocpp2.0.1", "ocpp1.6"]'
THRESHOLD = """[settings]
"OCPPCommCtrlr.OfflineThreshold" = 60
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 1
"OCPPCommCtrlr.RetryBackOffRandomRange" = 0
"OCPPCommCtrlr.RetryBackOffRepeatTimes" = 0
"""


def told(bench: Bench) -> list[str]:
    return [payload["connectorStatus"] for payload in bench.sent("StatusNotification")]


@pytest.mark.req("G01.FR.03", "G01.FR.04", "C01.FR.02")
async def test_a_driver_comes_is_asked_for_and_goes(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await bench.until(lambda: told(bench))
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("Authorize"))
        assert bench.sent("Authorize") == [{"idToken": {"idToken": "TAG1", "type": "ISO14443"}}]
        await bench.run_for(minutes=2)  # nobody plugs in: the authorization lapses
        bench.plug_in()
        await bench.run_for(seconds=5)
        bench.unplug()
        await bench.run_for(seconds=5)
        assert told(bench) == ["Available", "Occupied", "Available"]


@pytest.mark.req("G01.FR.02", "G01.FR.07", "B01.FR.07", "G04.FR.04", "G04.FR.05", "G04.FR.09", "B11.FR.02")
async def test_what_is_out_of_service_stays_so_over_a_restart(tmp_path: Path) -> None:
    out = {"operationalStatus": "Inoperative"}
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await bench.until(lambda: told(bench))
        for _ in range(2):
            assert (await bench.csms.call("ChangeAvailability", out)).payload == {"status": "Accepted"}
        await bench.run_for(seconds=5)
        assert told(bench) == ["Available", "Unavailable"]
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await bench.until(lambda: told(bench))
        assert told(bench) == ["Unavailable"]


@pytest.mark.req("B04.FR.01", "B04.FR.02")
@pytest.mark.parametrize(("offline_s", "again"), [(30, 0), (120, 1)])
async def test_statuses_are_told_again_after_a_long_time_offline(
    tmp_path: Path, offline_s: int, again: int
) -> None:
    async with Bench(tmp_path, THRESHOLD, version="ocpp2.0.1") as bench:
        await bench.until(lambda: told(bench))
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(seconds=offline_s)
        bench.csms.refuse_status = None
        await bench.csms.connected()
        await bench.run_for(seconds=5)
        assert len(told(bench)) == 1 + again
        assert len(bench.sent("BootNotification")) == 1


async def test_the_version_is_what_the_csms_chooses_of_those_offered_in_order(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms), csms_keys=BOTH) as bench:
        await bench.until(lambda: bench.sent("BootNotification"))
        assert csms.handshakes[0].headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1,ocpp1.6"
        assert "chargingStation" in bench.sent("BootNotification")[0]
        await bench.until(lambda: told(bench))
        csms.subprotocols = ("ocpp1.6",)
        csms.drop()
        await bench.until(lambda: len(bench.sent("BootNotification")) == 2)
        assert bench.sent("BootNotification")[1]["chargePointModel"] == "Wallbox 22"
        await bench.until(lambda: bench.sent("StatusNotification")[-1].get("connectorId") == 1)
        assert bench.agent.link.subprotocol == "ocpp1.6"


async def test_a_csms_of_another_version_is_left_alone_and_tried_again_slowly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Csms(subprotocols=("ocpp2.1",)) as csms,
        Bench(tmp_path, "", friendly(csms), csms_keys=BOTH) as bench,
    ):
        await bench.run_for(minutes=60)
        assert 5 < len(csms.handshakes) < 40
        assert bench.calls() == []
        (message,) = {
            record.getMessage() for record in caplog.records if "no connection" in record.getMessage()
        }
        assert "none of ocpp2.0.1, ocpp1.6" in message
        csms.subprotocols = ("ocpp2.0.1",)
        await bench.until(lambda: bench.sent("BootNotification"))


@pytest.mark.req("B01.FR.03", "B01.FR.09", "B11.FR.03", "B11.FR.04", "B12.FR.01", "TC_B_20_CS")
@pytest.mark.parametrize(
    ("kind", "is_charging", "status", "reason"),
    [
        ("Immediate", False, "Accepted", "RemoteReset"),
        ("Immediate", True, "Accepted", "RemoteReset"),
        ("OnIdle", False, "Accepted", "RemoteReset"),
        ("OnIdle", True, "Scheduled", "ScheduledReset"),
    ],
)
async def test_after_a_reset_the_station_says_why_it_boots_and_says_so_once(
    tmp_path: Path, kind: str, is_charging: bool, status: str, reason: str
) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await bench.until(lambda: told(bench))
        if is_charging:
            bench.plug_in()
            bench.tap("TAG1")
            await bench.until(lambda: bench.evse().transaction)
        assert (await bench.csms.call("Reset", {"type": kind})).payload["status"] == status
        if status == "Scheduled":
            await bench.run_for(minutes=5)
            assert not bench.has_ended
            bench.tap("TAG1")
        await bench.ended()
        assert bench.sent("BootNotification")[0]["reason"] == "PowerUp"
    for expected in (reason, "PowerUp"):
        async with Bench(tmp_path, version="ocpp2.0.1") as bench:
            await bench.until(lambda: bench.sent("BootNotification"))
            assert bench.sent("BootNotification")[0]["reason"] == expected


@pytest.mark.req("B02.FR.01", "B02.FR.02", "B02.FR.04", "B02.FR.05", "B02.FR.08", "F06.FR.17", "TC_B_02_CS")
async def test_a_csms_that_does_not_take_it_yet_may_configure_it_first(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        csms = bench.csms
        csms.never("BootNotification")
        (await csms.expect("BootNotification")).accept(status="Pending", interval=3600)
        await bench.run_for(seconds=1)
        threshold = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}}
        wanted = {"setVariableData": [threshold | {"attributeValue": "300"}]}
        written = (await csms.call("SetVariables", wanted)).payload
        assert written["setVariableResult"][0]["attributeStatus"] == "Accepted"
        got = (await csms.call("GetVariables", {"getVariableData": [threshold]})).payload
        assert got["getVariableResult"][0]["attributeValue"] == "300"
        csms.always("NotifyReport")
        report = {"requestId": 5, "reportBase": "FullInventory"}
        assert (await csms.call("GetBaseReport", report)).payload == {"status": "Accepted"}
        await bench.until(lambda: any(not each.get("tbc") for each in bench.sent("NotifyReport")))
        start = {"idToken": {"idToken": "TAG1", "type": "ISO14443"}, "evseId": 1, "remoteStartId": 1}
        assert (await csms.call("RequestStartTransaction", start)).payload["status"] == "Rejected"
        assert told(bench) == []
        trigger = {"requestedMessage": "BootNotification"}
        assert (await csms.call("TriggerMessage", trigger)).payload == {"status": "Accepted"}
        (await csms.expect("BootNotification")).accept(status="Accepted", interval=300)
        await bench.until(lambda: told(bench))
        assert [each["reason"] for each in bench.sent("BootNotification")] == ["PowerUp", "Triggered"]
