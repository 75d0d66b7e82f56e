"""A scrape answers whatever hangs: store and board are left out, everything else is there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.snapshot import ActiveFault, EvseSnapshot, StationSnapshot
from agent.durations import Durations
from agent.errors import StoreFull
from agent.log import MessageJournal
from agent.metrics.exposition import Exposition
from agent.metrics.sources import MetricSources
from agent.ocpp.link_history import LinkHistory
from agent.store.journal import OutboxState
from hal.errors import DeviceFault
from hal.ports import BoardLinkQuality, ContactorState, MeterReading
from tests.helpers import snapshots

ROW = MeterReading(1000.0, 5.0, 0.0, 11_000.0, (230.0, None, None), (16.0, None, None))


class Store:
    path = Path("/nowhere/agent.db")
    commit_times = Durations()
    failed_commits = 0


class Board:
    is_linked = True
    link_quality = BoardLinkQuality(10, 1, 5, 0, 5, 0.01, 5, 1, {1: 4.5}, {1: 0})

    def __init__(self, read: Callable[[], Awaitable[float]]) -> None:
        self._read = read

    async def read(self, names: Sequence[str]) -> Mapping[str, float]:
        return {name: await self._read() for name in names}


async def seven() -> float:
    return 7.0


async def for_ever() -> Any:
    await asyncio.sleep(1e6)
    raise AssertionError("somebody waited for it")


async def refuse() -> float:
    raise DeviceFault("bad_args", "board")


async def full() -> OutboxState:
    raise StoreFull("no space")


async def empty() -> OutboxState:
    return OutboxState(3, snapshots.T0, 0)


async def scrape(outbox: Callable[[], Awaitable[Any]] = empty, read: Any = seven, **more: Any) -> list[str]:
    sources: dict[str, Any] = {
        "about": lambda: {"identity": 'C"P\n1'},
        "snapshot": lambda: snapshots.station(
            snapshots.evse(1, reading=ROW), snapshots.evse(2, contactor=ContactorState.UNKNOWN)
        ),
        "now": lambda: snapshots.T0,
        "time": lambda: 1001.0,
        "is_connected": lambda: False,
        "subprotocol": lambda: None,
        "registration": lambda: None,
        "knows_action": bool,
        "link": LinkHistory(),
        "messages": MessageJournal(10),
        "outbox": outbox,
        "store": Store(),
        "crashes": lambda: {"link": 2, "ConnectorUnplugged 17": 1, "ConnectorUnplugged 18": 1},
        "board": Board(read),
    }
    exposition = Exposition(MetricSources(**{**sources, **more}))
    try:
        return (await exposition.scrape()).decode().splitlines()
    finally:
        exposition.close()


async def test_what_is_known_is_there_and_what_is_not_has_no_sample() -> None:
    lines = await scrape()
    assert "evse_outbox_facts 3.0" in lines
    assert "evse_board_late_ticks_total 7.0" in lines
    assert 'evse_current_amperes{evse="1",phase="L1"} 0.0' in lines  # the contactor is open
    assert not [line for line in lines if line.startswith('evse_power_watts{evse="2"')]
    assert not [line for line in lines if 'phase="L2"' in line]
    assert 'evse_contactor_closed{evse="1"} 0.0' in lines
    assert not [line for line in lines if line.startswith('evse_contactor_closed{evse="2"')]
    assert not [
        line
        for line in lines
        if line.startswith(("evse_mqtt_", "evse_disk_", "evse_store_size")) and not line.startswith("#")
    ]
    assert 'evse_info{identity="C\\"P\\n1"} 1.0' in lines


async def test_a_meter_is_ok_until_it_is_faulty_and_unknown_before_it_was_read() -> None:
    def of(evse: EvseSnapshot) -> Callable[[], StationSnapshot]:
        return lambda: snapshots.station(replace(evse, has_meter=True))

    def meter_ok(lines: list[str]) -> list[str]:
        return [line for line in lines if line.startswith("evse_meter_ok{")]

    silent, odd, trip = (
        ActiveFault(code, snapshots.T0) for code in ("meter_comm", "meter_implausible", "rcd_dc")
    )
    read = snapshots.evse(1, reading=ROW)
    assert meter_ok(await scrape(snapshot=of(read))) == ['evse_meter_ok{evse="1"} 1.0']
    assert meter_ok(await scrape(snapshot=of(snapshots.evse(1)))) == []
    for faults, ok in (((silent,), 0), ((trip, odd), 0), ((trip,), 1)):
        lines = await scrape(snapshot=of(replace(read, faults=faults)))
        assert meter_ok(lines) == [f'evse_meter_ok{{evse="1"}} {ok:.1f}']
    lines = await scrape(snapshot=of(snapshots.evse(1, faults=(silent,))))
    assert meter_ok(lines) == ['evse_meter_ok{evse="1"} 0.0']


async def test_tasks_of_one_transaction_are_one_label() -> None:
    lines = await scrape()
    assert 'evse_task_crashes_total{task="ConnectorUnplugged"} 2.0' in lines
    assert 'evse_task_crashes_total{task="link"} 2.0' in lines


@pytest.mark.parametrize("outbox", [full, for_ever])
async def test_a_store_that_fails_or_hangs_is_down_and_nothing_else_is(outbox: Any) -> None:
    lines = await scrape(outbox)
    assert "evse_store_up 0.0" in lines
    assert not [line for line in lines if line.startswith("evse_outbox_")]
    assert "evse_csms_connected 0.0" in lines


@pytest.mark.parametrize("read", [refuse, for_ever])
async def test_a_board_that_does_not_say_costs_its_own_sample_only(read: Any) -> None:
    lines = await scrape(read=read)
    assert not [line for line in lines if line.startswith("evse_board_late_ticks_total")]
    assert 'evse_board_lease_margin_seconds{connector="1"} 4.5' in lines


async def test_without_a_board_there_are_no_metrics_of_one() -> None:
    assert not [line for line in await scrape(board=None) if "evse_board" in line]


async def test_scrapes_at_the_same_time_wait_for_each_other() -> None:
    one, other = await asyncio.gather(scrape(), scrape())
    assert len(one) == len(other)
