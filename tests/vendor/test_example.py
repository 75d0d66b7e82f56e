"""The worked example does what its documentation says."""

import pytest

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.config import parse
from agent.errors import LinkClosed
from agent.vendor.loading import build_registry
from agent.vendor.registry import VendorRegistry
from tests.helpers.snapshots import evse, plugged, station
from tests.test_config import SMALLEST
from tests.vendor.conftest import ActionBench


class Csms:
    """Where outgoing vendor messages end."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str | None, object]] = []
        self.is_online = True

    async def send(self, vendor_id: str, message_id: str | None, content: object) -> TransferResult:
        if not self.is_online:
            raise LinkClosed("offline")
        self.got.append((vendor_id, message_id, content))
        return TransferResult(TransferStatus.ACCEPTED)


def build(bench: ActionBench, csms: Csms | None = None) -> VendorRegistry:
    config = parse(SMALLEST + '[vendor]\nenabled = ["example"]\n')
    return build_registry(config, bench.actions, lambda: bench.station, (csms or Csms()).send)


def call(message_id: str, data: object = None) -> TransferData:
    return TransferData("org.example.evse", message_id, data)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (None, ("show", "fast", 10.0)),
        ('{"seconds": 3}', ("show", "fast", 3.0)),
        ({"evse": 1}, ("show", "fast", 10.0)),
    ],
)
async def test_identify_blinks_the_indicator(bench: ActionBench, data: object, shown: object) -> None:
    assert (await build(bench).execute(call("Identify", data))).status is TransferStatus.ACCEPTED
    assert bench.device.done == [shown]


@pytest.mark.parametrize(
    "data", ['{"seconds": "long"}', '{"colour": "red"}', '{"seconds": 301}', '{"evse": 9}', "x"]
)
async def test_identify_refuses_what_it_does_not_understand(bench: ActionBench, data: object) -> None:
    result = await build(bench).execute(call("Identify", data))
    assert result.status is TransferStatus.REJECTED
    assert bench.device.done == []


async def test_read_meter_gives_a_fresh_reading(bench: ActionBench) -> None:
    result = await build(bench).execute(call("ReadMeter"))
    assert result.data == {"energy_import_wh": 1234.0, "power_w": 11_000.0}
    assert bench.meter.done == [("meter",)]


async def test_read_meter_says_when_there_is_none_to_be_had(bench: ActionBench) -> None:
    bench.meter.silent = True
    result = await build(bench).execute(call("ReadMeter"))
    assert (result.status, result.data) == (
        TransferStatus.REJECTED,
        {"result": "timeout", "detail": "nothing came back within 3 s"},
    )


async def test_call_home_sends_a_message_of_its_own(bench: ActionBench) -> None:
    csms = Csms()
    bench.station = station(evse(1), plugged(2))
    result = await build(bench, csms).execute(call("CallHome"))
    assert result.data == {"status": "Accepted"}
    assert csms.got == [("org.example.evse", "HereIAm", {"plugged": [2]})]


async def test_call_home_offline_is_an_error_of_that_message_only(bench: ActionBench) -> None:
    csms = Csms()
    csms.is_online = False
    registry = build(bench, csms)
    with pytest.raises(RuntimeError, match="vendor handler failed"):
        await registry.execute(call("CallHome"))
    assert (await registry.execute(call("ReadMeter"))).status is TransferStatus.ACCEPTED
