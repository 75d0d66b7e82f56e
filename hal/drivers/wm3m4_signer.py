"""Signed readings of the Iskra WM3M4 and WM3M4C: an OCMF record at the begin, and one with begin and end at the end.

The host writes the record's frame (who, where), the meter fills in itself, its readings and the signature; the parts
are put together here. Registers: EVerest RsIskraMeter after the maker's manual 1.14; not yet run on a real meter, and
that a record can be read at the begin is our reading of the manual's commands. Built by hal.factory.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from hal.bus.modbus import READ_HOLDING, ModbusBus
from hal.drivers import ocmf
from hal.errors import DeviceFault, DeviceProtocolError, DeviceTimeout, HalError, OutOfRange
from hal.ports import SignedReading, SigningMoment

log = logging.getLogger("hal.meter")

STATE: Final = 7000
COMMAND: Final = 7051
COMMAND_STATUS: Final = 7052
TIME_OFFSET: Final = 7053
UTC_TIME_HIGH: Final = 7054
UTC_TIME_LOW: Final = 7055
FRAME_SIZE: Final = 7056
RECORD_SIZE: Final = 7057
SIGNATURE_SIZE: Final = 7058
ALGORITHM: Final = 7059
TIME_STATUS: Final = 7071
FRAME: Final = 7100
RECORD: Final = 7612
PUBLIC_KEY: Final = 8124
SIGNATURE: Final = 8188
MAX_FRAME: Final = 2 * (RECORD - FRAME)
MAX_RECORD: Final = 2 * (PUBLIC_KEY - RECORD)
MAX_SIGNATURE: Final = 80
CHUNK_WORDS: Final = 100

BEGIN_COMMAND, END_COMMAND = 0x4200, 0x7200
IDLE, ACTIVE, ACTIVE_AFTER_POWER_LOSS = 0, 1, 2
SIGNATURE_OK: Final = 15
FIRST_ERROR: Final = 128
SYNCHRONIZED: Final = 2
KEY_PREFIX: Final = "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
"""DER of "an uncompressed point on secp256r1 follows"; the meter shows the point alone."""

POLL_S = 0.1
STATE_WAIT_S = 3.0
SIGNATURE_WAIT_S = 8.0
REPEAT_S = 60.0
"""A second begin with the same token within this time belongs to the same transaction."""


class Wm3m4Signer:
    """A `MeterSigner`; between begin and end it raises DeviceFault("no_record")."""

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
        """False: the last begin failed, so a transaction of the meter is not this one."""

    @property
    def public_key(self) -> str:
        return self._public_key

    async def sign(self, moment: SigningMoment, id_token: str) -> SignedReading:
        match moment:
            case SigningMoment.BEGIN:
                return await self._begin(id_token)
            case SigningMoment.MIDDLE:
                raise ocmf.no_record("this meter signs begin and end only")
            case SigningMoment.END:
                return await self._end(id_token)

    async def _begin(self, id_token: str) -> SignedReading:
        now = asyncio.get_running_loop().time()
        if self._begun is not None and self._begun[0] == id_token and now - self._begun[1] < REPEAT_S:
            return await self._fetch()
        self._begun, self._may_end = None, False
        frame = self._frame(id_token)
        if await self._read_one(STATE) != IDLE:
            await self._command(END_COMMAND, IDLE)
            log.warning(
                "WM3M4: an unfetched record of an earlier transaction: %s", (await self._fetch()).content
            )
        await self._set_time()
        await self._write(ALGORITHM, 0)
        await self._write_frame(frame)
        await self._command(BEGIN_COMMAND, ACTIVE)
        self._begun, self._may_end = (id_token, now), True
        return await self._fetch()

    async def _end(self, id_token: str) -> SignedReading:
        self._begun = None
        if not self._may_end:
            raise ocmf.no_record("the meter was not told of the begin")
        state = await self._read_one(STATE)
        if state == IDLE:
            raise ocmf.no_record("the meter knows of no transaction")
        if state == ACTIVE_AFTER_POWER_LOSS:  # it has forgotten the time and the frame
            await self._set_time()
            await self._write_frame(self._frame(id_token))
        await self._command(END_COMMAND, IDLE)
        self._may_end = False
        return await self._fetch()

    def _frame(self, id_token: str) -> bytes:
        """The members of the payload that the host answers for; the meter fills in the empty ones."""

        def clean(text: str) -> str:
            return text.replace("|", " ")  # the bar parts a record

        frame = {
            "FV": "1.0",
            "GI": "evse-agent",
            "GS": "",
            "GV": "",
            "PG": "",
            "MV": "",
            "MM": "",
            "MS": "",
            "MF": "",
            "IS": bool(id_token),
            "IF": ["RFID_NONE"],
            "IT": "CENTRAL" if id_token else "NONE",
            "ID": clean(id_token),
            "CT": "EVSEID",
            "CI": clean(self._evse_name),
            "RD": [],
        }
        octets = json.dumps(frame, separators=(",", ":")).encode()
        if len(octets) > MAX_FRAME:
            raise OutOfRange(f"WM3M4: {len(octets)} bytes of identification; it takes {MAX_FRAME}")
        return octets

    async def _write_frame(self, frame: bytes) -> None:
        padded = frame + b"\0" * (len(frame) % 2)
        words = [int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2)]
        for begin in range(0, len(words), CHUNK_WORDS):
            await self._bus.write(self._unit, FRAME + begin, words[begin : begin + CHUNK_WORDS])
        await self._write(FRAME_SIZE, len(frame))

    async def _set_time(self) -> None:
        seconds = int(self._now().timestamp())
        await self._write(UTC_TIME_HIGH, seconds >> 16 & 0xFFFF)
        await self._write(UTC_TIME_LOW, seconds & 0xFFFF)
        await self._write(TIME_OFFSET, 0)
        await self._write(TIME_STATUS, SYNCHRONIZED)

    async def _command(self, command: int, wanted_state: int) -> None:
        await self._write(COMMAND, command)
        await self._poll(STATE, wanted_state, STATE_WAIT_S)
        await self._poll(COMMAND_STATUS, SIGNATURE_OK, SIGNATURE_WAIT_S)

    async def _poll(self, address: int, wanted: int, limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        end_time = loop.time() + limit_s
        while (found := await self._read_one(address)) != wanted:
            if address == COMMAND_STATUS and found >= FIRST_ERROR:
                raise DeviceFault("signature_failed", f"the WM3M4 reports {found}")
            if loop.time() >= end_time:
                raise DeviceTimeout(
                    f"WM3M4: register {address} is {found} and not {wanted} after {limit_s:g} s"
                )
            await asyncio.sleep(POLL_S)

    async def _fetch(self) -> SignedReading:
        await self._learn_key()
        payload = ocmf.decoded(await self._read_octets(RECORD, RECORD_SIZE, MAX_RECORD))
        signature = await self._read_octets(SIGNATURE, SIGNATURE_SIZE, MAX_SIGNATURE)
        seal = json.dumps({"SD": ocmf.with_minimal_numbers(signature).hex()}, separators=(",", ":"))
        return ocmf.to_record(f"OCMF|{payload}|{seal}")

    async def _read_octets(self, address: int, size_address: int, most: int) -> bytes:
        size = await self._read_one(size_address)
        if not 0 < size <= most:
            raise DeviceProtocolError(f"WM3M4: {size} bytes at register {address}")
        words: list[int] = []
        while 2 * len(words) < size:
            count = min(CHUNK_WORDS, (size + 1) // 2 - len(words))
            words += await self._bus.read(self._unit, READ_HOLDING, address + len(words), count)
        return ocmf.to_octets(words)[:size]

    async def _learn_key(self) -> None:
        """Once; a meter that does not tell still signs."""
        if self._public_key:
            return
        try:
            point = await self._bus.read(self._unit, READ_HOLDING, PUBLIC_KEY, 32)
        except HalError as error:
            log.warning("WM3M4: no public key: %s", error)
        else:
            self._public_key = KEY_PREFIX + ocmf.to_octets(point).hex()

    async def _read_one(self, address: int) -> int:
        return (await self._bus.read(self._unit, READ_HOLDING, address, 1))[0]

    async def _write(self, address: int, word: int) -> None:
        await self._bus.write(self._unit, address, (word,))
