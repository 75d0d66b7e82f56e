"""The certificates on the station's disk: roots of the CSMS and of the manufacturer, its own ones with their keys.

One directory (0700), one file (0600) for each root and for each own certificate *with* its key, so that no power cut
separates the two. What the link needs at the start is read without a cryptographic library: the validity stands in the
name of a file. Private keys never leave the directory. It waits for the disk: `credentials.py` calls it in a thread.
Security white paper edition 3, M03 to M05, A02, A03, 6.1 (R16-338, R16-344, R16-346 to R16-353).
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from agent.charging.certificates import (
    CertificateHash,
    CertificateVerdict,
)
from agent.charging.ids import CertificateUse, HashAlgorithm
from agent.errors import CertificateRefused, CertificateStoreFull
from agent.security import pem
from agent.security.folder import Folder

if TYPE_CHECKING:
    from cryptography import x509

PENDING_KEY = "pending.key"
_PREFIX = {
    CertificateUse.CSMS_ROOT: "csms-",
    CertificateUse.MANUFACTURER_ROOT: "manufacturer-",
    CertificateUse.V2G_ROOT: "v2g-",
    CertificateUse.MO_ROOT: "mo-",
}
_OWN = "station-"
_ENDING = ".pem"
_TIME = "%Y%m%dT%H%M%SZ"
_FINGERPRINT_DIGITS = 32


class OwnCertificate(Struct, frozen=True):
    """A certificate of this station, with chain and key in one file."""

    name: str
    path: Path
    not_before: datetime
    not_after: datetime
    number: int = 0
    """Counts up with each one that is installed."""


class CertificateStore:
    """All methods raise OSError when the disk does not do as it should."""

    def __init__(self, directory: Path) -> None:
        """The directory is made with the first file."""
        self._folder = Folder(directory)

    # --- roots -----------------------------------------------------------------------------------------

    def roots(self, use: CertificateUse) -> Sequence["x509.Certificate"]:
        """The installed root certificates of `use`. A file that cannot be read any more is left out."""
        return [certificate for _name, certificate, _issuer in self._installed(use)]

    def trust_anchors(self, *, with_fallback: bool = True) -> str:
        """The root certificates of the CSMS as PEM, without looking into them; "" when none is installed.

        `with_fallback` False: without one that another one is to replace."""
        names = [name for name in self._folder.names() if name.startswith(_PREFIX[CertificateUse.CSMS_ROOT])]
        if not with_fallback and len(names) > 1 and (replaced := self.fallback_root()) is not None:
            names.remove(_file_name(_PREFIX[CertificateUse.CSMS_ROOT], replaced))
        # Only the first block is the certificate; the second one is its issuer, kept for the hash data.
        return "".join("".join(pem.blocks(self._folder.read(name))[:1]) for name in names)

    def has_valid_root(self, now: datetime) -> bool:
        """A root certificate of the CSMS is installed and valid at `now`."""
        prefix = _PREFIX[CertificateUse.CSMS_ROOT]
        periods = [_validity(name) for name in self._folder.names() if name.startswith(prefix)]
        return any(period is not None and now <= period[1] for period in periods)

    def install_root(
        self, use: CertificateUse, text: str, now: datetime, *, limit: int, anchors: Sequence[str] = ()
    ) -> None:
        """Raises CertificateRefused (M05.FR.03, .06); installing one that is there already changes nothing.

        `limit`: how many may be installed in all. `anchors`: PEM texts of further authorities that may have signed it.
        """
        certificate, issuer = self._check_root(text, now, anchors)
        name = _file_name(_PREFIX[use], certificate)
        if name in self._folder.names():
            return
        if self.count() >= limit:
            raise CertificateStoreFull(f"{limit} certificates are installed already")
        self._write_root(name, certificate, issuer)

    def replace_root(self, text: str, now: datetime, *, limit: int, anchors: Sequence[str] = ()) -> None:
        """With AdditionalRootCertificateCheck: the new root of the CSMS must be signed by the one it replaces.

        The old one stays as fallback until `drop_fallback`. `anchors`: PEM texts of the roots that hold as long as none
        is installed. Raises CertificateRefused (M05.FR.08 to .11)."""
        certificate, _issuer = self._check_root(text, now, anchors)
        from agent.security import checks

        installed = self.roots(CertificateUse.CSMS_ROOT)
        if certificate in installed:
            return
        if self.fallback_root() is not None:
            raise CertificateRefused("the last new root has not been proven by a connection yet")
        configured = [each for text in anchors for each in checks.read_some(text)]
        olds = list(installed) or configured
        signer = next((old for old in olds if checks.is_issued_by(certificate, old)), None)
        if olds and signer is None:
            raise CertificateRefused("not signed by the root certificate that it replaces")
        others = sum(len(self._installed(use)) for use in _PREFIX if use is not CertificateUse.CSMS_ROOT)
        if others + (1 if signer is None else 2) > limit:
            raise CertificateStoreFull(f"{limit} certificates are installed already")
        if signer is not None and signer not in installed:
            self._write_root(_file_name(_PREFIX[CertificateUse.CSMS_ROOT], signer), signer, signer)
        self._write_root(
            _file_name(_PREFIX[CertificateUse.CSMS_ROOT], certificate), certificate, signer or certificate
        )
        for other in installed:
            if other != signer:
                self._folder.remove(_file_name(_PREFIX[CertificateUse.CSMS_ROOT], other))

    def fallback_root(self) -> "x509.Certificate | None":
        """The root of the CSMS that another one, signed by it, is to replace."""
        from agent.security import checks

        roots = sorted(self.roots(CertificateUse.CSMS_ROOT), key=lambda root: root.not_valid_before_utc)
        for old in roots:
            if any(new != old and checks.is_issued_by(new, old) for new in roots):
                return old
        return None

    def drop_fallback(self, proven: Collection[bytes]) -> bool:
        """A connection was verified by the certificates `proven` (DER): the replaced root goes if it was not needed.

        M05.FR.12. Returns whether one went."""
        from cryptography.hazmat.primitives.serialization import Encoding

        fallback = self.fallback_root()
        if fallback is None:
            return False
        others = (root for root in self.roots(CertificateUse.CSMS_ROOT) if root != fallback)
        if not any(root.public_bytes(Encoding.DER) in proven for root in others):
            return False
        self._folder.remove(_file_name(_PREFIX[CertificateUse.CSMS_ROOT], fallback))
        return True

    def hashes(self, use: CertificateUse) -> tuple[CertificateHash, ...]:
        """Hash data of everything installed for `use`, with SHA-256 (M03.FR.04)."""
        from agent.security import checks

        return tuple(
            checks.hash_of(certificate, issuer, HashAlgorithm.SHA256)
            for _name, certificate, issuer in self._installed(use)
        )

    def delete_root(
        self,
        wanted: CertificateHash,
        in_use: Collection[bytes] | None,
        uses: Collection[CertificateUse] = tuple(CertificateUse),
        own: str = "",
    ) -> CertificateVerdict:
        """`in_use`: the certificates (DER) that verify the connection; None: unknown, any root of the CSMS may be.

        `own`: PEM of a certificate of the station that lies elsewhere. M04.FR.02 to .06; any hash algorithm."""
        from cryptography.hazmat.primitives.serialization import Encoding

        from agent.security import checks

        for use in uses:
            for name, certificate, issuer in self._installed(use):
                if not _is_same(checks.hash_of(certificate, issuer, wanted.algorithm), wanted):
                    continue
                if use is CertificateUse.CSMS_ROOT and (
                    in_use is None or certificate.public_bytes(Encoding.DER) in in_use
                ):
                    return CertificateVerdict.FAILED
                self._folder.remove(name)
                return CertificateVerdict.ACCEPTED
        texts = [self._folder.read(each.name) for each in self.own()]
        if any(_is_own(text, wanted) for text in (*texts, own)):
            return CertificateVerdict.FAILED  # M04.FR.06
        return CertificateVerdict.NOT_FOUND

    def _check_root(
        self, text: str, now: datetime, anchors: Sequence[str]
    ) -> tuple["x509.Certificate", "x509.Certificate"]:
        """The one certificate in `text`, and who signed it: itself, or somebody who is here already."""
        from agent.security import checks

        certificates = checks.read_all(text)
        if len(certificates) != 1:
            raise CertificateRefused(f"{len(certificates)} certificates instead of one")
        certificate = certificates[0]
        checks.check_root(certificate, now)
        known = [*(root for use in CertificateUse for root in self.roots(use))]
        known += [each for anchor in anchors for each in checks.read_some(anchor)]
        for issuer in (certificate, *known):
            if checks.is_issued_by(certificate, issuer):
                return certificate, issuer
        raise CertificateRefused("neither self-signed nor signed by an installed root certificate")

    def _installed(self, use: CertificateUse) -> list[tuple[str, "x509.Certificate", "x509.Certificate"]]:
        """(file name, certificate, its issuer) of everything installed for `use`."""
        names = [name for name in self._folder.names() if name.startswith(_PREFIX[use])]
        if not names:
            return []
        from agent.security import checks

        found = []
        for name in names:
            try:
                certificates = checks.read_all(self._folder.read(name))
            except CertificateRefused:
                continue
            found.append((name, certificates[0], certificates[-1]))
        return found

    def _write_root(self, name: str, certificate: "x509.Certificate", issuer: "x509.Certificate") -> None:
        from agent.security import checks

        texts = [checks.to_pem(certificate)] + ([checks.to_pem(issuer)] if issuer != certificate else [])
        self._folder.write(name, "".join(texts))

    def count(self) -> int:
        """How many roots are installed."""
        return sum(name.startswith(tuple(_PREFIX.values())) for name in self._folder.names())

    # --- the station's own -----------------------------------------------------------------------------

    def own(self) -> list[OwnCertificate]:
        """The station's certificates, the one whose validity begins last first. Needs no cryptographic library.

        Of two that begin together the one that was installed last is first."""
        found = []
        for name in self._folder.names():
            if name.startswith(_OWN) and (validity := _validity(name)) is not None:
                found.append(OwnCertificate(name, self._folder.path / name, *validity, _number(name)))
        return sorted(found, key=lambda own: (own.not_before, own.number), reverse=True)

    def own_certificate(self, certificate: "x509.Certificate") -> OwnCertificate | None:
        """The station's certificate as it lies here; None if it is not one of those."""
        start = _file_name(_OWN, certificate).removesuffix(_ENDING)
        return next((own for own in self.own() if own.name.startswith(start)), None)

    def keep_pending_key(self, key: str) -> None:
        """The private key (PEM) of the latest signing request; the one before is forgotten."""
        self._folder.write(PENDING_KEY, key)

    def pending_key(self) -> str | None:
        """Of the signing request that has no certificate yet."""
        try:
            return self._folder.read(PENDING_KEY)
        except FileNotFoundError:
            return None

    def add_own(self, chain: Sequence["x509.Certificate"], key: str) -> OwnCertificate:
        """Keep a certificate (with the authorities up to the root) and its key; the key waits for no other one."""
        from agent.security import checks

        leaf = chain[0]
        number = 1 + max((own.number for own in self.own()), default=0)
        name = f"{_file_name(_OWN, leaf).removesuffix(_ENDING)}-{number}{_ENDING}"
        self._folder.write(name, "".join(checks.to_pem(each) for each in chain) + key)
        self._folder.remove(PENDING_KEY)
        return OwnCertificate(
            name, self._folder.path / name, leaf.not_valid_before_utc, leaf.not_valid_after_utc, number
        )

    def remove_own(self, own: OwnCertificate) -> None:
        """Certificate and key are gone."""
        self._folder.remove(own.name)


