"""Monitors as rules: which ones there are, what the CSMS may set, and when one has something to say.

Pure. Thresholds speak once when the value goes beyond them and once when it is back, deltas when the value has moved
far enough from where they last spoke, periodic ones by the clock (`monitoring_watch.py` keeps the timers and touches
the meters). OCPP 2.0.1 part 1, 4.4; part 2, N02 to N08 (errata 2.54, 2.55, 2.61).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from agent.charging.device_model import DataType, DeviceModel, Row, Unknown
from agent.charging.ids import Component, EventTrigger, EvseId, MonitorOrigin, Variable
from agent.charging.monitors import (
    LOWEST_SEVERITY,
    Flaw,
    Installed,
    Monitor,
    MonitoringBase,
    MonitorKind,
    MonitorOrder,
    MonitorVerdict,
)
from agent.charging.setting import DAY_S, YEAR_S, Mutability

_PRECONFIGURED_ID = 1_000
_HARD_WIRED_ID = 1
PROBLEM_SEVERITY = 4
LOCK_SEVERITY = 3


def fixed_monitors(model: DeviceModel, evse_ids: Iterable[EvseId]) -> tuple[Monitor, ...]:
    """Those of the manufacturer: problems of the station and its EVSEs, and hard-wired the failure of a lock (G05)."""
    wanted = [
        (_PRECONFIGURED_ID, Component("ChargingStation"), PROBLEM_SEVERITY, MonitorOrigin.PRECONFIGURED)
    ]
    for evse_id in evse_ids:
        lock = Component("ConnectorPlugRetentionLock", evse_id=evse_id, connector_id=1)
        evse = Component("EVSE", evse_id=evse_id)
        wanted.append((_HARD_WIRED_ID + evse_id, lock, LOCK_SEVERITY, MonitorOrigin.HARD_WIRED))
        wanted.append((_PRECONFIGURED_ID + evse_id, evse, PROBLEM_SEVERITY, MonitorOrigin.PRECONFIGURED))
    problem = Variable("Problem")
    return tuple(
        Monitor(number, component, problem, MonitorKind.DELTA, 1.0, severity, origin=origin)
        for number, component, severity, origin in sorted(wanted, key=lambda each: each[0])
        if not isinstance(model.find(component, problem), Unknown)
    )


def active(fixed: Iterable[Monitor], installed: Installed) -> dict[int, Monitor]:
    """By id. One of the CSMS with the id of a preconfigured one stands in for it (N04.FR.15)."""
    monitors = {
        each.monitor_id: each
        for each in fixed
        if each.origin is MonitorOrigin.HARD_WIRED or installed.base is not MonitoringBase.HARD_WIRED_ONLY
    }
    monitors.update({each.monitor_id: each for each in installed.custom})
    return monitors


def with_base(installed: Installed, base: MonitoringBase) -> Installed:
    """N03.FR.03 to .05: only All leaves the monitors of the CSMS as they are."""
    custom = installed.custom if base is MonitoringBase.ALL else ()
    return replace(installed, base=base, custom=custom)


# --- setting and clearing ----------------------------------------------------------------------------------


def supports(row: Row, kind: MonitorKind) -> bool:
    """Part 1, 4.4. Of a variable that nobody may read, a change is all that can be told (N07.FR.10)."""
    if not row.supports_monitoring:
        return False
    if is_secret(row):
        return kind is MonitorKind.DELTA
    if kind.is_threshold:
        return row.data_type.is_numeric
    return not (kind.is_periodic and row.data_type is DataType.DATE_TIME)


def is_secret(row: Row) -> bool:
    return row.setting is not None and row.setting.mutability is Mutability.WRITE_ONLY


def judge(
    order: MonitorOrder, found: Row | Unknown, monitors: Mapping[int, Monitor], *, has_room: bool
) -> tuple[MonitorVerdict, Flaw]:
    """N04.FR.03 to .18. `found`: what the device model says of the variable; `monitors`: the active ones."""
    replaced = None
    if order.monitor_id is not None:
        replaced = monitors.get(order.monitor_id)
        if replaced is None:  # N04.FR.13
            return MonitorVerdict.REJECTED, Flaw.NOT_FOUND
        if not _is_same_variable(order, replaced):  # N04.FR.16
            return MonitorVerdict.REJECTED, Flaw.INVALID
        if replaced.origin is MonitorOrigin.HARD_WIRED:  # N04.FR.18
            return MonitorVerdict.REJECTED, Flaw.READ_ONLY
    if isinstance(found, Unknown):
        is_component = found is Unknown.COMPONENT
        return (
            MonitorVerdict.UNKNOWN_COMPONENT if is_component else MonitorVerdict.UNKNOWN_VARIABLE,
            Flaw.NOT_FOUND,
        )
    if not supports(found, order.kind):
        return MonitorVerdict.UNSUPPORTED, Flaw.NONE
    flaw = _flaw(order, found)
    if flaw is not Flaw.NONE:
        return MonitorVerdict.REJECTED, flaw
    if any(_is_double(order, each) for each in monitors.values()):
        return MonitorVerdict.DUPLICATE, Flaw.NONE
    if replaced is None and not has_room:
        return MonitorVerdict.REJECTED, Flaw.NO_ROOM
    return MonitorVerdict.ACCEPTED, Flaw.NONE


def _flaw(order: MonitorOrder, row: Row) -> Flaw:
    if not 0 <= order.severity <= LOWEST_SEVERITY:
        return Flaw.OUT_OF_RANGE
    if order.kind is MonitorKind.DELTA:
        return Flaw.NOT_POSITIVE if order.value < 0 else Flaw.NONE  # N04.FR.14
    if order.kind.is_periodic:
        most = DAY_S if order.kind is MonitorKind.PERIODIC_CLOCK_ALIGNED else YEAR_S
        return Flaw.NONE if 1 <= order.value <= most else Flaw.OUT_OF_RANGE
    is_low = row.least is not None and order.value < row.least
    is_high = row.most is not None and order.value > row.most
    return Flaw.OUT_OF_RANGE if is_low or is_high else Flaw.NONE  # N04.FR.06


def _is_same_variable(one: MonitorOrder, other: Monitor) -> bool:
    return _key(one.component, one.variable) == _key(other.component, other.variable)


def _is_double(order: MonitorOrder, other: Monitor) -> bool:
    """N04.FR.10: the same kind and severity on the same variable, and not the one that is replaced."""
    is_other = order.monitor_id != other.monitor_id
    is_alike = (order.kind, order.severity) == (other.kind, other.severity)
    return is_other and is_alike and _is_same_variable(order, other)


def _key(component: Component, variable: Variable) -> tuple[object, ...]:
    return (
        component.name.casefold(),
        (component.instance or "").casefold(),
        component.evse_id or 0,
        component.connector_id or 0,
        variable.name.casefold(),
        (variable.instance or "").casefold(),
    )


def with_monitor(installed: Installed, order: MonitorOrder, row: Row) -> tuple[Installed, Monitor]:
    """`order` was accepted. Names come out in the standard spelling."""
    last_id = installed.last_id if order.monitor_id is not None else installed.last_id + 1
    monitor = Monitor(
        last_id if order.monitor_id is None else order.monitor_id,
        row.component,
        row.variable,
        order.kind,
        order.value,
        order.severity,
        order.only_in_transaction,
    )
    others = tuple(each for each in installed.custom if each.monitor_id != monitor.monitor_id)
    return replace(installed, custom=(*others, monitor), last_id=last_id), monitor


def without_monitor(installed: Installed, monitor_id: int) -> Installed:
    return replace(
        installed, custom=tuple(each for each in installed.custom if each.monitor_id != monitor_id)
    )


def orphaned(installed: Installed, model: DeviceModel) -> tuple[Monitor, ...]:
    """Monitors whose variable is gone or cannot be monitored any more, after an update (N04, remark)."""
    return tuple(
        each
        for each in installed.custom
        if isinstance(found := model.find(each.component, each.variable), Unknown)
        or not supports(found, each.kind)
    )


# --- watching ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """What a monitor has seen so far."""

    is_exceeded: bool = False
    """Of a threshold: the value is beyond it, and the CSMS was told."""
    reference: str | None = None
    """Of a delta: the value when it last spoke, or was set, also before a restart; None: there was none yet."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A monitor speaks."""

    trigger: EventTrigger
    is_cleared: bool = False


