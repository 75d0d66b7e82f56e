"""What operators complain about in charge points, on the whole station: each of these must not happen here.

Every message is checked against the official schemas that the package `ocpp` ships. Complaints that other tests
show carry their mark there.
"""

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import ocpp.v16
import pytest

from agent.ocpp.link import LinkConfig, connection_url
from tests.helpers.bench import Bench

SCHEMAS = Path(ocpp.v16.__file__).parent / "schemas"
EVERYTHING = ",".join(
    (
        "Energy.Active.Import.Register",
        "Energy.Active.Import.Interval",
        "Energy.Active.Export.Register",
        "Power.Active.Import",
        "Power.Active.Export",
        "Power.Offered",
        "Power.Factor",
        "Current.Import",
        "Current.Export",
        "Current.Offered",
        "Voltage",
        "Frequency",
        "Temperature",
    )
)
BUSY = """
[hal.sim]
evses = 2
[settings]
MeterValueSampleInterval = 60
ClockAlignedDataInterval = 300
StopTxnSampledData = "Voltage"
StopTxnAlignedData = "Power.Active.Import"
"""
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def charge(bench: Bench, id_token: str, evse_id: int) -> None:
    bench.plug_in(evse_id)
    bench.tap(id_token, evse_id)
    await bench.run_for(seconds=20)
    assert bench.evse(evse_id).transaction is not None


