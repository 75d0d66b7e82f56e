"""What an operator may do at an EVSE: each answer says what came of it."""

import asyncio

import pytest

from agent.charging.facts import TransactionStopped
from agent.charging.ids import StopReason, TriggerReason
from agent.charging.profiles import RateUnit
from agent.charging.requests import (
    Answer,
    ChangeAvailability,
    ComposeSchedule,
    CompositePeriod,
    CompositeSchedule,
    RequestStop,
    UnlockConnector,
    UnlockVerdict,
    Verdict,
)
from tests.helpers.snapshots import T0, charging, evse, station
from tests.web.conftest import WebBench


async def test_a_stop_is_answered_when_the_session_has_ended(bench: WebBench) -> None:
    picture = charging(1)
    bench.station.picture = station(picture, evse(2))
    assert picture.transaction is not None
    transaction_id = picture.transaction.transaction_id
    bench.station.results[RequestStop] = Answer(Verdict.ACCEPTED)
    asking = asyncio.create_task(bench.ask("POST", "/api/v1/evses/1/stop", {}))
    await asyncio.sleep(3)
    assert not asking.done()
    assert bench.station.asked == [RequestStop(transaction_id, is_local=True)]
    for stopped in ("another", transaction_id):
        bench.station.publish(
            TransactionStopped(
                stopped, 1, 1, T0, 5, None, 2000, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, False
            )
        )
    assert await asking == (200, {"transaction_id": transaction_id, "is_ended": True})


async def test_a_session_that_does_not_end_is_not_said_to_have_ended(bench: WebBench) -> None:
    bench.station.picture = station(charging(1), evse(2))
    bench.station.results[RequestStop] = Answer(Verdict.ACCEPTED)
    code, answer = await bench.ask("POST", "/api/v1/evses/1/stop", {})
    assert (code, answer["is_ended"]) == (200, False)
    assert len(bench.station.listeners) == 0


async def test_without_a_session_there_is_nothing_to_stop(bench: WebBench) -> None:
    code, answer = await bench.ask("POST", "/api/v1/evses/1/stop", {})
    assert (code, answer["error"]) == (409, "no session runs there")
    assert bench.station.asked == []


@pytest.mark.parametrize(("verdict", "is_scheduled"), [(Verdict.ACCEPTED, False), (Verdict.SCHEDULED, True)])
async def test_availability_says_whether_it_has_to_wait(
    bench: WebBench, verdict: Verdict, is_scheduled: bool
) -> None:
    bench.station.results[ChangeAvailability] = Answer(verdict)
    code, answer = await bench.ask("PUT", "/api/v1/evses/2/availability", {"is_operative": False})
    assert (code, answer) == (200, {"evse_id": 2, "is_operative": False, "is_scheduled": is_scheduled})
    assert bench.station.asked == [ChangeAvailability(2, 0, False)]


async def test_a_refused_availability_says_why(bench: WebBench) -> None:
    bench.station.results[ChangeAvailability] = Answer(Verdict.REJECTED, "not stored")
    code, answer = await bench.ask("PUT", "/api/v1/evses/1/availability", {"is_operative": True})
    assert (code, answer["error"]) == (409, "not stored")
    code, answer = await bench.ask("PUT", "/api/v1/evses/1/availability", {})
    assert (code, answer["field"]) == (400, "is_operative")


@pytest.mark.parametrize("verdict", list(UnlockVerdict))
async def test_unlocking_says_whether_the_cable_is_free(bench: WebBench, verdict: UnlockVerdict) -> None:
    bench.station.results[UnlockConnector] = verdict  # type: ignore[assignment]
    code, answer = await bench.ask("POST", "/api/v1/evses/1/unlock", {})
    assert code == 200
    assert answer["is_unlocked"] is (verdict is UnlockVerdict.UNLOCKED)
    assert bool(answer["reason"]) is (verdict is not UnlockVerdict.UNLOCKED)
    assert bench.station.asked == [UnlockConnector(1, 1, stop_transaction=True)]


async def test_the_schedule_comes_as_steps(bench: WebBench) -> None:
    periods = (CompositePeriod(0, 16.0, 3), CompositePeriod(3600, 6.0, 3))
    bench.station.results[ComposeSchedule] = CompositeSchedule(1, T0, 86400, RateUnit.AMPERE, periods)
    code, answer = await bench.ask("GET", "/api/v1/evses/1/schedule?duration_s=86400")
    assert code == 200
    assert [(each["start_s"], each["limit"]) for each in answer["periods"]] == [(0, 16.0), (3600, 6.0)]
    assert bench.station.asked == [ComposeSchedule(1, 0, 86400)]
    bench.station.results[ComposeSchedule] = Answer(Verdict.REJECTED, "too many periods lie in it")
    assert (await bench.ask("GET", "/api/v1/evses/1/schedule"))[0] == 409
    code, answer = await bench.ask("GET", "/api/v1/evses/1/schedule?duration_s=0")
    assert (code, answer["field"]) == (400, "duration_s")


@pytest.mark.parametrize("number", ["0", "3", "x", "99999999999"])
async def test_an_evse_that_is_not_there_is_named(bench: WebBench, number: str) -> None:
    for method, what in (("POST", "stop"), ("POST", "unlock"), ("GET", "schedule"), ("PUT", "availability")):
        body = {"is_operative": True} if method == "PUT" else None
        code, answer = await bench.ask(method, f"/api/v1/evses/{number}/{what}", body)
        assert (code, answer["field"]) == (404, "evse_id")