NO_PROBLEM = Watch(reference="false")
"""A monitor of the manufacturer that has not spoken yet: the station left the factory without a problem."""


def is_comparable(reference: str, data_type: DataType) -> bool:
    """Whether a change can be counted from it; after an update a variable may be of another type."""
    try:
        if data_type.is_numeric:
            float(reference)
        elif data_type is DataType.DATE_TIME and reference:
            datetime.fromisoformat(reference)
    except ValueError:
        return False
    return True


def look(monitor: Monitor, watch: Watch, actual: str, data_type: DataType) -> tuple[Watch, Signal | None]:
    """What `monitor` makes of the present value. "" = there is none now, which changes nothing."""
    if monitor.kind.is_periodic or (not actual and data_type is not DataType.STRING):
        return watch, None
    if monitor.kind is MonitorKind.DELTA:
        return _look_for_change(monitor, watch, actual, data_type)
    number = float(actual)
    is_upper = monitor.kind is MonitorKind.UPPER_THRESHOLD
    is_exceeded = number > monitor.value if is_upper else number < monitor.value  # N07.FR.16, .17
    if is_exceeded == watch.is_exceeded:
        return watch, None
    return replace(watch, is_exceeded=is_exceeded), Signal(
        EventTrigger.ALERTING, not is_exceeded
    )  # N07.FR.02


def _look_for_change(
    monitor: Monitor, watch: Watch, actual: str, data_type: DataType
) -> tuple[Watch, Signal | None]:
    """N07.FR.18, .19."""
    if watch.reference is None:
        return replace(watch, reference=actual), None
    if data_type.is_numeric:
        has_changed = abs(float(actual) - float(watch.reference)) > monitor.value
    elif data_type is DataType.DATE_TIME and watch.reference:
        before, now = (datetime.fromisoformat(text) for text in (watch.reference, actual))
        has_changed = abs((now - before).total_seconds()) > monitor.value
    else:
        has_changed = actual != watch.reference
    if not has_changed:
        return watch, None
    return replace(watch, reference=actual), Signal(EventTrigger.DELTA)