def _file_name(prefix: str, certificate: "x509.Certificate") -> str:
    """Validity and fingerprint stand in the name, to be read without looking into the file."""
    from agent.security import checks

    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (
        f"{prefix}{begin:{_TIME}}-{end:{_TIME}}-{checks.fingerprint(certificate)[:_FINGERPRINT_DIGITS]}"
        f"{_ENDING}"
    )


def _validity(name: str) -> tuple[datetime, datetime] | None:
    """Begin and end as `_file_name` wrote them; None for a file that is not ours."""
    try:
        begin, end = (datetime.strptime(part, _TIME).replace(tzinfo=UTC) for part in name.split("-")[1:3])
    except ValueError:
        return None
    return begin, end


def _number(name: str) -> int:
    """Which one it was of those installed; 0 for a file of a release that did not count."""
    digits = name.removesuffix(_ENDING).split("-")[4:]
    return int(digits[0]) if digits and digits[0].isdecimal() else 0


def _is_own(text: str, wanted: CertificateHash) -> bool:
    """Whether the first certificate of the PEM `text` is meant. Issuer and serial number tell enough; the issuer's key
    is not here when its root is a configured file."""
    from agent.security import checks

    try:
        leaf = checks.read_all(text)[0]
    except CertificateRefused:
        return False
    # Hashed as if it were its own issuer, which touches the issuer's key only.
    known = checks.hash_of(leaf, leaf, wanted.algorithm)
    return _is_same(msgspec.structs.replace(known, issuer_key_hash=wanted.issuer_key_hash), wanted)


def _is_same(one: CertificateHash, other: CertificateHash) -> bool:
    """Any case; leading zeros of the serial number are forgiven."""
    return (
        one.issuer_name_hash.lower() == other.issuer_name_hash.lower()
        and one.issuer_key_hash.lower() == other.issuer_key_hash.lower()
        and one.serial_number.lower().lstrip("0") == other.serial_number.lower().lstrip("0")
    )
