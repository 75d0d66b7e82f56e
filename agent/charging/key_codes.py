"""Wrong key codes: after some in a row the next one has to wait, longer each time. Nobody finds a code by trying.

Pure: one value for the whole station, so that a second key pad gives no second chance; nothing is kept over a restart.
Asked by `identification.py`. OCPP 2.0.1 C04.FR.06.
"""

from dataclasses import dataclass

FREE_TRIES = 3
FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 600.0


@dataclass(frozen=True, slots=True)
class WrongCodes:
    in_a_row: int = 0
    paused_until: float = 0.0
    """Loop time."""

    def one_more(self, now: float) -> "WrongCodes":
        """A code that nobody knows was entered at loop time `now`."""
        count = self.in_a_row + 1
        doublings = min(count - FREE_TRIES, 10)
        pause_s = min(FIRST_PAUSE_S * 2**doublings, LONGEST_PAUSE_S) if doublings >= 0 else 0.0
        return WrongCodes(count, now + pause_s)

    def is_paused(self, now: float) -> bool:
        return now < self.paused_until
