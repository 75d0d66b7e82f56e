"""/api/v1: status, facts, messages, link and DataTransfer as docs/local-api.md says."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from agent.charging.certificates import CertificateHash
from agent.charging.ids import HashAlgorithm, IdToken, Reservation
from agent.charging.requests import TransferData
from agent.charging.snapshot import LimitInForce, LimitSource
from agent.cli_output import status_text
from agent.errors import CallRejected, CallTimeout, LinkClosed, LocalProtocolError
from agent.web.server import LocalApi
from tests.helpers.snapshots import FAULTY, charging, evse, station
from tests.web.conftest import WebBench, read_events


async def test_status_shows_the_station_and_each_evse(bench: WebBench) -> None:
    reading = bench.world.meter_reading(1)
    bench.station.picture = station(
        charging(1, faults=(FAULTY,), reading=reading), evse(2, is_operative=False)
    )
    code, status = await bench.ask("GET", "/api/v1/status")
    assert code == 200
    assert status["station"]["identity"] == "CP001"
    assert status["link"] == {"is_connected": True, "url": "ws://127.0.0.1:9000/ocpp/CP001"}
    assert (status["registration"], status["subprotocol"], status["outbox_depth"]) == (
        "Accepted",
        "ocpp1.6",
        3,
    )
    first, second = status["evses"]
    assert (first["pilot"], first["contactor"], first["offered_current_a"]) == ("C", "closed", 16.0)
    assert first["faults"][0]["code"] == "rcd_dc"
    assert first["transaction"]["transaction_id"] == "t-1"
    assert first["transaction"]["reference"] == "42"
    assert (second["is_operative"], second["transaction"], second["meter"]) == (False, None, None)


async def test_status_shows_what_limits_an_evse(bench: WebBench) -> None:
    limit = LimitInForce(10.0, LimitSource.TX_DEFAULT, 5)
    bench.station.picture = station(charging(1, limit=limit), evse(2))
    _code, status = await bench.ask("GET", "/api/v1/status")
    first, second = status["evses"]
    assert first["limit"] == {"current_a": 10.0, "source": "TxDefaultProfile", "profile_id": 5}
    assert second["limit"] is None
    lines = status_text(status).splitlines()
    assert "EVSE 1 limit: 10.0 A by TxDefaultProfile 5" in lines
    assert not [line for line in lines if line.startswith("EVSE 2 limit")]


async def test_status_shows_what_is_reserved_and_the_version_of_the_list(bench: WebBench) -> None:
    until = datetime(2026, 1, 1, 12, tzinfo=UTC)
    bench.station.picture = station(
        evse(1, connectors=2, reserved_connectors=frozenset({2, 1})),
        reservations=(Reservation(17, IdToken("TAG1"), IdToken("FAMILY"), until, 1),),
        local_list_version=None,
    )
    _code, status = await bench.ask("GET", "/api/v1/status")
    assert status["evses"][0]["reserved_connectors"] == [1, 2]
    assert status["local_list_version"] is None
    assert status["reservations"] == [
        {
            "reservation_id": 17,
            "id_token": "TAG1",
            "group": "FAMILY",
            "expires_at": "2026-01-01T12:00:00Z",
            "evse_id": 1,
            "connector_id": None,
        }
    ]


async def test_the_meter_is_shown_with_its_age_and_quality(bench: WebBench) -> None:
    bench.station.picture = station(charging(1, reading=bench.world.meter_reading(1)))
    await asyncio.sleep(7)
    _code, status = await bench.ask("GET", "/api/v1/status")
    assert status["evses"][0]["meter"]["age_s"] == pytest.approx(7, abs=0.1)
    assert status["evses"][0]["meter"]["quality"] == "ok"


async def test_energy_so_far_is_register_minus_start_and_never_negative(bench: WebBench) -> None:
    reading = bench.world.meter_reading(1)
    bench.station.picture = station(charging(1, reading=reading))  # starts at 1000 Wh, the register is at 0
    _code, status = await bench.ask("GET", "/api/v1/status")
    assert status["evses"][0]["transaction"]["energy_wh"] == 0.0


async def test_messages_are_shown_parsed_and_without_secrets(bench: WebBench) -> None:
    bench.journal.record("out", '[2,"1","Heartbeat",{}]')
    bench.journal.record("in", '[2,"2","ChangeConfiguration",{"key":"AuthorizationKey","value":"abcd"}]')
    code, answer = await bench.ask("GET", "/api/v1/messages")
    assert code == 200
    assert [(entry["direction"], entry["type"], entry["action"]) for entry in answer["messages"]] == [
        ("out", "call", "Heartbeat"),
        ("in", "call", "ChangeConfiguration"),
    ]
    assert answer["messages"][1]["payload"]["value"] == "***"
    _code, answer = await bench.ask("GET", "/api/v1/messages?action=heartbeat&limit=5&after=0")
    assert [entry["number"] for entry in answer["messages"]] == [1]


@pytest.mark.parametrize("query", ["limit=x", "after=-1", "limit="])
async def test_a_query_that_is_no_number_names_its_field(bench: WebBench, query: str) -> None:
    code, answer = await bench.ask("GET", f"/api/v1/messages?{query}")
    assert (code, answer["field"]) == (400, query.split("=")[0])


async def test_messages_can_be_followed(bench: WebBench) -> None:
    bench.journal.record("out", '[2,"1","Heartbeat",{}]')
    async with bench.http.get("http://localhost/api/v1/messages?follow=true&action=Heartbeat") as response:
        await response.content.readline()
        bench.journal.record("out", '[2,"2","MeterValues",{}]')
        bench.journal.record("in", '[3,"1",{}]')
        bench.journal.record("out", '[2,"3","Heartbeat",{}]')
        events = await read_events(response, 3)
    assert [entry["number"] for _name, entry in events] == [1, 3, 4]


async def test_the_link_is_commanded_and_answers_at_once(bench: WebBench) -> None:
    assert await bench.ask("POST", "/api/v1/link", {"command": "disconnect"}) == (
        200,
        {"command": "disconnect"},
    )
    assert not bench.csms.is_connected
    assert await bench.ask("POST", "/api/v1/link", {"command": "connect"}) == (200, {"command": "connect"})
    assert bench.csms.is_connected
    code, answer = await bench.ask("POST", "/api/v1/link", {"command": "reboot"})
    assert (code, answer["field"]) == (400, "command")


async def test_a_vendor_message_goes_to_the_csms_and_its_answer_comes_back(bench: WebBench) -> None:
    body = {"vendor_id": "com.example", "message_id": "Hello", "data": {"a": [1]}}
    code, answer = await bench.ask("POST", "/api/v1/data-transfer", body)
    assert (code, answer) == (200, {"status": "Accepted", "data": {"thanks": True}, "reason": ""})
    assert bench.csms.sent == [("com.example", "Hello", {"a": [1]})]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (LinkClosed("not connected"), 503),
        (CallTimeout("30 s"), 504),
        (CallRejected("NotSupported", "no"), 502),
    ],
)
async def test_a_vendor_message_that_cannot_be_delivered_is_an_error(
    bench: WebBench, failure: Exception, code: int
) -> None:
    bench.csms.failure = failure
    answered, answer = await bench.ask("POST", "/api/v1/data-transfer", {"vendor_id": "com.example"})
    assert answered == code
    assert str(failure) in answer["error"]


STATUS_OF = {
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa",
    "issuer_key_hash": "bb",
    "serial_number": "cc",
    "responder_url": "http://ocsp.example",
}


@pytest.mark.req("M06.FR.06")
async def test_the_status_of_a_certificate_is_asked_for_by_way_of_the_csms(bench: WebBench) -> None:
    code, answer = await bench.ask("POST", "/api/v1/certificate-status", STATUS_OF)
    assert (code, answer) == (200, {"status": "Accepted", "ocsp": "MIIB"})
    assert bench.csms.statuses == [
        (CertificateHash(HashAlgorithm.SHA256, "aa", "bb", "cc"), "http://ocsp.example")
    ]
    bench.csms.status = None
    code, answer = await bench.ask("POST", "/api/v1/certificate-status", STATUS_OF)
    assert (code, answer) == (200, {"status": "Failed", "ocsp": None})
    bench.csms.failure = LocalProtocolError("no message")
    code, answer = await bench.ask("POST", "/api/v1/certificate-status", STATUS_OF)
    assert (code, answer["error"]) == (501, "no message")
    code, answer = await bench.ask("POST", "/api/v1/certificate-status", {**STATUS_OF, "serial_number": ""})
    assert (code, answer["field"]) == (400, "serial_number")


async def test_a_vendor_command_can_be_tried_on_the_station_itself(bench: WebBench) -> None:
    body = {"vendor_id": "com.example", "message_id": "Fan", "data": True, "to": "station"}
    code, answer = await bench.ask("POST", "/api/v1/data-transfer", body)
    assert (code, answer) == (200, {"status": "Rejected", "data": {"result": "busy"}, "reason": "try later"})
    assert bench.station.asked == [TransferData("com.example", "Fan", True, source="local")]
    bench.station.crashes = True
    code, answer = await bench.ask("POST", "/api/v1/data-transfer", body)
    assert (code, answer["error"]) == (500, "vendor handler failed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "vendor_id"),
        ({"vendor_id": ""}, "vendor_id"),
        ({"vendor_id": "x" * 256}, "vendor_id"),
        ({"vendor_id": "x", "message_id": "y" * 51}, "message_id"),
        ({"vendor_id": "x", "to": "moon"}, "to"),
        ({"vendor_id": "x", "vendorId": "x"}, "vendorId"),
        ([], None),
    ],
)
async def test_a_wrong_body_names_its_field(bench: WebBench, body: object, field: str | None) -> None:
    code, answer = await bench.ask("POST", "/api/v1/data-transfer", body)
    assert (code, answer["field"]) == (400, field)
    assert answer["error"]


# --- diagnostics -------------------------------------------------------------------------------------------


async def test_diagnostics_are_handed_over_and_leave_nothing_behind(bench: WebBench) -> None:
    url = "http://localhost/api/v1/diagnostics?oldest=2026-01-01T00:00:00&latest=2026-01-01T01:00:00%2B01:00"
    async with bench.http.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Disposition"] == 'attachment; filename="CP001_diagnostics.tar.gz"'
        assert await response.read() == bench.archive
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    assert bench.periods == [(midnight, midnight)]
    assert [path.name for path in bench.socket_path.parent.iterdir()] == ["api.sock"]


async def test_a_wrong_time_is_named(bench: WebBench) -> None:
    code, answer = await bench.ask("GET", "/api/v1/diagnostics?latest=yesterday")
    assert (code, answer["field"]) == (400, "latest")


async def test_a_full_disk_is_told(bench: WebBench) -> None:
    bench.disk_failure = OSError("No space left on device")
    code, answer = await bench.ask("GET", "/api/v1/diagnostics")
    assert code == 500
    assert "No space left" in answer["error"]


async def test_the_doctor_gets_the_report_of_the_agent_about_itself(bench: WebBench) -> None:
    assert (await bench.ask("GET", "/api/v1/doctor"))[0] == 404

    async def report() -> dict[str, Any]:
        return {"store_problem": "", "meters": []}

    api = LocalApi(bench.ports(self_report=report), bench.socket_path.with_name("other.sock"))
    await api.start()
    connector = aiohttp.UnixConnector(str(bench.socket_path.with_name("other.sock")))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://localhost/api/v1/doctor") as response,
    ):
        assert (response.status, await response.json()) == (200, {"store_problem": "", "meters": []})
    await api.close()
