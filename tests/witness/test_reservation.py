"""Reservation: of a connector, of the station, by parent, and what refuses or ends it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.witness.central_system import call, status
from tests.witness.rig import CONNECTORS, OTHER_TAG, TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-reservation"),
]

GROUP = "WITNESS-GROUP"


def until(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


async def reserve(rig: Rig, connector: int = 1, wanted: str = "Accepted", **fields: object) -> None:
    given = {"expiryDate": until(hours=1), "idTag": TAG, "reservationId": 1, **fields}
    await rig.asked("ReserveNow", wanted, connectorId=connector, **given)


async def reserved(rig: Rig, connector: int = 1, **fields: object) -> None:
    await reserve(rig, connector, **fields)
    await rig.central.expect(status(connector or 1, "Reserved"))


async def shut(rig: Rig, *connectors: int) -> None:
    for connector in connectors:
        await rig.asked("ChangeAvailability", connectorId=connector, type="Inoperative")
        affected = (0, *CONNECTORS) if connector == 0 else (connector,)
        await rig.central.expect(*(status(number, "Unavailable") for number in affected))


async def identified(rig: Rig, tag: str = TAG) -> None:
    """A tag that may use the reservation."""
    rig.central.tolerate(call("Authorize", idTag=tag))
    await rig.station.tap(tag)
    await rig.central.expect(status(1, "Preparing"))


@pytest.mark.req("TC_046_1_CS")
async def test_only_the_reserved_tag_starts_locally(rig: Rig) -> None:
    await shut(rig, 2)
    await reserved(rig)
    rig.central.tolerate(call("Authorize", idTag=OTHER_TAG))
    await rig.station.tap(OTHER_TAG)
    await rig.central.quiet(0.5)
    await identified(rig)
    await rig.station.plug()
    await rig.started(reservationId=1)


@pytest.mark.req("TC_046_2_CS")
async def test_a_remote_start_uses_the_reservation(rig: Rig) -> None:
    await reserved(rig)
    rig.central.tolerate(call("Authorize", idTag=TAG))
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await rig.central.expect(status(1, "Preparing"))
    await rig.station.plug()
    await rig.started(reservationId=1)


@pytest.mark.req("TC_047_CS")
async def test_an_expired_reservation_frees_the_connector(rig: Rig) -> None:
    await shut(rig, 2)
    await reserved(rig, expiryDate=until(seconds=3))
    await rig.central.expect(status(1, "Available"), within=8)
    await rig.charging(tag=OTHER_TAG)
    (started,) = rig.central.calls("StartTransaction")
    assert "reservationId" not in started.payload


@pytest.mark.req("TC_048_1_CS")
async def test_a_faulted_connector_is_not_reserved(rig: Rig) -> None:
    await rig.break_("door_open")
    await rig.central.expect(status(1, "Faulted"))
    await reserve(rig, wanted="Faulted")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_048_2_CS")
async def test_an_occupied_connector_is_not_reserved(rig: Rig) -> None:
    await rig.plugged()
    await reserve(rig, wanted="Occupied")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_048_3_CS")
async def test_an_unavailable_connector_is_not_reserved(rig: Rig) -> None:
    await shut(rig, 1)
    await reserve(rig, wanted="Unavailable")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_049_CS")
async def test_a_reservation_of_the_station_is_used(rig: Rig) -> None:
    assert await rig.configuration("ReserveConnectorZeroSupported") == "true"
    await shut(rig, 2)
    await reserved(rig, 0)
    await identified(rig)
    await rig.station.plug()
    await rig.started(reservationId=1)


@pytest.mark.req("TC_050_1_CS")
async def test_a_faulted_station_is_not_reserved(rig: Rig) -> None:
    for connector in CONNECTORS:
        await rig.break_("door_open", connector)
        await rig.central.expect(status(connector, "Faulted"))
    rig.central.tolerate(status(0, "Faulted"))
    await reserve(rig, 0, wanted="Faulted")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_050_2_CS")
async def test_an_occupied_station_is_not_reserved(rig: Rig) -> None:
    for connector in CONNECTORS:
        await rig.plugged(connector)
    await reserve(rig, 0, wanted="Occupied")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_050_3_CS")
async def test_an_unavailable_station_is_not_reserved(rig: Rig) -> None:
    await shut(rig, 0)
    await reserve(rig, 0, wanted="Unavailable")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_051_CS")
async def test_a_cancelled_reservation_frees_the_connector(rig: Rig) -> None:
    await reserved(rig)
    await rig.asked("CancelReservation", reservationId=1)
    await rig.central.expect(status(1, "Available"))
    await rig.charging(tag=OTHER_TAG)
    (started,) = rig.central.calls("StartTransaction")
    assert "reservationId" not in started.payload


@pytest.mark.req("TC_052_CS")
async def test_an_unknown_reservation_is_not_cancelled(rig: Rig) -> None:
    await reserved(rig)
    await rig.asked("CancelReservation", "Rejected", reservationId=2)
    await rig.central.quiet(0.5)
    assert rig.central.statuses[1] == "Reserved"


@pytest.mark.req("TC_053_CS")
async def test_a_tag_of_the_same_parent_uses_the_reservation(rig: Rig) -> None:
    for tag in (TAG, OTHER_TAG):
        rig.central.tags[tag] = {"status": "Accepted", "parentIdTag": GROUP}
    await shut(rig, 2)
    await reserved(rig, parentIdTag=GROUP)
    await rig.station.tap(OTHER_TAG)
    await rig.central.expect(call("Authorize", idTag=OTHER_TAG))
    await rig.central.expect(status(1, "Preparing"))
    await rig.station.plug()
    await rig.started(tag=OTHER_TAG, reservationId=1)
