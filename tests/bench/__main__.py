"""`make bench`: the agent beside a bare client and the `ocpp` library, on loopback, in one run, for 1.6 and 2.0.1.

Every station runs as its own process and is driven in a closed loop by `driver.py`; rounds alternate between the
stations, so that whatever else the machine is doing hits all of them. Figures are medians over the rounds. Bytecode is
made before, as an installation does. On a busy machine the second table, of processor time, is the one to compare.
Options: --version 1.6|2.0.1|both, --rounds N, --calls N, --messages N (for the memory soak), --idle S.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.driver import NOW, Driver, cpu_seconds, resident_mb

CONFIG = """
[station]
identity = "BENCH"
vendor = "Bench"
model = "Agent"
[csms]
url = "{url}"
subprotocols = ["{subprotocol}"]
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
FLOOR = "bare aiohttp, uvloop"
SLOW_FLOOR = "bare aiohttp, asyncio"
LIBRARY = "`ocpp` library"
AGENT = "evse-agent (durable)"
Call = tuple[str, dict[str, object], str | None]
"""Action, payload, and the message that it triggers."""


@dataclass(frozen=True)
class Row:
    """`call` makes the figure `title`; `is_triggered`: of the message that follows the answer."""

    title: str
    call: Call
    aim: float | None = None
    """The agent beside the bare client on uvloop."""
    is_triggered: bool = False
    share: int = 1
    """One of so many calls is made, where one of them is long."""


def trigger(message: str, **place: object) -> Call:
    return "TriggerMessage", {"requestedMessage": message, **place}, message


def variable(component: str, name: str) -> dict[str, object]:
    return {"component": {"name": component}, "variable": {"name": name}}


PING: dict[str, object] = {"vendorId": "org.example.bench", "messageId": "Ping", "data": "{}"}
PERIODS = [{"startPeriod": 600 * number, "limit": 16.0} for number in range(24)]
SCHEDULE = {"id": 1, "startSchedule": NOW, "chargingRateUnit": "A", "chargingSchedulePeriod": PERIODS}
PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": [SCHEDULE],
}
PROFILE_16 = {
    **{name: value for name, value in PROFILE.items() if name != "id"},
    "chargingProfileId": 1,
    "chargingSchedule": {name: value for name, value in SCHEDULE.items() if name != "id"},
}
TEN = [variable("OCPPCommCtrlr", "HeartbeatInterval"), variable("AuthCtrlr", "LocalPreAuthorize")] * 5
ROWS: dict[str, list[Row]] = {
    "ocpp1.6": [
        Row("TriggerMessage answer", trigger("Heartbeat"), 1.6),
        Row("triggered Heartbeat", trigger("Heartbeat"), 2.6, is_triggered=True),
        Row(
            "triggered StatusNotification",
            trigger("StatusNotification", connectorId=1),
            2.6,
            is_triggered=True,
        ),
        Row("DataTransfer to a handler", ("DataTransfer", PING, None), 2.0),
        Row("GetConfiguration, all", ("GetConfiguration", {}, None), 4.0, share=2),
        Row(
            "SetChargingProfile, 24 periods, on disk",
            ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE_16}, None),
            share=8,
        ),
    ],
    "ocpp2.0.1": [
        Row("TriggerMessage answer", trigger("Heartbeat"), 1.6),
        Row("triggered Heartbeat", trigger("Heartbeat"), 2.6, is_triggered=True),
        Row(
            "triggered StatusNotification",
            trigger("StatusNotification", evse={"id": 1, "connectorId": 1}),
            2.6,
            is_triggered=True,
        ),
        Row("DataTransfer to a handler", ("DataTransfer", PING, None), 2.0),
        Row("GetVariables, one", ("GetVariables", {"getVariableData": TEN[:1]}, None), 2.0),
        Row("GetVariables, ten", ("GetVariables", {"getVariableData": TEN}, None), 4.0, share=2),
        Row(
            "GetBaseReport, full, last part",
            ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}, "NotifyReport"),
            is_triggered=True,
            share=40,
        ),
        Row(
            "SetChargingProfile, 24 periods, on disk",
            ("SetChargingProfile", {"evseId": 1, "chargingProfile": PROFILE}, None),
            share=8,
        ),
    ],
}


@dataclass
class Figures:
    calls_us: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Title of the row -> median of each round."""
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Processor time of the station for one call and all that it triggers, by title of the row."""
    start_cpu_ms: list[float] = field(default_factory=list)
    answer_p99_us: list[float] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    idle_percent: list[float] = field(default_factory=list)


def command(name: str, url: str, folder: str, subprotocol: str) -> list[str]:
    station = [sys.executable, "-m"]
    if name == AGENT:
        config = Path(folder) / "bench.toml"
        config.write_text(CONFIG.format(url=url, folder=folder, subprotocol=subprotocol))
        return [*station, "tests.bench.stations.agent_with_vendor", str(config)]
    if name == LIBRARY:
        module = "ocpp_library" if subprotocol == "ocpp1.6" else "ocpp_library201"
        return [*station, f"tests.bench.stations.{module}", url + "/BENCH"]
    loop = name.rsplit(" ", 1)[1]
    return [*station, "tests.bench.stations.bare_aiohttp", url + "/BENCH", loop, subprotocol]


