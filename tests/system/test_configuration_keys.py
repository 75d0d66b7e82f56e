"""All 52 configuration keys of OCPP 1.6 on the whole station: access, good and bad values, effect, persistence."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.core_keys16 import CORE_KEYS

REGISTER = "Energy.Active.Import.Register"


@dataclass(frozen=True)
class Key:
    access: str
    good: tuple[tuple[str, str], ...] = ()
    """(as sent, as shown afterwards)."""
    bad: tuple[str, ...] = ()


def whole(*bad: str) -> Key:
    """A whole number that may be 0."""
    return Key("RW", (("17", "17"), ("0", "0")), ("-1", "1.5", "", "many", "99999999999", *bad))


FLAG = Key("RW", (("TRUE", "true"), ("false", "false")), ("1", "yes", ""))
MEASURANDS = Key(
    "RW",
    (
        ("voltage.l1, Power.Active.Import", "Voltage.L1,Power.Active.Import"),
        ("Current.Import", "Current.Import"),
        ("", ""),
        (REGISTER, REGISTER),
    ),
    ("Nonsense", f"{REGISTER},SoC", "Voltage.L9", "Voltage,,Frequency", "RPM"),
)
READ_ONLY = Key("R", (), ("1", "true", ""))

KEYS: dict[str, Key] = {
    "AllowOfflineTxForUnknownId": FLAG,
    "AuthorizationCacheEnabled": FLAG,
    "AuthorizeRemoteTxRequests": FLAG,
    "BlinkRepeat": whole("101"),
    "ClockAlignedDataInterval": whole("86401"),
    "ConnectionTimeOut": whole("86401"),
    "ConnectorPhaseRotation": Key(
        "RW", (("0.rst, 1.RTS", "0.RST,1.RTS"), ("", "")), ("2.RST", "1.ABC", "RST", "1.RST,")
    ),
    "HeartbeatInterval": Key("RW", (("60", "60"),), ("0", "-1", "1.5", "", "often")),
    "LightIntensity": whole("101"),
    "LocalAuthorizeOffline": FLAG,
    "LocalPreAuthorize": FLAG,
    "MaxEnergyOnInvalidId": whole(),
    "MessageTimeout": Key("RW", (("20", "20"),), ("0", "-1", "", "soon")),
    "MeterValuesAlignedData": MEASURANDS,
    "MeterValuesSampledData": MEASURANDS,
    "MeterValueSampleInterval": whole(),
    "MinimumStatusDuration": whole("86401"),
    "ResetRetries": whole("101"),
    "StopTransactionOnEVSideDisconnect": FLAG,
    "StopTransactionOnInvalidId": FLAG,
    "StopTxnAlignedData": MEASURANDS,
    "StopTxnSampledData": MEASURANDS,
    "TransactionMessageAttempts": whole(),
    "TransactionMessageRetryInterval": whole(),
    "UnlockConnectorOnEVSideDisconnect": FLAG,
    "WebSocketPingInterval": whole("86401"),
    "LocalAuthListEnabled": FLAG,
    "CpoName": Key("RW", (("Example & Sons", "Example & Sons"),), ("x" * 65,)),
    "AuthorizationKey": Key(
        "W", (("00112233445566778899aabbccddeeff", ""),), ("0011", "00" * 21, "xy" * 16, "0" * 33)
    ),
    "SecurityProfile": Key("RW", (), ("0", "-1", "1", "4", "")),
    **{key: READ_ONLY for key, access in CORE_KEYS.items() if access == "R"},
    **dict.fromkeys(
        (
            "LocalAuthListMaxLength",
            "SendLocalListMaxLength",
            "ReserveConnectorZeroSupported",
            "ChargeProfileMaxStackLevel",
            "ChargingScheduleAllowedChargingRateUnit",
            "ChargingScheduleMaxPeriods",
            "ConnectorSwitch3to1PhaseSupported",
            "MaxChargingProfilesInstalled",
            "SupportedFileTransferProtocols",
            "AdditionalRootCertificateCheck",
            "CertificateSignedMaxChainSize",
            "CertificateStoreMaxLength",
        ),
        READ_ONLY,
    ),
}
"""OCPP 1.6 9.1 to 9.4 with errata, security white paper chapter 7."""


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def change(bench: Bench, key: str, value: str) -> str:
    answer = await bench.csms.call("ChangeConfiguration", {"key": key, "value": value})
    assert answer.error is None
    status: str = answer.payload["status"]
    return status


async def shown(bench: Bench, *keys: str) -> dict[str, Any]:
    answer = await bench.csms.call("GetConfiguration", {"key": list(keys)})
    assert "unknownKey" not in answer.payload
    return {each["key"]: each for each in answer.payload["configurationKey"]}


def test_there_are_52_keys() -> None:
    assert len(KEYS) == 52
    assert {key: KEYS[key].access for key in CORE_KEYS} == CORE_KEYS


@pytest.mark.req("R16-201", "R16-204", "R16-206", "R16-207", "R16-208", "R16-209", "TC_021_CS", "TC_040_2_CS")
@pytest.mark.req("FIELD-43", "FIELD-44", "FIELD-53", "FIELD-55")
@pytest.mark.parametrize("key", KEYS)
async def test_a_key_takes_what_is_good_and_refuses_what_is_not(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    row = KEYS[key]
    async with Bench(tmp_path) as bench:
        await online(bench)
        entry = (await shown(bench, key.upper()))[key]
        assert entry["readonly"] is (row.access == "R")
        assert ("value" in entry) is (row.access != "W")
        for sent, expected in row.good:
            assert await change(bench, key.lower(), sent) == "Accepted"
            if row.access != "W":
                assert (await shown(bench, key))[key]["value"] == expected
        before = await shown(bench, key)
        for sent in row.bad:
            caplog.clear()
            assert await change(bench, key, sent) == "Rejected", sent
            assert "is refused: " in caplog.text
        assert await shown(bench, key) == before
        if row.access == "W":
            assert row.good[0][0] not in caplog.text


@pytest.mark.req("R16-199", "R16-202", "R16-203", "R16-205", "FIELD-54")
async def test_all_of_them_are_in_the_full_answer_but_the_password(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        answer = await bench.csms.call("GetConfiguration", {})
        entries = {each["key"]: each for each in answer.payload["configurationKey"]}
        assert set(KEYS) - set(entries) == {"AuthorizationKey"}
        assert all(isinstance(each["readonly"], bool) for each in entries.values())
        assert all(isinstance(each["value"], str) for each in entries.values())
        assert entries["ChargingScheduleAllowedChargingRateUnit"]["value"] == "Current,Power"
        assert "Core" in entries["SupportedFeatureProfiles"]["value"].split(",")
        named = await shown(bench, "AuthorizationKey")
        assert "value" not in named["AuthorizationKey"]


@pytest.mark.req("R16-209", "TC_021_CS")
async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    wanted = {key: row.good[0] for key, row in KEYS.items() if row.access == "RW" and row.good}
    async with Bench(tmp_path) as bench:
        await online(bench)
        for key, (sent, _) in wanted.items():
            assert await change(bench, key, sent) == "Accepted"
    async with Bench(tmp_path) as bench:
        entries = {}
        await bench.until(lambda: bench.csms.is_connected)
        entries = await shown(
            bench, *wanted
        )  # before the boot is accepted, which sets the heartbeat interval
        assert {key: each["value"] for key, each in entries.items() if key != "HeartbeatInterval"} == {
            key: expected for key, (_, expected) in wanted.items() if key != "HeartbeatInterval"
        }


# --- effect at once --------------------------------------------------------------------------------------


async def heartbeat(bench: Bench) -> bool:
    await bench.run_for(seconds=11)
    return len(bench.sent("Heartbeat")) == 1


async def ping(bench: Bench) -> bool:
    before = len(bench.csms.ping_times)
    await bench.run_for(seconds=16)
    return len(bench.csms.ping_times) - before == 3


async def lapse(bench: Bench) -> bool:
    bench.tap("TAG1")
    await bench.run_for(seconds=16)
    return bench.statuses(1)[-2:] == ["Preparing", "Available"]


async def slow_status(bench: Bench) -> bool:
    bench.plug_in()
    await bench.run_for(seconds=19)
    early = bench.statuses(1)
    await bench.run_for(seconds=2)
    return early == ["Available"] and bench.statuses(1) == ["Available", "Preparing"]


async def start_without_question(bench: Bench) -> bool:
    bench.plug_in()
    await bench.csms.call("RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1})
    await bench.run_for(seconds=10)
    return bool(bench.sent("StartTransaction")) and not bench.sent("Authorize")


async def charge(bench: Bench) -> None:
    bench.plug_in()
    bench.tap("TAG1")
    await bench.run_for(seconds=20)


async def transaction_goes_on(bench: Bench) -> bool:
    await charge(bench)
    bench.unplug()
    await bench.run_for(seconds=20)
    return not bench.sent("StopTransaction")


async def stays_locked(bench: Bench) -> bool:
    await charge(bench)
    bench.unplug()
    await bench.run_for(seconds=20)
    return bench.evse().hardware.locked is True


async def sampled(bench: Bench) -> bool:
    await charge(bench)
    return any(each["connectorId"] == 1 for each in bench.sent("MeterValues"))


async def aligned(bench: Bench) -> bool:
    await bench.run_for(seconds=61)
    return bool(bench.sent("MeterValues"))


async def triggered(bench: Bench) -> bool:
    await bench.csms.call("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
    await bench.run_for(seconds=1)
    values = bench.sent("MeterValues")[-1]["meterValue"][0]["sampledValue"]
    return {value["measurand"] for value in values} == {"Frequency"}


async def stop_data(bench: Bench) -> bool:
    await charge(bench)
    bench.tap("TAG1")
    await bench.run_for(seconds=20)
    collected = bench.sent("StopTransaction")[0]["transactionData"]
    return {value["measurand"] for each in collected for value in each["sampledValue"]} == {"Frequency"}


async def only_the_energy_stops(bench: Bench) -> bool:
    bench.csms.always("StartTransaction", idTagInfo={"status": "Invalid"})
    await charge(bench)
    return bench.statuses(1)[-1] == "SuspendedEVSE" and not bench.sent("StopTransaction")


async def some_energy_flows(bench: Bench) -> bool:
    bench.csms.always("StartTransaction", idTagInfo={"status": "Invalid"})
    await charge(bench)
    return bench.statuses(1)[-1] == "Charging"


async def cache_is_off(bench: Bench) -> bool:
    answer = await bench.csms.call("ClearCache", {})
    return answer.payload == {"status": "Rejected"}


async def start_offline(bench: Bench) -> bool:
    await bench.csms.stop_listening()
    bench.csms.drop()
    await bench.run_for(seconds=5)
    await charge(bench)
    return bench.evse().transaction is not None


async def tap_and_offline_again(bench: Bench) -> bool:
    """The token is known, and still it is not taken."""
    bench.tap("TAG1")
    await bench.run_for(seconds=5)
    bench.tap("TAG1")
    await bench.run_for(seconds=5)
    return not await start_offline(bench)


async def known_tag_asks_nobody(bench: Bench) -> bool:
    for _ in range(4):
        bench.tap("TAG1")
        await bench.run_for(seconds=5)
    return len(bench.sent("Authorize")) == 1


async def one_attempt(bench: Bench) -> bool:
    bench.csms._granted.pop("StartTransaction")
    bench.plug_in()
    bench.tap("TAG1")
    (await bench.csms.expect("StartTransaction")).error("InternalError")
    await bench.run_for(minutes=10)
    return len(bench.sent("StartTransaction")) == 1


async def attempts_every_second(bench: Bench) -> bool:
    bench.csms._granted.pop("StartTransaction")
    bench.plug_in()
    bench.tap("TAG1")
    for _ in range(3):
        (await bench.csms.expect("StartTransaction")).error("InternalError")
    return True


Effect = Callable[[Bench], Awaitable[bool]]


@pytest.mark.req("R16-206", "R16-211", "R16-060", "FIELD-13", "FIELD-56")
@pytest.mark.parametrize(
    ("key", "value", "effect"),
    [
        ("HeartbeatInterval", "10", heartbeat),
        ("WebSocketPingInterval", "5", ping),
        ("ConnectionTimeOut", "10", lapse),
        ("MinimumStatusDuration", "20", slow_status),
        ("AuthorizeRemoteTxRequests", "false", start_without_question),
        ("StopTransactionOnEVSideDisconnect", "false", transaction_goes_on),
        ("UnlockConnectorOnEVSideDisconnect", "false", stays_locked),
        ("MeterValueSampleInterval", "5", sampled),
        ("ClockAlignedDataInterval", "60", aligned),
        ("MeterValuesSampledData", "Frequency", triggered),
        ("StopTxnSampledData", "Frequency", stop_data),
        ("StopTxnAlignedData", "Frequency", stop_data),
        ("StopTransactionOnInvalidId", "false", only_the_energy_stops),
        ("MaxEnergyOnInvalidId", "100000", some_energy_flows),
        ("AuthorizationCacheEnabled", "false", cache_is_off),
        ("AllowOfflineTxForUnknownId", "true", start_offline),
        ("LocalAuthorizeOffline", "false", tap_and_offline_again),
        ("LocalPreAuthorize", "true", known_tag_asks_nobody),
        ("TransactionMessageAttempts", "1", one_attempt),
        ("TransactionMessageRetryInterval", "1", attempts_every_second),
    ],
)
async def test_an_accepted_change_has_its_effect_at_once(
    tmp_path: Path, key: str, value: str, effect: Effect
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await change(bench, key, value) == "Accepted"
        assert await effect(bench)
