"""Signed meter values of a certified meter, from the meter to the CSMS, in the whole station on virtual time.

Rules: OCA application note "Signed Meter Values in OCPP" 1.0, chapter 3 and appendix 5.1."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from hal.errors import DeviceTimeout
from hal.ports import SigningMoment
from tests.helpers.bench import Bench
from tests.helpers.ocmf import verified

SIGNING = "[hal.sim]\nsigns_readings = true\nmeter_start_wh = 5000\n"
REGISTER = "Energy.Active.Import.Register"


def signed_of(meter_values: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(context, content of `value`) of every signed value, in order."""
    return [
        (value["context"], json.loads(value["value"]))
        for meter_value in meter_values
        for value in meter_value["sampledValue"]
        if value.get("format") == "SignedData"
    ]


def register_kwh(content: dict[str, Any], key: str) -> float:
    """What the record says, once its signature holds."""
    payload = verified(b64decode(content["signedMeterData"]).decode(), key)
    return float(payload["RD"][0]["RV"])


async def configured(bench: Bench, **values: str) -> None:
    await bench.until(lambda: bench.sent("StatusNotification"))
    for key, value in values.items():
        answer = await bench.csms.call("ChangeConfiguration", {"key": key, "value": value})
        assert answer.payload == {"status": "Accepted"}, key


async def one_transaction(bench: Bench, minutes: float = 5) -> dict[str, Any]:
    bench.plug_in()
    bench.tap("TAG1")
    await bench.until(lambda: "Charging" in bench.statuses(1))
    await bench.run_for(minutes=minutes)
    bench.tap("TAG1")
    await bench.until(lambda: bench.sent("StopTransaction"))
    return bench.sent("StopTransaction")[0]


def printed_key(bench: Bench) -> str:
    signer = bench.agent.opened.hardware.evses[1].signer
    assert signer is not None
    return signer.public_key


@pytest.mark.req("R16-168")
async def test_begin_and_end_are_signed_in_the_stop(tmp_path: Path) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(bench, StopTxnSampledData=REGISTER)
        stop = await one_transaction(bench)
        signed = signed_of(stop["transactionData"])
        assert [context for context, _ in signed] == ["Transaction.Begin", "Transaction.End"]
        key = printed_key(bench)
        begin, end = (register_kwh(content, key) for _, content in signed)
        assert begin == 5.0
        assert end == pytest.approx(stop["meterStop"] / 1000, abs=0.001)
        payload = verified(b64decode(signed[0][1]["signedMeterData"]).decode(), key)
        assert payload["ID"] == "TAG1"
        assert [content["encodingMethod"] for _, content in signed] == ["OCMF", "OCMF"]


async def test_the_key_is_sent_once_per_transaction_and_readable_at_any_time(tmp_path: Path) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(bench, StopTxnSampledData=REGISTER)
        stop = await one_transaction(bench)
        keys = [content["publicKey"] for _, content in signed_of(stop["transactionData"])]
        assert b64decode(keys[0]).decode() == f"oca:base16:asn1:{printed_key(bench)}"
        assert keys[1] == ""
        answer = await bench.csms.call("GetConfiguration", {"key": ["MeterPublicKey1"]})
        assert answer.payload["configurationKey"] == [
            {"key": "MeterPublicKey1", "readonly": True, "value": keys[0]}
        ]


@pytest.mark.parametrize(("policy", "sent"), [("Never", [False, False]), ("EveryMeterValue", [True, True])])
async def test_when_the_key_is_sent_is_configured(tmp_path: Path, policy: str, sent: list[bool]) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(bench, StopTxnSampledData=REGISTER, PublicKeyWithSignedMeterValue=policy)
        stop = await one_transaction(bench)
        assert [bool(content["publicKey"]) for _, content in signed_of(stop["transactionData"])] == sent


