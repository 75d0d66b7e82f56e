"""Progress is told at once when something changes, sparsely otherwise, and shown for eyes and for files."""

import io
import os
import subprocess
import sys

import pytest

from agent import terminal_progress
from agent.progress import GAP_S, KEPT_S, Progress, ProgressFeed
from agent.terminal_progress import LINE_S, SHORT_S, TerminalProgress


class Watch:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def step(done: int, stage: str = "uploading", name: str = "upload") -> Progress:
    return Progress(name, stage, done, 100, "B")


def test_a_change_of_stage_is_told_at_once_and_little_steps_twice_a_second() -> None:
    watch, heard = Watch(), list[Progress]()
    feed = ProgressFeed(watch)
    stop = feed.subscribe(heard.append)
    for number in range(100):
        feed.report(step(number))
        watch.time += GAP_S / 10
    assert 9 <= len(heard) <= 11
    feed.report(step(0, "verifying"))
    feed.report(Progress("upload", "done", outcome="done"))
    assert [each.stage for each in heard[-2:]] == ["verifying", "done"]
    stop()
    feed.report(step(1))
    assert heard[-1].stage == "done"


def test_what_ended_is_shown_for_a_minute_and_what_runs_for_ever() -> None:
    watch = Watch()
    feed = ProgressFeed(watch)
    feed.report(step(1))
    feed.report(step(1, name="other"))
    feed.report(Progress("other", "failed", outcome="failed", detail="no space"))
    assert [(each.name, each.outcome) for each in feed.current()] == [
        ("upload", "running"),
        ("other", "failed"),
    ]
    watch.time += KEPT_S + 1
    assert [each.name for each in feed.current()] == ["upload"]


def test_a_listener_that_fails_fails_no_work(caplog: pytest.LogCaptureFixture) -> None:
    feed, heard = ProgressFeed(Watch()), list[Progress]()

    def broken(_progress: Progress) -> None:
        raise ValueError("page gone")

    feed.subscribe(broken)
    feed.subscribe(heard.append)
    feed.report(step(1))
    assert len(heard) == 1
    assert "page gone" in caplog.text


@pytest.mark.parametrize(
    ("progress", "text", "share"),
    [
        (Progress("x", "collecting"), "collecting", None),
        (Progress("x", "uploading", 1_500, None, "B"), "uploading 1.5 kB", None),
        (Progress("x", "uploading", 1_500, 3_000_000, "B"), "uploading 1.5 kB of 3.0 MB", 0.0005),
        (Progress("x", "flashing", 3, 4, "files"), "flashing 3 of 4 files", 0.75),
        (Progress("x", "failed", outcome="failed", detail="no space"), "failed: no space", None),
        (Progress("x", "uploading", 5, 3, "B"), "uploading 5 B of 3 B", 1.0),
    ],
)
def test_progress_in_words(progress: Progress, text: str, share: float | None) -> None:
    assert (progress.text, progress.share) == (text, share)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_on_one_line_with_percent_amount_and_rate() -> None:
    out, watch = Terminal(), Watch()
    bar = TerminalProgress("upload", out, watch)
    for done in range(0, 2_000_001, 500_000):
        bar.show(done, 2_000_000)
        watch.time += 1.0
    bar.end("2.0 MB")
    lines = out.getvalue().split("\r")
    assert "upload  [############............]  50%  1.0 MB of 2.0 MB, 500.0 kB/s" in [
        line.rstrip() for line in lines
    ]
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\rupload: 2.0 MB\n")


def test_a_bar_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    TerminalProgress("an upload with a long name", out, Watch()).show(1, 2)
    assert len(out.getvalue().strip("\r")) < 40


def test_elsewhere_there_is_a_line_now_and_then_and_none_for_what_is_short() -> None:
    out, watch = io.StringIO(), Watch()
    bar = TerminalProgress("upload", out, watch)
    bar.show(50, 100)
    watch.time = SHORT_S - 0.1
    bar.show(100, 100)
    assert out.getvalue() == ""
    slow = TerminalProgress("upload", out, watch)
    for second in range(100):
        watch.time += 1.0
        slow.show(second, 1000)
    lines = out.getvalue().splitlines()
    assert 100 / LINE_S - 2 <= len(lines) <= 100 / LINE_S + 1
    assert lines[0].startswith("upload: 0%, 1 B of 1.0 kB")


@pytest.mark.real_time
def test_as_a_program_it_hands_on_every_byte() -> None:
    content = os.urandom(300_000)
    program = [sys.executable, "-P", terminal_progress.__file__, "sending", str(len(content))]
    done = subprocess.run(program, input=content, capture_output=True, check=True, timeout=30)
    assert done.stdout == content
    assert done.stderr.decode().startswith("sending: 300.0 kB in ")
