"""Draws a recording as inline SVG: pilot voltage, current, and below them state, contactor, lock and faults as strips.

Values hold until the next STATUS (it comes on change and each second), so lines are steps. Colours are the page's CSS
classes. Times in s from the first STATUS; one drawing per width, because a phone must not scale its text.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from board import wire
from tests.rig import iec
from tests.rig.recording import Recording

LEFT = 74
RIGHT = 10
TOP = 26
VOLT_HEIGHT = 150
AMP_HEIGHT = 84
STRIP_HEIGHT = 17
STRIP_GAP = 5
LANE_GAP = 30
WORTH_SHOWING_A = 40
"""A permission far above what is offered would press the rest flat; it is cut off."""
VOLT_TICKS = ((12, "A"), (9, "B"), (6, "C"), (3, "D"), (0, "E"), (-12, ""))
LOCK_NAMES = {wire.LOCK_OPEN: "open", wire.LOCK_LOCKED: "locked", wire.LOCK_MOVING: "moving"}
CONTACTOR_NAMES = {0: "open", 1: "closing", 2: "opening", 3: "closed"}
COMPACT = 500
"""Up to this width things move together."""
_LETTER_WIDTH = 6.3
_BOLD_WIDTH = 7.2

Steps = Sequence[tuple[float, float]]
"""(s, value), each holding until the next."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Seconds to pixels."""

    width: int
    least_s: float
    most_s: float

    def x(self, at_s: float) -> float:
        inner = self.width - LEFT - RIGHT
        return round(LEFT + inner * (at_s - self.least_s) / (self.most_s - self.least_s), 1)


def draw(recording: Recording, width: int) -> str:
    """An `<svg>` of one recording; "" if nothing was heard."""
    statuses = _in_order(recording.statuses)
    if len(statuses) < 2:
        return ""
    start_ms = statuses[0].uptime_ms
    end_ms = max(statuses[-1].uptime_ms, recording.ended_ms)
    axis = _Axis(width, 0.0, max((end_ms - start_ms) / 1000, 0.1))
    times = [(status.uptime_ms - start_ms) / 1000 for status in statuses]
    body: list[str] = []
    y = TOP
    body += _volts(axis, y, statuses, recording, start_ms)
    y += VOLT_HEIGHT + LANE_GAP
    body += _amperes(axis, y, times, statuses, recording, start_ms)
    y += AMP_HEIGHT + LANE_GAP - 12
    strips = _strips(times, statuses)
    for title, segments in strips:
        body += _strip(axis, y, title, segments)
        y += STRIP_HEIGHT + STRIP_GAP
    bottom = y
    marks = _marks(axis, recording, start_ms, bottom)
    seconds = _seconds(axis, bottom)
    height = bottom + 34
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="pilot, current and states over time">{"".join(marks)}{"".join(body)}{"".join(seconds)}</svg>'
    )


def _in_order(statuses: Sequence[wire.Status]) -> list[wire.Status]:
    """Without what came before the last restart of the board: its clock began anew there."""
    kept: list[wire.Status] = []
    for status in statuses:
        if kept and status.uptime_ms < kept[-1].uptime_ms:
            kept = []
        kept.append(status)
    return kept


# ---- lanes -------------------------------------------------------------------------------------------------


def _volts(
    axis: _Axis, top: int, statuses: Sequence[wire.Status], recording: Recording, start_ms: float
) -> list[str]:
    def y(volts: float) -> float:
        return round(top + VOLT_HEIGHT * (13 - volts) / 26, 1)

    parts = _title(axis, top, "Pilot, V", (("high", "high"), ("low", "low")))
    for volts, state in VOLT_TICKS:
        label = f"{volts:+d} {state}".replace("+0", "0").strip()
        parts.append(_grid(axis, y(volts), label))
    told: list[tuple[float, int, int]] = [(s.uptime_ms, s.cp_high_mv, s.cp_low_mv) for s in statuses]
    seen = sorted(told + [plateau for plateau in recording.plateaus if plateau[0] >= start_ms])
    times = [(at_ms - start_ms) / 1000 for at_ms, _, _ in seen]
    for kind, place in (("low", 2), ("high", 1)):
        steps = [(at, plateau[place] / 1000) for at, plateau in zip(times, seen, strict=True)]
        parts.append(_line(axis, steps, y, kind))
    return parts


def _amperes(
    axis: _Axis,
    top: int,
    times: Sequence[float],
    statuses: Sequence[wire.Status],
    recording: Recording,
    start_ms: float,
) -> list[str]:
    offered = [
        (at, iec.offered_a(status.duty / 100) if status.duty < wire.DUTY_OFF else 0.0)
        for at, status in zip(times, statuses, strict=True)
    ]
    permitted = _since(recording.permitted, start_ms)
    drawn = _drawn(statuses, recording, start_ms)
    most = max([value for steps in (offered, drawn) for _, value in steps] + [10.0])
    most = max([most] + [value for _, value in permitted if value <= WORTH_SHOWING_A])
    scale = math.ceil(most * 1.15 / 10) * 10

    def y(amperes: float) -> float:
        return round(top + AMP_HEIGHT * (1 - min(amperes, scale) / scale), 1)

    legend = [("offered", "offered"), ("permitted", "permitted")] + ([("drawn", "drawn")] if drawn else [])
    parts = _title(axis, top, "Current, A", legend)
    parts += [_grid(axis, y(value), str(value)) for value in range(0, scale + 1, 10 if scale <= 40 else 20)]
    for steps, name in ((drawn, "drawn"), (permitted, "permitted"), (offered, "offered")):
        if steps:
            parts.append(_line(axis, steps, y, name))
    return parts


