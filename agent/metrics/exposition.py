"""The answer to a scrape: gathers one moment in the loop and has it rendered in a thread.

prometheus_client is imported at the first scrape, in that thread, too: most stations are never asked. Built by
`operating.py`, asked by `agent/web/metrics_api.py`.
"""

import asyncio
from typing import TYPE_CHECKING

from agent.metrics.moment import Moment, gather
from agent.metrics.sampler import Sampler
from agent.metrics.sources import MetricSources

if TYPE_CHECKING:
    from agent.metrics.families import Renderer


class Exposition:
    def __init__(self, sources: MetricSources) -> None:
        self._sources = sources
        self._sampler = Sampler(sources.messages, sources.knows_action)
        self._renderer: Renderer | None = None
        self._turn = asyncio.Lock()

    async def scrape(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4. Scrapes at the same time wait for each other."""
        async with self._turn:
            moment = await gather(self._sources, self._sampler)
            return await asyncio.to_thread(self._render, moment)

    def close(self) -> None:
        self._sampler.close()

    def _render(self, moment: Moment) -> bytes:
        if self._renderer is None:
            from agent.metrics.families import Renderer

            self._renderer = Renderer()
        return self._renderer.render(moment)
