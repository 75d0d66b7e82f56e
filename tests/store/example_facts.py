"""Facts of an ordinary charging session, for the tests of the store."""

from datetime import UTC, datetime, timedelta

from agent.charging.facts import (
    EventsNoticed,
    FirmwareStatusChanged,
    LogUploadChanged,
    MeterRead,
    Sample,
    SampledValue,
    SecurityEventRaised,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
    VariableEvent,
)
from agent.charging.ids import (
    ChargingState,
    Component,
    EventTrigger,
    FirmwareStatus,
    IdToken,
    MonitorOrigin,
    ReadingContext,
    StopReason,
    TriggerReason,
    UploadStatus,
    Variable,
)

BEGIN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOKEN = IdToken("04A1B2C3D4")


def minute(number: int) -> datetime:
    return BEGIN + timedelta(minutes=number)


def sample(number: int = 0, context: ReadingContext = ReadingContext.SAMPLE_PERIODIC) -> Sample:
    values = (
        SampledValue("Energy.Active.Import.Register", 1000.5 + number, "Wh"),
        SampledValue("Current.Import", 15.9, "A", phase="L1"),
    )
    return Sample(minute(number), context, values)


def started(
    name: str = "tx1", *, evse_id: int = 1, seq_no: int = 0, meter_start_wh: int = 1000
) -> TransactionStarted:
    return TransactionStarted(
        transaction_id=name,
        evse_id=evse_id,
        connector_id=1,
        at=BEGIN,
        seq_no=seq_no,
        id_token=TOKEN,
        meter_start_wh=meter_start_wh,
        trigger=TriggerReason.AUTHORIZED,
        offline=False,
        sample=sample(context=ReadingContext.TRANSACTION_BEGIN),
    )


def updated(
    name: str = "tx1", *, seq_no: int = 1, id_token: IdToken | None = None, number: int = 1
) -> TransactionUpdated:
    return TransactionUpdated(
        transaction_id=name,
        evse_id=1,
        connector_id=1,
        at=minute(number),
        seq_no=seq_no,
        trigger=TriggerReason.CHARGING_STATE_CHANGED,
        charging_state=ChargingState.CHARGING,
        offline=False,
        id_token=id_token,
    )


def metered(
    name: str = "tx1", *, seq_no: int = 2, register_wh: int = 1500, number: int = 2
) -> TransactionMetered:
    return TransactionMetered(
        transaction_id=name,
        evse_id=1,
        connector_id=1,
        at=minute(number),
        seq_no=seq_no,
        charging_state=ChargingState.CHARGING,
        offline=True,
        sample=sample(number),
        register_wh=register_wh,
    )


def stopped(
    name: str = "tx1", *, seq_no: int = 3, meter_stop_wh: int = 2000, samples: tuple[Sample, ...] = ()
) -> TransactionStopped:
    return TransactionStopped(
        transaction_id=name,
        evse_id=1,
        connector_id=1,
        at=minute(60),
        seq_no=seq_no,
        id_token=TOKEN,
        meter_stop_wh=meter_stop_wh,
        reason=StopReason.EV_DISCONNECTED,
        trigger=TriggerReason.EV_DEPARTED,
        offline=False,
        samples=samples,
    )


def meter_read(number: int = 15) -> MeterRead:
    return MeterRead(0, 0, minute(number), sample(number), sample(0))


def security_event() -> SecurityEventRaised:
    return SecurityEventRaised(BEGIN, "StartupOfTheDevice", "after a power cut")


def firmware_status() -> FirmwareStatusChanged:
    return FirmwareStatusChanged(BEGIN, FirmwareStatus.INSTALLED, 7)


def log_upload() -> LogUploadChanged:
    return LogUploadChanged(BEGIN, UploadStatus.UPLOADED)


def events_noticed() -> EventsNoticed:
    event = VariableEvent(
        1,
        minute(3),
        EventTrigger.DELTA,
        "true",
        Component("EVSE", evse_id=1),
        Variable("Problem"),
        MonitorOrigin.PRECONFIGURED,
        1001,
        tech_code="rcd_dc",
    )
    return EventsNoticed(minute(3), (event,))
