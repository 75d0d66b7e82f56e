"""Reservations beside everything else on the whole station: more EVSEs, power cuts, time, faults, offline."""

from pathlib import Path

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.disk import power_cuts
from tests.helpers.reservation_steps import TWO, TWO_BY_TWO, ask, online, out_of_service, reserve, starts, tap

# --- more than one EVSE ------------------------------------------------------------------------------------


@pytest.mark.req("R16-235", "R16-237")
async def test_two_reservations_on_two_connectors_go_to_their_drivers_at_one_reader(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert await reserve(bench, 1, "TAG1", number=1) == "Accepted"
        assert await reserve(bench, 2, "TAG2", number=2) == "Accepted"
        await tap(bench, "TAG3")
        assert [bench.statuses(number)[-1] for number in (1, 2)] == ["Reserved", "Reserved"]
        await tap(bench, "TAG2")
        assert [bench.statuses(number)[-1] for number in (1, 2)] == ["Reserved", "Preparing"]
        bench.plug_in(1)  # the wrong one: the reservation there is not theirs
        await bench.run_for(seconds=5)
        assert not starts(bench)
        bench.plug_in(2)
        await bench.run_for(seconds=10)
        await tap(bench, "TAG1")
        assert starts(bench) == [(2, "TAG2", 2), (1, "TAG1", 1)]


@pytest.mark.req("R16-234")
async def test_one_of_two_stays_free_for_a_reservation_of_the_station(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert await reserve(bench, 0) == "Accepted"
        assert [bench.statuses(number) for number in (1, 2)] == [["Available"], ["Available"]]
        bench.plug_in(1)
        await tap(bench, "TAG2", 1)
        assert bench.statuses(2) == ["Available", "Reserved"]
        bench.plug_in(2)
        await tap(bench, "TAG3", 2)
        assert starts(bench) == [(1, "TAG2", None)]
        assert await reserve(bench, 2, number=18) == "Occupied"
        bench.tap("TAG2", 1)
        bench.unplug(1)
        await bench.run_for(seconds=20)
        assert bench.statuses(1)[-1] == "Reserved", "the other one has a stranger's cable in it"
        await tap(bench, "TAG1", 2)
        assert starts(bench)[1:] == [(2, "TAG1", 17)]
        assert bench.statuses(1)[-1] == "Available"


@pytest.mark.req("R16-230", "R16-234")
async def test_as_many_reservations_of_the_station_as_there_are_evses(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert await reserve(bench, 0, "TAG1", number=1) == "Accepted"
        assert await reserve(bench, 0, "TAG2", number=2) == "Accepted"
        assert [bench.statuses(number)[-1] for number in (1, 2)] == ["Reserved", "Reserved"]
        assert await reserve(bench, 0, "TAG3", number=3) == "Occupied"
        assert await reserve(bench, 1, "TAG3", number=3) == "Occupied"
        bench.world.set_fault(2, "temp_stop")
        await bench.run_for(seconds=5)
        assert [each.reservation_id for each in bench.agent.station.snapshot().reservations] == [1]
        bench.plug_in(1)
        await tap(bench, "TAG2", 1)
        assert not starts(bench)
        await tap(bench, "TAG1", 1)
        assert starts(bench) == [(1, "TAG1", 1)]


@pytest.mark.req("R16-235")
async def test_the_other_connector_of_a_reserved_evse_is_of_no_use(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        assert await reserve(bench, 2) == "Accepted"
        assert [bench.statuses(number)[-1] for number in (1, 2, 3, 4)] == [
            "Unavailable",
            "Reserved",
            "Available",
            "Available",
        ]
        assert await reserve(bench, 1, number=18) == "Occupied"
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG2", connectorId=1) == "Rejected"
        await tap(bench, "TAG1", 1)
        assert [bench.statuses(number)[-1] for number in (1, 2)] == ["Unavailable", "Preparing"]
        bench.plug_in(1, connector_id=2)
        await bench.run_for(seconds=20)
        assert starts(bench) == [(2, "TAG1", 17)]
        bench.tap("TAG1", 1)
        bench.unplug(1)
        await bench.run_for(seconds=20)
        assert {bench.statuses(number)[-1] for number in (1, 2, 3, 4)} == {"Available"}


# --- time, power, faults -----------------------------------------------------------------------------------


@pytest.mark.req("R16-241", "R16-235")
async def test_a_reservation_survives_a_reset(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert await reserve(bench, 1, parent="FAMILY") == "Accepted"
        assert await reserve(bench, 0, "TAG2", number=18, minutes=120) == "Accepted"
        before = bench.agent.station.snapshot().reservations
        assert await ask(bench, "Reset", type="Soft") == "Accepted"
        await bench.ended()
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert bench.agent.station.snapshot().reservations == before
        assert [bench.statuses(number) for number in (1, 2)] == [["Reserved"], ["Reserved"]]
        bench.plug_in(1)
        await tap(bench, "TAG3", 1)
        await tap(bench, "TAG1", 1)
        assert starts(bench) == [(1, "TAG1", 17)]
    async with Bench(tmp_path, TWO) as bench:
        await online(bench)
        assert [each.reservation_id for each in bench.agent.station.snapshot().reservations] == [18]


@pytest.mark.req("R16-238", "R16-241")
async def test_what_expired_while_the_power_was_off_is_gone(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench, minutes=1) == "Accepted"
        await bench.run_for(seconds=10)
    await bench.run_for(minutes=5)
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert bench.statuses(1) == ["Available"]


async def _use_a_reservation(bench: Bench, answers: list[str]) -> None:
    await online(bench)
    answers.append(await reserve(bench))
    await tap(bench, "TAG1")
    bench.plug_in()
    await bench.until(lambda: bench.evse().transaction)


@pytest.mark.req("R16-110", "R16-241")
async def test_wherever_the_power_goes_a_reservation_stands_or_was_used(tmp_path: Path) -> None:
    """Never both, and what was accepted is never lost."""
    outcomes = []
    for cut in power_cuts(tmp_path):
        answers: list[str] = []
        async with Csms() as csms:
            async with Bench(cut.before, csms=friendly(csms)) as bench:
                cut.watch(bench.agent.database)
                await cut.during(_use_a_reservation(bench, answers))
                csms.drop()
                bench.agent.link.disconnect()
            async with Bench(cut.after, csms=csms) as bench:
                await online(bench)
                await bench.agent.conversation.flush(60)
                stands = [each.reservation_id for each in bench.agent.station.snapshot().reservations]
                used = list({number for _, _, number in starts(bench)})
                shown = bench.agent.station.evse_snapshot(1).reserved_connectors
        assert (stands, used, bool(shown)) in [([], [], False), ([17], [], True), ([], [17], False)], cut.step
        assert not answers or stands or used, cut.step
        outcomes.append("stands" if stands else "used" if used else "not made")
    assert sorted(set(outcomes), key=outcomes.index) == ["not made", "stands", "used"]


@pytest.mark.req("R16-237", "R16-238", "R16-119")
async def test_a_driver_who_identified_before_the_expiry_keeps_the_connector(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nConnectionTimeOut = 120\n") as bench:
        await online(bench)
        assert await reserve(bench, minutes=1) == "Accepted"
        await bench.run_for(seconds=30)
        await tap(bench, "TAG1")
        await bench.run_for(seconds=60)
        assert bench.statuses(1)[-1] == "Preparing"
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert starts(bench) == [(1, "TAG1", 17)]


@pytest.mark.req("R16-119", "R16-237", "R16-238", "R16-063")
async def test_a_driver_who_does_not_plug_in_leaves_the_reservation_until_it_expires(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nConnectionTimeOut = 30\n") as bench:
        await online(bench)
        assert await reserve(bench, minutes=3) == "Accepted"
        await tap(bench, "TAG1")
        await bench.run_for(seconds=40)
        assert bench.statuses(1) == ["Available", "Reserved", "Preparing", "Available", "Reserved"]
        await bench.run_for(seconds=100)
        await tap(bench, "TAG1")
        await bench.run_for(seconds=40)
        assert bench.statuses(1)[5:] == ["Preparing", "Available"]


@pytest.mark.req("R16-240", "R16-110")
async def test_a_claimed_reservation_can_be_cancelled_and_the_driver_charges_without_it(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        await tap(bench, "TAG1")
        assert await ask(bench, "CancelReservation", reservationId=17) == "Accepted"
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert starts(bench) == [(1, "TAG1", None)]


@pytest.mark.req("R16-239")
async def test_a_fault_ends_the_reservation(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        bench.world.set_fault(1, "temp_stop")
        await bench.run_for(seconds=5)
        bench.world.clear_fault(1, "temp_stop")
        await bench.run_for(seconds=5)
        told = [(each["status"], each["errorCode"]) for each in bench.sent("StatusNotification")[2:]]
        assert told == [
            ("Reserved", "NoError"),
            ("Faulted", "HighTemperature"),
            ("Available", "HighTemperature"),
            ("Available", "NoError"),
        ]
        assert await ask(bench, "CancelReservation", reservationId=17) == "Rejected"


@pytest.mark.req("R16-239")
@pytest.mark.parametrize(("reserved", "changed"), [(1, 1), (1, 0), (0, 0), (0, 1)])
async def test_out_of_service_ends_the_reservation(tmp_path: Path, reserved: int, changed: int) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench, reserved) == "Accepted"
        await out_of_service(bench, changed)
        assert bench.statuses(1) == ["Available", "Reserved", "Unavailable"]
        assert await ask(bench, "ChangeAvailability", connectorId=changed, type="Operative") == "Accepted"
        assert bench.statuses(1)[3:] == ["Available"]
        assert not bench.agent.station.snapshot().reservations


async def test_another_connector_out_of_service_leaves_the_reservation(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        assert await reserve(bench, 1) == "Accepted"
        await out_of_service(bench, 2, 3)
        bench.world.set_fault(2, "temp_stop")
        await bench.run_for(seconds=5)
        assert bench.statuses(1) == ["Available", "Reserved"]


@pytest.mark.req("R16-095", "R16-235")
@pytest.mark.parametrize("is_known", [True, False])
async def test_offline_a_known_driver_can_use_the_reservation(tmp_path: Path, is_known: bool) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        if is_known:
            bench.tap("TAG1")
            await bench.run_for(minutes=2)  # into the cache; the authorization lapses
        assert await reserve(bench) == "Accepted"
        bench.csms.drop()
        bench.csms.refuse_status = 503
        await bench.run_for(seconds=5)
        bench.plug_in()
        await tap(bench, "TAG2")
        await tap(bench, "TAG1")
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=10)
        assert starts(bench) == ([(1, "TAG1", 17)] if is_known else [])


async def test_a_reservation_expires_offline_too(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench, minutes=2) == "Accepted"
        bench.csms.drop()
        bench.csms.refuse_status = 503
        await bench.run_for(minutes=3)
        assert not bench.agent.station.snapshot().reservations
        bench.csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=5)
        assert bench.statuses(1) == ["Available", "Reserved", "Available"]


@pytest.mark.req("R16-284")
async def test_a_triggered_status_says_reserved(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await reserve(bench) == "Accepted"
        trigger = {"requestedMessage": "StatusNotification", "connectorId": 1}
        assert await ask(bench, "TriggerMessage", **trigger) == "Accepted"
        assert bench.statuses(1) == ["Available", "Reserved", "Reserved"]
