"""How often a password may be tried: per address with growing pauses, and over all addresses.

Nobody is locked out for ever: a pause ends after five minutes at most, trying during it does not extend it, and an
address that logged in before is not held up by others. Pure: times are given by the caller. Called by `access.py`.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

FREE_FAILURES = 5
LONGEST_PAUSE_S = 300.0
FORGOTTEN_AFTER_S = 900.0
ALL_PER_MINUTE = 30
ADDRESSES_MOST = 1000


@dataclass(frozen=True, slots=True)
class Failures:
    count: int
    last_time: float

    @property
    def pause_s(self) -> float:
        extra = self.count - FREE_FAILURES
        return 0.0 if extra < 0 else min(LONGEST_PAUSE_S, 2.0 ** min(extra + 1, 20))


class LoginAttempts:
    """Counts the wrong passwords."""

    def __init__(self) -> None:
        self._failures: dict[str, Failures] = {}
        self._known: dict[str, None] = {}
        self._recent: list[float] = []

    def wait_s(self, address: str, time: float) -> float:
        """How long `address` has to wait before the next try; 0: it may."""
        origin = origin_of(address)
        failures = self._failures.get(origin)
        own = 0.0 if failures is None else failures.last_time + failures.pause_s - time
        self._recent = [at for at in self._recent if time - at < 60.0]
        crowd = 0.0
        if len(self._recent) >= ALL_PER_MINUTE and origin not in self._known and origin != LOOPBACK:
            crowd = self._recent[-ALL_PER_MINUTE] + 60.0 - time
        return max(0.0, own, crowd)

    def failed(self, address: str, time: float) -> None:
        origin = origin_of(address)
        former = self._failures.pop(origin, None)
        if former is not None and time - former.last_time > FORGOTTEN_AFTER_S:
            former = None
        self._failures[origin] = Failures(1 if former is None else former.count + 1, time)
        if len(self._failures) > ADDRESSES_MOST:  # the one that failed last the longest time ago
            del self._failures[next(iter(self._failures))]
        self._recent = [*self._recent[-ALL_PER_MINUTE:], time]

    def succeeded(self, address: str, *, knows_all: bool = True) -> None:
        """`knows_all`: no greater password is left to guess. Whoever knows a small one could else forgive himself the
        failures on his way to a great one."""
        origin = origin_of(address)
        if knows_all:
            self._failures.pop(origin, None)
        self._known.pop(origin, None)
        self._known[origin] = None
        if len(self._known) > ADDRESSES_MOST:
            del self._known[next(iter(self._known))]


LOOPBACK = "loopback"


def origin_of(address: str) -> str:
    """Whom to count: the /64 of IPv6, since one host has all of it."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address or LOOPBACK
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return LOOPBACK if found.is_loopback else str(IPv6Address(int(found) >> 64 << 64))
        found = found.ipv4_mapped
    return LOOPBACK if found.is_loopback else str(found)
