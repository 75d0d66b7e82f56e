"""Network connection profiles as values: where a CSMS is, and how safely it is reached; the slots that hold them.

Pure data. Slot 1 holds the connection of the configuration file until a CSMS puts another one there. What becomes of
them is decided by `agent/network_desk.py`, in which order they are tried by `agent/ocpp/network_plan.py`.
OCPP 2.0.1 part 2, B09, B10, datatype 2.35.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

SLOTS = (1, 2, 3)
"""B09.FR.06: at least two."""
FILE_SLOT = 1
"""The slot of the connection that stands in the configuration file."""
FORMER_SLOT = 0
"""No slot that anybody can set: here is what the last slot that worked held, when a CSMS has put another profile there.
It is the last one that worked until the new one does (B10.FR.07): a wrong address must not strand the station."""


class NetworkProfile(Struct, frozen=True):
    """What a CSMS said of a connection. `interface` is kept and not acted upon: the operating system chooses."""

    url: str
    security_profile: int
    message_timeout_s: int
    interface: str = ""


class NetworkVerdict(StrEnum):
    ACCEPTED = "Accepted"
    NO_SUCH_SLOT = "NoSuchSlot"
    INVALID = "Invalid"
    DOWNGRADE = "Downgrade"
    """It would be less safe than the present connection."""
    FAILED = "Failed"
    """Nothing is wrong with it, and it could not be kept."""


class NetworkAnswer(Struct, frozen=True):
    verdict: NetworkVerdict
    reason: str = ""


class SetNetworkProfile(Struct, frozen=True):
    """Put a profile into a slot; it counts from the next start on. 2.0.1 B09."""

    slot: int
    profile: NetworkProfile


class StoredNetworks(Struct, frozen=True):
    """What is on disk of network profiles."""

    profiles: Mapping[int, NetworkProfile | None]
    """By slot, FORMER_SLOT too; None: the connection of the configuration file."""
    last_good_slot: int | None = None
    """Of the last connection that worked."""
    configured_url: str | None = None
    """The address in the configuration file as it was at the last start."""
