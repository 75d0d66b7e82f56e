"""`evse-agent run CONFIG` with one more vendor: org.example.bench, whose message Ping answers at once.

The vendors that ship with the agent reach hardware and are rate-limited, so their handlers measure something else.
Usage: python -m tests.bench.stations.agent_with_vendor CONFIG
"""

import sys
from typing import Any

from agent.cli import main
from agent.vendor import loading


def build(_context: Any) -> Any:
    """What an entry point would name: a vendor with one message."""
    from agent.vendor.registry import Vendor, VendorCall, accepted

    async def ping(call: VendorCall) -> Any:
        return accepted(call.content)

    return Vendor("org.example.bench", {"Ping": ping})


class _Point:
    """An entry point of a package that is not installed."""

    name = "bench"
    value = "tests.bench.stations.agent_with_vendor:build"

    def load(self) -> Any:
        return build


if __name__ == "__main__":
    loading._installed = lambda: {"bench": _Point()}  # type: ignore[dict-item]
    main(["run", sys.argv[1]], prog_name="evse-agent")
