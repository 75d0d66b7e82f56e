"""One scrape of the real process, and everything that is written about metrics held to it.

The documentation lists every metric, and none that is not there. Dashboard and alert rules use no metric and no label
that does not exist; their PromQL is parsed by the grammar of Prometheus.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.bench import friendly
from tests.helpers.csms import Csms
from tests.helpers.mosquitto import Mosquitto
from tests.helpers.process import AgentProcess, free_port

pytestmark = pytest.mark.system

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `(evse_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", re.M)
OF_PROMETHEUS = frozenset({"instance", "job"})
NEVER_HERE = {
    "evse_task_crashes_total": {"task"},  # nothing crashes in a test
}
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$instance": ".*"}


class Scraped(NamedTuple):
    kinds: dict[str, str]
    """Type by name of the family, as it is documented."""
    labels: dict[str, set[str]]
    series: dict[str, set[str]]
    """Labels by name of the sample, as PromQL selects it."""
    values: dict[str, float]
    """Of samples without labels."""


def parse(text: str) -> Scraped:
    found = Scraped({}, {}, {}, {})
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name not in found.kinds, f"{name} comes twice"
        assert family.documentation, name
        found.kinds[name] = family.type
        labels = found.labels.setdefault(name, set())
        ends = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
        for end in ends.get(family.type, ("",)):
            found.series.setdefault(name + end, set())
        for sample in family.samples:
            labels |= sample.labels.keys() - {"le"}
            found.series[sample.name] |= sample.labels.keys()
            if not sample.labels:
                found.values[sample.name] = sample.value
    return found


async def scrape(agent: AgentProcess) -> str:
    url = f"http://127.0.0.1:{agent.port}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return await response.text()


def refuse_once(csms: Csms, text: str) -> bool:
    """The first StatusNotification is answered with an error."""
    if '"StatusNotification"' not in text:
        return False
    csms.first_look = None
    csms.send_text(json.dumps([4, json.loads(text)[1], "InternalError", "", {}]))
    return True


async def eventful_scrape(folder: Path) -> str:
    """Of a station to which something of everything has happened."""
    port = free_port()
    async with Mosquitto(folder) as broker, Csms() as csms:
        friendly(csms)
        csms.first_look = lambda text: refuse_once(csms, text)
        await csms.stop_listening()
        extra = f'[mqtt]\nurl = "{broker.url}"\ncommands = ["enable"]\n'
        keys = "backoff_first_s = 0.2\nbackoff_max_s = 1"
        agent = await AgentProcess(folder, f"ws://127.0.0.1:{port}/ocpp", extra, csms_keys=keys).start()
        try:
            await agent.logged("no connection:")
            await agent.status()
            await scrape(agent)
            await csms.listen(port)
            await agent.status_until(lambda status: status["registration"] == "Accepted")
            assert (await csms.call("GetConfiguration", {})).payload
            await csms.call("Nonsense", {})
            watcher = await broker.watch()
            await watcher.json_until("evse-agent/CP001/evse/1/state")
            await watcher.send("evse-agent/CP001/evse/1/command/enable", "ON")
            await watcher.json_until("evse-agent/CP001/result")
            await agent.sim("evse/1/plug")
            await agent.sim("tap", {"id_token": "TAG1"})
            await agent.status_until(lambda status: (status["evses"][0]["meter"] or {}).get("power_w"))
            await agent.sim("evse/1/fault", {"code": "temp_warn"})
            await agent.status_until(lambda status: status["evses"][0]["faults"])
            await scrape(agent)
            return await scrape(agent)
        finally:
            await agent.stop()


def expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and the PromQL, variables of Grafana filled in."""
    for group in yaml.safe_load((DOCS / "grafana/alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"], rule
            assert rule["annotations"]["description"], rule
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            yield rule["alert"], rule["expr"]
            for text in (*rule["annotations"].values(),):
                for label in re.findall(r"\$labels\.(\w+)", text):
                    yield f"{rule['alert']} $labels", f"count by ({label}) ({rule['expr']})"
    dashboard = json.loads((DOCS / "grafana/dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield panel["title"], text
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert found, variable
            yield variable["name"], f"count by ({found[2]}) ({found[1]})"


def used(expression: Any) -> tuple[set[str], set[str]]:
    """Names of metrics and of labels anywhere in a parsed expression."""
    text = str(expression)
    metrics: set[str] = set()
    labels: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            metrics.add(node.name)
            labels.update(matcher.name for matcher in node.matchers.matchers)
            return
        for attribute in ("expr", "lhs", "rhs", "vector_selector", "args"):
            child = getattr(node, attribute, None)
            for each in child if isinstance(child, list) else [child]:
                if each is not None:
                    visit(each)

    visit(expression)
    for listed in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^)]*)\)", text):
        labels.update(label.strip() for label in listed.split(",") if label.strip())
    return metrics, labels


async def test_what_is_written_about_metrics_is_what_is_scraped(tmp_path: Path) -> None:
    found = parse(await eventful_scrape(tmp_path))

    documented = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _words in ROW.findall((DOCS / "metrics.md").read_text())
    }
    served = {
        name: (kind, frozenset(found.labels[name] | NEVER_HERE.get(name, set())))
        for name, kind in found.kinds.items()
    }
    assert documented == served

    seen = set()
    for where, text in expressions():
        metrics, labels = used(promql_parser.parse(text))
        assert metrics, (where, text)
        known: set[str] = set(OF_PROMETHEUS)
        for metric in metrics:
            if metric == "up":
                continue
            assert metric in found.series, f"{where}: there is no {metric}"
            known |= found.series[metric] | NEVER_HERE.get(metric, set())
        assert labels <= known, f"{where}: there is no {labels - known}"
        seen |= metrics
    assert len(seen) > 40
    assert found.values["evse_csms_connected"] == 1.0
    assert found.values["evse_board_frames_total"] > 0
    assert found.values["evse_process_resident_memory_bytes"] > 10e6


def test_the_parser_of_the_test_finds_every_metric_and_label() -> None:
    text = (
        'sum by (a) (rate(x_total{b="1"}[5m])) / on (c) max without (d) (y) > bool 1 and topk(3, z{e!~"q"})'
    )
    metrics, labels = used(promql_parser.parse(text))
    assert metrics == {"x_total", "y", "z"}
    assert labels == {"a", "b", "c", "d", "e"}
