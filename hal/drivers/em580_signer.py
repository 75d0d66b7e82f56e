"""Signed readings of the Carlo Gavazzi EM580: one OCMF record per transaction, with its begin and its end.

The meter is told of the begin and keeps quiet; its record, with both readings, is fetched at the end and confirmed, or
the meter would not begin anew. A record that nobody fetched is written to the log before it is lost. Registers: EVerest
CarloGavazzi_EM580, which names the tables of the maker's protocol; not yet run on a real meter. Built by hal.factory.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from hal.bus.modbus import READ_HOLDING, ModbusBus
from hal.drivers import ocmf
from hal.errors import DeviceFault, DeviceProtocolError, DeviceTimeout, HalError
from hal.ports import SignedReading, SigningMoment

log = logging.getLogger("hal.meter")

SIGNATURE_KIND: Final = 0x24FF
PUBLIC_KEY: Final = 0x2600
KEY_WORDS: Final = {0: 46, 1: 62}
"""Signature kind (256 bit, 384 bit) -> registers of the key in DER."""
TARIFF_TEXT: Final = 0x6900
ID_STATUS: Final = 0x7000
ID_LEVEL: Final = 0x7001
ID_FLAGS: Final = 0x7002
ID_TYPE: Final = 0x7006
ID_TEXT: Final = 0x7007
EVSE_KIND: Final = 0x701B
EVSE_TEXT: Final = 0x701C
TEXT_WORDS: Final = 20
TIME_OFFSET: Final = 0x7031
UTC_TIME: Final = 0x7032
MODALITY: Final = 0x7036
COMMAND: Final = 0x7040
STATE: Final = 0x7100
SIZE: Final = 0x7101
FILE: Final = 0x7110
MAX_FILE_WORDS: Final = 2031
READ_WORDS: Final = 80
"""The most registers that the meter is known to give in one answer."""

NOT_READY, RUNNING, READY, CORRUPTED = 0, 1, 2, 3
ID_NONE, ID_CENTRAL = 0, 60

POLL_S = 0.1
STATE_WAIT_S = 5.0
REPEAT_S = 60.0
"""A second begin with the same token within this time belongs to the same transaction."""


class Em580Signer:
    """A `MeterSigner`. Only the end has a record: the other moments raise DeviceFault("no_record")."""

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        *,
        evse_name: str = "",
        public_key: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`evse_name`: what the record calls the EVSE; `public_key`: as printed on the meter, if known before."""
        self._bus = bus
        self._unit = unit
        self._evse_name = evse_name
        self._public_key = public_key
        self._now = now
        self._begun: tuple[str, float] | None = None
        self._may_end = True
        """False: the last begin failed, so whatever the meter holds is not of this transaction."""

    @property
    def public_key(self) -> str:
        return self._public_key

    async def sign(self, moment: SigningMoment, id_token: str) -> SignedReading:
        match moment:
            case SigningMoment.BEGIN:
                await self._begin(id_token)
                raise ocmf.no_record("this meter signs begin and end together, at the end")
            case SigningMoment.MIDDLE:
                raise ocmf.no_record("this meter signs begin and end only")
            case SigningMoment.END:
                return await self._end()

    async def _begin(self, id_token: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._begun is not None and self._begun[0] == id_token and now - self._begun[1] < REPEAT_S:
            return
        self._begun, self._may_end = None, False
        await self._clear_away()
        await self._describe(id_token)
        await self._write(COMMAND, ord("B"))
        await self._wait_for(RUNNING)
        self._begun, self._may_end = (id_token, now), True

    async def _end(self) -> SignedReading:
        self._begun = None
        if not self._may_end:
            raise ocmf.no_record("the meter was not told of the begin")
        await self._learn_key()
        state = await self._read_one(STATE)
        if state == NOT_READY:
            raise ocmf.no_record("the meter knows of no transaction")
        if state == RUNNING:
            await self._write(COMMAND, ord("E"))
            await self._wait_for(READY)
        self._may_end = False
        record = await self._fetch()
        await self._write(STATE, NOT_READY)
        return record

    async def _clear_away(self) -> None:
        """What an earlier transaction left behind would keep the meter from beginning."""
        state = await self._read_one(STATE)
        if state == NOT_READY:
            return
        if state == RUNNING:
            await self._write(COMMAND, ord("E"))
            state = await self._wait_for(READY, CORRUPTED)
        try:
            log.warning(
                "EM580: an unfetched record of an earlier transaction: %s", (await self._fetch()).content
            )
        except DeviceProtocolError as error:
            log.warning("EM580: an unfetched record of an earlier transaction is lost: %s", error)
        await self._write(STATE, NOT_READY)

    async def _describe(self, id_token: str) -> None:
        identity = ocmf.to_words(id_token, TEXT_WORDS)
        evse_name = ocmf.to_words(self._evse_name, TEXT_WORDS)
        seconds = int(self._now().timestamp())
        await self._write(TIME_OFFSET, 0)
        await self._write(UTC_TIME, *((seconds >> shift) & 0xFFFF for shift in (0, 16, 32, 48)))
        await self._write(ID_STATUS, 1 if id_token else 0)
        await self._write(ID_LEVEL, 0)
        await self._write(ID_FLAGS, 0, 0, 0, 0)
        await self._write(ID_TYPE, ID_CENTRAL if id_token else ID_NONE)
        await self._write(ID_TEXT, *identity)
        await self._write(EVSE_KIND, 0)
        await self._write(EVSE_TEXT, *evse_name)
        await self._write(TARIFF_TEXT, 0)
        await self._write(MODALITY, 0)

    async def _fetch(self) -> SignedReading:
        size = await self._read_one(SIZE)
        if not 0 < size <= MAX_FILE_WORDS:
            raise DeviceProtocolError(f"EM580: a record of {size} registers")
        words: list[int] = []
        while len(words) < size:
            count = min(READ_WORDS, size - len(words))
            words += await self._bus.read(self._unit, READ_HOLDING, FILE + len(words), count)
        return ocmf.to_record(ocmf.decoded(ocmf.to_octets(words)))

    async def _learn_key(self) -> None:
        """Once; a meter that does not tell still signs."""
        if self._public_key:
            return
        try:
            count = KEY_WORDS.get(await self._read_one(SIGNATURE_KIND))
            if count is None:
                raise DeviceFault("no_key", "the meter has no key to sign with")
            der = ocmf.to_octets(await self._bus.read(self._unit, READ_HOLDING, PUBLIC_KEY, count))
        except HalError as error:
            log.warning("EM580: no public key: %s", error)
        else:
            self._public_key = der[: 2 + der[1]].hex()  # a short DER sequence: its length is one byte

    async def _wait_for(self, *wanted: int) -> int:
        loop = asyncio.get_running_loop()
        end_time = loop.time() + STATE_WAIT_S
        while True:
            state = await self._read_one(STATE)
            if state in wanted:
                return state
            if state == CORRUPTED:
                raise DeviceFault("record_corrupted", "the EM580 says that its record is corrupted")
            if loop.time() >= end_time:
                raise DeviceTimeout(f"EM580: still in state {state} after {STATE_WAIT_S:g} s")
            await asyncio.sleep(POLL_S)

    async def _read_one(self, address: int) -> int:
        words: Sequence[int] = await self._bus.read(self._unit, READ_HOLDING, address, 1)
        return words[0]

    async def _write(self, address: int, *words: int) -> None:
        await self._bus.write(self._unit, address, words)
