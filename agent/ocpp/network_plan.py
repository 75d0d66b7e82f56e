"""Which network connection profile is tried next. Pure: it counts attempts, and knows slots by their number only.

A round goes through the slots in their order, each for as many attempts as the settings say. When a round is over and
nothing has worked, the last slot that ever did has its turn for a while, then the next round begins; it never gives up.
Used by `agent/network_desk.py`. OCPP 2.0.1 part 2, B10.FR.03, .04, errata 2025-01 and 2025-04: B10.FR.07 to .09.
"""

from collections.abc import Sequence

FALL_BACK_ATTEMPTS = 10
"""At least so many for the last slot that worked, before all of them are tried again."""


class NetworkPlan:
    """`slot` is the one to be tried now, or the one in use."""

    def __init__(self, slots: Sequence[int], last_good: int | None = None) -> None:
        """`slots`: best first, at least one. `last_good` may be none of them."""
        self._slots = tuple(slots)
        self._good = last_good
        self._left = list(self._slots)
        self._failures = 0
        self._is_falling_back = False
        self.slot = self._left.pop(0)

    @property
    def last_good(self) -> int | None:
        """The last slot that worked."""
        return self._good

    def failed(self, attempts: int) -> bool:
        """One more attempt came to nothing. True: another slot has its turn now."""
        self._failures += 1
        most = max(attempts, FALL_BACK_ATTEMPTS) if self._is_falling_back else attempts
        if self._failures < most:
            return False
        former = self.slot
        self._failures = 0
        if self._left:
            self.slot = self._left.pop(0)
        elif self._good is not None and not self._is_falling_back:
            self._is_falling_back = True
            self.slot = self._good
        else:
            self._begin_round(self._slots)
        return self.slot != former

    def worked(self) -> None:
        """The connection of now is a good one. When it is lost the next round begins with its slot."""
        self._good = self.slot
        self._failures = 0
        others = (each for each in self._slots if each != self.slot)
        self._begin_round((self.slot, *others))

    def forget(self, slots: Sequence[int]) -> None:
        """These slots are empty from now on; never the one in use."""
        kept = [each for each in self._slots if each not in slots]
        self._slots = tuple(kept) or (self.slot,)
        self._left = [each for each in self._left if each not in slots]
        if self._good in slots:
            self._good = None

    def _begin_round(self, slots: Sequence[int]) -> None:
        self._is_falling_back = False
        self._left = list(slots)
        self.slot = self._left.pop(0)
