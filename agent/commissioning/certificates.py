"""The room of the certificates: trust anchors of the CSMS, the station's own certificate and its key, their dates."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commissioning.findings import Finding, failure, ok, warning
from agent.errors import CertificateRefused
from agent.ocpp.link import LinkConfig

if TYPE_CHECKING:
    from cryptography import x509

SOON = timedelta(days=30)
"""As the agent asks for a new certificate of its own (docs/security.md)."""
MOST_NAMED = 5
ANCHORS = "trust anchors"
OWN = "certificate"


def check_certificates(link: LinkConfig, now: datetime, *, is_time_known: bool) -> Iterator[Finding]:
    """`link`: what a connection made now would use. Without TLS there is nothing to check."""
    if link.security_profile < 2 and not link.url.startswith("wss:"):
        return
    yield from _anchors(link, now, is_time_known)
    if link.security_profile == 3:
        yield from _own(link, now, is_time_known)


def _anchors(link: LinkConfig, now: datetime, is_time_known: bool) -> Iterator[Finding]:
    if not link.ca_file and not link.roots:
        yield ok(ANCHORS, "those of the system: right for a CSMS with a certificate of a public authority")
        return
    from agent.security import checks

    found: list[tuple[str, x509.Certificate]] = []
    sources = [("those that the CSMS installed", link.roots)] if link.roots else []
    if link.ca_file:
        sources.append((link.ca_file, _text(link.ca_file) or ""))
    for place, text in sources:
        try:
            found += [(place, each) for each in checks.read_all(text)]
        except CertificateRefused as error:
            advice = "put the root certificate of the CSMS there, as PEM (it begins with -----BEGIN CERTIFICATE-----)"
            yield failure(ANCHORS, f"{place}: {error}", f"{advice}; ask the operator of the CSMS for it")
    if not found:
        return
    complaints = [
        complaint
        for place, each in found
        for complaint in _dates(f"{name_of(each)} in {place}", each, now, is_time_known)
    ]
    if len(found) > MOST_NAMED:  # a bundle of public authorities: some of them always end
        yield ok(ANCHORS, f"{len(found)} authorities; {len(complaints)} of them expired or soon to")
        return
    for text, is_over in complaints:
        advice = "get the new root certificate from the operator of the CSMS and put it in its place (csms.ca_file)"
        yield (failure if is_over and len(found) == 1 else warning)(ANCHORS, text, advice)
    if not complaints:
        first = min(each.not_valid_after_utc for _, each in found)
        names = ", ".join(name_of(each) for _, each in found)
        yield ok(ANCHORS, f"{names}; good until {first:%Y-%m-%d}")


def _own(link: LinkConfig, now: datetime, is_time_known: bool) -> Iterator[Finding]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from agent.security import checks

    if not link.certificate_file:
        advice = (
            "set csms.certificate_file and its key, or begin in profile 2 and let the CSMS have one signed"
        )
        yield failure(OWN, "security profile 3 needs one, and there is none", f"{advice}: docs/security.md")
        return
    place = Path(link.certificate_file)
    key_place = Path(link.key_file) if link.key_file else place
    try:
        certificate = checks.read_all(_text(str(place)) or "")[0]
    except CertificateRefused as error:
        yield failure(
            OWN, f"{place}: {error}", "put the certificate of this station there, as PEM with its chain"
        )
        return
    try:
        key = load_pem_private_key((_text(str(key_place)) or "").encode(), None)
    except TypeError:
        advice = f"take the password away: openssl pkey -in {key_place} -out station.key"
        yield failure(OWN, f"the key in {key_place} is encrypted, which is not supported", advice)
        return
    except (ValueError, UnsupportedAlgorithm) as error:
        yield failure(
            OWN, f"no private key in {key_place}: {error}", "name the right file: csms.certificate_key_file"
        )
        return
    if checks.public_key_bytes(key.public_key()) != checks.public_key_bytes(certificate.public_key()):
        advice = "put the key there that the signing request was made with, or have a new certificate signed"
        yield failure(OWN, f"the key in {key_place} does not belong to the certificate in {place}", advice)
        return
    complaints = list(_dates(f"{name_of(certificate)} in {place}", certificate, now, is_time_known))
    for text, is_over in complaints:
        advice = "have a new one signed: the CSMS sends ExtendedTriggerMessage SignChargePointCertificate"
        yield (failure if is_over else warning)(OWN, text, advice)
    if not complaints:
        yield ok(
            OWN,
            f"{name_of(certificate)}, with its key; good until {certificate.not_valid_after_utc:%Y-%m-%d}",
        )


def _dates(
    name: str, certificate: "x509.Certificate", now: datetime, is_time_known: bool
) -> Iterator[tuple[str, bool]]:
    """What is wrong with the dates, and whether that keeps the connection from coming to be."""
    if not is_time_known:
        return
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        yield f"{name} expired on {ends:%Y-%m-%d}", True
    elif now < begins:
        yield f"{name} is not valid before {begins:%Y-%m-%d %H:%M} UTC", True
    elif ends - now < SOON:
        yield f"{name} expires on {ends:%Y-%m-%d}, in {(ends - now).days} days", False


def name_of(certificate: "x509.Certificate") -> str:
    """CN of the subject, or all of it."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _text(path: str) -> str | None:
    """None: it cannot be read, which counts as empty."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
