"""`make bench`: the agent beside a bare client and the `ocpp` library, on loopback, in one run.

Every station runs as its own process and is driven in a closed loop by `driver.py`; rounds alternate between the
stations, so that whatever else the machine is doing hits all of them. Figures are medians over the rounds.
Options: --rounds N, --calls N, --messages N (for the memory soak), --idle S.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.driver import Driver, cpu_seconds, resident_mb

CONFIG = """
[station]
identity = "BENCH"
vendor = "Bench"
model = "Agent"
[csms]
url = "{url}"
[agent]
state_dir = "{folder}"
[web]
listen = ""
[hal]
driver = "sim"
[vendor]
enabled = ["bench"]
[settings]
HeartbeatInterval = 86400
"""
AGENT = "evse-agent (1.6, durable)"
FLOOR = "bare aiohttp, uvloop"
LIBRARY = "`ocpp` library"
TRIGGER = ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "Heartbeat")
STATUS = (
    "TriggerMessage",
    {"requestedMessage": "StatusNotification", "connectorId": 1},
    "StatusNotification",
)
TRANSFER = ("DataTransfer", {"vendorId": "org.example.bench", "messageId": "Ping", "data": "{}"}, None)
CONFIGURATION = ("GetConfiguration", {}, None)


@dataclass
class Figures:
    answer_us: list[float] = field(default_factory=list)
    answer_p99_us: list[float] = field(default_factory=list)
    heartbeat_us: list[float] = field(default_factory=list)
    status_us: list[float] = field(default_factory=list)
    transfer_us: list[float] = field(default_factory=list)
    configuration_us: list[float] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    idle_percent: list[float] = field(default_factory=list)


def command(name: str, url: str, folder: str) -> list[str]:
    if name == AGENT:
        config = Path(folder) / "bench.toml"
        config.write_text(CONFIG.format(url=url, folder=folder))
        return [sys.executable, "-m", "tests.bench.stations.agent_with_vendor", str(config)]
    if name == LIBRARY:
        return [sys.executable, "-m", "tests.bench.stations.ocpp_library", url + "/BENCH"]
    return [sys.executable, "-m", "tests.bench.stations.bare_aiohttp", url + "/BENCH", name.rsplit(" ", 1)[1]]


def measure(
    driver: Driver, call: tuple[str, dict[str, object], str | None], count: int
) -> tuple[list[float], list[float]]:
    for _ in range(max(20, count // 10)):
        driver.call(*call)
    pairs = [driver.call(*call) for _ in range(count)]
    return [first * 1e6 for first, _ in pairs], [second * 1e6 for _, second in pairs]


def one_round(name: str, figures: Figures, options: argparse.Namespace) -> None:
    driver = Driver()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command(name, driver.url, folder), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            figures.start_ms.append((driver.accept() - begin) * 1e3)
            driver.settle()
            answers, triggered = measure(driver, TRIGGER, options.calls)
            figures.answer_us.append(statistics.median(answers))
            figures.answer_p99_us.append(statistics.quantiles(answers, n=100)[98])
            figures.heartbeat_us.append(statistics.median(triggered))
            figures.status_us.append(statistics.median(measure(driver, STATUS, options.calls)[1]))
            figures.transfer_us.append(statistics.median(measure(driver, TRANSFER, options.calls)[0]))
            figures.configuration_us.append(
                statistics.median(measure(driver, CONFIGURATION, options.calls // 2)[0])
            )
            figures.resident_mb.append(resident_mb(process.pid))
            before = cpu_seconds(process.pid)
            time.sleep(options.idle)
            figures.idle_percent.append((cpu_seconds(process.pid) - before) / options.idle * 100)
        finally:
            process.terminate()
            process.wait(20)
            driver.close()


def soak(messages: int) -> str:
    """Resident memory of the agent before and after `messages` calls."""
    driver = Driver()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command(AGENT, driver.url, folder), stderr=subprocess.DEVNULL)
        try:
            driver.accept()
            driver.settle()
            for _ in range(5000):
                driver.call(*TRIGGER)
            before = resident_mb(process.pid)
            for _ in range(messages):
                driver.call(*TRIGGER)
            after = resident_mb(process.pid)
        finally:
            process.terminate()
            process.wait(20)
            driver.close()
    return f"resident memory after 5,000 calls {before:.1f} MB, after {messages:,} more {after:.1f} MB"


def table(results: dict[str, Figures]) -> None:
    rows = [
        ("TriggerMessage answer p50 us", "answer_us", 1.6),
        ("TriggerMessage answer p99 us", "answer_p99_us", None),
        ("triggered Heartbeat p50 us", "heartbeat_us", 2.6),
        ("triggered StatusNotification p50 us", "status_us", 2.6),
        ("DataTransfer to a handler p50 us", "transfer_us", 2.0),
        ("GetConfiguration, all, p50 us", "configuration_us", 4.0),
        ("start to BootNotification ms", "start_ms", 2.5),
        ("resident memory MB (aim 55 in all)", "resident_mb", None),
        ("idle processor time % (aim 0.5 in all)", "idle_percent", None),
    ]
    names = list(results)
    print("| " + " | ".join(["figure", *names, "agent / bare uvloop", "aim", "agent / library"]) + " |")
    print("|" + "---|" * (len(names) + 4))
    for title, attribute, aim in rows:
        medians = {name: statistics.median(getattr(results[name], attribute)) for name in names}
        floor, library = medians[FLOOR] or float("nan"), medians[LIBRARY] or float("nan")
        cells = [f"{medians[name]:.1f}" if medians[name] >= 1 else f"{medians[name]:.3f}" for name in names]
        ratio = f"{medians[AGENT] / floor:.2f}"
        print(
            "| "
            + " | ".join([title, *cells, ratio, str(aim or ""), f"{medians[AGENT] / library:.2f}"])
            + " |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print the raw figures as well")
    options = parser.parse_args()
    os.chdir(Path(__file__).resolve().parents[2])
    results = {name: Figures() for name in (FLOOR, "bare aiohttp, asyncio", LIBRARY, AGENT)}
    for number in range(options.rounds):
        for name, figures in results.items():
            print(f"round {number + 1}: {name}", file=sys.stderr)
            one_round(name, figures, options)
    table(results)
    if options.messages:
        print(soak(options.messages))
    if options.json:
        print(json.dumps({name: vars(figures) for name, figures in results.items()}))


if __name__ == "__main__":
    main()