async def an_eventful_day(bench: Bench) -> None:
    """A bit of everything that makes a station talk."""
    await online(bench)
    for key in ("MeterValuesSampledData", "MeterValuesAlignedData"):
        await _measure_what_is_there(bench, key)
    await charge(bench, "TAG1", 1)
    await bench.run_for(minutes=12)
    for message in ("MeterValues", "StatusNotification", "Heartbeat", "BootNotification"):
        await bench.csms.call("TriggerMessage", {"requestedMessage": message})
        await bench.run_for(seconds=5)
    bench.world.set_fault(1, "temp_warn")
    await bench.run_for(seconds=30)
    bench.world.set_fault(2, "emergency_stop")
    await bench.run_for(seconds=30)
    bench.tap("TAG1", 1)
    await bench.run_for(seconds=30)
    bench.unplug(1)
    await bench.csms.call("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})
    await bench.run_for(minutes=30)


async def _measure_what_is_there(bench: Bench, key: str) -> None:
    """As a CSMS does that tries each measurand alone, and then all that were accepted."""
    accepted = []
    for name in EVERYTHING.split(","):
        answer = await bench.csms.call("ChangeConfiguration", {"key": key, "value": name})
        if answer.payload["status"] == "Accepted":
            accepted.append(name)
    answer = await bench.csms.call("ChangeConfiguration", {"key": key, "value": ",".join(accepted)})
    assert answer.payload["status"] == "Accepted"
    assert len(accepted) >= 8


def validate(action: str, payload: dict[str, Any]) -> None:
    schema = json.loads((SCHEMAS / f"{action}.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema).validate(payload)


@pytest.mark.req("R16-015", "R16-030", "R16-032", "R16-033", "R16-036", "R16-162")
@pytest.mark.req("FIELD-16", "FIELD-22", "FIELD-29", "FIELD-30", "FIELD-35", "FIELD-36", "FIELD-49")
async def test_every_message_is_what_the_official_schemas_say(tmp_path: Path) -> None:
    async with Bench(tmp_path, BUSY) as bench:
        await an_eventful_day(bench)
        seen = Counter(name for name, _ in bench.calls())
        assert {
            "BootNotification",
            "StatusNotification",
            "StartTransaction",
            "StopTransaction",
            "MeterValues",
        } <= set(seen)
        for _, text in bench.csms.received:
            assert text.isascii()
            frame = json.loads(text)
            if frame[0] != 2:
                continue
            validate(frame[2], frame[3])
        for text in _texts(bench.calls(), "timestamp"):
            assert UTC_TIME.fullmatch(text), text
        assert not {"Celcius", "Hertz", "Hz"} & set(_texts(bench.calls(), "unit"))
        assert "" not in _texts(bench.calls(), None)


def _texts(value: Any, name: str | None) -> list[str]:
    """Every text under a field of that name (None: of any), however deep."""
    found: list[str] = []
    match value:
        case dict():
            for key, entry in value.items():
                if isinstance(entry, str) and name in (None, key):
                    found.append(entry)
                else:
                    found += _texts(entry, name)
        case list() | tuple():
            for entry in value:
                found += _texts(entry, name)
    return found


@pytest.mark.req("FIELD-37", "FIELD-38", "R16-152", "R16-153")
async def test_a_transaction_id_is_only_in_the_values_of_its_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, BUSY) as bench:
        await an_eventful_day(bench)
        state: dict[int, int | None] = {0: None, 1: None, 2: None}
        for name, payload in bench.calls():
            if name == "StartTransaction":
                state[payload["connectorId"]] = 1
            elif name == "StopTransaction":
                state[1] = None
            elif name == "MeterValues":
                assert payload.get("transactionId") == state[payload["connectorId"]]


@pytest.mark.req("FIELD-2", "R16-001")
async def test_the_upgrade_is_complete(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        headers = {name.lower(): text for name, text in bench.csms.handshakes[0].headers.items()}
        assert headers["connection"].lower() == "upgrade"
        assert headers["upgrade"].lower() == "websocket"
        assert headers["sec-websocket-version"] == "13"
        assert headers["sec-websocket-key"]
        assert headers["host"] == f"127.0.0.1:{bench.csms.port}"


@pytest.mark.req("FIELD-6")
def test_a_long_url_is_not_cut() -> None:
    path = "/".join(["segment"] * 250)
    config = LinkConfig(url=f"wss://csms.example/{path}", identity="CP001", subprotocols=("ocpp1.6",))
    assert connection_url(config) == f"wss://csms.example/{path}/CP001"


@pytest.mark.req("FIELD-14", "FIELD-52")
async def test_an_idle_station_is_alive_on_the_wire_and_says_nothing_else(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        before = len(bench.calls())
        await bench.run_for(minutes=60)
        times = bench.csms.ping_times
        assert all(later - earlier < 60 for earlier, later in itertools.pairwise(times))
        assert len(times) >= 60
        assert {name for name, _ in bench.calls()[before:]} == {"Heartbeat"}


@pytest.mark.req("FIELD-17", "FIELD-60", "R16-016", "R16-139")
async def test_a_message_that_is_sent_again_has_a_new_id_and_is_given_up_in_the_end(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nTransactionMessageRetryInterval = 10") as bench:
        await online(bench)
        bench.csms._granted.pop("StartTransaction")
        bench.plug_in()
        bench.tap("TAG1")
        calls = []
        for _ in range(3):
            calls.append(await bench.csms.expect("StartTransaction"))
            calls[-1].error("InternalError", "no")
        assert len({call.message_id for call in calls}) == 3
        assert calls[0].payload == calls[2].payload
        await bench.run_for(minutes=60)
        assert len(bench.sent("StartTransaction")) == 3


@pytest.mark.req("FIELD-65", "R16-181", "R16-123", "TC_012_CS")
async def test_a_remote_stop_stops_and_the_next_start_gives_power(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench, "TAG1", 1)
        for number in (1, 2, 3):
            answer = await bench.csms.call("RemoteStopTransaction", {"transactionId": number})
            assert answer.payload == {"status": "Accepted"}
            await bench.run_for(seconds=15)
            assert bench.sent("StopTransaction")[-1]["reason"] == "Remote"
            assert bench.statuses(1)[-1] == "Finishing"
            answer = await bench.csms.call("RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1})
            assert answer.payload == {"status": "Accepted"}
            await bench.run_for(seconds=20)
            assert bench.statuses(1)[-1] == "Charging"
        assert len(bench.csms.handshakes) == 1


@pytest.mark.req("R16-039", "R16-038", "FIELD-63")
async def test_a_card_is_told_as_it_was_read(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        for uid in ("04A1B2C3D4E5F6", "not hex at all", "0"):
            bench.tap(uid)
            await bench.run_for(seconds=10)
            assert bench.sent("Authorize")[-1] == {"idTag": uid}
            bench.tap(uid)
            await bench.run_for(seconds=5)


@pytest.mark.req("R16-073", "R16-062")
async def test_the_station_makes_a_connector_unavailable_by_itself_while_its_evse_is_taken(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, "[hal.sim]\nconnectors_per_evse = 2") as bench:
        await online(bench)
        bench.plug_in(1, connector_id=1)
        await bench.run_for(seconds=5)
        assert bench.statuses(2) == ["Available", "Unavailable"]
        assert bench.statuses(0) == ["Available"]
        bench.unplug(1)
        await bench.run_for(seconds=5)
        assert bench.statuses(2) == ["Available", "Unavailable", "Available"]
