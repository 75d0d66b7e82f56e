"""MeterValues of OCPP 1.6: periodic, clock-aligned and triggered samples as payloads.

When a sample is taken and what is in it is decided in `agent/charging/metering.py`. Values of one instant are one
MeterValue (R16-154); raw registers, never rebased (R16-159). OCPP 1.6 4.7, 7.31 to 7.35, 7.43, 7.45.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging import facts
from agent.charging.facts import MeterRead, MeterSampled, Sample, TransactionMetered
from agent.charging.signing import public_key_text
from agent.ocpp.codec import encode
from agent.ocpp.frontend import Call, Encoder, ResultReader, View, acknowledged_by
from agent.ocpp.v16.connectors import number_of
from agent.ocpp.values import timestamp

UNKNOWN_TRANSACTION = -1
"""The transactionId of a transaction whose StartTransaction was never answered (errata 3.18, R16-117)."""

ReadingContextName: TypeAlias = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
    "Other",
]
MeasurandName: TypeAlias = Literal[
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "Power.Factor",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
]
PhaseName: TypeAlias = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
LocationName: TypeAlias = Literal["Cable", "EV", "Inlet", "Outlet", "Body"]
UnitName: TypeAlias = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celsius",
    "Fahrenheit",
    "Percent",
]
"""Without the schemas' slips "Celcius" and "Hertz": a charge point sends neither (errata 2.1, R16-033, R16-163)."""

_UNITS = frozenset(get_args(UnitName))


class SampledValue(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.43."""

    value: str
    context: ReadingContextName | UnsetType = UNSET
    format: Literal["Raw", "SignedData"] | UnsetType = UNSET
    measurand: MeasurandName | UnsetType = UNSET
    phase: PhaseName | UnsetType = UNSET
    location: LocationName | UnsetType = UNSET
    unit: UnitName | UnsetType = UNSET


class MeterValue(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.33."""

    timestamp: datetime
    sampled_value: Annotated[list[SampledValue], Meta(min_length=1)]


class MeterValuesRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    connector_id: int
    meter_value: Annotated[list[MeterValue], Meta(min_length=1)]
    transaction_id: int | UnsetType = UNSET


class MeterValuesResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


def meter_value(sample: Sample) -> MeterValue:
    """The values of one instant. Measurand, unit and context are always written out, so that no default is needed."""
    context = sample.context.value
    return MeterValue(
        timestamp=timestamp(sample.at), sampled_value=[_sampled(value, context) for value in sample.values]
    )


def meter_values(samples: Iterable[Sample]) -> list[MeterValue]:
    """Samples without any value are left out: an empty sampledValue is illegal."""
    return [meter_value(sample) for sample in samples if sample.values]


def _sampled(value: facts.SampledValue, context_name: str) -> SampledValue:
    # Measurands, phases and locations have the same names here as in our own tables, which the tests compare.
    context: Any = context_name
    name: Any = value.measurand
    phase: Any = value.phase or UNSET
    location: Any = value.location if value.location != "Outlet" else UNSET
    unit: Any = value.unit if value.unit in _UNITS else UNSET
    signed = value.signed
    return SampledValue(
        value=number_text(value.value) if signed is None else signed_text(signed),
        context=context,
        format=UNSET if signed is None else "SignedData",
        measurand=name,
        phase=phase,
        location=location,
        unit=unit,
    )


class SignedMeterValue(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the `value` of a signed reading holds as JSON text (application note on signed meter values 1.0, 3.2.1)."""

    signed_meter_data: str
    signing_method: str
    encoding_method: str
    public_key: str


def signed_text(signed: facts.SignedValue) -> str:
    """R16-168 in the form of the application note: the fields of 2.x, base64 where they say so, as JSON text."""
    return encode(
        SignedMeterValue(
            signed_meter_data=b64encode(signed.content.encode()).decode(),
            signing_method=signed.method,
            encoding_method=signed.encoding,
            public_key=public_key_text(signed.public_key) if signed.public_key else "",
        )
    )


def number_text(value: float) -> str:
    """A plain decimal with at most three places: 12, 12.5, -0.125."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def transaction_number(reference: str | None) -> int:
    """The transactionId for a message that must carry one. Any integer is legal (R16-116)."""
    try:
        return int(reference) if reference is not None else UNKNOWN_TRANSACTION
    except ValueError:  # given by a CSMS of another OCPP version
        return UNKNOWN_TRANSACTION


def transaction_metered(fact: TransactionMetered, view: View, reference: str | None) -> Call | None:
    """A sample of a transaction, from the queue (R16-146, R16-148, R16-152)."""
    values = meter_values(_in_order(fact))
    if not values:
        return None
    return Call(
        "MeterValues",
        MeterValuesRequest(
            connector_id=number_of(view.snapshot(), (fact.evse_id, fact.connector_id)),
            transaction_id=transaction_number(reference),
            meter_value=values,
        ),
    )


def _in_order(fact: TransactionMetered | MeterRead) -> list[Sample]:
    return [fact.sample] if fact.period is None else [fact.period, fact.sample]


def meter_read(fact: MeterRead, view: View, _reference: str | None) -> Call | None:
    """A queued reading without a transaction: no transactionId (R16-151, R16-152)."""
    values = meter_values(_in_order(fact))
    if not values:
        return None
    number = number_of(view.snapshot(), (fact.evse_id, fact.connector_id))
    return Call("MeterValues", MeterValuesRequest(connector_id=number, meter_value=values))


def meter_sampled(fact: MeterSampled, view: View, _reference: str | None) -> Call | None:
    """A reading that is not queued. The transactionId is left out as long as the CSMS has not given one.

    It is that of the moment when the reading was taken, also if the transaction has ended since (R16-152)."""
    values = meter_values([fact.sample])
    if not values:
        return None
    snapshot, reference = view.snapshot(), fact.reference
    evse = snapshot.evses.get(fact.evse_id)
    transaction = evse.transaction if evse is not None else None
    if reference is None and transaction is not None and transaction.transaction_id == fact.transaction_id:
        reference = transaction.reference
    return Call(
        "MeterValues",
        MeterValuesRequest(
            connector_id=number_of(snapshot, (fact.evse_id, fact.connector_id)),
            transaction_id=UNSET if reference is None else transaction_number(reference),
            meter_value=values,
        ),
    )


ENCODERS: Mapping[type, Encoder] = {
    TransactionMetered: transaction_metered,
    MeterRead: meter_read,
    MeterSampled: meter_sampled,
}
RESULTS: Mapping[str, ResultReader[Any]] = {"MeterValues": acknowledged_by(MeterValuesResponse)}
