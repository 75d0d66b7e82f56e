"""The demonstration tells the whole main job, ends well, and touches nothing that is not its own."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from agent import demo
from agent.config import parse
from agent.config_check import find_problems
from agent.demo_csms import DemoCsms, Heard
from agent.exit_codes import ExitCode


def test_the_configuration_of_the_demo_has_no_problem() -> None:
    config = parse(demo.CONFIG.format(port=9000, page_port=8088, state_dir='"/tmp/x"', register_wh=1))
    assert find_problems(config) == []
    assert config.vendor.commands[0].message_id == "SetFan"


def test_a_directory_that_is_not_of_a_demo_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").write_text("x")
    assert demo.run(once=True, state_dir=tmp_path) == ExitCode.FAILED
    assert "holds something else" in capsys.readouterr().out
    assert (tmp_path / "precious").exists()


async def test_the_csms_answers_asks_and_waits() -> None:
    heard: list[Heard] = []
    answers: list[object] = []
    csms = DemoCsms(heard.append, answers.append)
    port = await csms.start()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://127.0.0.1:{port}/ocpp/CP1", protocols=["ocpp1.6"]) as station,
    ):
        await station.send_json([2, "1", "StartTransaction", {"idTag": "TAG1"}])
        assert await station.receive_json() == [
            3,
            "1",
            {"idTagInfo": {"status": "Accepted"}, "transactionId": 1001},
        ]
        await station.send_json([2, "2", "Nonsense", {}])
        assert (await station.receive_json())[:3] == [4, "2", "NotImplemented"]
        asking = asyncio.create_task(csms.call("Reset", {"type": "Soft"}))
        _type, message_id, action, payload = await station.receive_json()
        assert (action, payload) == ("Reset", {"type": "Soft"})
        await station.send_json([3, message_id, {"status": "Accepted"}])
        assert await asking == {"status": "Accepted"}
        assert (await csms.expect("StartTransaction")).payload == {"idTag": "TAG1"}
        with pytest.raises(TimeoutError):
            await csms.expect("StopTransaction")
    assert [call.action for call in heard] == ["StartTransaction"]
    assert answers == [{"status": "Accepted"}]
    await csms.close()


@pytest.mark.system
def test_the_story_is_told_to_its_end_and_no_transaction_message_is_lost(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    result = subprocess.run(
        [sys.executable, "-m", "agent", "demo", "--once", "--state-dir", str(state_dir)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    told = result.stdout
    for step in (
        "BootNotification",
        "connector 1 Preparing",
        f"{demo.TOKEN}: Accepted",
        "transaction 1001",
        "MeterValues",
        "(Trigger)",
        "SetFan",
        "Power cut: SIGKILL",
        "StopTransaction    transaction 1001",
        "PowerLoss",
        "1 transaction started, 1 stopped with its reason",
        "nothing was lost",
    ):
        assert step in told, f"{step} is missing in:\n{told}"
    (billed_wh,) = re.findall(r"(-?\d+) Wh billed", told)
    assert int(billed_wh) >= 0
    assert not (state_dir / "api.sock").exists()
    assert json.dumps(str(state_dir)) in (state_dir / "config.toml").read_text()
