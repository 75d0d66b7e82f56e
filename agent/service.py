"""The agent as a service of systemd: says READY, STATUS and STOPPING, and feeds the watchdog while all is well.

The watchdog is fed from the loop, and only while board link and store are alive and no task hangs for good; systemd
ends and restarts a process that is not. A board that is unplugged is a fault of the station and no reason to restart;
one that was silent for long is, when nobody is charging. Without NOTIFY_SOCKET nothing of this runs. Built by
`agent/app.py`. Protocol: sd_notify(3), sd_watchdog_enabled(3). docs/deployment.md.
"""

import asyncio
import faulthandler
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StoreError
from hal.ports import EvseState

log = logging.getLogger(__name__)

STALE_S = 10.0
"""A board link that calls itself good speaks every second: one whose last word is older than this hangs."""
BOARD_LOST_S = 600.0
"""A board that was away for so long gets a fresh start of everything on this side, as the last remedy."""
PROBE_S = 5.0
"""How long the store, or the local API, may take to answer."""
STATUS_S = 10.0
"""How often the line of `systemctl status` is brought up to date without a watchdog."""
FEEDS = 3
"""Feeds per time limit: two may get lost."""


class Notifier:
    """Speaks to the service manager; a datagram that cannot be sent is lost, as the protocol has it."""

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        """`address`: a path, or a name that begins with @. `watchdog_s` None: no watchdog is wanted."""
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], process_id: int) -> "Notifier | None":
        """None: no service manager waits for us. The environment stays as it is: a restart in place needs it."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@"):
            return None
        limit = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(process_id)) == str(process_id)
        watchdog_s = int(limit) / 1e6 if limit.isdecimal() and int(limit) and is_ours else None
        return cls(address, watchdog_s)

    def ready(self) -> None:
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1\nSTATUS=stopping")

    def feed(self) -> None:
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; told when it changes."""
        if text != self._status:
            self._status = text
            self._tell("STATUS=" + text.replace("\n", " "))

    def close(self) -> None:
        self._socket.close()

    def _tell(self, text: str) -> None:
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            log.debug("the service manager cannot be told %r: %s", text, error)


class BoardWatch:
    """Is the link to the board alive? Pure: states and times in, a complaint or None out."""

    def __init__(self) -> None:
        self._lost_since: float | None = None

    def complaint(self, states: Iterable[EvseState], is_charging: bool, now_time: float) -> str | None:
        """`now_time` is loop time, as `EvseState.at_time`."""
        is_lost = False
        for state in states:
            if state.link_ok and now_time - state.at_time > STALE_S:
                return f"the board link hangs: its last word is {now_time - state.at_time:.0f} s old"
            is_lost = is_lost or not state.link_ok
        if not is_lost:
            self._lost_since = None
            return None
        if self._lost_since is None:
            self._lost_since = now_time
        lost_s = now_time - self._lost_since
        if lost_s >= BOARD_LOST_S and not is_charging:
            return f"the board has been silent for {lost_s:.0f} s"
        return None


@dataclass(frozen=True, slots=True)
class Signs:
    """What the service looks at; everything is asked anew each time."""

    boards: Callable[[], Iterable[EvseState]]
    is_charging: Callable[[], bool]
    probe_store: Callable[[], Awaitable[object]]
    """Has the store's writer read something (a full disk may still be read); raises StoreError."""
    stuck_tasks: Callable[[], list[str]]
    is_station_up: Callable[[], bool]
    status: Callable[[], str]
    socket_path: Path
    """Of the local API."""


class Service:
    """`run` it as a task of its own for as long as the agent runs; `stop` and `close` at its end."""

    def __init__(self, notifier: Notifier, signs: Signs) -> None:
        self._notifier = notifier
        self._signs = signs
        self._board = BoardWatch()
        self._is_ready = False
        self._last_complaint: str | None = None
        if notifier.watchdog_s is not None:
            faulthandler.enable()  # the watchdog ends us with SIGABRT: the log then shows where we hung

    async def run(self) -> None:
        limit_s = self._notifier.watchdog_s
        pause_s = STATUS_S if limit_s is None else limit_s / FEEDS
        while True:
            await self._look(limit_s is not None)
            # Until everything runs systemd waits for us, so look often.
            await asyncio.sleep(pause_s if self._is_ready else min(0.2, pause_s))

    def stop(self) -> None:
        """The agent is about to end."""
        self._notifier.stopping()

    def close(self) -> None:
        self._notifier.close()

    async def _look(self, has_watchdog: bool) -> None:
        if not self._is_ready and self._signs.is_station_up() and await self._api_answers():
            self._is_ready = True
            self._notifier.ready()
        self._notifier.status(self._signs.status())
        if not has_watchdog:
            return
        complaint = await self.complaint()
        if complaint is None:
            self._notifier.feed()
        elif complaint != self._last_complaint:
            log.error("the watchdog is not fed: %s", complaint)
        self._last_complaint = complaint

    async def complaint(self) -> str | None:
        """Why the watchdog goes hungry; None: all is well."""
        stuck = self._signs.stuck_tasks()
        if stuck:
            return f"{', '.join(stuck)} hangs for good"
        now_time = asyncio.get_running_loop().time()
        board = self._board.complaint(self._signs.boards(), self._signs.is_charging(), now_time)
        if board is not None:
            return board
        try:
            async with asyncio.timeout(PROBE_S):
                await self._signs.probe_store()
        except TimeoutError:
            return f"the store does not answer within {PROBE_S:g} s"
        except StoreError as error:
            return str(error)
        return None

    async def _api_answers(self) -> bool:
        """A request through the very socket that people use."""
        from agent.web.unix_socket import connect

        try:
            client = connect(self._signs.socket_path, None)
        except OSError:
            return False
        client.setblocking(False)
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(PROBE_S):
                reader, writer = await asyncio.open_unix_connection(sock=client)
                writer.write(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = await reader.readline()
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is None:
                client.close()
            else:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        return b" 200 " in answer


def build_service(signs: Signs) -> Service | None:
    """None: no service manager is there to be told."""
    notifier = Notifier.from_environment(os.environ, os.getpid())
    return None if notifier is None else Service(notifier, signs)
