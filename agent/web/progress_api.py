"""/api/v1/progress: long operations under way, and those that ended within the last minute.

The same words come as `progress` events on /api/v1/events (`live.py`). Contract: docs/local-api.md.
"""

from typing import Any

import msgspec
from aiohttp import web

from agent.progress import Outcome, Progress
from agent.web.bodies import json_response
from agent.web.endpoints import Endpoint
from agent.web.ports import ApiPorts
from agent.web.roles import Role


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stage: str
    done: int
    total: int | None
    """Null: nobody knows, or there is nothing to count."""
    unit: str
    """B, files, or empty."""
    share: float | None
    """0 to 1."""
    outcome: Outcome
    is_finished: bool
    is_failed: bool
    text: str
    """Stage, amount and reason, for people."""


class Operations(msgspec.Struct, frozen=True):
    operations: list[Operation]


class ProgressApi:
    """Handler of /api/v1/progress."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/progress",
                handler=self.show,
                role=Role.VIEWER,
                summary="Long operations under way",
                answer=Operations,
            )
        ]

    async def show(self, _request: web.Request) -> web.Response:
        feed = self._ports.progress
        current = feed.current() if feed is not None else []
        return json_response({"operations": [progress_json(each) for each in current]})


def progress_json(progress: Progress) -> dict[str, Any]:
    """As `Operation`."""
    share = progress.share
    return {
        "name": progress.name,
        "stage": progress.stage,
        "done": progress.done,
        "total": progress.total,
        "unit": progress.unit,
        "share": None if share is None else round(share, 4),
        "outcome": progress.outcome,
        "is_finished": progress.outcome != "running",
        "is_failed": progress.outcome == "failed",
        "text": progress.text,
    }
