"""What a monitor is, in values: those of the manufacturer and of the CSMS, and what is said to an order for one.

Pure; the rules are in `monitoring.py`. Used by requests, snapshots and the store, too. OCPP 2.0.1 part 2, N02 to N08.
"""

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from agent.charging.ids import Component, MonitorOrigin, Variable

LOWEST_SEVERITY = 9
"""0 is danger to lives, 9 is for developers (SetMonitoringDataType)."""
FIRST_CUSTOM_ID = 10_000


class MonitorKind(StrEnum):
    UPPER_THRESHOLD = "UpperThreshold"
    LOWER_THRESHOLD = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    PERIODIC_CLOCK_ALIGNED = "PeriodicClockAligned"

    @property
    def is_threshold(self) -> bool:
        return self in (MonitorKind.UPPER_THRESHOLD, MonitorKind.LOWER_THRESHOLD)

    @property
    def is_periodic(self) -> bool:
        return self in (MonitorKind.PERIODIC, MonitorKind.PERIODIC_CLOCK_ALIGNED)


class MonitoringBase(StrEnum):
    """Which monitors of the manufacturer are active (N03)."""

    ALL = "All"
    FACTORY_DEFAULT = "FactoryDefault"
    HARD_WIRED_ONLY = "HardWiredOnly"


class Monitor(Struct, frozen=True):
    """One monitor on one variable. `value`: the threshold, the difference, or the period in seconds."""

    monitor_id: int
    component: Component
    variable: Variable
    kind: MonitorKind
    value: float
    severity: int
    only_in_transaction: bool = False
    origin: MonitorOrigin = MonitorOrigin.CUSTOM


class MonitorOrder(Struct, frozen=True):
    """What the CSMS wants to be set; `monitor_id` names the monitor that it replaces."""

    component: Component
    variable: Variable
    kind: MonitorKind
    value: float
    severity: int
    only_in_transaction: bool = False
    monitor_id: int | None = None


class MonitorVerdict(StrEnum):
    ACCEPTED = "Accepted"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED = "UnsupportedMonitorType"
    REJECTED = "Rejected"
    DUPLICATE = "Duplicate"
    NOT_FOUND = "NotFound"


class MonitorAnswer(Struct, frozen=True):
    verdict: MonitorVerdict
    flaw: "Flaw"
    monitor_id: int | None = None
    """Of the monitor that was set."""


class Flaw(StrEnum):
    """Why a monitor is rejected; the words of the reason codes of 2.x."""

    NONE = ""
    NOT_FOUND = "NotFound"
    OUT_OF_RANGE = "ValueOutOfRange"
    NOT_POSITIVE = "ValuePositiveOnly"
    READ_ONLY = "ReadOnly"
    INVALID = "InvalidValue"
    NO_ROOM = "OutOfStorage"
    NOT_STORED = "InternalError"
    SWITCHED_OFF = "NotEnabled"


@dataclass(frozen=True, slots=True)
class Installed:
    """What the CSMS has made of the monitors: its own ones, the base, the level."""

    custom: tuple[Monitor, ...] = ()
    base: MonitoringBase = MonitoringBase.ALL
    level: int = LOWEST_SEVERITY
    last_id: int = FIRST_CUSTOM_ID - 1
    """The highest id given to a monitor of the CSMS; never used twice."""
