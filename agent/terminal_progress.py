"""A bar for one long operation: percent, amount and rate on a terminal, a line now and then elsewhere.

Standard library only, because deploy.sh runs this file as a program: `tar ... | python -P terminal_progress.py WHAT
BYTES` copies its input to its output and shows on stderr how far it is. Used by the command line.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

REDRAW_S = 0.1
LINE_S = 10.0
"""Between two lines where no bar can be drawn."""
SHORT_S = 2.0
"""What takes less needs no line of its own."""
RATE_AFTER_S = 0.5
BAR = 24
BLOCK_BYTES = 64 * 1024


class TerminalProgress:
    """`show` as often as there is news, `end` once. `name` is what stands before the bar."""

    def __init__(
        self, name: str, out: TextIO | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = _printable(name)
        self._out = out or sys.stderr
        self._is_terminal = self._out.isatty()
        self._now = now
        self._begun = now()
        self._shown: float | None = None
        self._quarter = 0
        self._width = 0

    def show(self, done: int, total: int | None, unit: str = "B", stage: str = "") -> None:
        """`done` of `total` (None: not known); `unit` "B" is shown with its size and rate."""
        now = self._now()
        share = min(1.0, done / total) if total else None
        if self._is_terminal:
            if self._shown is None or now - self._shown >= REDRAW_S:
                self._shown = now
                self._draw(self._line(done, total, unit, stage, share))
            return
        quarter = int(share * 4) if share is not None else 0
        last = self._begun if self._shown is None else self._shown
        if now - last >= (SHORT_S if self._shown is None or quarter > self._quarter else LINE_S):
            self._shown, self._quarter = now, quarter
            self._out.write(self._plain(done, total, unit, stage, share) + "\n")
            self._out.flush()

    def end(self, words: str) -> None:
        """The bar makes room for the last word."""
        self.clear()
        self._out.write(f"{self._name}: {_printable(words)}\n")
        self._out.flush()

    def clear(self) -> None:
        """The bar makes room for what others print."""
        if self._is_terminal and self._width:
            self._draw("")

    @property
    def passed_s(self) -> float:
        return max(1e-3, self._now() - self._begun)

    def _line(self, done: int, total: int | None, unit: str, stage: str, share: float | None) -> str:
        head = f"{self._name} {stage}".strip()
        if share is None:
            return f"{head}  {self._amount(done, None, unit)}"
        full = round(share * BAR)
        return f"{head}  [{'#' * full}{'.' * (BAR - full)}] {share:4.0%}  {self._amount(done, total, unit)}"

    def _plain(self, done: int, total: int | None, unit: str, stage: str, share: float | None) -> str:
        percent = "" if share is None else f"{share:.0%}, "
        return (
            f"{self._name}: {f'{stage}, ' if stage else ''}{percent}{self._amount(done, total, unit)}".rstrip(
                " ,"
            )
        )

    def _amount(self, done: int, total: int | None, unit: str) -> str:
        if unit != "B":
            return f"{done} of {total} {unit}" if total else ""
        if not done and not total:
            return ""
        amount = size_text(done) + (f" of {size_text(total)}" if total else "")
        if not done or self.passed_s < RATE_AFTER_S:
            return amount
        return f"{amount}, {size_text(done / self.passed_s)}/s"

    def _draw(self, line: str) -> None:
        import shutil  # the agent itself, which needs the words only, does without

        columns = max(20, shutil.get_terminal_size().columns)
        line = line[: columns - 1]
        self._out.write("\r" + line + " " * max(0, self._width - len(line)) + ("\r" if not line else ""))
        self._out.flush()
        self._width = len(line)


def _printable(text: str) -> str:
    """A name may come from the CSMS: it must not drive the terminal. (This file stands alone, see above.)"""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def size_text(count: float) -> str:
    """Bytes for people: "12.3 MB" (decimal, as disks and networks count)."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def main(name: str, total: int) -> None:
    """Copy stdin to stdout; `total` in bytes, 0: not known."""
    bar, done = TerminalProgress(name), 0
    while block := os.read(0, BLOCK_BYTES):
        sys.stdout.buffer.write(block)
        done += len(block)
        bar.show(done, max(total, done) if total else None)
    sys.stdout.buffer.flush()
    bar.end(f"{size_text(done)} in {bar.passed_s:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
