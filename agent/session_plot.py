"""Draws one session: power and energy above, current of each phase and the offered limit below, over local time.

Imports matplotlib (extra `plot`), so the command line imports this file only when something is to be drawn. Takes a
session as GET /api/v1/sessions/{id} gives it.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from agent.cli_output import duration_text

Json = dict[str, Any]

GAP_PACES = 4
"""A silence of so many samples is a gap in the lines: the agent did not run."""
PHASES = (("L1", "#8b4513"), ("L2", "#222222"), ("L3", "#7a7f87"))
"""In the colours of the wires."""
POWER, ENERGY, LIMIT = "#1769aa", "#2e7d32", "#c62828"


def draw(session: Json, picture: Path) -> None:
    """Write `picture`; its suffix says the format. Raises OSError."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    zone = datetime.now().astimezone().tzinfo
    times = [datetime.fromisoformat(sample["at"]).astimezone(zone) for sample in session["samples"]]
    xs = [float(each) for each in date2num(times)]
    breaks = _breaks(times, session["pace_s"])
    _draw_power(above, session["samples"], xs, breaks)
    _draw_current(below, session["samples"], xs, breaks)
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=10)
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone, show_offset=False))
    below.set_xlabel(f"Local time ({times[0].tzname()})")
    below.set_xlim(xs[0], xs[-1] if xs[-1] > xs[0] else xs[0] + 1 / 1440)
    figure.suptitle(_title(session, times[0]), x=0.01, ha="left", fontsize=13, fontweight="bold")
    above.set_title(_words(session), loc="left", fontsize=10, color="#444444")
    figure.savefig(picture, dpi=130)


def _draw_power(axes: Axes, samples: Sequence[Json], xs: list[float], breaks: set[int]) -> None:
    at, power_kw = _line(xs, [_thousandth(each["power_w"]) for each in samples], breaks)
    (power,) = axes.plot(at, power_kw, color=POWER, linewidth=1.6, label="Power")
    axes.fill_between(at, power_kw, color=POWER, alpha=0.15, linewidth=0)
    axes.set_ylabel("Power (kW)")
    axes.set_ylim(0, _top(power_kw, 1.0))
    beside = axes.twinx()
    at, energy_kwh = _line(xs, [_thousandth(each["energy_wh"]) for each in samples], breaks)
    (energy,) = beside.plot(
        at, energy_kwh, color=ENERGY, linewidth=1.4, linestyle=(0, (4, 2)), label="Energy"
    )
    beside.set_ylabel("Energy (kWh)")
    beside.set_ylim(0, _top(energy_kwh, 0.1))
    beside.spines[["top", "left", "right", "bottom"]].set_visible(False)
    beside.tick_params(colors=ENERGY)
    beside.yaxis.label.set_color(ENERGY)
    _tidy(axes)
    _legend(axes, handles=[power, energy])


def _draw_current(axes: Axes, samples: Sequence[Json], xs: list[float], breaks: set[int]) -> None:
    offered_at, offered_a = _line(xs, [each["offered_a"] for each in samples], breaks)
    highest = [*offered_a]
    widths = (3.6, 2.2, 1.0)  # the same current on all phases must not hide two of them
    for number, ((name, color), width) in enumerate(zip(PHASES, widths, strict=True)):
        at, current_a = _line(xs, [each["current_a"][number] for each in samples], breaks)
        if any(not math.isnan(each) for each in current_a):
            axes.plot(at, current_a, color=color, linewidth=width, label=f"Current {name}", zorder=3)
            highest += current_a
    axes.plot(
        offered_at,
        offered_a,
        color=LIMIT,
        linewidth=1.5,
        linestyle=(0, (5, 3)),
        drawstyle="steps-post",
        label="Offered limit",
        zorder=4,
    )
    axes.set_ylabel("Current (A per phase)")
    axes.set_ylim(0, _top(highest, 6.0))
    _tidy(axes)
    _legend(axes)


def _tidy(axes: Axes) -> None:
    axes.grid(visible=True, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#888888")


def _legend(axes: Axes, **given: Any) -> None:
    """Beside the curves, never on them."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=9,
        borderaxespad=0.2,
        **given,
    )


def _breaks(times: Sequence[datetime], pace_s: int) -> set[int]:
    """Before which samples there is a gap."""
    longest_s = max(10, GAP_PACES * pace_s)
    return {
        number
        for number, (before, after) in enumerate(pairwise(times), start=1)
        if not 0 <= (after - before).total_seconds() <= longest_s
    }


def _line(
    xs: Sequence[float], values: Sequence[float | None], breaks: set[int]
) -> tuple[list[float], list[float]]:
    """With holes where there was nothing to measure."""
    at: list[float] = []
    drawn: list[float] = []
    for number, (x, value) in enumerate(zip(xs, values, strict=True)):
        if number in breaks:
            at.append(xs[number - 1])
            drawn.append(math.nan)
        at.append(x)
        drawn.append(math.nan if value is None else value)
    return at, drawn


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


def _top(values: Sequence[float], least: float) -> float:
    return max([least, *(each for each in values if not math.isnan(each))]) * 1.12


def _title(session: Json, begun: datetime) -> str:
    return f"EVSE {session['evse_id']}, {begun:%A %d %B %Y, %H:%M}"


def _words(session: Json) -> str:
    parts = [f"{session['energy_wh'] / 1000:.2f} kWh", duration_text(session["duration_s"])]
    if session["max_power_w"] is not None:
        parts.append(f"at most {session['max_power_w'] / 1000:.1f} kW")
    for name, words in (("suspended_ev_s", "the EV paused"), ("suspended_evse_s", "the station paused")):
        if session[name] >= 1:
            parts.append(f"{words} {duration_text(session[name])}")
    if session["cost"] is not None:
        parts.append(f"cost {session['cost']}")
    parts.append("still charging" if session["is_running"] else f"ended ({session['stop_reason']})")
    return "   ·   ".join(parts)
