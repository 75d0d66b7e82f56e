"""What the board link counts of itself, for metrics: a few additions for each setpoint, and nothing that decides.

Owned by `board_link.py`; read as `hal.ports.BoardLinkQuality`.
"""

from collections.abc import Mapping

from hal.ports import BoardLinkQuality


class LinkTally:
    """Counts since the start of the host; the link adds to them."""

    def __init__(self) -> None:
        self.frames = 0
        self.links = 0
        self.bad_before = 0
        """Damaged lines of the lines before this one."""
        self.lease_losses: dict[int, int] = {}
        self._setpoints = 0
        self._repeats = 0
        self._confirmed = 0
        self._round_trips_s = 0.0
        self._timed = 0

    def sent(self, before: int) -> None:
        """A setpoint, after it was sent `before` times without an answer."""
        if before:
            self._repeats += 1
        else:
            self._setpoints += 1

    def confirmed_after(self, round_trip_s: float, sends: int) -> None:
        """After a repetition nobody knows which of them was answered: its time is not counted."""
        self._confirmed += 1
        if sends == 1:
            self._round_trips_s += round_trip_s
            self._timed += 1

    def quality(self, bad_lines: int, lease_margins_s: Mapping[int, float]) -> BoardLinkQuality:
        """`bad_lines`: of the present line."""
        return BoardLinkQuality(
            frames=self.frames,
            bad_lines=self.bad_before + bad_lines,
            setpoints=self._setpoints,
            repeats=self._repeats,
            confirmed=self._confirmed,
            round_trips_s=self._round_trips_s,
            timed=self._timed,
            links=self.links,
            lease_margins_s=lease_margins_s,
            lease_losses=dict(self.lease_losses),
        )
