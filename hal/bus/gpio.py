"""One GPIO line of the character device: requested, watched with `add_reader`, and requested again after it was lost.

The kernel debounces and notes every edge; no level is polled. A chip that goes away (an unplugged expander) is an error
for who reads or switches, is told to who watches, and is looked for again. Only newer kernels wake up who waits for
edges of a chip that is gone (6.1 of Debian 12 does not: seen with gpio-sim), so each line is asked once a second if it
is there. gpiod (the `gpio` extra) is imported when the first line is requested. Knows no meaning of a line: that is
hal.drivers.gpio_ports. Tests give their own requests.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from hal.bus.byte_stream import ReopenDelay
from hal.errors import DeviceMissing

log = logging.getLogger("hal.gpio")

CHECK_S: Final = 1.0

Bias = Literal["as_is", "none", "pull_up", "pull_down"]


@dataclass(frozen=True, slots=True)
class LinePlan:
    """How a line is to be requested. On and off are logical: `active_low` is taken care of by the kernel."""

    chip: str
    """Path of the character device ("/dev/gpiochip0"), or the label of the chip ("pinctrl-rp1"): a chip that was pulled
    out while somebody held a line of it comes back under another number."""
    line: str
    """Name of the line ("GPIO17"), or its number on the chip."""
    is_output: bool = False
    active_low: bool = False
    bias: Bias = "as_is"
    debounce_ms: int = 0

    def __str__(self) -> str:
        return f"{self.chip} line {self.line}"


class LineRequest(Protocol):
    """A line that we hold. Every method may raise OSError: the chip is gone."""

    def fileno(self) -> int:
        """Readable when there are edges, or when the chip is gone."""

    def read_edges(self) -> Sequence[bool]:
        """The edges since the last call, in order: True for on. Raises BlockingIOError when there are none."""

    def get(self) -> bool: ...
    def set(self, on: bool) -> None: ...
    def release(self) -> None: ...


RequestLine = Callable[[LinePlan], LineRequest]
OnEdge = Callable[[bool], None]
OnHealth = Callable[[str | None], None]


class GpioLine:
    """Holds one line; `run` requests it, and again after it was lost."""

    def __init__(self, plan: LinePlan, request_line: RequestLine | None = None) -> None:
        self._plan = plan
        self._request_line = request_line or request_with_gpiod
        self._request: LineRequest | None = None
        self._lost: asyncio.Future[str] | None = None
        self.on_edge: OnEdge = lambda on: None
        """Called for every edge, and with the level whenever the line was requested (again)."""
        self.on_health: OnHealth = lambda problem: None
        """Called with what is wrong with the line, or None when we hold it."""

    async def run(self) -> None:
        """Until cancelled; then the line is off and released."""
        delay = ReopenDelay()
        try:
            while True:
                try:
                    self._open()
                except DeviceMissing as error:
                    self.on_health(str(error))
                else:
                    delay.reset()
                    self.on_health(None)
                    self.on_health(f"{self._plan}: {await self._until_lost()}")
                await asyncio.sleep(delay.next_s())
        finally:
            self.close()

    async def _until_lost(self) -> str:
        """Why the line is lost, as soon as it is."""
        lost = self._lost
        assert lost is not None
        while not lost.done():
            await asyncio.wait({lost}, timeout=CHECK_S)
            if self._request is not None:
                with contextlib.suppress(DeviceMissing):  # who waits for `lost` is told
                    self.read()
        return lost.result()

    def read(self) -> bool:
        """The level now. Raises DeviceMissing."""
        request = self._held()
        try:
            return request.get()
        except OSError as error:
            raise self._gone(error) from error

    def write(self, on: bool) -> None:
        """Switch an output. Raises DeviceMissing; a line that was lost is off when it is there again."""
        request = self._held()
        try:
            request.set(on)
        except OSError as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Off, if it is an output, and let go of."""
        request, self._request = self._request, None
        if request is None:
            return
        if self._plan.is_output:
            try:
                request.set(False)
            except OSError as error:
                log.warning("%s: cannot be switched off: %s", self._plan, error.strerror)
        self._release(request)

    def _open(self) -> None:
        self._request = self._request_line(self._plan)
        self._lost = asyncio.get_running_loop().create_future()
        try:
            os.set_blocking(self._request.fileno(), False)
            level = None if self._plan.is_output else self._request.get()
        except OSError as error:
            raise self._gone(error) from error
        # An output has no edges; its descriptor still tells when the chip is gone.
        asyncio.get_running_loop().add_reader(self._request.fileno(), self._on_readable)
        if level is not None:
            self.on_edge(level)

    def _on_readable(self) -> None:
        if self._request is None:
            return
        try:
            edges = self._request.read_edges()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._gone(error)
            return
        for on in edges:
            self.on_edge(on)

    def _held(self) -> LineRequest:
        if self._request is None:
            raise DeviceMissing(f"{self._plan}: not there")
        return self._request

    def _gone(self, error: OSError) -> DeviceMissing:
        """The chip is gone: let go of the line, and let `run` look for it again."""
        request, self._request = self._request, None
        reason = error.strerror or str(error)
        if request is not None:
            self._release(request)
            log.warning("%s: lost: %s", self._plan, reason)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)
        return DeviceMissing(f"{self._plan}: {reason}")

    def _release(self, request: LineRequest) -> None:
        try:
            asyncio.get_running_loop().remove_reader(request.fileno())
            request.release()
        except OSError as error:
            log.info("%s: %s while it was let go of", self._plan, error.strerror)


def request_with_gpiod(plan: LinePlan) -> LineRequest:
    """Request the line from the kernel. Raises DeviceMissing: no such chip or line, taken by another, no gpiod."""
    try:
        from hal.bus.gpiod_line import GpiodLine
    except ImportError as error:
        raise DeviceMissing(f"{plan}: needs gpiod: pip install 'evse-agent[gpio]' ({error})") from error
    return GpiodLine(plan)
