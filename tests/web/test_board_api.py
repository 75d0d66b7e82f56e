"""/api/v1/board: what the board is and sees, and its settings, as docs/local-api.md says."""

import asyncio
import contextlib
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.errors import StoreFull
from agent.web.server import LocalApi
from hal.drivers.board_evse import BoardEvse, IoBoard
from hal.drivers.board_link import BoardLink
from hal.sim.firmware import SimulatedBoard
from tests.web.conftest import WebBench


class BoardBench:
    def __init__(self, web: WebBench) -> None:
        self.web = web
        self.world = web.world
        self.board = SimulatedBoard(web.world)
        self.link = BoardLink(self.board.line, "0")
        self.evses = {
            number: BoardEvse(self.link, number, 80.0, web.world.loop.time()) for number in web.world.evses
        }
        self.notes: list[tuple[str, str, int, str, str]] = []
        self.disk_failure: Exception | None = None

    async def note(self, *note: Any) -> None:
        if self.disk_failure is not None:
            raise self.disk_failure
        self.notes.append(note)

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return await self.web.ask(method, path, body)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[BoardBench]:
    web = WebBench(tmp_path)
    bench = BoardBench(web)
    ports = web.ports(
        board=IoBoard(bench.link),
        evse_states=lambda: {number: evse.state for number, evse in bench.evses.items()},
        note_action=bench.note,
    )
    api = LocalApi(ports, web.socket_path)
    await api.start()
    web.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(web.socket_path)))
    task = asyncio.create_task(bench.link.run())
    await asyncio.sleep(5)
    yield bench
    await web.http.close()
    await api.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    bench.board.close()
    web.world.close()


async def test_the_board_and_what_it_sees(bench: BoardBench) -> None:
    bench.world.plug(2)
    await asyncio.sleep(2)
    code, answer = await bench.ask("GET", "/api/v1/board")
    assert code == 200
    assert answer["is_linked"] is True
    assert (answer["board"]["hardware"], answer["board"]["reset_cause"]) == ("simulated", "power")
    first, second = answer["connectors"]
    assert (first["connector"], first["pilot"], second["pilot"]) == (1, "A", "B")
    assert (first["contactor"], first["faults"], first["link_ok"]) == ("open", [], True)
    assert first["pilot_high_v"] == pytest.approx(12, abs=0.2)


async def test_limits_are_read_and_written_with_an_audit_row(bench: BoardBench) -> None:
    code, _ = await bench.ask(
        "POST", "/api/v1/board/config", {"connector": 2, "values": {"max_da": 160, "wake_after_s": 90}}
    )
    assert code == 200
    await asyncio.sleep(3)
    code, limits = await bench.ask("GET", "/api/v1/board/config?connector=2")
    assert (code, limits["values"]["max_da"], limits["allowed"]["max_da"]) == (200, 160, 320)
    me = pwd.getpwuid(os.getuid()).pw_name
    assert bench.notes == [
        (f"installer socket:{me}", "Set limits on the board", 2, "ok", "max_da=160 wake_after_s=90")
    ]
    assert (await bench.ask("DELETE", "/api/v1/board/config"))[0] == 200
    await asyncio.sleep(3)
    _, limits = await bench.ask("GET", "/api/v1/board/config?connector=2")
    assert limits["values"]["max_da"] == 320
    assert bench.notes[1][1:] == ("Set the board's limits back", 0, "ok", "reset")


async def test_a_refusal_says_why_and_is_audited(bench: BoardBench) -> None:
    code, answer = await bench.ask("POST", "/api/v1/board/config", {"values": {"max_da": 999}})
    assert (code, answer["error"]) == (400, "max_da must be 60 to 320")
    bench.world.plug(1)
    await asyncio.sleep(2)
    code, answer = await bench.ask("POST", "/api/v1/board/config", {"values": {"max_da": 160}})
    assert (code, answer["error"]) == (409, "a car is at it")
    assert [outcome for _, _, _, outcome, _ in bench.notes] == ["bad_args", "not_allowed"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"values": {}}, "values"), ({}, "values"), ({"values": {"max_da": "x"}}, ""), ({"connector": 0}, "")],
)
async def test_a_body_that_is_wrong_never_reaches_the_board(
    bench: BoardBench, body: object, field: str
) -> None:
    code, answer = await bench.ask("POST", "/api/v1/board/config", body)
    assert code == 400
    assert (answer["field"] or "").startswith(field)
    assert bench.notes == []


async def test_without_a_link_the_answer_is_503(bench: BoardBench) -> None:
    bench.board.line.unplug()
    await asyncio.sleep(1)
    assert (await bench.ask("GET", "/api/v1/board/config"))[0] == 503
    code, answer = await bench.ask("GET", "/api/v1/board")
    assert (code, answer["is_linked"]) == (200, False)


async def test_a_full_disk_does_not_undo_the_change(bench: BoardBench) -> None:
    bench.disk_failure = StoreFull("the disk is full")
    assert (await bench.ask("POST", "/api/v1/board/config", {"values": {"max_da": 160}}))[0] == 200


async def test_the_connector_is_a_number(bench: BoardBench) -> None:
    code, answer = await bench.ask("GET", "/api/v1/board/config?connector=one")
    assert (code, answer["field"]) == (400, "connector")
