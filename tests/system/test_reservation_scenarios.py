"""Reservations on the whole station: the cases of the compliance tool, and every answer.

Real agent, real firmware, a scripted CSMS, virtual time.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.helpers.bench import Bench
from tests.helpers.reservation_steps import TWO, ask, online, out_of_service, reserve, starts, tap

NO_PROFILE = '[settings]\nSupportedFeatureProfiles = "Core,RemoteTrigger"\n'


# --- the cases of the compliance tool ----------------------------------------------------------------------


@pytest.mark.req("R16-110", "R16-228", "R16-235", "R16-237", "TC_046_1_CS")
async def test_a_reserved_connector_takes_its_driver_and_nobody_else(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        await out_of_service(bench, 2)
        assert await reserve(bench) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved"]
        await tap(bench, "TAG2")
        assert bench.statuses(1) == ["Available", "Reserved"]
        await tap(bench, "tag1")
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing"]
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert starts(bench) == [(1, "tag1", 17)]
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing", "Charging"]


@pytest.mark.req("R16-235", "R16-237")
async def test_a_cable_alone_says_nothing_about_who_is_there(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        bench.plug_in()
        await tap(bench, "TAG2")
        assert bench.statuses(1) == ["Available", "Reserved"]
        assert not starts(bench)
        await tap(bench, "TAG1")
        assert starts(bench) == [(1, "TAG1", 17)]
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing", "Charging"]


@pytest.mark.req("R16-110", "R16-237", "TC_046_2_CS")
@pytest.mark.parametrize("is_authorized", [True, False])
async def test_a_remote_start_uses_the_reservation_and_a_foreign_one_is_rejected(
    tmp_path: Path, is_authorized: bool
) -> None:
    extra = f"[settings]\nAuthorizeRemoteTxRequests = {str(is_authorized).lower()}\n"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG2", connectorId=1) == "Rejected"
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG2") == "Rejected"
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG1", connectorId=1) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing"]
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert starts(bench) == [(1, "TAG1", 17)]


@pytest.mark.req("R16-238", "TC_047_CS")
async def test_a_reservation_that_expired_keeps_nobody_out(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        await out_of_service(bench, 2)
        expiry = bench.agent.clock.now() + timedelta(minutes=3)
        assert await reserve(bench, minutes=3) == "Accepted"
        await bench.run_for(minutes=4)
        assert bench.statuses(1) == ["Available", "Reserved", "Available"]
        told = bench.sent("StatusNotification")[-1]["timestamp"]
        assert abs(bench.agent.clock.now() - expiry) < timedelta(minutes=2)
        assert told[:19] == expiry.isoformat()[:19]
        bench.plug_in()
        await tap(bench, "TAG2")
        assert starts(bench) == [(1, "TAG2", None)]


@pytest.mark.req("R16-231", "TC_048_1_CS")
async def test_a_faulted_connector_cannot_be_reserved(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        bench.world.set_fault(1, "temp_stop")
        await bench.run_for(seconds=5)
        assert await reserve(bench) == "Faulted"


@pytest.mark.req("R16-230", "TC_048_2_CS")
async def test_an_occupied_or_reserved_connector_cannot_be_reserved(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        bench.plug_in()
        await bench.run_for(seconds=5)
        assert await reserve(bench) == "Occupied"
        await tap(bench, "TAG1", 1)
        assert await reserve(bench) == "Occupied"
        await tap(bench, "TAG1", 1)
        assert bench.statuses(1)[-1] == "Finishing"
        assert await reserve(bench) == "Occupied"
        assert await reserve(bench, 2, number=1) == "Accepted"
        assert await reserve(bench, 2, number=2) == "Occupied", "reserved for the very same tag"
        assert await reserve(bench, 2, "TAG2", number=3) == "Occupied"


@pytest.mark.req("R16-231", "TC_048_3_CS")
async def test_an_unavailable_connector_cannot_be_reserved(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await out_of_service(bench, 1)
        assert await reserve(bench) == "Unavailable"


@pytest.mark.req("R16-232", "TC_048_4_CS", "TC_050_4_CS")
@pytest.mark.parametrize("connector", [0, 1])
async def test_without_the_profile_nothing_can_be_reserved(tmp_path: Path, connector: int) -> None:
    async with Bench(tmp_path, NO_PROFILE) as bench:
        await online(bench)
        assert await reserve(bench, connector) == "Rejected"


@pytest.mark.req("R16-228", "R16-234", "R16-110", "TC_049_CS")
async def test_a_reservation_of_the_station_holds_its_last_connector(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        await out_of_service(bench, 2)
        assert await reserve(bench, 0) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved"]
        assert bench.statuses(0) == ["Available"]
        bench.plug_in()
        await tap(bench, "TAG2")
        assert not starts(bench)
        await tap(bench, "TAG1")
        assert starts(bench) == [(1, "TAG1", 17)]
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing", "Charging"]


@pytest.mark.req("R16-231", "TC_050_1_CS")
async def test_a_faulted_station_cannot_be_reserved(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        for evse_id in (1, 2):
            bench.world.set_fault(evse_id, "temp_stop")
        await bench.run_for(seconds=5)
        assert await reserve(bench, 0) == "Faulted"


@pytest.mark.req("R16-230", "TC_050_2_CS")
async def test_an_occupied_station_cannot_be_reserved(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        for evse_id in (1, 2):
            bench.plug_in(evse_id)
            await tap(bench, f"TAG{evse_id}", evse_id)
        assert await reserve(bench, 0) == "Occupied"


@pytest.mark.req("R16-231", "TC_050_3_CS")
@pytest.mark.parametrize("connectors", [(0,), (1, 2)])
async def test_an_unavailable_station_cannot_be_reserved(tmp_path: Path, connectors: tuple[int, ...]) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        await out_of_service(bench, *connectors)
        assert await reserve(bench, 0) == "Unavailable"


@pytest.mark.req("R16-110", "R16-240", "TC_051_CS")
async def test_a_cancelled_reservation_keeps_nobody_out(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        assert await ask(bench, "CancelReservation", reservationId=17) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved", "Available"]
        bench.plug_in()
        await tap(bench, "TAG2")
        assert starts(bench) == [(1, "TAG2", None)]


@pytest.mark.req("R16-240", "TC_052_CS")
async def test_cancelling_what_is_not_there_changes_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        assert await ask(bench, "CancelReservation", reservationId=18) == "Rejected"
        assert bench.statuses(1) == ["Available", "Reserved"]
        assert [each.reservation_id for each in bench.agent.station.snapshot().reservations] == [17]


@pytest.mark.req("R16-235", "R16-236", "TC_053_CS")
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_token_of_the_group_uses_the_reservation(tmp_path: Path, is_known: bool) -> None:
    """Also a token that is known here without a group, which would not have been asked for otherwise."""
    async with Bench(tmp_path, TWO + "[settings]\nLocalPreAuthorize = true\n") as bench:
        await online(bench)
        await out_of_service(bench, 2)
        if is_known:
            known = [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in ("TAG2", "TAG3")]
            update = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": known}
            assert await ask(bench, "SendLocalList", **update) == "Accepted"
        assert await reserve(bench, parent="FAMILY") == "Accepted"
        bench.csms.always("Authorize", idTagInfo={"status": "Accepted", "parentIdTag": "OTHERS"})
        await tap(bench, "TAG3")
        assert bench.statuses(1)[-1] == "Reserved"
        bench.csms.always("Authorize", idTagInfo={"status": "Accepted", "parentIdTag": "Family"})
        await tap(bench, "TAG2")
        assert [each["idTag"] for each in bench.sent("Authorize")] == ["TAG3", "TAG2"]
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert starts(bench) == [(1, "TAG2", 17)]
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing", "Charging"]


# --- answers -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-233", "R16-241", "R16-242")
async def test_what_cannot_be_meant_is_rejected(tmp_path: Path) -> None:
    extra = "[settings]\nReserveConnectorZeroSupported = false\n"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        for connector, minutes in ((0, 60), (2, 60), (-1, 60), (1, -1), (1, 0)):
            assert await reserve(bench, connector, minutes=minutes) == "Rejected", (connector, minutes)
        answer = await bench.csms.call("ReserveNow", {"connectorId": 1, "idTag": "TAG1", "reservationId": 1})
        assert answer.error == "ProtocolError"
        assert bench.statuses(1) == ["Available"]


@pytest.mark.req("R16-229")
async def test_the_same_id_replaces_the_reservation(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert await reserve(bench, 1) == "Accepted"
        assert await reserve(bench, 1, "TAG2", minutes=10) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved"]
        assert await reserve(bench, 2, "TAG2", minutes=10) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved", "Available"]
        assert bench.statuses(2) == ["Available", "Reserved"]
        bench.plug_in(2)
        await tap(bench, "TAG1", 2)
        assert not starts(bench)
        await tap(bench, "TAG2", 2)
        assert starts(bench) == [(2, "TAG2", 17)]


@pytest.mark.req("R16-229")
async def test_a_replacement_that_is_refused_leaves_the_reservation_as_it_was(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        bench.plug_in(2)
        assert await reserve(bench, 1) == "Accepted"
        assert await reserve(bench, 2, "TAG2") == "Occupied"
        assert await reserve(bench, 1, "TAG2", minutes=-5) == "Rejected"
        bench.plug_in(1)
        await tap(bench, "TAG1", 1)
        assert starts(bench) == [(1, "TAG1", 17)]
