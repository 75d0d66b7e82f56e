"""`python -m tests.bench.bench_schedules`: what a day of charging profiles costs.

Prints a table of medians in milliseconds: the composite schedule of a day, and the look at what holds now, for stacks
that never let the next level through (as most do), for stacks full of holes, and for several purposes at once.
Options: --rounds N.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from agent.charging.profiles import (
    ChargingProfile,
    ChargingSchedule,
    InstalledProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from agent.charging.schedules import second_of
from agent.charging.smart_charging import Draw, Outlet, Supply, compose, limits_now

T0 = datetime(2026, 3, 1, tzinfo=UTC)
X = second_of(T0)
DAY_S = 86_400
PERIODS = 24
AIM_MS = 10.0


def profile(number: int, purpose: Purpose, span_s: int, unit: RateUnit, *, recurs: bool) -> InstalledProfile:
    """24 periods over `span_s`, at an hour of its own. The higher the level, the shorter it lasts."""
    begin = datetime.fromtimestamp(X - DAY_S + number * 613, UTC)
    periods = tuple(
        SchedulePeriod(index * span_s // PERIODS, 6.0 + (index * 7 + number) % 26) for index in range(PERIODS)
    )
    return InstalledProfile(
        ChargingProfile(
            number,
            number,
            purpose,
            ProfileKind.RECURRING if recurs else ProfileKind.ABSOLUTE,
            ChargingSchedule(unit, periods, span_s, begin),
            Recurrency.DAILY if recurs else None,
            transaction_id="t1" if purpose is Purpose.TX else None,
        ),
        1 if purpose is Purpose.TX else 0,
        1 if purpose is Purpose.TX else 0,
        T0,
    )


def many(count: int, span_s: int, *, mixed: bool = False) -> tuple[InstalledProfile, ...]:
    purposes = list(Purpose) if mixed else [Purpose.TX_DEFAULT]
    units = list(RateUnit) if mixed else [RateUnit.AMPERE]
    return tuple(
        profile(number, purposes[number % len(purposes)], span_s, units[number % len(units)], recurs=True)
        for number in range(count)
    )


CASES = {
    "100 daily profiles, each the whole day": many(100, DAY_S),
    "100 daily profiles of 10 minutes, with holes": many(100, 600),
    "100 daily profiles of 2 hours, overlapping": many(100, 7_200),
    "100 of all purposes, A and W, 10 minutes": many(100, 600, mixed=True),
    "100 of all purposes, A and W, 2 hours": many(100, 7_200, mixed=True),
    "3 profiles, each the whole day": many(3, DAY_S, mixed=True),
}
ONE = [Outlet((1, 1), 32.0, Supply(), Draw.DRAWING, "t1", X)]
FOUR = [*ONE, *(replace(ONE[0], scope=(number, 1), transaction_id=f"t{number}") for number in (2, 3, 4))]


def median_ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    window = (X, X + DAY_S)
    print(f"24 periods each; medians of {rounds} rounds in ms; the aim for a day is {AIM_MS:g} ms\n")
    print("| profiles | periods of the day | day, 1 EVSE | day, 4 EVSEs | now, 1 EVSE | now, 4 EVSEs |")
    print("|---|---|---|---|---|---|")
    for name, installed in CASES.items():
        pieces = len(compose(installed, ONE, (1, 1), RateUnit.AMPERE, window))
        figures = [
            median_ms(lambda: compose(installed, ONE, (1, 1), RateUnit.AMPERE, window), rounds),  # noqa: B023
            median_ms(lambda: compose(installed, FOUR, (1, 1), RateUnit.AMPERE, window), rounds),  # noqa: B023
            median_ms(lambda: limits_now(installed, ONE, X, 3600), rounds),  # noqa: B023
            median_ms(lambda: limits_now(installed, FOUR, X, 3600), rounds),  # noqa: B023
        ]
        print(f"| {name} | {pieces} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")


if __name__ == "__main__":
    main()
