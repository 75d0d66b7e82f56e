"""How the connection to the CSMS has done since the start: counts for metrics, by kinds that are few.

Told by `agent/app.py` what the link's callbacks tell; decides nothing.
"""

from collections import Counter

from agent.errors import ConnectFailed

KINDS = (
    ("closed by the CSMS", "closed_by_csms"),
    ("connection lost", "lost"),
    ("no pong", "no_pong"),
    ("the CSMS does not read", "not_reading"),
    ("disconnected on request", "on_request"),
    ("stopped", "stopped"),
)
"""How the texts of `link.py` begin, and what they are called here."""
OTHER = "reconfigured"
"""A setting, a certificate or the network profile has changed."""


class LinkHistory:
    """Counts only grow."""

    def __init__(self) -> None:
        self.connects = 0
        self.disconnects: Counter[str] = Counter({kind: 0 for _, kind in KINDS})
        self.failures: Counter[str] = Counter()
        """Fruitless attempts by `ConnectFailed.kind`."""

    def opened(self) -> None:
        self.connects += 1

    def closed(self, reason: str) -> None:
        kind = next((kind for text, kind in KINDS if reason.startswith(text)), OTHER)
        self.disconnects[kind] += 1

    def failed(self, failure: ConnectFailed) -> None:
        self.failures[failure.kind.lower()] += 1
