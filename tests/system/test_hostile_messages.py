"""A CSMS that says the wrong thing at the wrong time: the whole station on virtual time, with a bill at the end."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.judge import Judge
from tests.fuzz.stages import resident_kb
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.csms_calls import friendly_answer
from tests.helpers.hostile import assert_billed_once, begin, charge_for, end, no_crash, online

# --- calls at the wrong moment -------------------------------------------------------------------------------


@pytest.mark.req("R16-018", "R16-050", "TOLERATE-1", "FIELD-20", "FIELD-80")
async def test_calls_before_the_boot_answer_are_answered_at_once(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=csms) as bench:
        boot = await csms.expect("BootNotification")
        asked_time = asyncio.get_running_loop().time()
        values = (await csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]})).payload
        assert values["configurationKey"][0]["key"] == "HeartbeatInterval"
        change = {"key": "MeterValueSampleInterval", "value": "60"}
        assert (await csms.call("ChangeConfiguration", change)).payload == {"status": "Accepted"}
        start = await csms.call("RemoteStartTransaction", {"idTag": "TAG1"})
        assert start.payload == {"status": "Rejected"}
        assert (await csms.call("Nonsense")).error == "NotImplemented"
        assert asyncio.get_running_loop().time() - asked_time < 1
        assert [action for action, _ in bench.calls()] == ["BootNotification"]
        friendly(csms)
        boot.accept()
        await online(bench)
        await charge_for(bench, minutes=3)
        await assert_billed_once(bench)


@pytest.mark.req("R16-017", "R16-018", "TOLERATE-1", "FIELD-18", "FIELD-19")
async def test_calls_are_answered_whatever_of_ours_waits(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        await online(bench)
        waiting: list[Any] = []
        crossings: list[str] = []

        def answer_after_a_call_of_its_own(text: str) -> bool:
            frame = json.loads(text)
            if frame[0] != 2:
                return False
            waiting.append(frame[1])
            assert len(waiting) == 1, "a second call while one was open"
            crossings.append(f"x-{frame[1]}")
            csms.send_text(json.dumps([2, crossings[-1], "GetConfiguration", {"key": ["x"]}]))
            answer = friendly_answer(frame[2], 0.0, iter([7]))
            asyncio.get_running_loop().call_later(
                2, lambda: csms.send_text(json.dumps([3, waiting.pop(), answer]))
            )
            return True

        csms.first_look = answer_after_a_call_of_its_own
        await charge_for(bench, minutes=5)
        assert len(crossings) > 5
        assert [json.loads(text)[1] for _, text in csms.received if text.startswith('[3,"x-')] == crossings
        await assert_billed_once(bench)


@pytest.mark.req("R16-138", "TOLERATE-2", "FIELD-21")
async def test_a_csms_that_is_always_busy_gets_everything_in_the_end_without_a_storm(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        await online(bench)
        await begin(bench)
        before = len(csms.received)

        def busy(text: str) -> bool:
            frame = json.loads(text)
            if frame[0] == 2:
                error = [4, frame[1], "RpcFrameworkError", "Call already in progress", {}]
                csms.send_text(json.dumps(error))
            return frame[0] == 2

        csms.first_look = busy
        await bench.run_for(minutes=15)
        await end(bench)
        await bench.run_for(minutes=30)
        assert len(csms.received) - before < 100
        csms.first_look = None
        await assert_billed_once(bench, may_repeat=True)


@pytest.mark.req("R16-049", "R16-051", "R16-291", "TOLERATE-7", "FIELD-25", "FIELD-26", "FIELD-27")
async def test_while_pending_it_is_configured_and_then_asked_to_boot(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=csms) as bench:
        (await csms.expect("BootNotification")).accept(status="Pending", interval=3600)
        assert len((await csms.call("GetConfiguration")).payload["configurationKey"]) > 40
        change = {"key": "HeartbeatInterval", "value": "10"}
        assert (await csms.call("ChangeConfiguration", change)).payload == {"status": "Accepted"}
        await bench.run_for(minutes=10)
        assert [action for action, _ in bench.calls()] == ["BootNotification"]
        trigger = {"requestedMessage": "BootNotification"}
        assert (await csms.call("TriggerMessage", trigger)).payload == {"status": "Accepted"}
        boot = await csms.expect("BootNotification")
        friendly(csms)
        boot.accept()
        await online(bench)
        assert bench.statuses(0) == bench.statuses(1) == ["Available"]


@pytest.mark.req("R16-211", "TOLERATE-18")
async def test_five_changes_on_the_heels_of_the_boot_answer(tmp_path: Path) -> None:
    changes = {
        "HeartbeatInterval": "120",
        "MeterValueSampleInterval": "30",
        "ClockAlignedDataInterval": "900",
        "WebSocketPingInterval": "20",
        "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import",
    }
    async with Csms() as csms, Bench(tmp_path, csms=csms) as bench:
        boot = await csms.expect("BootNotification")
        csms.answer_delay_s = 1  # the statuses still wait for their answers
        friendly(csms)
        csms.send_text(json.dumps([3, boot.message_id, friendly_answer("BootNotification", 0.0, iter(()))]))
        await bench.run_for(seconds=0.05)
        answers = await asyncio.gather(
            *(csms.call("ChangeConfiguration", {"key": key, "value": text}) for key, text in changes.items())
        )
        assert [answer.payload for answer in answers] == [{"status": "Accepted"}] * 5
        await online(bench)
        await bench.run_for(seconds=10)
        csms.answer_delay_s = 0
        assert bench.statuses(0) == bench.statuses(1) == ["Available"]
        read = (await csms.call("GetConfiguration", {"key": list(changes)})).payload["configurationKey"]
        assert {each["key"]: each["value"] for each in read} == changes
        await charge_for(bench, minutes=3)
        assert 5 <= len([each for each in bench.sent("MeterValues") if each["connectorId"] == 1]) <= 8


@pytest.mark.req("R16-181", "TOLERATE-8", "FIELD-65")
@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.12, 1.0])
async def test_a_remote_stop_right_behind_the_start_is_obeyed(tmp_path: Path, delay_s: float) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        await online(bench)

        def stop_it(text: str) -> bool:
            frame = json.loads(text)
            if frame[0] == 2 and frame[2] == "StartTransaction":
                csms.send_text(
                    json.dumps([2, "stop", "RemoteStopTransaction", {"transactionId": 1}]), delay_s
                )
            return False

        csms.first_look = stop_it
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=40)
        answer = next(json.loads(text) for _, text in csms.received if text.startswith('[3,"stop"'))
        if delay_s:
            assert answer == [3, "stop", {"status": "Accepted"}]
            assert [stop["reason"] for stop in bench.sent("StopTransaction")] == ["Remote"]
        else:  # it came before the answer that tells the transaction's id
            assert answer[2]["status"] in ("Accepted", "Rejected")


@pytest.mark.req("R16-031", "R16-016", "TOLERATE-12")
async def test_message_ids_of_every_kind_and_twice(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        await online(bench)
        await begin(bench)
        for message_id in ("1", "007", "1e3", " ", "é", "\\", '"', "x" * 36, "1", "null"):
            csms.received.clear()
            csms.send_text(json.dumps([2, message_id, "GetConfiguration", {"key": ["x"]}], indent=3))
            await bench.run_for(seconds=1)
            (answer,) = [json.loads(text) for _, text in csms.received if not text.startswith("[2")]
            assert answer[:2] == [3, message_id]
            assert answer[2]["unknownKey"] == ["x"]
        csms.received.clear()
        twice = json.dumps([2, "twice", "TriggerMessage", {"requestedMessage": "MeterValues"}])
        csms.send_text(twice)
        csms.send_text(twice)
        await bench.run_for(seconds=5)
        answers = [json.loads(text) for _, text in csms.received if '"twice"' in text]
        assert sorted(answer[0] for answer in answers) == [3, 4]


# --- answers that are none -----------------------------------------------------------------------------------

TRANSACTION_IDS = (0, -1, -(2**31), 2**31 - 1, 2**53)


@pytest.mark.req("R16-116", "TOLERATE-4", "FIELD-37", "FIELD-57")
@pytest.mark.parametrize("transaction_id", TRANSACTION_IDS)
async def test_any_integer_is_a_transaction_id(tmp_path: Path, transaction_id: int) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        csms.always("StartTransaction", transactionId=transaction_id)
        await online(bench)
        await begin(bench)
        assert bench.evse().transaction is not None
        stop = await csms.call("RemoteStopTransaction", {"transactionId": transaction_id})
        assert stop.payload == {"status": "Accepted"}
        told = await assert_billed_once(bench)
        assert told["transactionId"] == transaction_id
        assert {values["transactionId"] for values in bench.sent("MeterValues")} <= {transaction_id}


@pytest.mark.req("R16-112", "R16-116", "TOLERATE-4")
async def test_a_start_refused_with_id_zero_ends_with_id_zero(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        csms.always("StartTransaction", transactionId=0, idTagInfo={"status": "Invalid"})
        await online(bench)
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("StopTransaction"))
        (stop,) = bench.sent("StopTransaction")
        assert (stop["transactionId"], stop["reason"]) == (0, "DeAuthorized")


BAD_ANSWERS: dict[str, Callable[[str, str], list[str]]] = {
    "empty": lambda message_id, _: [json.dumps([3, message_id, {}])],
    "null": lambda message_id, _: [json.dumps([3, message_id, None])],
    "a list": lambda message_id, _: [json.dumps([3, message_id, [1, 2]])],
    "nothing in it": lambda message_id, _: [json.dumps([3, message_id])],
    "strings for all": lambda message_id, action: [json.dumps([3, message_id, _as_text(action)])],
    "too many fields": lambda message_id, action: [json.dumps([3, message_id, _with_more(action)])],
    "twice": lambda message_id, action: (
        [json.dumps([3, message_id, friendly_answer(action, 0, iter([7]))])] * 2
    ),
    "nested": lambda message_id, _: [f'[3,"{message_id}",{"[" * 5000}{"]" * 5000}]'],
    "to somebody else": lambda message_id, action: [
        json.dumps([3, "nobody", friendly_answer(action, 0, iter([8]))]),
        json.dumps([4, "nobody", "InternalError", "", {}]),
        json.dumps([3, message_id, friendly_answer(action, 0, iter([7]))]),
    ],
    "an error without text": lambda message_id, _: [json.dumps([4, message_id])],
    "an error of numbers": lambda message_id, _: [json.dumps([4, message_id, 1, 2, 3])],
    "half a frame": lambda message_id, _: [f'[3,"{message_id}",{{"idTagInfo"'],
    "never": lambda _message_id, _action: [],
}
"""How a call of the station is answered -> the frames."""


def _as_text(action: str) -> dict[str, Any]:
    return {key: json.dumps(each) for key, each in friendly_answer(action, 0, iter([7])).items()}


def _with_more(action: str) -> dict[str, Any]:
    return friendly_answer(action, 0, iter([7])) | {"customData": {"a": [None]}, "status ": 1, "": {}}


@pytest.mark.req("R16-020", "R16-027", "R16-030", "R16-138", "R16-139", "R16-141", "TOLERATE-12")
@pytest.mark.parametrize("kind", BAD_ANSWERS)
async def test_an_hour_of_bad_answers_leaves_a_station_that_charges(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        judge = Judge()
        with no_crash(caplog):
            await online(bench)

            def answer_badly(text: str) -> bool:
                judge.see(text)
                frame = json.loads(text)
                if frame[0] != 2 or frame[2:] == ["Authorize", {"idTag": "TAG1"}]:
                    return False
                for answer in BAD_ANSWERS[kind](frame[1], frame[2]):
                    csms.send_text(answer)
                return True

            csms.first_look = answer_badly
            before = len(csms.received)
            await charge_for(bench, minutes=5)
            bench.tap("TAG2")
            await bench.run_for(minutes=30)
            assert len(csms.received) - before < 200
            assert judge.verdicts == []
            csms.first_look = None
            await bench.run_for(minutes=20)
            csms.received.clear()
            await charge_for(bench, minutes=5)
            start, stop = bench.sent("StartTransaction")[-1], bench.sent("StopTransaction")[-1]
            assert stop["meterStop"] > start["meterStart"]
            assert await bench.agent.journal.depth() == 0


@pytest.mark.req("R16-035", "R16-045", "R16-052", "TOLERATE-11", "FIELD-31")
@pytest.mark.parametrize(
    ("text", "is_set"),
    [
        ("2030-06-01T10:00:00Z", True),
        ("2030-06-01T10:00:00.1Z", True),
        ("2030-06-01T10:00:00.123456789Z", True),
        ("2030-06-01T12:00:00+02:00", True),
        ("2030-06-01T12:00:00+0200", True),
        ("2030-06-01T12:00:00.5+02", True),
        ("2030-06-01 10:00:00+00:00", True),
        ("2030-06-01T10:00:00", False),
        ("1970-01-01T00:00:00Z", False),
        ("0001-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59Z", None),
    ],
)
async def test_times_in_every_style(tmp_path: Path, text: str, is_set: bool | None) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        csms.always("BootNotification", currentTime=text)
        csms.always("Heartbeat", currentTime=text)
        await online(bench)
        assert len(bench.sent("BootNotification")) == 1
        if is_set is not None:
            assert (bench.agent.clock.now().year == 2030) is is_set
        await charge_for(bench, minutes=2)
        await assert_billed_once(bench)


@pytest.mark.req("R16-035", "R16-102", "TOLERATE-11")
@pytest.mark.parametrize(
    "text", ["2000-01-01T00:00:00", "2099-01-01", "soon", "", "2099-01-01T00:00:00", None]
)
async def test_an_expiry_date_that_means_nothing_stops_nobody(tmp_path: Path, text: str | None) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        info = {"status": "Accepted", "expiryDate": text, "parentIdTag": None}
        csms.always("StartTransaction", idTagInfo=info)
        csms.always("StopTransaction", idTagInfo=info)
        await online(bench)
        await charge_for(bench, minutes=2)
        await assert_billed_once(bench)


# --- floods and depths ---------------------------------------------------------------------------------------


@pytest.mark.req("R16-018", "FIELD-19", "FIELD-43")
async def test_ten_thousand_calls_at_once_get_ten_thousand_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = (
        ("GetConfiguration", {}),
        ("TriggerMessage", {"requestedMessage": "StatusNotification"}),
        ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
        ("Nonsense", {}),
        ("UnlockConnector", {"connectorId": 9}),
    )
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        with no_crash(caplog):
            await online(bench)
            await begin(bench)
            csms.received.clear()
            judge = Judge()
            csms.first_look = lambda text: judge.see(text) or False
            before_kb = resident_kb()
            for number in range(10_000):
                action, payload = calls[number % len(calls)]
                text = json.dumps([2, f"c{number}", action, payload])
                judge.owe(text)
                csms.send_text(text)
            await bench.until(lambda: judge.left == 0, minutes=30)
            judge.settle()
            assert judge.verdicts == []
            assert resident_kb() - before_kb < 150_000
            csms.first_look = None
            await bench.run_for(minutes=2)
            csms.received[:] = [each for each in csms.received if not each[1].startswith("[3")]
            assert bench.evse().transaction is not None
            await end(bench)
            await bench.until(lambda: bench.sent("StopTransaction"))
            assert len(csms.handshakes) == 1


@pytest.mark.req("R16-027", "R16-030", "R16-034")
async def test_depths_and_oddities_of_json_do_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = (
        "[" * 100_000,
        '[2,"a","Reset",' + '{"a":' * 50_000,
        '[2,"b","ChangeConfiguration",' + '{"key":' * 900 + "1" + "}" * 900 + "]",
        '[2,"c","Reset",{"type":' + "9" * 100_000 + "}]",
        '[2,"d","Reset",{"type":1e999999}]',
        '[2,"e","Reset",{"type":NaN}]',
        '[2,"f","Reset",{"type":"\\ud800"}]',
        '[2,"g","Reset",{"type":"Nope","type":"Never"}]',
        '[2,"h","Reset",{"type":"\\u0000"}]',
        '[2,"i","Reset",' + '{"a":' * 5000 + "1" + "}" * 5000 + "]",
        "\ufeff[]",
        "\x00",
        "",
        " " * 100_000,
        "[2" + "," * 100_000,
    )
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        with no_crash(caplog):
            await online(bench)
            await begin(bench)
            before_kb = resident_kb()
            for _ in range(20):
                for text in odd:
                    csms.send_text(text)
                await bench.run_for(seconds=1)
            assert resident_kb() - before_kb < 60_000
            assert (await csms.call("GetConfiguration", {"key": ["x"]})).payload["unknownKey"] == ["x"]
            assert len(csms.handshakes) == 1
            answered = {json.loads(text)[1] for _, text in csms.received if text.startswith("[4")}
            assert {"b", "c", "d", "g", "h", "i"} <= answered
            await end(bench)
            await assert_billed_once(bench)


# --- habits of real ones -------------------------------------------------------------------------------------


@pytest.mark.req("R16-199", "R16-201", "R16-209", "TOLERATE-5", "FIELD-44", "FIELD-53")
async def test_measurands_one_by_one_then_the_list_then_read_back(tmp_path: Path) -> None:
    wanted = ["Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage"]
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        await online(bench)
        everything = (await csms.call("GetConfiguration", {"key": []})).payload
        assert everything == (await csms.call("GetConfiguration")).payload
        assert all(type(each["readonly"]) is bool for each in everything["configurationKey"])
        for text in (*wanted, ",".join(wanted)):
            change = {"key": "METERVALUESSAMPLEDDATA", "value": text}
            assert (await csms.call("ChangeConfiguration", change)).payload == {"status": "Accepted"}
        read = (await csms.call("GetConfiguration", {"key": ["meterValuesSampledData"]})).payload
        assert read["configurationKey"] == [
            {"key": "MeterValuesSampledData", "readonly": False, "value": ",".join(wanted)}
        ]
        await csms.call("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "60"})
        await charge_for(bench, minutes=6)
        told = [values["meterValue"][0] for values in bench.sent("MeterValues") if "transactionId" in values]
        sampled = [value for each in told for value in each["sampledValue"]]
        assert {value.get("measurand", wanted[0]) for value in sampled} == set(wanted)


@pytest.mark.req("R16-057", "R16-060", "TOLERATE-6", "FIELD-56")
async def test_a_heartbeat_every_ten_seconds_and_probing_with_nonsense(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=friendly(csms)) as bench:
        for action in ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"):
            csms.always(action)
        await online(bench)
        change = {"key": "HeartbeatInterval", "value": "10"}
        assert (await csms.call("ChangeConfiguration", change)).payload == {"status": "Accepted"}
        firmware = {"location": "dummy://dummy", "retrieveDate": "2026-01-01T12:00:00Z"}
        await csms.call("UpdateFirmware", firmware)
        signed = {
            "requestId": 1,
            "firmware": {
                "location": "dummy://dummy",
                "retrieveDateTime": "2026-01-01T12:00:00Z",
                "signingCertificate": "☺",
                "signature": "☺",
            },
        }
        answer = await csms.call("SignedUpdateFirmware", signed)
        assert answer.error is not None or answer.payload["status"] != "Accepted"
        csms.received.clear()
        await bench.run_for(minutes=10)
        assert 58 <= len(bench.sent("Heartbeat")) <= 60
        await charge_for(bench, minutes=2)
        await assert_billed_once(bench)


@pytest.mark.req(
    "R16-014", "R16-025", "R16-036", "R16-085", "TOLERATE-15", "FIELD-16", "FIELD-24", "FIELD-36"
)
async def test_nothing_that_a_strict_validator_could_refuse_is_ever_sent(tmp_path: Path) -> None:
    every = (
        "Energy.Active.Import.Register,Power.Active.Import,Voltage,Current.Import,Frequency,Temperature,SoC"
    )
    async with Csms() as csms, Bench(tmp_path, OFFLINE_TOO, csms=friendly(csms)) as bench:
        judge = Judge()
        csms.first_look = lambda text: judge.see(text) or False
        for action in ("FirmwareStatusNotification", "DiagnosticsStatusNotification"):
            csms.always(action)
        await online(bench)
        for each in every.split(","):
            await csms.call("ChangeConfiguration", {"key": "MeterValuesSampledData", "value": each})
        for message in (
            "MeterValues",
            "StatusNotification",
            "FirmwareStatusNotification",
            "BootNotification",
        ):
            await csms.call("TriggerMessage", {"requestedMessage": message})
        await charge_for(bench, minutes=16)
        bench.world.set_fault(1, "temp_stop")
        await bench.run_for(minutes=1)
        bench.world.clear_fault(1, "temp_stop")
        await bench.run_for(minutes=1)
        csms.refuse_status = 503
        csms.drop()
        await charge_for(bench, minutes=16)
        csms.refuse_status = None
        await online(bench)
        await bench.run_for(minutes=5)
        assert len(bench.sent("StopTransaction")) == 2
        assert [verdict for verdict in judge.verdicts if "an answer to no call" not in verdict] == []
        for _, text in csms.received:
            assert text.isascii()
            assert not _empties(json.loads(text)[2:]), text
        for action, payload in bench.calls():
            for at in _times(payload):
                assert at.endswith(("Z", "+00:00")), (action, at)


OFFLINE_TOO = """
[settings]
AllowOfflineTxForUnknownId = true
MeterValueSampleInterval = 60
ClockAlignedDataInterval = 300
StopTxnSampledData = "Energy.Active.Import.Register"
"""


def _empties(tree: Any, is_value: bool = False) -> list[Any]:
    """Empty strings, nulls and empty lists anywhere, but for the empty value of a configuration key."""
    if isinstance(tree, dict):
        return [found for key, each in tree.items() for found in _empties(each, key == "value")]
    if isinstance(tree, list):
        return [found for each in tree for found in _empties(each)]
    return [tree] if tree is None or (tree == "" and not is_value) else []


def _times(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        mine = [each for key, each in tree.items() if key == "timestamp"]
        return mine + [found for each in tree.values() for found in _times(each)]
    return [found for each in tree for found in _times(each)] if isinstance(tree, list) else []
