"""The Core profile on the whole station on virtual time: boot, status, stop variants, meter values, resets.

Each test drives real agent and real firmware through one story and looks at what the CSMS was told.
"""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms

FIXED_CABLE = "[hal.sim]\nhas_lock = false\n"
TWO_BY_TWO = """
[hal.sim]
evses = 2
connectors_per_evse = 2
"""
REGISTER = "Energy.Active.Import.Register"


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def ask(bench: Bench, action: str, **payload: Any) -> Any:
    """The status that the station answers, and time for what follows from it."""
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer.description
    await bench.run_for(seconds=10)
    return answer.payload.get("status")


async def charge(bench: Bench, id_token: str = "TAG1", evse_id: int = 1, **ev: Any) -> None:
    bench.plug_in(evse_id, **ev)
    bench.tap(id_token, evse_id)
    await bench.run_for(seconds=20)
    assert bench.evse(evse_id).transaction is not None


def told(bench: Bench, connector_id: int) -> list[dict[str, Any]]:
    return [each for each in bench.sent("StatusNotification") if each["connectorId"] == connector_id]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- boot ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-001", "R16-008", "R16-042", "R16-059", "FIELD-19", "FIELD-27")
async def test_the_station_dials_boots_and_stays_for_the_calls_of_a_day_with_a_heartbeat_at_least(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, "[settings]\nWebSocketPingInterval = 30") as bench:
        await online(bench)
        assert bench.calls()[0][0] == "BootNotification"
        await ask(bench, "ChangeConfiguration", key="HeartbeatInterval", value="604800")
        await bench.run_for(minutes=24 * 60 + 1)
        assert len(bench.sent("Heartbeat")) >= 1
        answer = await bench.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
        assert answer.payload["configurationKey"][0]["value"] == "604800"
        assert len(bench.csms.handshakes) == 1
        assert len(bench.sent("BootNotification")) == 1


