"""MeterValues of OCPP 2.0.1, and meter values as TransactionEvent carries them.

When a sample is taken and what is in it is decided in `agent/charging/metering.py`. OCPP 2.0.1 part 2, J01, J02.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

from msgspec import UNSET, Meta, UnsetType

from agent.charging import facts
from agent.charging.facts import MeterRead, MeterSampled, Sample
from agent.charging.signing import public_key_text
from agent.ocpp.frontend import Call, Encoder, ResultReader, View, acknowledged_by
from agent.ocpp.v201.datatypes import CsmsAnswer, Payload, Text20, Text50, Text2500
from agent.ocpp.values import Integer32, timestamp

ReadingContextName: TypeAlias = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Other",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
]
MeasurandName: TypeAlias = Literal[
    "Current.Export",
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Active.Net",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Net",
    "Energy.Apparent.Net",
    "Energy.Apparent.Import",
    "Energy.Apparent.Export",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "SoC",
    "Voltage",
]


class SignedMeterValue(Payload, frozen=True, kw_only=True):
    """Datatype 2.46."""

    signed_meter_data: Text2500
    signing_method: Text50
    encoding_method: Text50
    public_key: Text2500


class UnitOfMeasure(Payload, frozen=True, kw_only=True):
    """Datatype 2.49."""

    unit: Text20 | UnsetType = UNSET
    multiplier: Integer32 | UnsetType = UNSET


class SampledValue(Payload, frozen=True, kw_only=True):
    """Datatype 2.41."""

    value: float
    context: ReadingContextName | UnsetType = UNSET
    measurand: MeasurandName | UnsetType = UNSET
    phase: Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"] | UnsetType = (
        UNSET
    )
    location: Literal["Body", "Cable", "EV", "Inlet", "Outlet"] | UnsetType = UNSET
    signed_meter_value: SignedMeterValue | UnsetType = UNSET
    unit_of_measure: UnitOfMeasure | UnsetType = UNSET


class MeterValue(Payload, frozen=True, kw_only=True):
    """Datatype 2.32."""

    sampled_value: Annotated[list[SampledValue], Meta(min_length=1)]
    timestamp: datetime


class MeterValuesRequest(Payload, frozen=True, kw_only=True):
    evse_id: Integer32
    meter_value: Annotated[list[MeterValue], Meta(min_length=1)]


class MeterValuesResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


_NAMES = frozenset(get_args(MeasurandName))


def meter_values(samples: Iterable[Sample]) -> list[MeterValue]:
    """Samples without any value are left out: an empty sampledValue is illegal."""
    return [value for value in map(meter_value, samples) if value.sampled_value]


def meter_value(sample: Sample) -> MeterValue:
    """The values of one instant. Measurand, unit and context are always written out, so that no default is needed.

    What 2.0.1 has no name for (Temperature, RPM) is left out. A signed value stands for the plain one beside it, which
    it holds as well (J02.FR.21)."""
    context = sample.context.value
    signed = {_name(value) for value in sample.values if value.signed is not None}
    values = [
        _sampled(value, context)
        for value in sample.values
        if value.measurand in _NAMES and (value.signed is not None or _name(value) not in signed)
    ]
    return MeterValue(timestamp=timestamp(sample.at), sampled_value=values)


def _name(value: facts.SampledValue) -> tuple[str, str | None, str]:
    return value.measurand, value.phase, value.location


def _sampled(value: facts.SampledValue, context_name: str) -> SampledValue:
    # Measurands, phases and locations have the same names here as in our own tables, which the tests compare.
    context: Any = context_name
    name: Any = value.measurand
    phase: Any = value.phase or UNSET
    location: Any = value.location if value.location != "Outlet" else UNSET
    signed = value.signed
    return SampledValue(
        value=value.value,
        context=context,
        measurand=name,
        phase=phase,
        location=location,
        signed_meter_value=UNSET if signed is None else _signed(signed),
        unit_of_measure=UnitOfMeasure(unit=value.unit) if value.unit else UNSET,
    )


def _signed(signed: facts.SignedValue) -> SignedMeterValue:
    """J02: text as the meter gave it, and its key, in base64."""
    return SignedMeterValue(
        signed_meter_data=b64encode(signed.content.encode()).decode(),
        signing_method=signed.method,
        encoding_method=signed.encoding,
        public_key=public_key_text(signed.public_key) if signed.public_key else "",
    )


def meter_read(fact: MeterRead, _view: View, _reference: str | None) -> Call | None:
    """A queued reading without a transaction; evseId 0 is the main meter (J01)."""
    samples = [fact.sample] if fact.period is None else [fact.period, fact.sample]
    return _call(fact.evse_id, samples)


def meter_sampled(fact: MeterSampled, _view: View, _reference: str | None) -> Call | None:
    """A reading that is not queued: triggered (F06.FR.06). MeterValues of 2.x names no transaction."""
    return _call(fact.evse_id, [fact.sample])


def _call(evse_id: int, samples: Iterable[Sample]) -> Call | None:
    values = meter_values(samples)
    if not values:
        return None
    return Call("MeterValues", MeterValuesRequest(evse_id=evse_id, meter_value=values))


ENCODERS: Mapping[type, Encoder] = {MeterRead: meter_read, MeterSampled: meter_sampled}
RESULTS: Mapping[str, ResultReader[Any]] = {"MeterValues": acknowledged_by(MeterValuesResponse)}
