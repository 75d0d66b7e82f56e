"""Signed meter values: which reading is signed, and by what meter; the record itself is passed on untouched.

One per EVSE whose meter signs. Signing takes some seconds and may fail: then the plain value stands alone and the
transaction goes on. Used by `bookkeeping.py` on the EVSE's queue. Source: OCA application note "Signed Meter Values in
OCPP" 1.0, chapters 3.1 and 3.3.
"""

import asyncio
import logging
from base64 import b64encode
from datetime import datetime

from msgspec.structs import replace

from agent.charging.core import StationCore
from agent.charging.facts import Sample, SampledValue, SignedValue
from agent.charging.ids import EvseId, IdToken, ReadingContext
from agent.charging.measurands import DEFAULT_ENTRY
from agent.charging.setting import Kind, Mutability, Setting
from agent.charging.settings import Settings
from hal.errors import DeviceFault, HalError
from hal.ports import Hardware, MeterSigner, SigningMoment

log = logging.getLogger(__name__)

SIGN_TIMEOUT_S = 10.0
"""A meter may take some seconds to sign."""
_SETTINGS = (
    "sign_sampled",
    "sign_sampled_started",
    "sign_sampled_updated",
    "sign_aligned",
    "sign_aligned_updated",
    "public_key_with_signed",
)


def public_key_text(printed: str) -> str:
    """The key in the form of the note, 3.2.2: base64 of marker, encoding, content type and the key as printed."""
    return b64encode(f"oca:base16:asn1:{printed}".encode()).decode()


def is_signed(
    context: ReadingContext, settings: Settings, *, at_start: bool = False, is_for_end: bool = False
) -> bool:
    """Is a reading of this kind signed (appendix 5.1)? `at_start`: the extra one that StartTxnSampledData asks for.
    `is_for_end`: with all that the end of the transaction tells (2.0.1 2.7.14, J02.FR.21)."""
    sampled, aligned = settings.flag("sign_sampled"), settings.flag("sign_aligned")
    match context:
        case ReadingContext.SAMPLE_PERIODIC if is_for_end:
            return sampled
        case ReadingContext.SAMPLE_CLOCK if is_for_end:
            return aligned
        case ReadingContext.TRANSACTION_BEGIN if at_start:
            return sampled and settings.flag("sign_sampled_started")
        case ReadingContext.TRANSACTION_BEGIN | ReadingContext.TRANSACTION_END:
            return sampled or aligned
        case ReadingContext.SAMPLE_PERIODIC:
            return sampled and settings.flag("sign_sampled_updated")
        case ReadingContext.SAMPLE_CLOCK:
            return aligned and settings.flag("sign_aligned_updated")
        case _:
            return False


def fit_settings(settings: Settings, hardware: Hardware) -> None:
    """The settings of signing exist where a meter signs; each connector shows the key of its meter."""
    signers = {evse_id: ports.signer for evse_id, ports in hardware.evses.items() if ports.signer is not None}
    if not signers:
        for name in _SETTINGS:
            settings.drop(name)
        return
    number = 0
    for evse_id, ports in sorted(hardware.evses.items()):
        for _connector in range(ports.connectors):
            number += 1
            signer = signers.get(evse_id)
            if signer is not None and signer.public_key:
                settings.add(_key_row(number, public_key_text(signer.public_key)))


def _key_row(number: int, key: str) -> Setting:
    return Setting(
        name=f"meter_public_key_{number}",
        kind=Kind.TEXT,
        default=key,
        mutability=Mutability.READ_ONLY,
        key16=f"MeterPublicKey{number}",
        doc=f"Public key of the meter of connector {number}.",
    )


class Signing:
    """Signs the readings of one EVSE."""

    def __init__(self, core: StationCore, evse_id: EvseId, signer: MeterSigner | None) -> None:
        self._core = core
        self._evse_id = evse_id
        self._signer = signer
        self._id_token = ""
        self._is_key_told = False
        self._last: tuple[ReadingContext, datetime, SignedValue | None] | None = None

    def begin(self, id_token: IdToken | None) -> None:
        """A transaction begins: its first signed value may carry the key again."""
        self._id_token = "" if id_token is None else id_token.value
        self._is_key_told = False
        self._last = None

    async def signed(
        self, sample: Sample, *, at_start: bool = False, is_for_end: bool = False, is_demanded: bool = False
    ) -> Sample:
        """The sample with the signed register beside the plain one, if that is wanted and the meter does it.

        `is_demanded`: whatever the settings say."""
        plain = next((value for value in sample.values if _is_signable(value)), None)
        if self._signer is None or plain is None:
            return sample
        is_for_end = is_for_end and self._core.conventions.has_own_end_intervals
        is_wanted = is_signed(sample.context, self._core.settings, at_start=at_start, is_for_end=is_for_end)
        if not is_demanded and not is_wanted:
            return sample
        signed = await self._sign(self._signer, sample)
        if signed is None:
            return sample
        return Sample(sample.at, sample.context, (*sample.values, replace(plain, signed=signed)))

    async def _sign(self, signer: MeterSigner, sample: Sample) -> SignedValue | None:
        """One attempt for one instant, also when it is sent in two messages: a meter that hangs is waited for once."""
        if self._last is not None and self._last[:2] == (sample.context, sample.at):
            return self._last[2]
        try:
            async with asyncio.timeout(SIGN_TIMEOUT_S):
                reading = await signer.sign(_moment(sample.context), self._id_token)
        except (HalError, TimeoutError) as error:
            # Some meters have a record at the end only, which then holds the begin as well.
            is_usual = isinstance(error, DeviceFault) and error.code == "no_record"
            level = logging.INFO if is_usual else logging.ERROR
            log.log(level, "EVSE %d: the meter did not sign: %s", self._evse_id, error or "no answer in time")
            self._last = (sample.context, sample.at, None)
            return None
        key = signer.public_key if self._sends_key() else ""
        self._is_key_told = self._is_key_told or bool(key)
        signed = SignedValue(reading.content, reading.encoding, reading.method, key)
        self._last = (sample.context, sample.at, signed)
        return signed

    def _sends_key(self) -> bool:
        match self._core.settings.text("public_key_with_signed"):
            case "EveryMeterValue":
                return True
            case "OncePerTransaction":
                return not self._is_key_told
            case _:
                return False


def is_signed_sample(sample: Sample | None) -> bool:
    return sample is not None and any(value.signed is not None for value in sample.values)


def _is_signable(value: SampledValue) -> bool:
    return value.measurand == DEFAULT_ENTRY and value.phase is None


def _moment(context: ReadingContext) -> SigningMoment:
    match context:
        case ReadingContext.TRANSACTION_BEGIN:
            return SigningMoment.BEGIN
        case ReadingContext.TRANSACTION_END:
            return SigningMoment.END
        case _:
            return SigningMoment.MIDDLE