@pytest.mark.req("R16-198", "FIELD-50")
async def test_a_station_that_starts_with_a_cable_in_never_says_available(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        bench.plug_in()
        await online(bench)
        assert bench.statuses(1) == ["Preparing"]


@pytest.mark.req("R16-196", "R16-198", "R16-042", "TC_015_CS", "TC_016_CS")
@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_after_a_reset_in_a_transaction_the_station_boots_and_the_connector_is_not_free(
    tmp_path: Path, kind: str
) -> None:
    async with Csms() as csms:
        friendly(csms)
        async with Bench(tmp_path, csms=csms) as bench:
            await online(bench)
            await charge(bench)
            answer = await csms.call("Reset", {"type": kind})
            assert answer.payload == {"status": "Accepted"}
            await bench.ended()
        first_life = len(csms.received)
        async with Bench(tmp_path, csms=csms) as bench:
            bench.plug_in()
            await online(bench)
            frames = [json.loads(text) for _, text in csms.received[first_life:]]
            calls = [(frame[2], frame[3]) for frame in frames if frame[0] == 2]
            assert calls[0][0] == "BootNotification"
            assert len(bench.sent("StopTransaction")) == 1, "it came before the reset, not twice"
            statuses = [
                each["status"] for name, each in calls if name == "StatusNotification" and each["connectorId"]
            ]
            assert statuses == ["Preparing"]


@pytest.mark.req("R16-132", "R16-131", "FIELD-59", "TC_032_2_CS")
async def test_a_transaction_may_go_on_after_a_power_cut_with_a_board_that_starts_too(tmp_path: Path) -> None:
    extra = "[settings]\nResumeTransactionAfterPowerLoss = true"
    async with Csms() as csms:
        friendly(csms)
        async with Bench(tmp_path, extra, csms) as bench:
            await online(bench)
            await charge(bench)
            number = bench.evse().transaction
            await bench.run_for(minutes=2)
        async with Bench(tmp_path, extra, csms) as bench:
            bench.plug_in()
            await online(bench)
            await bench.run_for(minutes=1)
            transaction = bench.evse().transaction
            assert transaction is not None
            assert number is not None
            assert transaction.transaction_id == number.transaction_id
            assert len(bench.sent("StartTransaction")) == 1
            assert not bench.sent("StopTransaction")
            assert bench.statuses(1)[-1] == "Charging"
            bench.tap("TAG1", 1)
            await bench.run_for(seconds=20)
            (stop,) = bench.sent("StopTransaction")
            assert stop["transactionId"] == 1
            assert stop["meterStop"] >= bench.sent("StartTransaction")[0]["meterStart"]


@pytest.mark.req("R16-054")
async def test_a_station_that_no_csms_ever_accepted_refuses_to_charge(tmp_path: Path) -> None:
    extra = "[settings]\nAllowOfflineTxForUnknownId = true"
    async with Csms() as csms, Bench(tmp_path, extra, csms) as bench:
        csms.always("StatusNotification")
        boot = await csms.expect("BootNotification")
        boot.accept(status="Pending", interval=60)
        bench.plug_in()
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert bench.evse().transaction is None
        friendly(csms)
        await bench.run_for(seconds=60)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert bench.evse().transaction is not None


@pytest.mark.req("R16-007", "R16-053", "FIELD-28")
@pytest.mark.parametrize("boots", [False, True])
async def test_after_a_reconnect_boot_is_sent_if_the_setting_says_so(tmp_path: Path, boots: bool) -> None:
    extra = f"[settings]\nBootNotificationOnReconnect = {str(boots).lower()}"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        before = len(bench.sent("StatusNotification"))
        bench.csms.drop()
        await bench.csms.connected(False)
        await bench.csms.connected()
        await bench.run_for(seconds=5)
        assert len(bench.sent("BootNotification")) == (2 if boots else 1)
        assert len(bench.sent("StatusNotification")) - before == (2 if boots else 0)


# --- status ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-061", "R16-087", "TC_003_CS")
async def test_start_and_charging_stop_and_finishing_go_out_in_whatever_order(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        names = [
            payload["status"] if name == "StatusNotification" else name
            for name, payload in bench.calls()
            if name != "Heartbeat"
        ]
        assert sorted(names[names.index("Preparing") + 1 :]) == sorted(
            ["StartTransaction", "Charging", "Finishing", "StopTransaction"]
        )


@pytest.mark.req("R16-075", "R16-074", "TC_023_CS")
async def test_an_ev_that_only_flickers_is_no_news_even_with_a_minimum_of_zero(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        before = bench.statuses(1)
        for _ in range(5):
            bench.world.pause(1)
            await bench.run_for(seconds=0.3)
            bench.world.resume(1)
            await bench.run_for(seconds=30)
        assert bench.statuses(1) == before
        bench.world.pause(1)
        await bench.run_for(seconds=30)
        assert bench.statuses(1) == [*before, "SuspendedEV"]


@pytest.mark.req("R16-065", "R16-063")
async def test_a_cable_for_which_nobody_identifies_does_not_get_the_next_drivers_token(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, "[hal.sim]\nevses = 2\n[settings]\nConnectionTimeOut = 45") as bench:
        await online(bench)
        bench.plug_in(1)
        await bench.run_for(seconds=60)
        assert bench.statuses(1) == ["Available", "Preparing", "Finishing"]
        bench.tap("TAG2")
        await bench.run_for(seconds=10)
        assert not bench.sent("StartTransaction"), "the token of the next driver waits for the next cable"
        bench.plug_in(2)
        await bench.run_for(seconds=20)
        assert [start["connectorId"] for start in bench.sent("StartTransaction")] == [2]
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert [start["connectorId"] for start in bench.sent("StartTransaction")] == [2, 1]
        assert bench.statuses(1)[2:5] == ["Finishing", "Preparing", "Charging"]


@pytest.mark.req("R16-065")
async def test_with_one_evse_a_cable_may_wait_for_its_driver(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nConnectionTimeOut = 45") as bench:
        await online(bench)
        bench.plug_in()
        await bench.run_for(minutes=60)
        assert bench.statuses(1) == ["Available", "Preparing"]
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert bench.statuses(1) == ["Available", "Preparing", "Charging"]


@pytest.mark.req("R16-076", "R16-077", "R16-080", "FIELD-49", "TC_041_CS")
async def test_a_pilot_fault_in_a_transaction_is_a_warning_and_a_latched_one_ends_it(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        bench.world.set_fault(1, "cp_range")
        await bench.run_for(seconds=10)
        assert (told(bench, 1)[-1]["status"], told(bench, 1)[-1]["errorCode"]) == (
            "SuspendedEVSE",
            "EVCommunicationError",
        )
        bench.world.clear_fault(1, "cp_range")
        await bench.run_for(seconds=30)
        assert (told(bench, 1)[-1]["status"], told(bench, 1)[-1]["errorCode"]) == ("Charging", "NoError")
        bench.world.set_fault(1, "rcd_dc")
        await bench.run_for(seconds=10)
        assert (told(bench, 1)[-1]["status"], told(bench, 1)[-1]["errorCode"]) == ("Faulted", "GroundFailure")
        assert bench.sent("StopTransaction")[0]["reason"] == "Other"
        bench.tap("TAG2")
        await bench.run_for(seconds=30)
        assert len(bench.sent("StartTransaction")) == 1
        told_errors = {each["errorCode"] for each in told(bench, 1) if each["status"] == "Faulted"}
        assert told_errors == {"GroundFailure"}


@pytest.mark.req("R16-083", "R16-084", "R16-085", "FIELD-32")
async def test_after_an_offline_period_only_what_is_different_is_told_as_of_now(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        before = len(bench.sent("StatusNotification"))
        port = bench.csms.port
        await bench.csms.stop_listening()
        bench.csms.drop()
        await bench.run_for(seconds=10)
        bench.plug_in(1)
        await bench.run_for(seconds=10)
        bench.unplug(1)
        bench.plug_in(2, connector_id=2)
        await bench.run_for(minutes=5)
        await bench.csms.listen(port)
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=5)
        news = bench.sent("StatusNotification")[before:]
        assert {(each["connectorId"], each["status"]) for each in news} == {
            (3, "Unavailable"),
            (4, "Finishing"),
        }
        now = bench.agent.clock.now()
        assert all(now - at(each["timestamp"]) < timedelta(seconds=10) for each in news)


# --- the EV's side ---------------------------------------------------------------------------------------


@pytest.mark.req("R16-082", "R16-123", "R16-125", "R16-127", "TC_005_1_CS", "TC_005_2_CS")
@pytest.mark.parametrize("unlocks", [True, False])
async def test_unplugging_at_the_ev_ends_the_transaction(tmp_path: Path, unlocks: bool) -> None:
    extra = f"""[settings]
StopTransactionOnEVSideDisconnect = true
UnlockConnectorOnEVSideDisconnect = {str(unlocks).lower()}
"""
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        await charge(bench)
        bench.unplug()
        await bench.run_for(seconds=20)
        (stop,) = bench.sent("StopTransaction")
        assert (stop["reason"], stop["idTag"]) == ("EVDisconnected", "TAG1")
        finishing = [each for each in told(bench, 1) if each["status"] == "Finishing"]
        assert finishing[0]["info"] == "EV side disconnected"
        assert finishing[0]["errorCode"] == "NoError"
        assert bench.evse().hardware.locked is (not unlocks)
        if not unlocks:
            assert bench.statuses(1)[-1] == "Finishing"
            bench.tap("TAG1", 1)
            await bench.run_for(seconds=20)
            assert bench.evse().hardware.locked is False
        assert bench.statuses(1)[-1] == "Available"
        bench.plug_in()
        await bench.run_for(seconds=30)
        assert bench.statuses(1)[-1] == "Preparing", "no energy until a new transaction"


@pytest.mark.req("R16-081", "R16-126", "R16-068", "TC_005_3_CS")
async def test_unplugging_at_the_ev_may_be_a_pause(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nStopTransactionOnEVSideDisconnect = false") as bench:
        await online(bench)
        await charge(bench)
        bench.unplug()
        await bench.run_for(seconds=60)
        last = told(bench, 1)[-1]
        assert (last["status"], last["errorCode"], last["info"]) == (
            "SuspendedEV",
            "NoError",
            "EV side disconnected",
        )
        assert bench.evse().hardware.locked, "it beats UnlockConnectorOnEVSideDisconnect"
        bench.plug_in()
        await bench.run_for(seconds=30)
        assert bench.statuses(1)[-1] == "Charging"
        assert "info" not in told(bench, 1)[-1]
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert bench.sent("StopTransaction")[0].get("reason", "Local") == "Local"


# --- tokens ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-066", "R16-089")
async def test_a_second_tap_while_the_csms_thinks_is_ignored_and_asks_nothing_again(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=csms) as bench:
        for action in ("BootNotification", "StatusNotification", "StartTransaction"):
            csms.always(action)
        await online(bench)
        bench.plug_in()
        bench.tap("TAG1")
        question = await csms.expect("Authorize")
        bench.tap("TAG1")
        bench.tap("tag1")
        await bench.run_for(seconds=5)
        question.accept()
        await bench.run_for(seconds=20)
        assert len(bench.sent("Authorize")) == 1
        assert bench.statuses(1)[-1] == "Charging"


@pytest.mark.req("R16-037", "R16-041", "R16-092", "R16-093", "FIELD-63", "TC_069_CS")
async def test_groups_and_case_of_tokens(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        bench.csms.always("Authorize", idTagInfo={"status": "Accepted", "parentIdTag": "Family"})
        await online(bench)
        await charge(bench, "04ab")
        bench.csms.always("Authorize", idTagInfo={"status": "Accepted", "parentIdTag": "Others"})
        bench.tap("STRANGER", 1)
        await bench.run_for(seconds=10)
        bench.tap("Family", 1)
        await bench.run_for(seconds=10)
        assert not bench.sent("StopTransaction"), "a group is no token"
        bench.csms.always("Authorize", idTagInfo={"status": "Accepted", "parentIdTag": "FAMILY"})
        bench.tap("SISTER", 1)
        await bench.run_for(seconds=20)
        (stop,) = bench.sent("StopTransaction")
        assert stop["idTag"] == "SISTER"
        bench.unplug()
        await bench.run_for(seconds=5)
        await charge(bench, "04ab")
        bench.tap("04AB", 1)
        await bench.run_for(seconds=20)
        assert len(bench.sent("StopTransaction")) == 2


@pytest.mark.req("FIELD-64")
@pytest.mark.req("R16-100", "R16-101", "R16-104", "R16-094", "R16-105", "R16-107", "TC_007_CS", "TC_061_CS")
async def test_the_cache_survives_a_restart_until_it_is_cleared(tmp_path: Path) -> None:
    extra = "[settings]\nLocalPreAuthorize = true"
    async with Csms() as csms:
        friendly(csms)
        async with Bench(tmp_path, extra, csms) as bench:
            await online(bench)
            await charge(bench)
            bench.tap("TAG1", 1)
            await bench.run_for(seconds=20)
            csms.always("Authorize", idTagInfo={"status": "Blocked"})
            bench.unplug()
            bench.tap("BAD")
            await bench.run_for(seconds=10)
        asked = len(bench.sent("Authorize"))
        async with Bench(tmp_path, extra, csms) as bench:
            await online(bench)
            bench.tap("BAD")
            await bench.run_for(seconds=10)
            assert len(bench.sent("Authorize")) == asked + 1, "known as not valid: the CSMS is asked again"
            await charge(bench)
            assert len(bench.sent("Authorize")) == asked + 1, "known as valid: it is not"
            bench.tap("TAG1", 1)
            await bench.run_for(seconds=20)
            bench.unplug()
            assert await ask(bench, "ClearCache") == "Accepted"
            bench.tap("TAG1")
            await bench.run_for(seconds=10)
            assert len(bench.sent("Authorize")) == asked + 2
            assert len(bench.sent("StartTransaction")) == 2


# --- remote start ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-176", "R16-174", "FIELD-61")
async def test_a_remote_start_of_the_connector_beside_the_cable_is_rejected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        bench.plug_in(1, connector_id=1)
        await bench.run_for(seconds=5)
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG1", connectorId=2) == "Rejected"
        assert "RequestStart is refused: a cable is in connector 1" in caplog.text
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG1", connectorId=0) == "Rejected"
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG1") == "Accepted"
        await bench.run_for(seconds=10)
        assert bench.sent("StartTransaction")[0]["connectorId"] == 1


@pytest.mark.req("R16-176", "R16-177")
async def test_a_remote_start_of_a_connector_waits_for_that_one(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG1", connectorId=2) == "Accepted"
        bench.plug_in(1, connector_id=1)
        await bench.run_for(seconds=20)
        assert not bench.sent("StartTransaction")
        bench.unplug(1)
        await bench.run_for(seconds=5)
        bench.plug_in(1, connector_id=2)
        await bench.run_for(seconds=20)
        assert bench.sent("StartTransaction")[0]["connectorId"] == 2


# --- meter values ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-146", "R16-150", "R16-152", "R16-155", "FIELD-34", "FIELD-36", "FIELD-39", "TC_070_CS")
async def test_sampled_values_of_connector_and_main_meter(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\nmeter_start_wh = 5000\n") as bench:
        await online(bench)
        assert await ask(bench, "ChangeConfiguration", key="MeterValuesSampledData", value="") == "Accepted"
        assert (
            await ask(bench, "ChangeConfiguration", key="MeterValueSampleInterval", value="60") == "Accepted"
        )
        await charge(bench)
        await bench.run_for(minutes=5)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        start, stop = bench.sent("StartTransaction")[0], bench.sent("StopTransaction")[0]
        of_connector = [each for each in bench.sent("MeterValues") if each["connectorId"] == 1]
        assert len(of_connector) == 5
        registers = [start["meterStart"]]
        for each in of_connector:
            assert each["transactionId"] == 1
            ((value,),) = [metered["sampledValue"] for metered in each["meterValue"]]
            assert (value["measurand"], value["unit"], value["context"]) == (
                REGISTER,
                "Wh",
                "Sample.Periodic",
            )
            registers.append(int(value["value"]))
        registers.append(stop["meterStop"])
        assert registers == sorted(registers)
        assert registers[0] >= 5000
        assert registers[-1] - registers[0] < 2000, "in Wh, not in kWh"
        of_main = [each for each in bench.sent("MeterValues") if each["connectorId"] == 0]
        assert len(of_main) == 5
        for each in of_main:
            assert "transactionId" not in each
            assert {v["location"] for m in each["meterValue"] for v in m["sampledValue"]} == {"Inlet"}


@pytest.mark.req("R16-148", "R16-151", "R16-152", "FIELD-33", "FIELD-37", "FIELD-45", "TC_071_CS")
async def test_aligned_values_on_every_connector_with_and_without_a_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\nevses = 2") as bench:
        await online(bench)
        assert (
            await ask(bench, "ChangeConfiguration", key="ClockAlignedDataInterval", value="60") == "Accepted"
        )
        await charge(bench)
        await bench.run_for(minutes=3)
        by_connector: dict[int, list[dict[str, Any]]] = {0: [], 1: [], 2: []}
        for each in bench.sent("MeterValues"):
            by_connector[each["connectorId"]].append(each)
        assert all(len(values) >= 3 for values in by_connector.values())
        for each in bench.sent("MeterValues"):
            moment = at(each["meterValue"][0]["timestamp"])
            assert (moment.second, moment.microsecond) == (0, 0)
            assert each["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"
        assert any("transactionId" in each for each in by_connector[1])
        assert not any("transactionId" in each for each in by_connector[0] + by_connector[2])


@pytest.mark.req("R16-135", "R16-136", "R16-144", "R16-167", "FIELD-57", "FIELD-58", "TC_036_CS")
async def test_everything_of_an_offline_hour_comes_in_its_order_with_its_own_times(tmp_path: Path) -> None:
    extra = """[settings]
MeterValueSampleInterval = 300
ClockAlignedDataInterval = 900
"""
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        await charge(bench)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        bench.unplug()
        before = len(bench.calls())
        port = bench.csms.port
        await bench.csms.stop_listening()
        bench.csms.drop()
        await bench.run_for(minutes=20)
        await charge(bench)  # the token is in the cache
        await bench.run_for(minutes=20)
        bench.tap("TAG1", 1)
        await bench.run_for(minutes=20)
        await bench.csms.listen(port)
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(minutes=1)
        queued = ("StartTransaction", "StopTransaction", "MeterValues")
        calls = [(name, payload) for name, payload in bench.calls()[before:] if name in queued]
        times = [
            at(payload["timestamp"] if name != "MeterValues" else payload["meterValue"][0]["timestamp"])
            for name, payload in calls
        ]
        assert times == sorted(times)
        assert [name for name, _ in calls if name != "MeterValues"] == ["StartTransaction", "StopTransaction"]
        periodic = [
            payload
            for name, payload in calls
            if name == "MeterValues" and payload["connectorId"] == 1 and "transactionId" in payload
        ]
        assert {payload["transactionId"] for payload in periodic} == {2}
        assert calls[-1][0] == "MeterValues" or calls[-1][1]["transactionId"] == 2


@pytest.mark.req("R16-169")
async def test_the_phase_rotation_of_a_connector_does_not_change_its_values(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nMeterValuesSampledData = 'Voltage,Current.Import'") as bench:
        await online(bench)
        await charge(bench)

        async def phases() -> list[tuple[str, str]]:
            before = len(bench.sent("MeterValues"))
            await ask(bench, "TriggerMessage", requestedMessage="MeterValues", connectorId=1)
            (sent,) = bench.sent("MeterValues")[before:]
            return [(value["measurand"], value["phase"]) for value in sent["meterValue"][0]["sampledValue"]]

        straight = await phases()
        assert len(straight) == 6
        status = await ask(bench, "ChangeConfiguration", key="ConnectorPhaseRotation", value="0.RST,1.RTS")
        assert status == "Accepted"
        assert await phases() == straight


# --- reset -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-197")
@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_a_reset_that_fails_is_tried_again_then_reported_and_the_station_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    extra = "[settings]\nResetRetries = 2"
    async with Bench(tmp_path, extra, on_reset="restart") as bench:
        await online(bench)
        python = sys.executable
        monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
        assert await ask(bench, "Reset", type=kind) == "Accepted"
        await bench.run_for(seconds=30)
        (failed,) = [each for each in told(bench, 0) if each["errorCode"] == "ResetFailure"]
        assert failed["status"] == "Faulted"
        await charge(bench)
        monkeypatch.setattr(sys, "executable", python)
        answer = await bench.csms.call("Reset", {"type": "Soft"})
        assert answer.payload == {"status": "Accepted"}
        await bench.ended()
        assert [stop["reason"] for stop in bench.sent("StopTransaction")] == ["SoftReset"]
