"""Core: local charging sessions of 2.0.1, how they end, what they tell, and what keeps them from starting."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from ocpp.exceptions import InternalError

from tests.witness.central_system import Seen, call
from tests.witness.v201.rig import INVALID_TAG, OTHER_TAG, TAG, Rig, event, status, token

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness201-sessions"),
]
UPDATED = "SampledDataCtrlr.TxUpdatedInterval"


def contexts(seen: Seen) -> set[str]:
    return {
        value.get("context", "Sample.Periodic")
        for reading in seen.payload.get("meterValue", [])
        for value in reading["sampledValue"]
    }


def register(seen: Seen) -> list[float]:
    """The energy registers of an event in the order of its readings."""
    return [
        value["value"]
        for reading in seen.payload.get("meterValue", [])
        for value in reading["sampledValue"]
        if value.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
    ]


@pytest.mark.req("TC_E_03_CS", "TC_E_06_CS", "TC_G_01_CS", "TC_G_02_CS", "TC_J_07_CS", "TC_J_10_CS")
async def test_cable_first_and_the_same_card_ends_it(rig: Rig) -> None:
    await rig.plugged()
    await rig.station.tap(TAG)
    await rig.central.expect(call("Authorize", idToken=token(TAG)))
    transaction = await rig.started()
    began = rig.events(transaction)[0]
    assert began["idToken"] == token(TAG)
    assert began["evse"] == {"id": 1, "connectorId": 1}
    assert register(began)
    await rig.station.tap(TAG)
    end = await rig.ended(transaction, triggerReason="StopAuthorized")
    assert end["transactionInfo"].get("stoppedReason", "Local") == "Local"
    assert end["idToken"] == token(TAG)
    assert contexts(end) >= {"Transaction.End"}
    assert register(end) == sorted(register(end))
    await rig.station.unplug()
    await rig.central.expect(status(1, "Available"))


@pytest.mark.req("TC_E_04_CS", "TC_E_01_CS")
async def test_card_first(rig: Rig) -> None:
    await rig.configure({"TxCtrlr.EVConnectionTimeOut": 30})
    await rig.authorized()
    await rig.station.plug()
    await rig.central.expect(status(1, "Occupied"))
    transaction = await rig.started()
    assert rig.events(transaction)[0]["idToken"] == token(TAG)


@pytest.mark.req("TC_E_05_CS", "TC_E_13_CS", "TC_E_39_CS", "TC_F_04_CS")
@pytest.mark.parametrize("is_remote", [False, True])
async def test_nobody_plugs_in(rig: Rig, is_remote: bool) -> None:
    await rig.configure({"TxCtrlr.EVConnectionTimeOut": 1, "TxCtrlr.TxStartPoint": "Authorized"})
    if is_remote:
        rig.central.tolerate(call("Authorize", idToken=token(TAG)))
        await rig.asked("RequestStartTransaction", idToken=token(TAG), remoteStartId=7, evseId=1)
        began = await rig.central.expect_one(event("Started", triggerReason="RemoteStart"))
        assert began["transactionInfo"]["remoteStartId"] == 7
    else:
        await rig.authorized()
        began = await rig.central.expect_one(event("Started", triggerReason="Authorized"))
    end = await rig.ended(began["transactionInfo"]["transactionId"], triggerReason="EVConnectTimeout")
    assert end["transactionInfo"]["stoppedReason"] == "Timeout"


@pytest.mark.req("TC_E_09_CS", "TC_E_10_CS", "TC_E_02_CS")
@pytest.mark.parametrize(
    ("point", "triggers"),
    [
        ("EVConnected", ["CablePluggedIn", "Authorized"]),
        ("Authorized", ["Authorized"]),
        ("EnergyTransfer", ["ChargingStateChanged"]),
    ],
)
async def test_start_points(rig: Rig, point: str, triggers: list[str]) -> None:
    await rig.configure({"TxCtrlr.TxStartPoint": point})
    await rig.station.plug()
    rig.central.tolerate(status(1, "Occupied"), call("Authorize"))
    if point == "EVConnected":
        began = await rig.central.expect_one(event("Started"))
        assert "idToken" not in began.payload
    await rig.station.tap(TAG)
    rig.central.tolerate(event("Started"), event("Updated"))
    await rig.central.until(
        lambda: any(
            seen["transactionInfo"].get("chargingState") == "Charging"
            for seen in rig.central.calls("TransactionEvent")
        )
    )
    reasons = [seen["triggerReason"] for seen in rig.central.calls("TransactionEvent")]
    assert reasons[: len(triggers)] == triggers
    carriers = [seen for seen in rig.central.calls("TransactionEvent") if "idToken" in seen.payload]
    assert len(carriers) == 1, "the token is told once"


@pytest.mark.req("TC_C_04_CS", "TC_C_39_CS")
async def test_a_stranger_does_not_stop_and_a_member_of_the_group_does(rig: Rig) -> None:
    group = {"groupIdToken": {"idToken": "WITNESS-GROUP", "type": "Central"}}
    rig.central.tags[TAG] = {"status": "Accepted", **group}
    transaction = await rig.charging()
    await rig.station.tap("WITNESS-TAG-3")
    await rig.central.expect(call("Authorize", idToken=token("WITNESS-TAG-3")))
    await rig.central.quiet(0.4)
    rig.central.tags[OTHER_TAG] = {"status": "Accepted", **group}
    await rig.station.tap(OTHER_TAG)
    await rig.central.expect(call("Authorize", idToken=token(OTHER_TAG)))
    await rig.ended(transaction, triggerReason="StopAuthorized", idToken=token(OTHER_TAG))


@pytest.mark.req("TC_C_02_CS", "TC_C_06_CS", "TC_C_07_CS", "TC_C_56_CS")
@pytest.mark.parametrize("word", ["Invalid", "Unknown", "Blocked", "Expired"])
async def test_who_is_refused_starts_nothing(rig: Rig, word: str) -> None:
    rig.central.tags[INVALID_TAG] = {"status": word}
    await rig.plugged()
    await rig.authorized(tag=INVALID_TAG)
    await rig.central.quiet(0.4)
    assert not (await rig.station.evse())["transaction"]


@pytest.mark.req("TC_C_08_CS", "TC_C_37_CS")
async def test_a_cached_token_is_not_asked_for_until_the_cache_is_cleared(rig: Rig) -> None:
    await rig.configure({"AuthCtrlr.LocalPreAuthorize": True, "AuthCacheCtrlr.Enabled": True})
    transaction = await rig.charging()
    await rig.station.tap(TAG)
    await rig.ended(transaction)
    await rig.station.unplug()
    await rig.central.expect(status(1, "Available"))
    before = rig.central.number
    await rig.plugged()
    await rig.station.tap(TAG)
    await rig.started()
    assert not rig.central.calls("Authorize", after=before)
    await rig.asked("ClearCache")
    await rig.plugged(2)
    await rig.station.tap(TAG, 2)
    await rig.central.expect(call("Authorize", idToken=token(TAG)))


@pytest.mark.req("TC_E_17_CS", "TC_E_21_CS", "TC_E_26_CS", "TC_F_08_CS")
@pytest.mark.parametrize("ends", [True, False])
async def test_unplugging_at_the_ev(rig: Rig, ends: bool) -> None:
    await rig.configure({"TxCtrlr.StopTxOnEVSideDisconnect": ends, "TxCtrlr.TxStopPoint": "Authorized"})
    transaction = await rig.charging()
    rig.central.tolerate(status(1, "Available"))
    await rig.station.unplug(is_torn_out=True)
    if ends:
        await rig.ended(transaction, triggerReason="EVCommunicationLost")
    else:
        await rig.central.until(lambda: rig.state_of(transaction) in ("SuspendedEV", "Idle"))
        await rig.central.quiet(0.4)
        await rig.asked("RequestStopTransaction", transactionId=transaction)
        await rig.ended(transaction, triggerReason="RemoteStop")


@pytest.mark.req("TC_E_16_CS")
async def test_a_token_that_is_refused_later_ends_the_energy(rig: Rig) -> None:
    await rig.configure({"TxCtrlr.StopTxOnInvalidId": True, "TxCtrlr.MaxEnergyOnInvalidId": 0})
    rig.central.script("TransactionEvent", {"idTokenInfo": {"status": "Invalid"}})
    await rig.plugged()
    await rig.authorized()
    rig.central.tolerate(event("Started"), event("Updated"))
    end = await rig.central.expect_one(event("Ended", triggerReason="Deauthorized"))
    assert end["transactionInfo"]["stoppedReason"] == "DeAuthorized"


@pytest.mark.req("TC_J_09_CS", "TC_J_10_CS")
async def test_readings_while_energy_flows_and_all_of_them_at_the_end(rig: Rig) -> None:
    await rig.configure({UPDATED: 1, "SampledDataCtrlr.TxEndedInterval": 1})
    transaction = await rig.charging()

    def periodic() -> list[Seen]:
        return [seen for seen in rig.events(transaction) if seen["triggerReason"] == "MeterValuePeriodic"]

    await rig.central.until(lambda: len(periodic()) >= 3)
    assert all(0.7 < later.at - earlier.at < 1.5 for earlier, later in pairwise(periodic()))
    assert {context for seen in periodic() for context in contexts(seen)} == {"Sample.Periodic"}
    await rig.station.tap(TAG)
    end = await rig.ended(transaction)
    assert len(register(end)) >= 4
    assert contexts(end) == {"Transaction.Begin", "Sample.Periodic", "Transaction.End"}


@pytest.mark.req("TC_J_01_CS", "TC_J_02_CS")
async def test_readings_on_the_grid(rig: Rig) -> None:
    await rig.configure({"AlignedDataCtrlr.Interval": 1})
    reading = await rig.central.expect_one(call("MeterValues", evseId=1))
    assert contexts(reading) == {"Sample.Clock"}
    transaction = await rig.charging()
    wanted = event("Updated", triggerReason="MeterValueClock")
    await rig.central.until(lambda: any(wanted.matches(seen) for seen in rig.events(transaction)))


@pytest.mark.req("TC_J_03_CS")
async def test_readings_on_the_grid_are_all_in_the_end(rig: Rig) -> None:
    register_only = "Energy.Active.Import.Register"
    await rig.configure({"AlignedDataCtrlr.TxEndedMeasurands": register_only})
    await rig.configure({"AlignedDataCtrlr.TxEndedInterval": 1, "AlignedDataCtrlr.SendDuringIdle": False})
    transaction = await rig.charging()
    await asyncio.sleep(3.2)
    await rig.station.tap(TAG)
    end = await rig.ended(transaction)
    on_grid = [
        datetime.fromisoformat(reading["timestamp"])
        for reading in end["meterValue"]
        if {value.get("context") for value in reading["sampledValue"]} == {"Sample.Clock"}
    ]
    assert len(on_grid) >= 3
    assert {later - earlier for earlier, later in pairwise(on_grid)} == {timedelta(seconds=1)}


@pytest.mark.req("TC_E_40_CS", "TC_E_29_CS", "TC_E_30_CS", "TC_E_33_CS", "TC_E_34_CS")
async def test_a_transaction_goes_on_offline_and_is_told_later(rig: Rig) -> None:
    await rig.configure({UPDATED: 1})
    transaction = await rig.charging()
    answer = await rig.central.ask("GetTransactionStatus", transactionId=transaction)
    assert answer.payload["ongoingIndicator"] is True
    await rig.central.go_offline()
    await rig.station.until(lambda now: now["outbox_depth"] >= 2)
    rig.central.go_online()
    await rig.central.connected()
    offline = [seen for seen in rig.events(transaction) if seen.payload.get("offline")]
    await rig.central.until(
        lambda: any(seen.payload.get("offline") for seen in rig.events(transaction)), within=15
    )
    assert not offline, "nothing before the connection"
    await rig.station.until(lambda now: now["outbox_depth"] == 0)
    answer = await rig.central.ask("GetTransactionStatus")
    assert answer.payload == {"messagesInQueue": False}
    await rig.station.tap(TAG)
    await rig.ended(transaction)


@pytest.mark.req("TC_E_28_CS", "TC_E_32_CS")
async def test_the_status_of_a_transaction_that_is_over_or_unknown(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.station.tap(TAG)
    await rig.ended(transaction)
    await rig.station.until(lambda now: now["outbox_depth"] == 0)
    for known in (transaction, "no-such-transaction"):
        answer = await rig.central.ask("GetTransactionStatus", transactionId=known)
        assert answer.payload == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.req("TC_E_50_CS", "TC_E_51_CS")
@pytest.mark.parametrize("refusals", [1, 3])
async def test_a_transaction_message_that_is_refused_comes_again(rig: Rig, refusals: int) -> None:
    """The rig sets the interval to 1 s; after 3 attempts the next message has its turn."""
    await rig.configure({"OCPPCommCtrlr.MessageAttempts.TransactionEvent": 3})
    await rig.configure({"OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent": 1})
    rig.central.script("TransactionEvent", *[InternalError("not now")] * refusals)
    await rig.plugged()
    await rig.authorized()
    rig.central.tolerate(event("Started"), event("Updated"))
    await rig.central.until(lambda: rig.central.calls("TransactionEvent"))
    attempts = refusals + (refusals < 3)

    def numbers() -> list[int]:
        return [seen["seqNo"] for seen in rig.central.calls("TransactionEvent")]

    await rig.central.until(lambda: 1 in numbers(), within=15)
    assert numbers()[: attempts + 1] == [0] * attempts + [1]
    times = [seen.at for seen in rig.central.calls("TransactionEvent")[:attempts]]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap > 0.9 * (number + 1) for number, gap in enumerate(gaps)), gaps


@pytest.mark.req("TC_C_27_CS", "TC_D_01_CS", "TC_D_08_CS")
async def test_the_local_list_speaks_before_the_csms(rig: Rig) -> None:
    await rig.configure({"LocalAuthListCtrlr.Enabled": True, "AuthCtrlr.LocalPreAuthorize": True})
    entry = {"idToken": token(TAG), "idTokenInfo": {"status": "Accepted"}}
    await rig.asked("SendLocalList", versionNumber=4, updateType="Full", localAuthorizationList=[entry])
    answer = await rig.central.ask("GetLocalListVersion")
    assert answer.payload == {"versionNumber": 4}
    await rig.plugged()
    before = rig.central.number
    await rig.station.tap(TAG)
    await rig.started()
    assert not rig.central.calls("Authorize", after=before)


async def test_a_power_cut_ends_the_transaction(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.power_cycle()
    rig.central.tolerate(event("Updated"), event("Ended"))
    assert (await rig.booted(reason="PowerUp"))[2] == "Available"
    await rig.central.until(lambda: any(event("Ended").matches(seen) for seen in rig.events(transaction)))
    end = rig.events(transaction)[-1]
    assert end["triggerReason"] == "AbnormalCondition"
    assert end["transactionInfo"]["stoppedReason"] in ("PowerLoss", "Reboot")
