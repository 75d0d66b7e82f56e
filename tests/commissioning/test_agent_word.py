"""What the doctor says of a running agent, and of one that does not want to talk."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.commissioning import agent_word
from agent.commissioning.agent_word import ask_agent
from agent.commissioning.findings import Verdict
from agent.version import VERSION
from agent.web.client import ApiClient
from agent.web.server import LocalApi
from tests.helpers.snapshots import evse, station
from tests.web.conftest import WebBench


async def ask(folder: Path, report: Mapping[str, Any] | None, **station_changes: Any) -> Any:
    """Ask an agent with this report about itself; None: it is so old that it has none."""
    bench = WebBench(folder)
    bench.station.picture = station(evse(1), **station_changes)

    async def said() -> Mapping[str, Any]:
        assert report is not None
        return report

    api = LocalApi(bench.ports(self_report=None if report is None else said), bench.socket_path)
    await api.start()
    try:
        return await asyncio.to_thread(ask_agent, bench.socket_path)
    finally:
        await api.close()
        bench.world.close()


WELL = {"agent_version": VERSION, "crashed_tasks": {}}


async def test_an_agent_that_is_well(tmp_path: Path) -> None:
    word, (found,), is_running = await ask(tmp_path, WELL)
    assert is_running
    assert (word.report, word.status["outbox_depth"]) == (WELL, 3)
    assert (found.verdict, f"version {VERSION} runs" in found.found) == (Verdict.OK, True)


def test_no_agent_is_no_complaint(tmp_path: Path) -> None:
    assert ask_agent(tmp_path / "api.sock") == (None, [], False)
    assert ask_agent(tmp_path / "missing" / "api.sock") == (None, [], False)


async def test_an_older_agent_is_to_be_restarted(tmp_path: Path) -> None:
    word, (found,), is_running = await ask(tmp_path, None)
    assert (word, is_running, found.verdict) == (None, True, Verdict.FAILURE)
    assert "systemctl restart evse-agent" in found.advice


async def test_another_version_than_this_command_is_to_be_restarted(tmp_path: Path) -> None:
    word, (found,), is_running = await ask(tmp_path, {**WELL, "agent_version": "0.0.1"})
    assert (found.verdict, "systemctl restart" in found.advice) == (Verdict.WARNING, True)
    assert (word, is_running) == (None, True), "what it says may mean something else"


@pytest.mark.real_time
def test_an_agent_that_hangs_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket takes connections by the kernel's hand, and nobody answers."""
    assert agent_word.STATUS_S <= 5
    monkeypatch.setattr(agent_word, "STATUS_S", 0.1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "api.sock"))
        listening.listen()
        word, (found,), is_running = ask_agent(tmp_path / "api.sock")
    assert (word, is_running, found.verdict) == (None, True, Verdict.FAILURE)
    assert found.found == "it hangs: the agent did not answer within 0.1 s"
    assert "journalctl" in found.advice


def test_a_directory_that_you_may_not_look_into_says_nothing_of_an_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ApiClient, "get", refuse)
    monkeypatch.setattr(agent_word.os, "access", lambda *_: False)
    word, (found,), is_running = ask_agent(tmp_path / "api.sock")
    assert (word, is_running, found.verdict) == (None, None, Verdict.FAILURE)
    assert "cannot be seen" in found.found
    assert "sudo" in found.advice


async def test_crashes_and_a_station_out_of_service_are_told(tmp_path: Path) -> None:
    report = {**WELL, "crashed_tasks": {"conversation": 2}}
    _, found, _ = await ask(tmp_path, report, is_operative=False)
    assert [each.verdict for each in found] == [Verdict.OK, Verdict.WARNING, Verdict.WARNING]
    assert "Operative in the CSMS" in found[1].advice
    assert "conversation 2 times" in found[2].found
    assert "evse-agent diagnostics" in found[2].advice


def test_a_socket_that_you_may_not_use_names_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ApiClient, "get", refuse)
    word, (found,), is_running = ask_agent(tmp_path / "api.sock")
    assert (word, is_running, found.verdict) == (None, True, Verdict.FAILURE)
    assert "sudo" in found.advice
