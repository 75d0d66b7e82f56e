"""Verifies a signed meter record (OCMF), sharing nothing with what made it."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

CURVES = {
    "ECDSA-secp256r1-SHA256": ec.SECP256R1,
    "ECDSA-brainpool384r1-SHA256": ec.BrainpoolP384R1,
    "ECDSA-brainpoolP384r1-SHA256": ec.BrainpoolP384R1,
}
"""OCMF's names of the algorithms that the meters use; the second in two spellings."""


def verified(record: str, public_key_hex: str) -> dict[str, Any]:
    """The payload of the record. Raises InvalidSignature, ValueError for what is no record."""
    marker, payload, seal = record.split("|", 2)
    if marker != "OCMF":
        raise ValueError(f"{marker} is not OCMF")
    signature = json.loads(seal)
    key = load_der_public_key(bytes.fromhex(public_key_hex))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    curve = CURVES[signature.get("SA", "ECDSA-secp256r1-SHA256")]
    assert isinstance(key.curve, curve)
    key.verify(bytes.fromhex(signature["SD"]), payload.encode(), ec.ECDSA(SHA256()))
    read: dict[str, Any] = json.loads(payload)
    return read
