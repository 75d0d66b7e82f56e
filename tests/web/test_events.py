"""/api/v1/events: a page gets the whole status at once, then what changes, and closed pages cost nothing."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from agent.charging.facts import CablePlugged, TokenPresented, TransactionStopped
from agent.charging.ids import IdToken, StopReason, TriggerReason
from agent.charging.requests import SampleMeters
from agent.charging.snapshot import LimitInForce, LimitSource
from agent.web import live
from agent.web.page import page_version
from hal.ports import MeterReading
from tests.helpers.snapshots import charging, evse, station
from tests.web.conftest import WebBench, read_events

AT = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = "http://localhost/api/v1/events"


async def heard_for(response: aiohttp.ClientResponse, seconds: float) -> list[tuple[str, Any]]:
    """What comes within `seconds` of virtual time."""
    events: list[tuple[str, Any]] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                events += await read_events(response, 1)
    except TimeoutError:
        return events


async def test_the_status_comes_first_and_then_facts_as_they_happen(bench: WebBench) -> None:
    async with bench.http.get(EVENTS) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        ((name, status),) = await read_events(response, 1)
        assert (name, status["station"]["identity"]) == ("status", "CP001")
        _status, asked = await bench.ask("GET", "/api/v1/status")
        assert status.keys() == asked.keys()
        await heard_for(response, 2)
        bench.station.publish(CablePlugged(1, 1, AT))
        bench.station.publish(TokenPresented(IdToken("TAG1"), (), AT))
        events = await read_events(response, 2)
    assert events == [
        (
            "CablePlugged",
            {"fact": "CablePlugged", "evse_id": 1, "connector_id": 1, "at": "2026-01-01T00:00:00Z"},
        ),
        (
            "TokenPresented",
            {
                "fact": "TokenPresented",
                "id_token": {"value": "TAG1", "type": "ISO14443"},
                "evse_ids": [],
                "at": "2026-01-01T00:00:00Z",
            },
        ),
    ]


async def test_a_status_is_told_when_it_changed_and_not_when_only_time_passed(bench: WebBench) -> None:
    async with bench.http.get(EVENTS) as response:
        await heard_for(response, 2)
        quiet = await heard_for(response, 30)
        assert {name for name, _content in quiet} == {"alive"}  # silence would mean a dead connection
        assert len(quiet) >= 6
        bench.csms.is_connected = False  # no fact tells of it
        events = await read_events(response, 1)
    assert [(name, content["link"]["is_connected"]) for name, content in events] == [("status", False)]


async def test_a_fact_brings_a_fresh_status_at_most_twice_a_second(bench: WebBench) -> None:
    async with bench.http.get(EVENTS) as response:
        await heard_for(response, 2)
        for number in range(40):
            bench.station.picture = station(evse(1, offered_current_a=float(number)), evse(2))
            bench.station.publish(CablePlugged(1, 1, AT))
            await asyncio.sleep(0.05)
        events = [content for name, content in await heard_for(response, 2) if name == "status"]
    assert 3 <= len(events) <= 6  # in the two seconds and after them
    assert events[-1]["evses"][0]["offered_current_a"] == 39.0


async def test_while_a_transaction_runs_the_status_comes_every_two_seconds(bench: WebBench) -> None:
    bench.station.picture = station(charging(1), evse(2))
    async with bench.http.get(EVENTS) as response:
        events = await heard_for(response, 20)
    assert len(events) >= 10
    assert {name for name, _content in events} == {"status", "page"}


async def test_messages_come_only_to_who_asked_for_them_with_those_before(bench: WebBench) -> None:
    bench.journal.record("out", '[2,"1","Heartbeat",{}]')
    async with (
        bench.http.get(EVENTS) as plain,
        bench.http.get(f"{EVENTS}?messages=true") as response,
    ):
        await read_events(plain, 1)
        before = await read_events(response, 3)
        assert [(name, content.get("number")) for name, content in before] == [
            ("status", None),
            ("message", 1),
            ("page", None),
        ]
        assert before[-1][1] == {"version": page_version()}
        bench.journal.record("in", '[3,"1",{}]')
        bench.journal.record("out", '[2,"2","MeterValues",{}]')
        told = [content for name, content in await heard_for(response, 2) if name == "message"]
        assert [(each["number"], each["action"]) for each in told] == [(2, "Heartbeat"), (3, "MeterValues")]
        assert "message" not in {name for name, _content in await heard_for(plain, 1)}


async def test_another_limit_or_the_end_of_a_transaction_asks_pages_for_the_schedule(bench: WebBench) -> None:
    async with bench.http.get(EVENTS) as response:
        assert "schedule" not in {name for name, _content in await heard_for(response, 3)}
        limited = evse(1, limit=LimitInForce(6.0, LimitSource.EXTERNAL, -1))
        bench.station.picture = station(limited, evse(2))
        assert "schedule" in {name for name, _content in await heard_for(response, 3)}
        bench.station.publish(
            TransactionStopped(
                "t1", 1, 1, AT, 5, None, 2000, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, False
            )
        )
        names = [name for name, _content in await heard_for(response, 0.4)]
    assert "schedule" in names


async def test_a_fault_comes_with_its_meaning_and_what_to_do(bench: WebBench) -> None:
    from agent.charging.snapshot import ActiveFault

    bench.station.picture = station(evse(1, faults=(ActiveFault("rcd_dc", AT),)), evse(2))
    async with bench.http.get(EVENTS) as response:
        ((_name, status),) = await read_events(response, 1)
    (fault,) = status["evses"][0]["faults"]
    assert "residual current" in fault["meaning"]
    assert "unplug" in fault["advice"]


async def test_an_old_reading_is_taken_again_while_a_session_is_watched(bench: WebBench) -> None:
    def read(age_s: float) -> MeterReading:
        return MeterReading(at_time=asyncio.get_running_loop().time() - age_s, power_w=11_040.0)

    bench.station.results[SampleMeters] = ()  # type: ignore[assignment]
    async with bench.http.get(EVENTS) as response:
        bench.station.picture = station(charging(1, reading=read(0.0)), evse(2, reading=read(100.0)))
        await heard_for(response, 2)
        assert bench.station.asked == []
        await heard_for(response, 2)
        assert {asked.evse_ids for asked in bench.station.asked} == {(1,)}  # type: ignore[union-attr]
        bench.station.asked.clear()
        bench.station.results[SampleMeters] = None  # type: ignore[assignment]  # the meter is silent
        await heard_for(response, 20)
        assert len(bench.station.asked) == 1


async def test_the_status_is_built_once_for_all_pages(
    bench: WebBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = 0
    original = live.status_now

    async def counted(ports: Any, role: Any) -> Any:
        nonlocal built
        built += 1
        return await original(ports, role)

    pages = [await bench.http.get(EVENTS) for _ in range(20)]
    for page in pages:
        await read_events(page, 1)
    await asyncio.sleep(2)
    monkeypatch.setattr(live, "status_now", counted)
    bench.csms.is_connected = False
    await asyncio.sleep(1.5)
    monkeypatch.undo()
    assert built <= 3
    for page in pages:
        events = [content for name, content in await heard_for(page, 0.1) if name == "status"]
        assert events[-1]["link"]["is_connected"] is False
        page.close()


async def test_the_feed_ends_with_its_last_listener_and_begins_again(bench: WebBench) -> None:
    for _ in range(2):
        async with bench.http.get(EVENTS) as response:
            await read_events(response, 1)
            assert len(bench.station.listeners) == 1
        bench.station.publish(CablePlugged(1, 1, AT))
        await asyncio.sleep(60)
        assert bench.station.listeners == []


async def test_a_listener_that_does_not_read_is_cut_off_and_not_kept_in_memory(bench: WebBench) -> None:
    async with bench.http.get(EVENTS) as response:
        await response.content.readline()
        for _ in range(1500):  # in one turn of the loop: the stream has no chance to send
            bench.station.publish(CablePlugged(1, 1, AT))
        rest = await response.content.read()
    assert rest.count(b"event: ") < 1000


async def test_a_bug_in_the_status_ends_the_streams_instead_of_leaving_them_silent(
    bench: WebBench, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.http.get(EVENTS) as response:
        await read_events(response, 1)
        bench.station.picture = None  # type: ignore[assignment]
        async with asyncio.timeout(30):
            await response.content.read()
    assert "feed of the live page crashed" in caplog.text
    bench.station.picture = station(evse(1), evse(2))
    async with bench.http.get(EVENTS) as response:
        assert (await read_events(response, 1))[0][0] == "status"


async def test_an_unknown_query_is_named(bench: WebBench) -> None:
    code, answer = await bench.ask("GET", "/api/v1/events?message=true")
    assert (code, answer["field"]) == (400, "message")