def warm_up(count: int) -> int:
    return max(5, count // 10)


def measure(driver: Driver, call: Call, count: int) -> tuple[list[float], list[float]]:
    for _ in range(warm_up(count)):
        driver.call(*call)
    pairs = [driver.call(*call) for _ in range(count)]
    return [first * 1e6 for first, _ in pairs], [second * 1e6 for _, second in pairs]


def one_round(name: str, figures: Figures, subprotocol: str, options: argparse.Namespace) -> None:
    driver = Driver(subprotocol)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command(name, driver.url, folder, subprotocol),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            figures.start_ms.append((driver.accept() - begin) * 1e3)
            figures.start_cpu_ms.append(cpu_seconds(process.pid) * 1e3)
            driver.settle()
            for number, row in enumerate(ROWS[subprotocol]):
                if row.title.startswith(
                    "SetChargingProfile"
                ):  # the last one, and the only one that needs a disk
                    figures.resident_mb.append(resident_mb(process.pid))
                count = max(5, options.calls // row.share)
                before = cpu_seconds(process.pid)
                answers, triggered = measure(driver, row.call, count)
                spent_s = cpu_seconds(process.pid) - before
                figures.cpu_us[row.title].append(spent_s / (count + warm_up(count)) * 1e6)
                figures.calls_us[row.title].append(
                    statistics.median(triggered if row.is_triggered else answers)
                )
                if number == 0:
                    figures.answer_p99_us.append(statistics.quantiles(answers, n=100)[98])
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
        process = subprocess.Popen(command(AGENT, driver.url, folder, "ocpp1.6"), stderr=subprocess.DEVNULL)
        try:
            driver.accept()
            driver.settle()
            for _ in range(5000):
                driver.call(*trigger("Heartbeat"))
            before = resident_mb(process.pid)
            for _ in range(messages):
                driver.call(*trigger("Heartbeat"))
            after = resident_mb(process.pid)
        finally:
            process.terminate()
            process.wait(20)
            driver.close()
    return f"resident memory after 5,000 calls {before:.1f} MB, after {messages:,} more {after:.1f} MB"


def table(subprotocol: str, results: dict[str, Figures]) -> None:
    def cells_of(title: str, medians: dict[str, float], aim: float | None) -> str:
        floor, library = medians[FLOOR] or float("nan"), medians[LIBRARY] or float("nan")
        cells = [f"{median:.1f}" if median >= 1 else f"{median:.3f}" for median in medians.values()]
        ratios = [f"{medians[AGENT] / floor:.2f}", str(aim or ""), f"{medians[AGENT] / library:.2f}"]
        return "| " + " | ".join([title, *cells, *ratios]) + " |"

    def medians(pick: Callable[[Figures], list[float]]) -> dict[str, float]:
        return {name: statistics.median(pick(figures)) for name, figures in results.items()}

    def head() -> None:
        print("| " + " | ".join(["figure", *results, "agent / bare uvloop", "aim", "agent / library"]) + " |")
        print("|" + "---|" * (len(results) + 4))

    print(f"\n{subprotocol}\n")
    head()
    for row in ROWS[subprotocol]:
        print(
            cells_of(f"{row.title} p50 us", medians(lambda each, row=row: each.calls_us[row.title]), row.aim)
        )  # type: ignore[misc]
    print(cells_of("TriggerMessage answer p99 us", medians(lambda each: each.answer_p99_us), None))
    print(cells_of("start to BootNotification ms", medians(lambda each: each.start_ms), 2.5))
    print(cells_of("resident memory MB (aim 55 in all)", medians(lambda each: each.resident_mb), None))
    print(cells_of("idle processor time % (aim 0.5 in all)", medians(lambda each: each.idle_percent), None))
    print(f"\n{subprotocol}, processor time of the station\n")
    head()
    for row in ROWS[subprotocol]:
        if not row.is_triggered or row.title.startswith("triggered Status"):
            title = row.title.replace("answer", "and Heartbeat")
            print(cells_of(f"{title} us", medians(lambda each, row=row: each.cpu_us[row.title]), None))  # type: ignore[misc]
    print(cells_of("start to BootNotification ms", medians(lambda each: each.start_cpu_ms), None))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print the raw figures as well")
    parser.add_argument("--version", choices=["1.6", "2.0.1", "both"], default="both")
    options = parser.parse_args()
    os.chdir(Path(__file__).resolve().parents[2])
    subprotocols = [each for each in ROWS if options.version in ("both", each.removeprefix("ocpp"))]
    every = {each: {name: Figures() for name in (FLOOR, SLOW_FLOOR, LIBRARY, AGENT)} for each in subprotocols}
    with tempfile.TemporaryDirectory() as bytecode:
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for subprotocol, results in every.items():
            for name in results:
                one_round(name, Figures(), subprotocol, argparse.Namespace(calls=2, idle=0.1))
        for number in range(options.rounds):
            for subprotocol, results in every.items():
                for name, figures in results.items():
                    print(f"round {number + 1}: {subprotocol}, {name}", file=sys.stderr)
                    one_round(name, figures, subprotocol, options)
    for subprotocol, results in every.items():
        table(subprotocol, results)
    if len(every) == 2:
        old, new = (statistics.median(results[AGENT].resident_mb) for results in every.values())
        print(f"\n2.0.1 takes {new - old:.1f} MB more than 1.6 (aim: at most 15)")
    if options.messages:
        print(soak(options.messages))
    if options.json:
        print(json.dumps({each: {n: vars(f) for n, f in results.items()} for each, results in every.items()}))


if __name__ == "__main__":
    main()
