"""Has the signing certificate been revoked? Asked of the authority's OCSP responder that the certificate names.

The white paper recommends online verification for firmware signing certificates (2.6.3, R16-363). A responder that
cannot be reached or says nothing usable leaves the question open (None): the station may have no way to it, and the
signature itself is checked in any case. Used by `updater.py`; imports `cryptography` and aiohttp when first asked.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509 import ocsp

log = logging.getLogger(__name__)

ANSWER_S = 10.0
"""The CSMS waits for our answer meanwhile."""
MOST_ANSWER_BYTES = 64 * 1024
CLOCK_SKEW = timedelta(minutes=5)


async def is_revoked(certificate_text: str, issuer: "x509.Certificate", now: datetime) -> bool | None:
    """The authority's word on a certificate; None: it names no responder, or there is no word to be had."""
    question = await asyncio.to_thread(_question, certificate_text, issuer)
    if question is None:
        return None
    url, body = question
    try:
        answer = await _asked(url, body)
        return await asyncio.to_thread(_judged, answer, body, issuer, now)
    except (OSError, ValueError, TimeoutError) as error:
        log.warning("the OCSP responder %s gives no word on the signing certificate: %s", url, error)
        return None


async def _asked(url: str, body: bytes) -> bytes:
    from aiohttp import ClientError, ClientSession, ClientTimeout

    headers = {"Content-Type": "application/ocsp-request"}
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=ANSWER_S)) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"HTTP status {response.status}")
            answer = bytearray()
            async for block in response.content.iter_any():
                answer += block
                if len(answer) > MOST_ANSWER_BYTES:
                    raise ValueError("its answer is too long")
            return bytes(answer)
    except ClientError as error:
        raise ValueError(str(error)) from error


def _question(certificate_text: str, issuer: "x509.Certificate") -> tuple[str, bytes] | None:
    """Where to ask and what."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ocsp
    from cryptography.x509.oid import AuthorityInformationAccessOID

    from agent.security import checks

    certificate = checks.read_all(certificate_text)[0]
    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    for place in places:
        is_responder = place.access_method == AuthorityInformationAccessOID.OCSP
        if is_responder and isinstance(place.access_location, x509.UniformResourceIdentifier):
            builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
            return place.access_location.value, builder.build().public_bytes(Encoding.DER)
    return None


def _judged(answer: bytes, question: bytes, issuer: "x509.Certificate", now: datetime) -> bool:
    """Raises ValueError for an answer that proves nothing."""
    from cryptography.x509 import ocsp

    asked = ocsp.load_der_ocsp_request(question)
    response = ocsp.load_der_ocsp_response(answer)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError(f"it answers {response.response_status.name}")
    if response.serial_number != asked.serial_number:
        raise ValueError("it speaks of another certificate")
    _check_signature(response, issuer)
    until = response.next_update_utc
    if response.this_update_utc > now + CLOCK_SKEW or (until is not None and until < now - CLOCK_SKEW):
        raise ValueError("its answer is not of this time")
    match response.certificate_status:
        case ocsp.OCSPCertStatus.REVOKED:
            return True
        case ocsp.OCSPCertStatus.GOOD:
            return False
        case _:
            raise ValueError("it does not know the certificate")


def _check_signature(response: "ocsp.OCSPResponse", issuer: "x509.Certificate") -> None:
    """Signed by the authority itself, or by a responder that it has appointed (RFC 6960 4.2.2.2)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = issuer
    for delegate in response.certificates:
        if delegate == issuer:
            continue
        try:
            delegate.verify_directly_issued_by(issuer)
            usage = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        if ExtendedKeyUsageOID.OCSP_SIGNING in usage:
            signer = delegate
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    if algorithm is None:
        raise ValueError("its signature has no hash algorithm")
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            raise ValueError("its key is of an unknown kind")
    except InvalidSignature as error:
        raise ValueError("its answer is not signed by the authority") from error
