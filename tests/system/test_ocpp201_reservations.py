"""Reservations in 2.0.1 on the whole station: the cases of block H, and what the CSMS is told when one ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.secure_bench import ask

TWO = "[hal.sim]\nevses = 2\n"
SWITCHED_OFF = '[settings]\n"ReservationCtrlr.Enabled" = "false"\n'
NAMED_ONLY = '[settings]\n"ReservationCtrlr.NonEvseSpecific" = "false"\n'
ENDS = "ReservationStatusUpdate"


@asynccontextmanager
async def online(tmp_path: Path, extra: str = TWO, **more: Any) -> AsyncIterator[Bench]:
    async with Bench(tmp_path, extra, version="ocpp2.0.1", **more) as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=2)
        yield bench


def statuses(bench: Bench, evse_id: int) -> list[str]:
    told = bench.sent("StatusNotification")
    return [each["connectorStatus"] for each in told if each["evseId"] == evse_id]


async def reserve(bench: Bench, number: int = 17, minutes: float = 60, **more: Any) -> Any:
    token = more.pop("token", "TAG1")
    expiry = (bench.agent.clock.now() + timedelta(minutes=minutes)).isoformat()
    wanted = {"idToken": token, "type": "ISO14443"}
    answer = await ask(bench, "ReserveNow", id=number, expiryDateTime=expiry, idToken=wanted, **more)
    await bench.run_for(seconds=5)
    return answer["status"]


async def start(bench: Bench, evse_id: int, token: str = "TAG1") -> str:
    wanted = {"idToken": token, "type": "ISO14443"}
    answer = await ask(bench, "RequestStartTransaction", evseId=evse_id, idToken=wanted, remoteStartId=1)
    await bench.run_for(seconds=5)
    return str(answer["status"])


def used(bench: Bench) -> list[int]:
    return [each["reservationId"] for each in bench.sent("TransactionEvent") if "reservationId" in each]


@pytest.mark.req("H01.FR.15", "H01.FR.23", "H03.FR.01", "H03.FR.09", "H03.FR.10", "F01.FR.21")
@pytest.mark.req("TC_H_01_CS", "TC_H_02_CS")
async def test_a_reserved_evse_takes_its_driver_and_nobody_else(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await reserve(bench, evseId=1) == "Accepted"
        assert (statuses(bench, 1), statuses(bench, 2)) == (["Available", "Reserved"], ["Available"])
        assert await start(bench, 1, "TAG2") == "Rejected"
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=5)
        assert statuses(bench, 1) == ["Available", "Reserved", "Available"]
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert statuses(bench, 1)[-1] == "Occupied"
        assert used(bench) == [17]
        assert bench.sent(ENDS) == []


@pytest.mark.req("G03.FR.09", "G01.FR.06")
@pytest.mark.req("G01.FR.09")
async def test_a_cable_alone_leaves_a_reserved_connector_reserved(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, evseId=1)
        bench.plug_in()
        await bench.run_for(seconds=5)
        assert statuses(bench, 1) == ["Available", "Reserved"]
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert statuses(bench, 1) == ["Available", "Reserved", "Occupied"]


@pytest.mark.req("H01.FR.02", "H01.FR.11", "H01.FR.14", "TC_H_03_CS", "TC_H_06_CS", "TC_H_23_CS")
async def test_what_is_taken_or_out_of_service_is_not_reserved_but_a_reservation_can_be_replaced(
    tmp_path: Path,
) -> None:
    async with online(tmp_path) as bench:
        assert await reserve(bench, 1, evseId=1) == "Accepted"
        assert await reserve(bench, 2, evseId=1, token="TAG2") == "Occupied"
        assert await reserve(bench, 1, evseId=1, token="TAG2") == "Accepted"
        assert await start(bench, 1, "TAG1") == "Rejected"
        assert await start(bench, 1, "TAG2") == "Accepted"
        await ask(bench, "ChangeAvailability", operationalStatus="Inoperative", evse={"id": 2})
        assert await reserve(bench, 3, evseId=2) == "Unavailable"
        assert await reserve(bench, 3, evseId=3) == "Rejected"


@pytest.mark.req("H01.FR.14", "TC_H_04_CS", "TC_H_10_CS", "TC_H_12_CS")
async def test_while_one_charges_and_the_other_is_out_of_service_nothing_can_be_reserved(
    tmp_path: Path,
) -> None:
    async with online(tmp_path) as bench:
        for evse_id in (1, 2):
            bench.plug_in(evse_id)
            bench.tap(f"TAG{evse_id}", evse_id)
            await bench.run_for(seconds=20)
        assert await reserve(bench, evseId=1) == "Occupied"
        assert await reserve(bench) == "Occupied"
    async with online(tmp_path / "other") as bench:
        await ask(bench, "ChangeAvailability", operationalStatus="Inoperative")
        assert await reserve(bench) == "Unavailable"


@pytest.mark.req("H04.FR.01", "H04.FR.02", "H04.FR.03", "TC_H_07_CS")
async def test_a_reservation_that_nobody_used_is_told_as_expired(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, minutes=2, evseId=1)
        await bench.run_for(minutes=3)
        assert bench.sent(ENDS) == [{"reservationId": 17, "reservationUpdateStatus": "Expired"}]
        assert statuses(bench, 1) == ["Available", "Reserved", "Available"]
        assert await start(bench, 1, "TAG2") == "Accepted"


@pytest.mark.req("H01.FR.17", "TC_H_21_CS")
async def test_a_reservation_whose_evse_went_out_of_service_is_told_as_removed(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, evseId=1)
        await ask(bench, "ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1})
        await bench.run_for(seconds=5)
        assert bench.sent(ENDS) == [{"reservationId": 17, "reservationUpdateStatus": "Removed"}]
        assert statuses(bench, 1) == ["Available", "Reserved", "Unavailable"]
        await ask(bench, "ChangeAvailability", operationalStatus="Operative", evse={"id": 1})
        await bench.run_for(seconds=5)
        assert statuses(bench, 1)[-1] == "Available"
        assert await start(bench, 1, "TAG2") == "Accepted"


@pytest.mark.req("H01.FR.16")
async def test_a_fault_takes_the_reservation_with_it(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, evseId=1)
        bench.world.set_fault(1, "emergency_stop")
        await bench.until(lambda: bench.sent(ENDS))
        assert bench.sent(ENDS) == [{"reservationId": 17, "reservationUpdateStatus": "Removed"}]
        assert statuses(bench, 1)[-1] == "Faulted"


@pytest.mark.req("H04.FR.01")
async def test_what_ends_while_the_station_is_offline_is_told_when_it_is_back(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, minutes=2, evseId=1)
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(minutes=5)
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.sent(ENDS))
        await bench.run_for(minutes=2)
        assert bench.sent(ENDS) == [{"reservationId": 17, "reservationUpdateStatus": "Expired"}]


@pytest.mark.req("H04.FR.01")
async def test_an_end_that_could_not_be_told_before_a_restart_is_told_after_it_and_once(
    tmp_path: Path,
) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, minutes=2, evseId=1)
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(minutes=5)
    for ends in ([{"reservationId": 17, "reservationUpdateStatus": "Expired"}], []):
        async with online(tmp_path) as bench:
            await bench.run_for(minutes=1)
            assert bench.sent(ENDS) == ends


@pytest.mark.req("H04.FR.01")
async def test_a_csms_that_does_not_want_to_hear_of_an_end_does_not_hold_up_what_comes_behind(
    tmp_path: Path,
) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, minutes=2, evseId=1)
        bench.csms.never(ENDS)
        (await bench.csms.expect(ENDS)).error("InternalError", "out of order")
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert bench.sent("TransactionEvent")


@pytest.mark.req("B01.FR.13", "B11.FR.05", "TC_B_24_CS")
async def test_a_reservation_survives_a_reset(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await reserve(bench, connectorType="sType2")
        await reserve(bench, 18, evseId=1, token="TAG2")
        assert (await ask(bench, "Reset", type="OnIdle"))["status"] == "Accepted"
        await bench.ended()
    async with online(tmp_path) as bench:
        assert (statuses(bench, 1), statuses(bench, 2)) == (["Reserved"], ["Reserved"])
        assert await start(bench, 2, "TAG2") == "Rejected"
        assert await start(bench, 2, "TAG1") == "Accepted"


@pytest.mark.req("H01.FR.04", "H01.FR.07", "H01.FR.18", "H01.FR.20", "H03.FR.03")
@pytest.mark.req("TC_H_08_CS", "TC_H_09_CS", "TC_H_14_CS")
async def test_reservations_for_any_evse_show_when_they_take_the_last_ones(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await reserve(bench, 1) == "Accepted"
        assert (statuses(bench, 1), statuses(bench, 2)) == (["Available"], ["Available"])
        assert await reserve(bench, 2, token="TAG2") == "Accepted"
        assert (statuses(bench, 1)[-1], statuses(bench, 2)[-1]) == ("Reserved", "Reserved")
        assert await reserve(bench, 3, token="TAG3") == "Occupied"
        assert await start(bench, 1, "TAG3") == "Rejected"
        bench.plug_in(2)
        bench.tap("TAG2", 2)
        await bench.run_for(seconds=20)
        assert used(bench) == [2]


@pytest.mark.req("H01.FR.06", "H01.FR.09", "H01.FR.24", "H03.FR.02", "TC_H_15_CS", "TC_H_16_CS")
async def test_a_connector_type_can_be_reserved(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await reserve(bench, 1, connectorType="cCCS2") == "Rejected"
        assert await reserve(bench, 1, connectorType="sType2") == "Accepted"
        assert await reserve(bench, 2, connectorType="sType2", token="TAG2") == "Accepted"
        assert await reserve(bench, 3, connectorType="sType2", token="TAG3") == "Occupied"
        assert (statuses(bench, 1)[-1], statuses(bench, 2)[-1]) == ("Reserved", "Reserved")
        bench.plug_in(1)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert used(bench) == [1]


@pytest.mark.req("H03.FR.04", "H03.FR.06", "H03.FR.08", "TC_H_19_CS", "TC_H_24_CS")
@pytest.mark.parametrize("place", [{"evseId": 1}, {}, {"connectorType": "sType2"}])
async def test_anyone_of_the_group_may_use_a_reservation_and_is_asked_for(
    tmp_path: Path, place: dict[str, Any]
) -> None:
    async with online(tmp_path, "") as bench:
        group = {"idToken": "FLEET", "type": "Central"}
        assert await reserve(bench, groupIdToken=group, **place) == "Accepted"
        bench.csms.always("Authorize", idTokenInfo={"status": "Accepted"})
        bench.tap("STRANGER")
        await bench.run_for(seconds=5)
        assert statuses(bench, 1)[-1] == "Reserved"
        bench.csms.always("Authorize", idTokenInfo={"status": "Accepted", "groupIdToken": group})
        bench.tap("COUSIN")
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert used(bench) == [17]
        assert [each["idToken"]["idToken"] for each in bench.sent("Authorize")] == ["STRANGER", "COUSIN"]


@pytest.mark.req("H03.FR.07", "H03.FR.04")
@pytest.mark.parametrize("is_listed", [True, False])
async def test_the_group_of_a_driver_is_looked_up_in_list_and_cache(tmp_path: Path, is_listed: bool) -> None:
    async with online(tmp_path, '[settings]\n"AuthCtrlr.LocalPreAuthorize" = "true"\n') as bench:
        group = {"idToken": "FLEET", "type": "Central"}
        info = {"status": "Accepted", "groupIdToken": group}
        if is_listed:
            entry = {"idToken": {"idToken": "COUSIN", "type": "ISO14443"}, "idTokenInfo": info}
            sent = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]}
            assert (await ask(bench, "SendLocalList", **sent))["status"] == "Accepted"
        else:
            bench.csms.always("Authorize", idTokenInfo=info)
            bench.tap("COUSIN")
            await bench.run_for(minutes=3)  # nobody plugs in: known from now on
        questions = len(bench.sent("Authorize"))
        assert await reserve(bench, groupIdToken=group, evseId=1) == "Accepted"
        bench.csms.always("Authorize", idTokenInfo={"status": "Invalid"})
        bench.tap("COUSIN")
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert (used(bench), len(bench.sent("Authorize"))) == ([17], questions)


@pytest.mark.req("H02.FR.01", "H02.FR.02", "H02.FR.03", "H02.FR.04", "H02.FR.05", "H02.FR.06")
@pytest.mark.req("TC_H_17_CS", "TC_H_18_CS")
async def test_a_cancelled_reservation_is_over_without_another_word(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert (await ask(bench, "CancelReservation", reservationId=17))["status"] == "Rejected"
        await reserve(bench, evseId=1)
        assert (await ask(bench, "CancelReservation", reservationId=17))["status"] == "Accepted"
        await bench.run_for(seconds=5)
        assert statuses(bench, 1) == ["Available", "Reserved", "Available"]
        for number in (1, 2):
            await reserve(bench, number)
        assert (statuses(bench, 1)[-1], statuses(bench, 2)[-1]) == ("Reserved", "Reserved")
        assert (await ask(bench, "CancelReservation", reservationId=1))["status"] == "Accepted"
        await bench.run_for(seconds=5)
        assert (statuses(bench, 1)[-1], statuses(bench, 2)[-1]) == ("Available", "Available")
        assert await start(bench, 1, "TAG2") == "Accepted"
        assert bench.sent(ENDS) == []


@pytest.mark.req("H01.FR.01", "H01.FR.19", "TC_H_13_CS", "TC_H_22_CS")
async def test_what_the_settings_do_not_allow_is_rejected(tmp_path: Path) -> None:
    async with online(tmp_path / "off", SWITCHED_OFF) as bench:
        assert await reserve(bench, evseId=1) == "Rejected"
    async with online(tmp_path / "named", NAMED_ONLY) as bench:
        assert await reserve(bench) == "Rejected"
        assert await reserve(bench, connectorType="sType2") == "Rejected"
        assert await reserve(bench, evseId=1) == "Accepted"
