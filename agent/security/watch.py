"""What happens to the security of the station, turned into security events; and the two things that have to be watched.

Other parts tell it in a word (from callbacks, which never wait); it writes the events one after another through
`Station.report`, which thins them out. Watched every minute: free memory and disk, and a sensor named "tamper".
It decides nothing and stops nothing. Security white paper edition 3, A04, chapter 8 (R16-354 to R16-356, R16-318 to
R16-321, R16-329, R16-034).
"""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import ResetKind, SecurityEventType
from agent.charging.ports import Clock
from agent.errors import StoreError
from hal.errors import HalError
from hal.ports import Sensor

log = logging.getLogger(__name__)

WATCH_S = 60.0
CLOCK_WAIT_S = 600.0
CLOCK_STEP_S = 5.0
"""Smaller corrections are the drift of a crystal between two Heartbeats."""
MOST_WAITING = 200
"""Events that wait for the store; more are dropped with a log entry, so that a stuck disk does not fill the memory."""
STORE_RETRY_S = 5.0
DISK_LEFT, DISK_LEFT_BYTES = 0.05, 16 * 1024 * 1024
MEMORY_LEFT = 0.05
"""Less than this part (and, of the disk, less than these bytes) left is an exhaustion; twice as much ends it."""
TAMPER_SENSOR = "tamper"
SECURITY_SETTINGS = frozenset(
    {"authorization_key", "security_profile", "organization_name", "push_security_events", "allow_wildcards"}
)

_EVENTS_OF_FAILURE: Mapping[str, tuple[SecurityEventType, ...]] = {
    "CREDENTIALS": (SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS,),
    "TLS_OWN_CERTIFICATE": (SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS,),
    "TLS_CERTIFICATE": (
        SecurityEventType.CSMS_FAILED_TO_AUTHENTICATE,
        SecurityEventType.INVALID_CSMS_CERTIFICATE,
    ),
    "TLS_VERSION": (SecurityEventType.INVALID_TLS_VERSION,),
    "TLS_CIPHER": (SecurityEventType.INVALID_TLS_CIPHER_SUITE,),
}

Report = Callable[[SecurityEventRaised], Awaitable[None]]


class SecurityWatch:
    """`run` has to run for anything to be written; before, events wait."""

    def __init__(
        self,
        report: Report,
        clock: Clock,
        state_dir: Path,
        sensors: Mapping[str, Sensor],
        memory_file: Path = Path("/proc/meminfo"),
    ) -> None:
        self._report = report
        self._clock = clock
        self._state_dir = state_dir
        self._sensor = sensors.get(TAMPER_SENSOR)
        self._memory_file = memory_file
        self._waiting: asyncio.Queue[tuple[float, SecurityEventType, str]] = asyncio.Queue(MOST_WAITING)
        self._short_of: set[str] = set()
        self._is_tampered = False

    # --- told by others --------------------------------------------------------------------------------

    def raise_event(self, kind: SecurityEventType, detail: str = "") -> None:
        """It is written as soon as may be; never waits."""
        try:
            self._waiting.put_nowait((self._clock.time(), kind, detail))
        except asyncio.QueueFull:
            log.error("security event %s is lost: too many wait for the store", kind)

    def started(self) -> None:
        self.raise_event(SecurityEventType.STARTUP_OF_THE_DEVICE)

    def resetting(self, kind: ResetKind) -> SecurityEventRaised:
        """To be on the disk before the reset; told after it."""
        return SecurityEventRaised(
            self._clock.now(), SecurityEventType.RESET_OR_REBOOT, f"{kind.value} reset"
        )

    def connection_failed(self, kind: str, reason: str) -> None:
        """`ConnectFailed.kind` and its text."""
        for event in _EVENTS_OF_FAILURE.get(kind, ()):
            self.raise_event(event, reason)

    def message_invalid(self, reason: str) -> None:
        """The CSMS sent what is no message. `reason` may quote ids; they would make every event another one."""
        self.raise_event(SecurityEventType.INVALID_MESSAGES, re.sub(r"[,:] ?(?:id )?['\"].*", "", reason))

    def clock_corrected(self, before: datetime, by_s: float) -> None:
        """The CSMS's time was taken over."""
        if abs(by_s) >= CLOCK_STEP_S:
            at = before.replace(microsecond=0).isoformat()
            self.raise_event(SecurityEventType.SETTING_SYSTEM_TIME, f"by {by_s:+.0f} s, was {at}")

    def setting_changed(self, name: str) -> None:
        """The value itself is never written (A01.FR.11, .12)."""
        if name in SECURITY_SETTINGS:
            self.raise_event(SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, f"{name} changed")

    # --- its own work ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._look_around())

    async def _write(self) -> None:
        while True:
            raised_time, kind, detail = await self._waiting.get()
            await self._wait_for_clock(raised_time)
            age = timedelta(seconds=self._clock.time() - raised_time)
            event = SecurityEventRaised(self._clock.now() - age, kind, detail)
            while True:
                try:
                    await self._report(event)
                except StoreError as error:
                    log.error("security event %s waits for the store: %s", event.type, error)
                    await asyncio.sleep(STORE_RETRY_S)
                else:
                    break

    async def _wait_for_clock(self, raised_time: float) -> None:
        """An event dated 1970 helps nobody: a station without a clock waits a while for the CSMS's time."""
        waits = range(round(raised_time + CLOCK_WAIT_S - self._clock.time()))
        for _ in waits:
            if self._clock.is_trusted:
                return
            await asyncio.sleep(1.0)

    async def _look_around(self) -> None:
        while True:
            await self._look_at_cover()
            short_of = {**disk_shortage(self._state_dir, self._short_of), **self._memory_shortage()}
            for name, text in short_of.items():
                if name not in self._short_of:
                    self.raise_event(SecurityEventType.MEMORY_EXHAUSTION, text)
            self._short_of = set(short_of)
            await asyncio.sleep(WATCH_S)

    def _memory_shortage(self) -> dict[str, str]:
        try:
            text = self._memory_file.read_text("ascii")
        except OSError:
            return {}  # not a Linux
        return memory_shortage(text, self._short_of)

    async def _look_at_cover(self) -> None:
        if self._sensor is None:
            return
        try:
            is_tampered = await self._sensor.read() != 0
        except HalError as error:
            log.warning("the tamper sensor cannot be read: %s", error)
            return
        if is_tampered and not self._is_tampered:
            self.raise_event(SecurityEventType.TAMPER_DETECTION_ACTIVATED)
        self._is_tampered = is_tampered


def disk_shortage(folder: Path, short_of: set[str]) -> dict[str, str]:
    """{"disk": text} when little is left; what is short already needs twice as much to recover."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return {}  # the store itself says what is wrong with it
    left, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    factor = 2 if "disk" in short_of else 1
    if left >= min(DISK_LEFT * size, DISK_LEFT_BYTES) * factor:
        return {}
    return {"disk": f"disk: {left // 1024} KiB of {size // 1024} KiB left"}


def memory_shortage(meminfo: str, short_of: set[str]) -> dict[str, str]:
    """{"memory": text} when little is left, from the text of /proc/meminfo."""
    found = {name: int(number) for name, number in re.findall(r"^(\w+): +(\d+) kB$", meminfo, re.MULTILINE)}
    left, size = found.get("MemAvailable"), found.get("MemTotal")
    factor = 2 if "memory" in short_of else 1
    if left is None or size is None or left >= MEMORY_LEFT * size * factor:
        return {}
    return {"memory": f"memory: {left} KiB of {size} KiB left"}
