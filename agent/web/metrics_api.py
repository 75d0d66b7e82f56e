"""/metrics: what Prometheus asks for. Role viewer, by a bearer token or as loopback's rules say.

Knows no metric: those are `agent/metrics/`. Endpoints are merged by `server.py`; every metric: docs/metrics.md.
"""

from aiohttp import web

from agent.web.bodies import Refusal
from agent.web.endpoints import Endpoint
from agent.web.ports import ApiPorts
from agent.web.roles import Role

PLAIN = "text/plain"
HEADERS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


class MetricsApi:
    """The handler of /metrics."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/metrics",
                handler=self.scrape,
                role=Role.VIEWER,
                summary="Metrics for Prometheus",
                content_type=PLAIN,
                errors={501: "this station keeps no metrics"},
            )
        ]

    async def scrape(self, _request: web.Request) -> web.Response:
        if self._ports.metrics is None:
            raise Refusal(501, "this station keeps no metrics")
        return web.Response(body=await self._ports.metrics(), headers=HEADERS)