def _drawn(
    statuses: Sequence[wire.Status], recording: Recording, start_ms: float
) -> list[tuple[float, float]]:
    """The highest phase, by the board's own sensors where it has some, else as measured outside."""
    seen = [
        (
            float(status.uptime_ms),
            max(current for current in status.currents if current != wire.NO_CURRENT) / 10,
        )
        for status in statuses
        if any(current != wire.NO_CURRENT for current in status.currents)
    ]
    return _since(sorted(seen + recording.drawn), start_ms)


def _since(values: Sequence[tuple[float, float]], start_ms: float) -> list[tuple[float, float]]:
    """In s, from the drawing's start; what held before it holds at its start."""
    steps = [((at_ms - start_ms) / 1000, value) for at_ms, value in values]
    before = [value for at, value in steps if at <= 0]
    return ([(0.0, before[-1])] if before else []) + [step for step in steps if step[0] > 0]


def _strips(
    times: Sequence[float], statuses: Sequence[wire.Status]
) -> list[tuple[str, list[tuple[float, str, str]]]]:
    """(title, [(from s, label, CSS class)])"""
    rows: list[tuple[str, Callable[[wire.Status], tuple[str, str]]]] = [
        ("State", lambda s: (wire.PILOT_NAMES[s.pilot], f"state-{wire.PILOT_NAMES[s.pilot]}")),
        ("Contactor", lambda s: (CONTACTOR_NAMES[s.contactor & 3], f"contactor-{s.contactor & 3}")),
        ("Lock", lambda s: (LOCK_NAMES.get(s.lock, ""), f"lock-{s.lock}")),
        ("Faults", lambda s: (", ".join(wire.fault_names(s.faults)), "fault" if s.faults else "calm")),
    ]
    if all(status.lock == wire.LOCK_NONE for status in statuses):
        del rows[2]
    strips = []
    for title, look in rows:
        segments: list[tuple[float, str, str]] = []
        for at, status in zip(times, statuses, strict=True):
            label, kind = look(status)
            if not segments or segments[-1][1:] != (label, kind):
                segments.append((at, label, kind))
        strips.append((title, segments))
    return strips


# ---- strokes -----------------------------------------------------------------------------------------------


def _title(axis: _Axis, top: int, title: str, legend: Sequence[tuple[str, str]]) -> list[str]:
    parts = [f'<text class="title" x="{LEFT}" y="{top - 10}">{title}</text>']
    gap = 12 if axis.width > COMPACT else 6
    sample = 16 if axis.width > COMPACT else 12
    x = LEFT + len(title) * _BOLD_WIDTH + gap
    y = top - 14
    for kind, word in legend:
        parts.append(f'<line class="line {kind}" x1="{x:.0f}" x2="{x + sample:.0f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{x + sample + 4:.0f}" y="{top - 10}">{word}</text>')
        x += sample + 4 + len(word) * _LETTER_WIDTH + gap
    return parts


def _grid(axis: _Axis, y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{axis.width - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y + 4}">{label}</text>'
    )


def _line(axis: _Axis, steps: Steps, y: Callable[[float], float], kind: str) -> str:
    path = [f"M{axis.x(steps[0][0])} {y(steps[0][1])}"]
    value = steps[0][1]
    for at, following in steps[1:]:
        if following != value:
            path.append(f"H{axis.x(at)}V{y(following)}")
            value = following
    path.append(f"H{axis.x(axis.most_s)}")
    return f'<path class="line {kind}" d="{"".join(path)}"/>'


def _strip(axis: _Axis, top: int, title: str, segments: Sequence[tuple[float, str, str]]) -> list[str]:
    parts = [f'<text class="tick" x="{LEFT - 6}" y="{top + 13}">{title}</text>']
    ends = [segment[0] for segment in segments[1:]] + [axis.most_s]
    for (begin, label, kind), end in zip(segments, ends, strict=True):
        x, width = axis.x(begin), round(max(axis.x(end) - axis.x(begin), 1), 1)
        hover = escape(f"{title}: {label or 'none'}, {begin:.2f} to {end:.2f} s")
        parts.append(
            f'<rect class="{kind}" x="{x}" y="{top}" width="{width}" height="{STRIP_HEIGHT}">'
            f"<title>{hover}</title></rect>"
        )
        if label and width > len(label) * _LETTER_WIDTH + 4:
            parts.append(f'<text class="in" x="{x + width / 2:.1f}" y="{top + 13}">{escape(label)}</text>')
    return parts


def _marks(axis: _Axis, recording: Recording, start_ms: float, bottom: int) -> list[str]:
    """A thin line where each step began, with its number where there is room."""
    parts: list[str] = []
    last_x = -100.0
    for at_ms, number in recording.marks:
        at = (at_ms - start_ms) / 1000
        if not 0 <= at <= axis.most_s:
            at = min(max(at, 0.0), axis.most_s)
        x = axis.x(at)
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP - 2}" y2="{bottom}"/>')
        if x - last_x > 14:
            parts.append(f'<text class="number" x="{x + 2}" y="{bottom + 9}">{number}</text>')
            last_x = x
    return parts


def _seconds(axis: _Axis, bottom: int) -> list[str]:
    room = (axis.width - LEFT - RIGHT) / (60 if axis.width > COMPACT else 45)
    step = next(
        step
        for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1e9)
        if axis.most_s / step <= room
    )
    parts = []
    for index in range(int(axis.most_s / step) + 1):
        x = axis.x(index * step)
        unit = " s" if index == 0 else ""
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text class="second" x="{x}" y="{bottom + 24}">{index * step:g}{unit}</text>')
    return parts
