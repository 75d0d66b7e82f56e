"""A simulated certified meter: signs readings as OCMF records with a key of its own.

The record has the members that a verifier needs; the signature is ECDSA over secp256r1 with SHA-256. Knows no world:
it is given a function that takes a reading. Built by hal.factory when the configuration says so.
Source: SAFE OCMF 1.0 (sections "payload" and "signature").
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hal.ports import MeterReading, SignedReading, SigningMoment

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

IMPORT_REGISTER = "01-00:01.08.00.FF"
"""OBIS code of the active energy taken from the grid, in all."""


class SimulatedSigner:
    """A `MeterSigner`. The key is made at the first need: making one takes a while, and importing what makes it."""

    def __init__(
        self,
        take_reading: Callable[[], MeterReading],
        serial_number: str = "SIM-1",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._take_reading = take_reading
        self._serial_number = serial_number
        self._now = now
        self._made: EllipticCurvePrivateKey | None = None
        self._page = 0

    def _key(self) -> "EllipticCurvePrivateKey":
        if self._made is None:
            from cryptography.hazmat.primitives.asymmetric import ec

            self._made = ec.generate_private_key(ec.SECP256R1())
        return self._made

    @property
    def public_key(self) -> str:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key().public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

    async def sign(self, moment: SigningMoment, id_token: str) -> SignedReading:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        self._page += 1
        payload = json.dumps(self._payload(moment, id_token), separators=(",", ":"))
        signature = self._key().sign(payload.encode(), ec.ECDSA(SHA256()))
        seal = json.dumps({"SA": "ECDSA-secp256r1-SHA256", "SD": signature.hex()}, separators=(",", ":"))
        return SignedReading(f"OCMF|{payload}|{seal}", "OCMF")

    def _payload(self, moment: SigningMoment, id_token: str) -> dict[str, Any]:
        energy_wh = self._take_reading().energy_import_wh or 0.0
        at = self._now().astimezone(UTC)
        return {
            "FV": "1.0",
            "GI": "Simulated meter",
            "GS": self._serial_number,
            "PG": f"T{self._page}",
            "MS": self._serial_number,
            "IS": bool(id_token),
            "IT": "CENTRAL" if id_token else "NONE",
            "ID": id_token,
            "RD": [
                {
                    "TM": f"{at:%Y-%m-%dT%H:%M:%S},{at.microsecond // 1000:03}+0000 S",
                    "TX": moment,
                    "RV": f"{energy_wh / 1000:.3f}",
                    "RI": IMPORT_REGISTER,
                    "RU": "kWh",
                    "RT": "AC",
                    "EF": "",
                    "ST": "G",
                }
            ],
        }
