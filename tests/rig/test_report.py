"""The report: well-formed, self-contained, with every figure, and drawings that show what was recorded."""

import io
import re
from xml.etree import ElementTree

import pytest

from board import wire
from tests.rig import page
from tests.rig.ledger import Account, Entry, Ledger
from tests.rig.plot import draw
from tests.rig.recording import Recording
from tests.rig.script import Finding

HELLO = {
    "fw": "0.1.0",
    "hw": "pico <b>",
    "uid": "E660",
    "proto": [1, 1],
    "connectors": 2,
    "cfg_hash": "a1b2c3",
    "caps": {"min_a": 6, "max_a": 32, "phases": 3, "lock": True, "rcd": True, "aux": ["fan"]},
}


def status(at_ms: int, pilot: int, **values: int) -> wire.Status:
    made = wire.Status(1)
    made.uptime_ms, made.pilot = at_ms, pilot
    made.cp_high_mv = made.cp_low_mv = (12000, 9000, 6000)[pilot]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def charging() -> Recording:
    recording = Recording(1)
    recording.statuses = [
        status(5000, 0, lock=wire.LOCK_OPEN),
        status(6000, 1, duty=2666, cp_low_mv=-12000, lock=wire.LOCK_LOCKED),
        status(7000, 2, duty=2666, cp_low_mv=-12000, lock=wire.LOCK_LOCKED, contactor=3),
        status(
            8000, 2, duty=2666, cp_low_mv=-12000, lock=wire.LOCK_LOCKED, contactor=3, faults=wire.F_RCD_DC
        ),
        status(9000, 0, lock=wire.LOCK_OPEN),
    ]
    recording.permitted = [(4000.0, 16.0), (8500.0, 0.0)]
    recording.drawn = [(7500.0, 15.0)]
    recording.marks = [(5500.0, "1"), (6500.0, "2")]
    return recording


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger("/dev/ttyACM0", "manual", 1, HELLO)
    opened = Finding("4", "torn out: contactor open", "38 ms", "at most 100 ms", True)
    late = Finding("5", "forced: contactor open", "9030 ms", "6000 to 7000 ms", False)
    ledger.entries = [
        Entry("test_ping", "ping is answered", "contract", seconds=0.2),
        Entry("unplug", "Torn <out>", "scenario", "passed", 3.2, [opened], recording=charging()),
        Entry(
            "pause",
            "Pause ignored",
            "scenario",
            "failed",
            9.0,
            [opened, late],
            "AssertionError: 9030 ms",
            charging(),
        ),
        Entry("vent", "Ventilation", "scenario", "skipped", problem="not for this board: vent = False"),
    ]
    return ledger


def test_the_page_is_well_formed_and_needs_nothing_from_outside(ledger: Ledger) -> None:
    text = page.page(ledger)
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    links = [element.get("href", "") for element in root.iter("a")]
    assert len(set(ids)) == len(ids)
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert not re.search(r"(?:https?:)?//|<script|<link|url\(|@import", text)


def test_the_page_says_what_was_tested_and_what_was_measured(ledger: Ledger) -> None:
    text = page.page(ledger)
    for expected in (
        "pico &lt;b&gt; failed",
        "E660",
        "0.1.0",
        "a1b2c3",
        "1 of 2",
        "contactor open 38 ms (at most 100 ms)",
        "Torn &lt;out&gt;",
        "not for this board: vent = False",
        "2 passed",
        "1 failed",
        "1 skipped",
    ):
        assert expected in text
    what_failed = text[text.index("What failed") : text.index("<h2>Tests")]
    assert "Pause ignored" in what_failed
    assert "9030 ms (6000 to 7000 ms)" in what_failed
    assert "Torn" not in what_failed


def test_the_drawing_shows_each_track_in_both_widths() -> None:
    for width in (page.WIDE, page.NARROW):
        svg = ElementTree.fromstring(draw(charging(), width))
        texts = [element.text for element in svg.iter("text")]
        for expected in ("Pilot, V", "Current, A", "State", "Contactor", "Lock", "Faults", "0 s", "1", "2"):
            assert expected in texts
        lines = {element.get("class") for element in svg.iter("path")}
        assert lines == {"line high", "line low", "line offered", "line permitted", "line drawn"}
        hovers = [element.text for element in svg.iter("title")]
        assert "State: C, 2.00 to 4.00 s" in hovers
        assert "Contactor: closed, 2.00 to 4.00 s" in hovers
        assert "Faults: rcd_dc, 3.00 to 4.00 s" in hovers


def test_points_stand_where_their_time_and_value_say() -> None:
    svg = ElementTree.fromstring(draw(charging(), page.WIDE))
    offered = next(e.get("d", "") for e in svg.iter("path") if e.get("class") == "line offered")
    x = [float(found) for found in re.findall(r"H([\d.]+)", offered)]
    first = float(offered[1:].split()[0])
    assert x[0] - first == pytest.approx((x[-1] - first) / 4, abs=0.2), "after one of four seconds"
    grid = {e.text: float(e.get("y", "0")) - 4 for e in svg.iter("text") if e.get("class") == "tick"}
    level = float(re.findall(r"V([\d.]+)", offered)[0])
    share = (grid["0"] - level) / (grid["0"] - grid["20"])
    assert share == pytest.approx(16 / 20, abs=0.01)


def test_nothing_heard_is_no_drawing() -> None:
    assert draw(Recording(1), page.WIDE) == ""


def test_a_restart_of_the_board_begins_the_drawing_anew() -> None:
    recording = charging()
    recording.statuses += [status(100, 0), status(1100, 0)]
    recording.marks = []
    hovers = [e.text for e in ElementTree.fromstring(draw(recording, page.WIDE)).iter("title")]
    assert hovers[0] == "State: A, 0.00 to 1.00 s"


def test_the_account_has_one_line_per_step_and_the_failures_at_the_end(ledger: Ledger) -> None:
    screen = io.StringIO()
    account = Account(screen)
    for entry in ledger.entries:
        account.begin(entry)
        if entry.suite == "scenario":
            for finding in entry.findings:
                account.tell(finding)
        account.end(entry)
    account.close(ledger, ["/x/report.html"])
    lines = screen.getvalue().splitlines()
    assert any(
        re.fullmatch(r"  ok    4\. torn out: contactor open +38 ms +\(at most 100 ms\)", line)
        for line in lines
    )
    assert any(
        re.match(r"  FAIL  5\. forced: contactor open +9030 ms +\(6000 to 7000 ms\)", line) for line in lines
    )
    assert "2 passed, 1 failed, 1 skipped in 0 s" in lines
    assert "  FAILED Pause ignored: forced: contactor open 9030 ms (6000 to 7000 ms)" in lines
    assert lines[-1] == "report: /x/report.html"
    assert "\x1b" not in screen.getvalue()
