"""`evse-agent run CONFIG` with one more vendor: org.example.bench, whose message Ping answers at once.

The vendors that ship with the agent reach hardware and are rate-limited, so their handlers measure something else.
Usage: python -m tests.bench.stations.agent_with_vendor CONFIG
"""

import importlib.metadata
import sys
from typing import Any

from agent.cli import main


def build(_context: Any) -> Any:
    """The entry point: a vendor with one message."""
    from agent.vendor.registry import Vendor, VendorCall, accepted

    async def ping(call: VendorCall) -> Any:
        return accepted(call.content)

    return Vendor("org.example.bench", {"Ping": ping})


def _entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
    return [importlib.metadata.EntryPoint("bench", f"{__spec__.name}:build", group)]


if __name__ == "__main__":
    importlib.metadata.entry_points = _entry_points  # type: ignore[assignment]
    main(["run", sys.argv[1]], prog_name="evse-agent")
