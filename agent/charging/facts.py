"""What happened, frozen and free of any OCPP version.

The station publishes facts in the order in which they happened. Those of `DURABLE_FACTS` are committed to the
journal (with their outbox row) before anything is sent; all others are current or nothing. Times are aware UTC.
Energy is the raw register of the meter in Wh, never rebased (R16-159).
"""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from agent.charging.ids import (
    BootReason,
    ChargingState,
    Component,
    ConnectorId,
    EventTrigger,
    EvseId,
    FirmwareStatus,
    IdToken,
    MonitorOrigin,
    ReadingContext,
    Reservation,
    ReservationEnd,
    SecurityEventType,
    StopReason,
    TransactionId,
    TriggerReason,
    UploadStatus,
    Variable,
)
from agent.charging.profiles import ChargingSchedule, LimitOrigin


class SignedValue(Struct, frozen=True):
    """A signed reading of a certified meter (2.x SignedMeterValueType), as the meter gave it."""

    content: str
    encoding: str
    method: str = ""
    public_key: str = ""
    """Hex as printed on the meter; empty: not to be sent with this value."""


class SampledValue(Struct, frozen=True):
    """One value of one measurand. `measurand`, `phase`, `location` and `unit` are names of `measurands.py`.

    `value` is in `unit`; phase None = total or not phase-related."""

    measurand: str
    value: float
    unit: str
    phase: str | None = None
    location: str = "Outlet"
    signed: SignedValue | None = None
    """The same value as a certified meter signed it."""


class Sample(Struct, frozen=True):
    """All values of one instant."""

    at: datetime
    context: ReadingContext
    values: tuple[SampledValue, ...]


# --- transaction facts: durable, numbered per transaction ------------------------------------------------


class TransactionStarted(Struct, frozen=True):
    transaction_id: TransactionId
    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime
    seq_no: int
    id_token: IdToken | None
    meter_start_wh: int
    trigger: TriggerReason
    offline: bool
    reservation_id: int | None = None
    remote_start_id: int | None = None
    sample: Sample | None = None
    charging_state: ChargingState = ChargingState.EV_CONNECTED
    is_placed: bool = True
    """The EV is connected here; otherwise `evse_id` and `connector_id` are where its driver is awaited."""
    phases: int | None = None
    """How many phases the EV uses, in the first fact of which it is known and when it changed."""
    cable_max_a: int | None = None
    """What the cable can carry, in the first fact of which it is known."""


class TransactionUpdated(Struct, frozen=True):
    """A change within a transaction that 2.x reports and 1.6 does not (it has StatusNotification for it)."""

    transaction_id: TransactionId
    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime
    seq_no: int
    trigger: TriggerReason
    charging_state: ChargingState
    offline: bool
    id_token: IdToken | None = None
    """Who was authorized with this, or ended the authorization."""
    sample: Sample | None = None
    is_authorized: bool = True
    """Somebody is, after this."""
    is_placed: bool = False
    """The first fact since the EV is connected, or since it is connected elsewhere."""
    reservation_id: int | None = None
    remote_start_id: int | None = None
    phases: int | None = None
    cable_max_a: int | None = None
    meter_start_wh: int | None = None
    """The register at the EVSE where the EV was connected, if that is another one than the start named."""


class TransactionMetered(Struct, frozen=True):
    """A periodic or clock-aligned sample taken during a transaction. Triggered readings are `MeterSampled`, others
    `MeterRead`."""

    transaction_id: TransactionId
    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime
    seq_no: int
    charging_state: ChargingState
    offline: bool
    sample: Sample
    register_wh: int
    period: Sample | None = None
    """Of a clock-aligned reading: what the period that ends with `sample` came to, stamped with its start."""
    phases: int | None = None


class TransactionStopped(Struct, frozen=True):
    transaction_id: TransactionId
    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime
    seq_no: int
    id_token: IdToken | None
    """The token that stopped it (or that started it, when the station stopped by itself); None: unknown."""
    meter_stop_wh: int
    reason: StopReason
    trigger: TriggerReason
    offline: bool
    samples: tuple[Sample, ...] = ()
    """What StopTxnSampledData and StopTxnAlignedData ask for, Transaction.Begin and .End included; may be empty."""
    charging_state: ChargingState | None = None
    """None: nobody knows (the power was lost)."""
    charged_s: int | None = None
    """How long energy flowed; None: nobody knows any more."""


TransactionFact: TypeAlias = TransactionStarted | TransactionUpdated | TransactionMetered | TransactionStopped


class MeterRead(Struct, frozen=True):
    """A periodic or clock-aligned reading without a transaction, or of the main meter; queued like a transaction's
    (OCPP 1.6 3.7). evse_id 0: the main meter."""

    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime
    sample: Sample
    period: Sample | None = None
    """As in `TransactionMetered`."""


class SecurityEventRaised(Struct, frozen=True):
    """Goes into the security log; with `is_pushed` also to the CSMS. Repeated ones are thinned out by the station."""

    at: datetime
    type: SecurityEventType
    detail: str = ""
    """What a human wants to know of it; never a secret."""
    is_pushed: bool = True
    """False: for the security log only. The station sees to it (`Station.report`); others leave it alone."""


class FirmwareStatusChanged(Struct, frozen=True):
    """One step of a firmware update. Durable: "Installed" is said after the restart that it needed."""

    at: datetime
    status: FirmwareStatus
    request_id: int | None = None
    """None: ordered by a message that has no request id (1.6 UpdateFirmware)."""


