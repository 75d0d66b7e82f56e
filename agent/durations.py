"""Durations counted in classes, as Prometheus wants its histograms; knows nothing of Prometheus.

One addition and one search among sixteen limits for each duration. Written by one thread, read by any.
"""

from bisect import bisect_left
from collections.abc import Sequence

LIMITS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper limits of the classes; the last class has none."""


class Durations:
    """How often something took how long."""

    __slots__ = ("_counts", "total_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(LIMITS_S) + 1)
        self.total_s = 0.0

    def note(self, seconds: float) -> None:
        self._counts[bisect_left(LIMITS_S, seconds)] += 1
        self.total_s += seconds

    @property
    def counts(self) -> Sequence[int]:
        """One for each of `LIMITS_S`, and one for what took longer."""
        return tuple(self._counts)