async def test_the_start_is_told_signed_right_after_the_start(tmp_path: Path) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(
            bench,
            StartTxnSampledData=REGISTER,
            SampledDataSignStartedReadings="true",
            StopTxnSampledData=REGISTER,
        )
        stop = await one_transaction(bench)
        actions = [action for action, _ in bench.calls()]
        assert actions[actions.index("StartTransaction") + 1 :].index("MeterValues") >= 0
        told = bench.sent("MeterValues")[0]
        assert told["transactionId"] == stop["transactionId"]
        [(context, content)] = signed_of(told["meterValue"])
        assert context == "Transaction.Begin"
        in_stop = signed_of(stop["transactionData"])[0][1]
        assert content["signedMeterData"] == in_stop["signedMeterData"]


async def test_readings_in_between_are_signed_only_when_asked_for(tmp_path: Path) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(bench, MeterValueSampleInterval="60", ClockAlignedDataInterval="900")
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: len(bench.sent("MeterValues")) >= 2)
        assert all(not signed_of(sent["meterValue"]) for sent in bench.sent("MeterValues"))
        await configured(bench, SampledDataSignUpdatedReadings="true")
        count = len(bench.sent("MeterValues"))
        await bench.run_for(minutes=31)
        later = bench.sent("MeterValues")[count:]
        told = {each["meterValue"][-1]["sampledValue"][0]["context"] for each in later}
        assert told == {"Sample.Periodic", "Sample.Clock"}
        signed = [found for each in later for found in signed_of(each["meterValue"])]
        assert {context for context, _ in signed} == {"Sample.Periodic"}
        content = signed[-1][1]
        assert register_kwh(content, printed_key(bench)) >= 5.0


async def test_a_meter_that_does_not_sign_costs_no_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(bench, StopTxnSampledData=REGISTER)
        signer = bench.agent.opened.hardware.evses[1].signer

        async def silent(*_: object) -> None:
            raise DeviceTimeout("no answer")

        signer.sign = silent  # type: ignore[union-attr, method-assign, assignment]
        stop = await one_transaction(bench)
        assert signed_of(stop["transactionData"]) == []
        contexts = [value["context"] for each in stop["transactionData"] for value in each["sampledValue"]]
        assert contexts == ["Transaction.Begin", "Transaction.End"]


async def test_a_meter_that_hangs_while_signing_is_waited_for_once_per_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(
            bench,
            SampledDataSignReadings="true",
            StartTxnSampledData=REGISTER,
            SampledDataSignStartedReadings="true",
            StopTxnSampledData=REGISTER,
        )
        signer = bench.agent.opened.hardware.evses[1].signer
        moments: list[SigningMoment] = []

        async def hang(_signer: object, moment: SigningMoment, _id_token: str) -> None:
            moments.append(moment)
            await asyncio.sleep(1000)

        monkeypatch.setattr(type(signer), "sign", hang)
        stop = await one_transaction(bench)
        assert moments == [SigningMoment.BEGIN, SigningMoment.END]
        assert signed_of(stop["transactionData"]) == []


async def test_without_a_signing_meter_the_settings_are_not_there(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        keys = ["SampledDataSignReadings", "PublicKeyWithSignedMeterValue", "MeterPublicKey1"]
        answer = await bench.csms.call("GetConfiguration", {"key": keys})
        assert answer.payload["unknownKey"] == keys


async def test_signed_values_survive_a_power_cut(tmp_path: Path) -> None:
    async with Bench(tmp_path, SIGNING) as bench:
        await configured(bench, StopTxnSampledData=REGISTER)
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: "Charging" in bench.statuses(1))
        await bench.run_for(minutes=2)
        key = printed_key(bench)
    async with Bench(tmp_path, SIGNING) as bench:
        await bench.until(lambda: bench.sent("StopTransaction"))
        stop = bench.sent("StopTransaction")[0]
        assert stop["reason"] == "PowerLoss"
        [(context, content)] = signed_of(stop["transactionData"])
        assert context == "Transaction.Begin"
        assert register_kwh(content, key) == 5.0