class LogUploadChanged(Struct, frozen=True):
    """One step of the upload of diagnostics or of the security log."""

    at: datetime
    status: UploadStatus
    request_id: int | None = None
    """None: ordered by a message that has no request id (1.6 GetDiagnostics)."""


class VariableEvent(Struct, frozen=True):
    """What a monitor noticed of a variable (2.x EventDataType)."""

    event_id: int
    at: datetime
    trigger: EventTrigger
    actual_value: str
    component: Component
    variable: Variable
    origin: MonitorOrigin
    monitor_id: int
    is_cleared: bool = False
    """The value has come back to where it should be."""
    transaction_id: TransactionId | None = None
    """That runs on the EVSE of the component."""
    tech_code: str = ""
    tech_info: str = ""


class EventsNoticed(Struct, frozen=True):
    """What monitors noticed at the same time."""

    at: datetime
    events: tuple[VariableEvent, ...]
    is_queued: bool = True
    """False: current or nothing, never in the queue. Monitoring sees to it; others leave it alone."""


class ReservationLapsed(Struct, frozen=True):
    """A reservation ended without its driver and without the CSMS: expired, or removed. It names nobody."""

    reservation_id: int
    end: ReservationEnd
    at: datetime


DurableFact: TypeAlias = (
    TransactionFact
    | MeterRead
    | SecurityEventRaised
    | FirmwareStatusChanged
    | LogUploadChanged
    | EventsNoticed
    | ReservationLapsed
)


# --- current facts: published, never queued --------------------------------------------------------------


class StationBooted(Struct, frozen=True):
    at: datetime
    reason: BootReason


class CablePlugged(Struct, frozen=True):
    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime


class CableUnplugged(Struct, frozen=True):
    evse_id: EvseId
    connector_id: ConnectorId
    at: datetime


class TokenPresented(Struct, frozen=True):
    id_token: IdToken
    evse_ids: tuple[EvseId, ...]
    """The EVSEs that the reader serves; empty = all."""
    at: datetime


class TokenRefused(Struct, frozen=True):
    id_token: IdToken
    reason: str
    at: datetime


class EvseChanged(Struct, frozen=True):
    """Something that a connector status may depend on changed; the snapshot is asked of the station."""

    evse_id: EvseId
    at: datetime
    detail: str = ""
    """A remark for the CSMS, e.g. "EV side disconnected" (OCPP 1.6 4.9)."""


class FaultRaised(Struct, frozen=True):
    evse_id: EvseId
    code: str
    at: datetime
    detail: str = ""


class FaultCleared(Struct, frozen=True):
    evse_id: EvseId
    code: str
    at: datetime


class AvailabilityChanged(Struct, frozen=True):
    evse_id: EvseId
    connector_id: ConnectorId
    is_operative: bool
    at: datetime


class ReservationMade(Struct, frozen=True):
    reservation: Reservation
    at: datetime


class ReservationEnded(Struct, frozen=True):
    """For everyone here; the CSMS hears of it by `ReservationLapsed`, if it has to."""

    reservation: Reservation
    end: ReservationEnd
    at: datetime


class MeterSampled(Struct, frozen=True):
    """A reading outside the queue, current or nothing: triggered, or wanted by the CSMS for its costs.

    `transaction_id` names the transaction that ran on the EVSE when it was taken (OCPP 1.6 errata 3.16)."""

    evse_id: EvseId
    connector_id: ConnectorId
    transaction_id: TransactionId | None
    sample: Sample
    reference: str | None = None
    """What the CSMS called the transaction then; it may have ended before the reading's turn to be sent."""


class DriverLeft(Struct, frozen=True):
    """The cable of a transaction that had ended before was unplugged: what its waiting costs ends here.

    Told once the CSMS has said what it calls the transaction."""

    evse_id: EvseId
    reference: str
    at: datetime


class ExternalLimitSet(Struct, frozen=True):
    """Somebody else than the CSMS limits the station, and the CSMS has not been told of it like this."""

    origin: LimitOrigin
    schedule: ChargingSchedule
    at: datetime
    is_grid_critical: bool | None = None
    evse_id: EvseId = 0
    """0: the whole station."""


class ExternalLimitLifted(Struct, frozen=True):
    origin: LimitOrigin
    at: datetime
    evse_id: EvseId = 0


class SettingChanged(Struct, frozen=True):
    name: str
    value: str
    at: datetime


class VendorActionRun(Struct, frozen=True):
    """Audit row of a local hardware action asked for by a vendor command or the local API."""

    at: datetime
    source: str
    action: str
    evse_id: EvseId
    outcome: str
    detail: str = ""


CurrentFact: TypeAlias = (
    StationBooted
    | CablePlugged
    | CableUnplugged
    | TokenPresented
    | TokenRefused
    | EvseChanged
    | FaultRaised
    | FaultCleared
    | AvailabilityChanged
    | ReservationMade
    | ReservationEnded
    | MeterSampled
    | DriverLeft
    | ExternalLimitSet
    | ExternalLimitLifted
    | SettingChanged
    | VendorActionRun
)
MomentaryFact: TypeAlias = MeterSampled | ExternalLimitSet | ExternalLimitLifted
"""Those that the partner hears of at once or not at all."""
Fact: TypeAlias = DurableFact | CurrentFact
