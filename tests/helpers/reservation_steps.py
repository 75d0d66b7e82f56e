"""Steps of the reservation scenarios: what a CSMS asks and what a driver does, with time for what follows."""

from datetime import timedelta
from typing import Any

from tests.helpers.bench import Bench

TWO = "[hal.sim]\nevses = 2\n"
TWO_BY_TWO = "[hal.sim]\nevses = 2\nconnectors_per_evse = 2\n"


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def ask(bench: Bench, action: str, **payload: Any) -> Any:
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer.description
    await bench.run_for(seconds=5)
    return answer.payload["status"]


async def reserve(
    bench: Bench,
    connector: int = 1,
    id_tag: str = "TAG1",
    number: int = 17,
    minutes: float = 60,
    parent: str | None = None,
) -> Any:
    expiry = bench.agent.clock.now() + timedelta(minutes=minutes)
    group = {} if parent is None else {"parentIdTag": parent}
    return await ask(
        bench,
        "ReserveNow",
        connectorId=connector,
        idTag=id_tag,
        reservationId=number,
        expiryDate=expiry.isoformat(),
        **group,
    )


async def out_of_service(bench: Bench, *connectors: int) -> None:
    for connector in connectors:
        assert await ask(bench, "ChangeAvailability", connectorId=connector, type="Inoperative") == "Accepted"


async def tap(bench: Bench, id_tag: str, *evse_ids: int) -> None:
    bench.tap(id_tag, *evse_ids)
    await bench.run_for(seconds=10)


def starts(bench: Bench) -> list[tuple[int, str, int | None]]:
    """(connector, idTag, reservationId) of every transaction."""
    return [
        (each["connectorId"], each["idTag"], each.get("reservationId"))
        for each in bench.sent("StartTransaction")
    ]
