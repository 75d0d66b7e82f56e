"""The 7 a.m. walk with real processes: `init`, `doctor`, `run`, `doctor` again; and a bad day."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.library_csms import LibraryCsms
from tests.helpers.process import AgentProcess

pytestmark = [pytest.mark.system]

COMMAND = str(Path(sys.executable).parent / "evse-agent")


async def evse_agent(*words: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode()


async def doctor(config: Path) -> tuple[int, dict[str, Any]]:
    code, output = await evse_agent("doctor", "--config", str(config), "--json")
    return code, json.loads(output)


def failing(content: dict[str, Any]) -> list[str]:
    return [each["found"] for each in content["findings"] if each["verdict"] == "failure"]


async def test_a_station_is_configured_checked_run_and_checked_again(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    async with LibraryCsms() as csms:
        code, output = await evse_agent(
            "init", str(config), "--yes", "--simulated", "--csms-url", csms.url, "--identity", "CP001"
        )
        assert code == 0, output
        code, content = await doctor(config)
        assert (code, failing(content), content["is_agent_running"]) == (0, [], False)
        assert csms.calls in ([], [("(closed)", {})]), "a handshake, and not a word of OCPP"

        agent = AgentProcess(tmp_path, csms.url)
        agent.config = config
        await agent.start()
        await csms.until(lambda seen: len(seen.of("StatusNotification")) >= 2)
        code, content = await doctor(config)
        peer = csms.peer
        assert (code, failing(content), content["is_agent_running"]) == (0, [], True)
        said = {each["subject"]: each["found"] for each in content["findings"]}
        assert "registration Accepted" in said["CSMS"]
        assert "no fault" in said["EVSE 1"]
        assert "0.000 kWh" in said["meter of EVSE 1"]
        assert csms.peer is peer, "the agent's connection is the only one"
        code, output = await evse_agent("doctor", "--config", str(config))
        assert code == 0, output
        assert await agent.stop() == 0


async def test_the_doctor_tells_what_a_running_agent_suffers_from(tmp_path: Path) -> None:
    """The CSMS is not there, and the emergency stop is pressed: the agent is asked, and both are told with advice."""
    agent = await AgentProcess(tmp_path, "ws://127.0.0.1:9/ocpp").start()
    await agent.sim("evse/1/fault", {"code": "emergency_stop"})
    await agent.status_until(lambda status: status["evses"][0]["faults"])
    code, content = await doctor(agent.config)
    assert (code, content["is_agent_running"]) == (1, True)
    found = {each["subject"]: each for each in content["findings"] if each["verdict"] == "failure"}
    assert "emergency_stop" in found["EVSE 1"]["found"]
    assert "release the button" in found["EVSE 1"]["advice"]
    assert "refuses connections" in found["CSMS"]["found"]
    assert content["do_first"] == found["EVSE 1"]["advice"], (
        "what is on the spot comes before what is far away"
    )
    assert await agent.stop() == 0
