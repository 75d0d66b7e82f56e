"""`make fuzz`: python -m tests.fuzz [--version 1.6|2.0.1|both] [--frames N] [--seed N] [--socket] [--no-resets].

`--frames` is for each version; exit code 1 = fault found.
Without `--socket` the whole agent runs in this process on virtual time; with it, as a process on real sockets.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from agent.charging.settings import SETTINGS
from tests.fuzz.certificates import pem_texts
from tests.fuzz.dialect201 import DIALECT_201
from tests.fuzz.dialects import DIALECT_16, Dialect
from tests.fuzz.run import Fuzzer, Report
from tests.fuzz.stages import InProcess, OtherProcess
from tests.helpers.bench import friendly
from tests.helpers.csms import Csms
from tests.helpers.virtual_time import VirtualTimeLoop

KEYS = [setting.key16 for setting in SETTINGS.values() if setting.key16] + [
    "Testing",
    "heartbeatINTERVAL",
    "",
]
MOST_GROWTH_KB = 64 * 1024


DIALECTS = {"1.6": DIALECT_16, "2.0.1": DIALECT_201}


async def fuzz(
    folder: Path,
    frames: int,
    seed: int,
    dialect: Dialect = DIALECT_16,
    *,
    is_process: bool = False,
    resets: bool = True,
) -> Report:
    """One run on a fresh station in `folder`."""
    keys = KEYS if dialect is DIALECT_16 else ()  # 2.0.1 tells its variables itself
    async with Csms() as csms:
        friendly(csms)
        for action in dialect.from_station:
            csms.always(action)
        for action in ("SignCertificate", "GetCertificateStatus"):
            csms.always(action, status="Accepted")
        async with (OtherProcess if is_process else InProcess)(folder, csms, dialect.subprotocol) as stage:
            fuzzer = Fuzzer(stage, seed, dialect, keys=keys, texts=pem_texts(), resets=resets)
            return await fuzzer.run(frames)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--version", choices=[*DIALECTS, "both"], default="both")
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--socket", action="store_true", help="a real process on real sockets")
    parser.add_argument(
        "--no-resets", action="store_true", help="one process all the time: shows what it hoards"
    )
    asked = parser.parse_args()
    versions = DIALECTS if asked.version == "both" else (asked.version,)
    return max(one_version(version, asked) for version in versions)


def one_version(version: str, asked: argparse.Namespace) -> int:
    print(f"fuzzing OCPP {version} with {asked.frames} frames, seed {asked.seed}", flush=True)
    factory = asyncio.SelectorEventLoop if asked.socket else VirtualTimeLoop
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=factory) as runner:
        run = fuzz(
            Path(folder),
            asked.frames,
            asked.seed,
            DIALECTS[version],
            is_process=asked.socket,
            resets=not asked.no_resets,
        )
        report = runner.run(run)
    lasted_s = time.perf_counter() - began
    for answer, count in sorted(report.answers.items(), key=lambda item: -item[1]):
        print(f"  {count:7} {answer}")
    print(
        f"{report.frames} frames in {report.batches} batches, {report.frames / lasted_s:.0f} per second; "
        f"{report.own_calls} calls of the station, {report.transactions} transactions, "
        f"{report.connections} connections, {report.restarts} restarts"
    )
    print(f"memory {report.warm_kb} kB warmed up, {report.last_kb} kB at the end")
    faults = report.faults
    if report.last_kb - report.warm_kb > MOST_GROWTH_KB:
        faults.append(f"memory grew by {report.last_kb - report.warm_kb} kB")
    for fault in faults:
        print("FAULT", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
