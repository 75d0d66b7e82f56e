"""The stations that are fuzzed: the whole agent in this process on virtual time, and `evse-agent` as a process.

Both have two simulated EVSEs and a scripted CSMS. Used by `__main__` and the tests.
"""

import asyncio
import gc
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.charging.snapshot import SessionState
from agent.exit_codes import ExitCode
from tests.helpers.bench import Bench
from tests.helpers.csms import Csms
from tests.helpers.process import AgentProcess

SITE = """
[hal.sim]
evses = 2
"""
VENDOR = """
[vendor]
enabled = ["example"]
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "on" }
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "Release"
action = "cable.unlock"
fixed = { evse_id = 1 }
"""
RESETS = (ExitCode.RESET_SOFT, ExitCode.RESET_HARD)


CONTACTOR_TAKES_S = 6.0
"""An EV gets a few seconds to stop drawing before its contactor opens."""


class _Crashes(logging.Handler):
    """Keeps what was logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.texts.append(logging.Formatter().format(record))


class InProcess:
    """`async with` it inside a virtual-time loop."""

    pause_s = 0.01
    batch_sizes: Sequence[int] = (1, 5, 20, 40, 40)

    def __init__(self, folder: Path, csms: Csms, version: str) -> None:
        self.csms = csms
        self._folder = folder
        self._version = version
        self._crashes = _Crashes()
        self.bench: Bench

    async def __aenter__(self) -> "InProcess":
        logging.getLogger().addHandler(self._crashes)
        await self._start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        logging.getLogger().removeHandler(self._crashes)
        await self.bench.__aexit__(None, None, None)

    async def _start(self) -> None:
        self.bench = Bench(self._folder, SITE + VENDOR, csms=self.csms, version=self._version)
        await self.bench.__aenter__()

    async def revive(self) -> bool:
        # A reset first ends the connection and then, after some tidying up, the agent.
        for _ in range(100):
            if self.bench.has_ended:
                break
            await asyncio.sleep(0.1)
        else:
            return False
        assert await self.bench.ended() in RESETS
        await self.bench.__aexit__(None, None, None)
        gc.unfreeze()  # every agent freezes what it finds, the remains of the one before it too
        await self._start()
        return True

    async def plug(self, evse_id: int) -> None:
        with suppress(ValueError):  # there may be a car already
            self.bench.plug_in(evse_id)

    async def unplug(self, evse_id: int) -> None:
        with suppress(ValueError):
            self.bench.unplug(evse_id)

    async def tap(self, id_token: str) -> None:
        self.bench.tap(id_token)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def memory_kb(self) -> int:
        gc.collect()
        return resident_kb()

    def faults(self) -> list[str]:
        found, self._crashes.texts = self._crashes.texts, []
        return found

    async def unsafe(self) -> list[str]:
        found = self._live_without_a_reason()
        if found:
            await asyncio.sleep(CONTACTOR_TAKES_S)  # it may be on its way
            found = [each for each in self._live_without_a_reason() if each in found]
        return found

    def _live_without_a_reason(self) -> list[str]:
        """A closed contactor needs a cable, somebody who may charge, and no fault."""
        if self.bench.has_ended:
            return []
        found = []
        for evse_id in (1, 2):
            electricity, evse = self.bench.world.evse(evse_id), self.bench.evse(evse_id)
            may_close = evse.is_plugged and evse.session is SessionState.CHARGING and not evse.is_faulted
            if electricity.is_contactor_closed and not may_close:
                found.append(f"EVSE {evse_id} is live: {evse.session}, {evse.is_plugged=}, {evse.faults}")
            if electricity.was_switched_under_load:
                found.append(f"EVSE {evse_id}: phases switched under load")
        return found


class OtherProcess:
    """A real process with real sockets on real time; a reset ends it, and it is started again."""

    pause_s = 0.002
    batch_sizes: Sequence[int] = (1, 50, 200, 200)

    def __init__(self, folder: Path, csms: Csms, version: str) -> None:
        self.csms = csms
        self.agent = AgentProcess(
            folder,
            csms.url,
            SITE + VENDOR,
            csms_keys="backoff_first_s = 0.2\nbackoff_max_s = 1",
            version=version,
        )
        self._read = 0

    async def __aenter__(self) -> "OtherProcess":
        await self.agent.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.agent.stop()

    def memory_kb(self) -> int:
        assert self.agent.process is not None
        return resident_kb(self.agent.process.pid)

    async def revive(self) -> bool:
        process = self.agent.process
        assert process is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(3 if not self.csms.is_connected else 0.01):
                await process.wait()
        if process.returncode is None:
            return False
        assert process.returncode in RESETS, self.agent.log.read_text()[-3000:]
        await self.agent.start()
        return True

    async def plug(self, evse_id: int) -> None:
        with suppress(RuntimeError):
            await self.agent.sim(f"evse/{evse_id}/plug", {"draw_after_s": 0.1})

    async def unplug(self, evse_id: int) -> None:
        with suppress(RuntimeError):
            await self.agent.sim(f"evse/{evse_id}/unplug")

    async def tap(self, id_token: str) -> None:
        await self.agent.sim("tap", {"id_token": id_token})

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(max(0.4, min(6.0, seconds / 20)))

    async def unsafe(self) -> list[str]:
        return []  # its electricity is its own

    def faults(self) -> list[str]:
        log = self.agent.log.read_text(errors="replace")
        new, self._read = log[self._read :], len(log)
        return [new[max(0, new.index("Traceback") - 300) :][:3000]] if "Traceback" in new else []


def resident_kb(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
