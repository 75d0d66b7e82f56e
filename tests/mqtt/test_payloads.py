"""What is published: one word for the state, no identity of a driver, power that is not history."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.charging.ids import ChargingState, IdToken, TransactionId
from agent.charging.profiles import LimitOrigin
from agent.charging.snapshot import ActiveFault, EvseSnapshot, SessionState, TransactionSnapshot
from agent.mqtt.payloads import STATES, encode, evse_json, meter_json, state_of, station_json
from hal.ports import ContactorState, MeterReading, PilotState
from tests.helpers import snapshots

READING = MeterReading(1000.0, 5.04, 0.0, 11_000.4, (230.0, 230.0, 230.0), (16.0, 16.0, None))
TRANSACTION = TransactionSnapshot(
    TransactionId("t1"), IdToken("SECRETTAG"), snapshots.T0, 0, ChargingState.CHARGING
)
CHARGING = snapshots.charging(1, reading=READING, id_token=IdToken("SECRETTAG"), transaction=TRANSACTION)
FAULT = ActiveFault("rcd_dc", snapshots.T0)


def charging(state: ChargingState) -> EvseSnapshot:
    return replace(CHARGING, transaction=replace(TRANSACTION, charging_state=state))


@pytest.mark.parametrize(
    ("evse", "state"),
    [
        (snapshots.evse(), "available"),
        (snapshots.evse(is_known=False), "unknown"),
        (snapshots.evse(is_operative=False), "out_of_service"),
        (snapshots.plugged(), "plugged"),
        (snapshots.plugged(is_operative=False, faults=(FAULT,)), "faulted"),
        (snapshots.evse(session=SessionState.AUTHORIZED), "authorized"),
        (snapshots.evse(session=SessionState.AUTHORIZING), "authorizing"),
        (snapshots.evse(session=SessionState.FINISHING), "finishing"),
        (charging(ChargingState.CHARGING), "charging"),
        (charging(ChargingState.SUSPENDED_EV), "paused_by_ev"),
        (charging(ChargingState.SUSPENDED_EVSE), "paused_by_station"),
        (charging(ChargingState.EV_CONNECTED), "starting"),
        (replace(charging(ChargingState.CHARGING), is_operative=False), "charging"),
        (replace(charging(ChargingState.CHARGING), faults=(FAULT,)), "faulted"),
    ],
)
def test_the_state_is_one_word_of_the_list(evse: EvseSnapshot, state: str) -> None:
    assert state_of(evse) == state
    assert state in STATES


def test_every_field_and_every_state_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/mqtt.md").read_text()
    station = snapshots.station(CHARGING)
    published = (
        *evse_json(CHARGING, station, LimitOrigin.OTHER),
        *(meter_json(CHARGING, 1000.0) or ()),
        *station_json(station, is_connected=True, registration=None, outputs={}),
        *STATES,
    )
    assert not [word for word in published if f"`{word}`" not in text]


def test_who_charges_is_nobodys_business() -> None:
    station = snapshots.station(CHARGING)
    assert b"SECRETTAG" not in encode(evse_json(CHARGING, station, LimitOrigin.OTHER))


def test_faults_come_with_their_words() -> None:
    evse = snapshots.evse(faults=(FAULT,))
    found = evse_json(evse, snapshots.station(evse), LimitOrigin.OTHER)
    assert found["faults"][0]["code"] == "rcd_dc"
    assert "residual current" in found["fault"]
    assert found["faults"][0]["advice"]


def test_behind_an_open_contactor_nothing_flows_whatever_the_last_reading_says() -> None:
    evse = snapshots.evse(reading=READING)
    found = meter_json(evse, 1001.0)
    assert found is not None
    assert (found["power_w"], found["current_a"], found["energy_import_wh"]) == (0.0, [0.0, 0.0, None], 5.0)


def test_an_old_voltage_is_not_that_of_now_behind_an_open_contactor_either() -> None:
    evse = snapshots.evse(reading=READING)
    fresh, old = meter_json(evse, 1001.0), meter_json(evse, 1200.0)
    assert fresh is not None
    assert old is not None
    assert fresh["voltage_v"] == [230.0, 230.0, 230.0]
    assert (old["voltage_v"], old["power_w"], old["energy_import_wh"]) == ([None] * 3, 0.0, 5.0)


def test_old_power_is_not_known_any_more_and_the_register_stays() -> None:
    evse = snapshots.evse(reading=READING, contactor=ContactorState.CLOSED, pilot=PilotState.C)
    fresh, old = meter_json(evse, 1001.0), meter_json(evse, 1200.0)
    assert fresh is not None
    assert old is not None
    assert (fresh["power_w"], old["power_w"]) == (11_000.0, None)
    assert old["energy_import_wh"] == 5.0


def test_without_a_reading_there_is_no_meter_message() -> None:
    assert meter_json(snapshots.evse(), 1000.0) is None
