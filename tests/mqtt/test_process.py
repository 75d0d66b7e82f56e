"""The real process, its local API and a real broker: charging goes on whatever becomes of the broker."""

from pathlib import Path

import pytest

from tests.helpers.bench import friendly
from tests.helpers.csms import Csms
from tests.helpers.mosquitto import Mosquitto
from tests.helpers.process import AgentProcess

pytestmark = pytest.mark.system

ROOT = "evse-agent/CP001"
STATE, METER, RESULT = f"{ROOT}/evse/1/state", f"{ROOT}/evse/1/meter", f"{ROOT}/result"


async def test_a_charge_with_a_broker_that_dies_and_an_agent_that_dies(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, Csms() as csms:
        friendly(csms)
        commands = '["enable", "current_limit", "stop", "output.set"]'
        extra = f'[mqtt]\nurl = "{broker.url}"\ncommands = {commands}\npublish_interval_s = 1\n'
        agent = await AgentProcess(tmp_path, csms.url, extra).start()
        try:
            watcher = await broker.watch()
            document = await watcher.json_until("homeassistant/device/evse_CP001/config")
            assert {"1_power", "1_energy", "1_enable", "1_current_limit", "output_fan"} <= set(
                document["components"]
            )
            await watcher.json_until(STATE, lambda state: state["state"] == "available")
            await agent.sim("evse/1/plug")
            await agent.sim("tap", {"id_token": "TAG1"})
            await watcher.json_until(STATE, lambda state: state["state"] == "charging")
            await watcher.json_until(METER, lambda meter: meter["power_w"] > 10_000)
            await watcher.send(f"{ROOT}/evse/1/command/current_limit", "8")
            await watcher.json_until(STATE, lambda state: state["offered_current_a"] == 8.0)
            await watcher.send(f"{ROOT}/command/board.reboot", "")
            assert (await watcher.json_until(RESULT, lambda result: not result["is_ok"]))["outcome"] == (
                "forbidden"
            )
            await watcher.send(f"{ROOT}/command/output.set", '{"output": "fan", "on": true}')
            await watcher.json_until(RESULT, lambda result: result["command"] == "output.set")
            audit = (await agent.ask("GET", "/api/v1/audit"))["audit"]
            noted = {(row["source"], row["action"], row["outcome"]) for row in audit}
            assert {
                ("mqtt", "current_limit", "ok"),
                ("mqtt", "board.reboot", "forbidden"),
            } <= noted
            assert any(row[:2] == ("mqtt", "output.set") for row in noted)

            await broker.kill()
            await agent.logged("no MQTT broker at")
            before = (await agent.status())["evses"][0]["transaction"]
            assert before["charging_state"] == "Charging"
            await broker.start()
            async with broker.watching() as again:
                state = await again.json_until(STATE)
                assert (state["state"], state["commanded_limit_a"]) == ("charging", 8.0)
                after = (await agent.status())["evses"][0]["transaction"]
                assert after["transaction_id"] == before["transaction_id"]
                await again.until(lambda seen: seen.payload == b"online")
                await agent.kill()
                await again.until(
                    lambda seen: seen.topic == f"{ROOT}/availability" and seen.payload == b"offline",
                    timeout_s=5,
                )
            late = await broker.watch(f"{ROOT}/availability")
            will = await late.until(lambda seen: seen.is_retained)
            assert will.payload == b"offline"
        finally:
            await agent.kill()
