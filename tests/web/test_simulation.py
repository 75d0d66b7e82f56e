"""/sim/v1 drives the real simulated world and names the field of every mistake."""

import asyncio

import aiohttp
import pytest

from agent.web.server import LocalApi
from hal.ports import FaultCode
from hal.sim.world import SETTABLE_FAULTS
from tests.web.conftest import WebBench


async def test_a_car_comes_charges_pauses_and_leaves(bench: WebBench) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    body = {"after_s": 5, "draw_after_s": 2, "current_a": 10, "phases": 1}
    assert await bench.ask("POST", "/sim/v1/evse/2/plug", body) == (200, {"evse_id": 2})
    assert loop.time() - started < 1
    assert not bench.world.evse(2).is_plugged
    await asyncio.sleep(6)
    vehicle = bench.world.evse(2).vehicle
    assert vehicle is not None
    assert (vehicle.plug.draw_after_s, vehicle.plug.current_a, vehicle.plug.phases) == (2, 10, 1)
    await asyncio.sleep(2)
    assert vehicle.wants_energy
    assert (await bench.ask("POST", "/sim/v1/evse/2/pause"))[0] == 200
    assert not vehicle.wants_energy
    assert (await bench.ask("POST", "/sim/v1/evse/2/resume", {}))[0] == 200
    assert vehicle.wants_energy
    assert (await bench.ask("POST", "/sim/v1/evse/2/unplug"))[0] == 200
    await asyncio.sleep(5)
    assert not bench.world.evse(2).is_plugged


async def test_what_can_be_broken_is_listed_in_words(bench: WebBench) -> None:
    code, answer = await bench.ask("GET", "/sim/v1")
    assert code == 200
    faults = {each["code"]: each["meaning"] for each in answer["faults"]}
    assert faults.keys() == SETTABLE_FAULTS
    assert "does not answer" in faults["board_comm"]


async def test_a_car_without_wishes_has_the_defaults_of_the_world_and_null_means_never(
    bench: WebBench,
) -> None:
    await bench.ask("POST", "/sim/v1/evse/1/plug")
    await bench.ask("POST", "/sim/v1/evse/2/plug", {"draw_after_s": None})
    await asyncio.sleep(3)
    first, second = bench.world.evse(1).vehicle, bench.world.evse(2).vehicle
    assert first is not None
    assert second is not None
    assert first.wants_energy
    assert not second.wants_energy


async def test_faults_are_set_and_cleared(bench: WebBench) -> None:
    code, answer = await bench.ask("POST", "/sim/v1/evse/1/fault", {"code": "rcd_dc"})
    assert (code, answer) == (200, {"evse_id": 1, "code": "rcd_dc"})
    assert bench.world.evse(1).faults == {FaultCode.RCD_DC}
    assert (await bench.ask("DELETE", "/sim/v1/evse/1/fault/rcd_dc"))[0] == 200
    assert bench.world.evse(1).faults == set()


async def test_a_plug_half_in_and_torn_out(bench: WebBench) -> None:
    assert (await bench.ask("POST", "/sim/v1/evse/1/plug", {"is_half_in": True}))[0] == 200
    await asyncio.sleep(1)
    vehicle = bench.world.evse(1).vehicle
    assert vehicle is not None
    assert vehicle.plug.is_half_in
    assert (await bench.ask("POST", "/sim/v1/evse/1/unplug", {"is_torn_out": True}))[0] == 200
    assert not bench.world.evse(1).is_plugged
    code, answer = await bench.ask("POST", "/sim/v1/evse/1/unplug", {"is_torn_out": 1})
    assert (code, answer["field"]) == (400, "is_torn_out")


async def test_a_card_is_tapped(bench: WebBench) -> None:
    taps: list[tuple[str, str, tuple[int, ...]]] = []
    bench.world.subscribe_taps(lambda *tap: taps.append(tap))
    body = {"id_token": "04AABBCC", "type": "ISO14443", "evses": [2]}
    assert (await bench.ask("POST", "/sim/v1/tap", body))[0] == 200
    assert (await bench.ask("POST", "/sim/v1/tap", {"id_token": "TAG1"}))[0] == 200
    assert taps == [("04AABBCC", "ISO14443", (2,)), ("TAG1", "ISO14443", ())]


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        ("evse/3/plug", {}, 404, "evse_id"),
        ("evse/0/plug", {}, 404, "evse_id"),
        ("evse/one/unplug", {}, 404, "evse_id"),
        ("evse/1/plug", {"after_s": -1}, 400, "after_s"),
        ("evse/1/plug", {"after_s": "soon"}, 400, "after_s"),
        ("evse/1/plug", {"colour": "red"}, 400, "colour"),
        ("evse/1/plug", {"phases": 4}, 400, "phases"),
        ("evse/1/plug", {"connector_id": 2}, 404, "connector_id"),
        ("evse/1/unplug", {}, 409, "evse_id"),
        ("evse/1/pause", {}, 409, "evse_id"),
        ("evse/1/pause", {"x": 1}, 400, "x"),
        ("evse/1/fault", {}, 400, "code"),
        ("evse/1/fault", {"code": "no_such_fault"}, 400, "code"),
        ("tap", {}, 400, "id_token"),
        ("tap", {"id_token": ""}, 400, "id_token"),
        ("tap", {"id_token": "x" * 37}, 400, "id_token"),
        ("tap", {"id_token": "x", "type": "Paper"}, 400, "type"),
        ("tap", {"id_token": "x", "evses": [3]}, 404, "evses"),
        ("tap", {"id_token": "x", "evses": ["one"]}, 400, "evses[0]"),
    ],
)
async def test_a_mistake_names_its_field(
    bench: WebBench, path: str, body: object, code: int, field: str
) -> None:
    answered, answer = await bench.ask("POST", f"/sim/v1/{path}", body)
    assert (answered, answer["field"]) == (code, field)


async def test_an_unknown_fault_cannot_be_cleared(bench: WebBench) -> None:
    code, answer = await bench.ask("DELETE", "/sim/v1/evse/1/fault/nothing")
    assert (code, answer["field"]) == (404, "code")


async def test_plugging_a_second_car_into_one_evse_is_a_conflict(bench: WebBench) -> None:
    await bench.ask("POST", "/sim/v1/evse/1/plug", {"after_s": 60})
    code, answer = await bench.ask("POST", "/sim/v1/evse/1/plug")
    assert code == 409
    assert "already plugged" in answer["error"]


async def test_real_hardware_has_no_simulator_controls(bench: WebBench) -> None:
    path = bench.socket_path.with_name("real.sock")
    api = LocalApi(bench.ports(simulation=None), path)
    await api.start()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.post("http://localhost/sim/v1/tap", json={"id_token": "x"}) as response,
    ):
        assert response.status == 404
        assert "not simulated" in (await response.json())["error"]
    await api.close()


async def test_a_whole_number_may_be_written_as_a_fraction(bench: WebBench) -> None:
    assert (await bench.ask("POST", "/sim/v1/evse/1/plug", {"connector_id": 1.0}))[0] == 200
    code, answer = await bench.ask("POST", "/sim/v1/evse/2/plug", {"connector_id": 1.5})
    assert (code, answer["field"]) == (400, "connector_id")
