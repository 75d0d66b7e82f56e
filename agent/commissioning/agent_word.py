"""Asks the running agent over its unix socket: what it owns is not opened a second time. Called by `doctor`."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.commissioning.findings import Finding, failure, ok, warning
from agent.version import VERSION

STATUS_S = 5.0
"""Its status a living agent has at hand."""
REPORT_S = 60.0
"""Several silent meters take their time."""
RESTART = "restart it: sudo systemctl restart evse-agent"


@dataclass(frozen=True, slots=True)
class AgentWord:
    """Its status and its report about itself (docs/local-api.md)."""

    status: dict[str, Any]
    report: dict[str, Any]


def ask_agent(socket_path: Path) -> tuple[AgentWord | None, list[Finding], bool | None]:
    """Its word if it gave one, what there is to say about it, and whether an agent runs at all; None: who knows."""
    from agent.web.client import ApiClient, ApiError, NoAgent

    try:
        status = ApiClient(socket_path, STATUS_S).get("/api/v1/status")
        report = ApiClient(socket_path, REPORT_S).get("/api/v1/doctor")
    except NoAgent:
        return None, [], False
    except PermissionError:
        if not os.access(socket_path.parent, os.X_OK):
            found = f"whether an agent runs cannot be seen: you may not look into {socket_path.parent}"
            return None, [failure("agent", found, "run this command again with sudo")], None
        advice = f"use sudo, or become a member of the group of {socket_path}"
        return None, [failure("agent", "an agent runs, and you may not talk to it", advice)], True
    except ApiError as error:
        if error.status == 404:
            advice = (
                "restart it, so that it runs the version of this command: sudo systemctl restart evse-agent"
            )
            return None, [failure("agent", "an older agent runs, which knows no doctor", advice)], True
        if error.status == 504:
            advice = f"save its log (journalctl -u evse-agent), then {RESTART}"
            return None, [failure("agent", f"it hangs: {error}", advice)], True
        advice = "see its log: journalctl -u evse-agent"
        return None, [failure("agent", f"it runs and answers with an error: {error}", advice)], True
    version = report["agent_version"]
    if version != VERSION:  # what it says may mean something else
        told = f"version {version} runs, this command is {VERSION}: what it owns is not judged"
        return None, [warning("agent", told, f"{RESTART}; then run this command again")], True
    return AgentWord(status, report), _about(status, report), True


def _about(status: dict[str, Any], report: dict[str, Any]) -> list[Finding]:
    since = f"{datetime.fromisoformat(status['station']['booted_at']):%Y-%m-%d %H:%M:%S} UTC"
    found = [ok("agent", f"version {VERSION} runs since {since}; it was asked for what it owns")]
    if not status["station"]["is_operative"]:
        found.append(
            warning(
                "agent",
                "the whole station is out of service (ChangeAvailability of the CSMS)",
                "set it Operative in the CSMS",
            )
        )
    crashed = report["crashed_tasks"]
    if crashed:
        tasks = ", ".join(f"{name} {count} times" for name, count in crashed.items())
        advice = "save the log for us: evse-agent diagnostics all.tar.gz"
        found.append(warning("agent", f"parts of it crashed and were started again: {tasks}", advice))
    return found
