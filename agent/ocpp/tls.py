"""TLS as the security profiles want it, what a failed handshake was about, and who vouched for the CSMS.

Called by `link`, in a thread, when the URL is `wss`: reading trust anchors takes tens of milliseconds. It chooses no
certificate: which ones to use stands in `LinkConfig`. Security white paper edition 3, A00.FR.307 to A00.FR.322, .401 to
.426 (R16-316 to R16-321).
"""

import logging
import ssl
from typing import Any

logger = logging.getLogger(__name__)

CIPHERS = "ECDHE+AESGCM:AES256-GCM-SHA384:AES128-GCM-SHA256"
"""For TLS 1.2: the suites of R16-320 and their ECDHE_RSA sisters; the suites of TLS 1.3 are all allowed."""

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for."""
_NO_WILDCARDS = 0x2
"""X509_CHECK_FLAG_NO_WILDCARDS of OpenSSL, likewise."""
_VERSION_REASONS = ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "WRONG_SSL_VERSION", "VERSION_TOO_LOW")
_CIPHER_REASONS = ("HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "NO_CIPHERS", "INSUFFICIENT_SECURITY")
_OWN_CERTIFICATE_REASONS = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE",  # expired, revoked, unknown, required
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_DECRYPT_ERROR",
)


def client_context(
    ca_file: str,
    roots: str = "",
    own: tuple[str, str] | None = None,
    *,
    checks_time: bool = True,
    allows_wildcards: bool = True,
) -> ssl.SSLContext:
    """Verifies path and host name against `ca_file` and `roots` (PEM), without both against the system's authorities.

    `own`: files of the station's certificate and of its key ("" = the same file). `checks_time` False: validity periods
    are not judged. `allows_wildcards` False: a name such as *.example.com fits no host. Raises OSError (missing file,
    ssl.SSLError for what is no PEM or no pair).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name, no TLS compression
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # The white paper puts the name into the CN and discourages dNSName (A00.FR.509 to .511); a SAN still wins.
    context.hostname_checks_common_name = True
    # A root that another one signed is an anchor all the same, also when the other one is gone (W 7.1).
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if not allows_wildcards:
        # Private, but what `hostname_checks_common_name` itself is made of; `wildcard_of` looks a second time.
        flags: Any = context
        flags._host_flags = getattr(context, "_host_flags", 0) | _NO_WILDCARDS
    if not checks_time:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    if ca_file:
        context.load_verify_locations(ca_file)
    if roots:
        context.load_verify_locations(cadata=roots)
    if not ca_file and not roots:
        context.set_default_verify_paths()
    if own is not None:
        certificate_file, key_file = own
        # A password callback: an encrypted key must fail here instead of asking on the terminal.
        context.load_cert_chain(certificate_file, key_file or None, password=_no_password)
    return context


def _no_password() -> str:
    raise OSError("the key is encrypted, which is not supported")


def failure_kind(error: ssl.SSLError) -> str:
    """TLS_CERTIFICATE, TLS_OWN_CERTIFICATE, TLS_VERSION, TLS_CIPHER (each a security event, W 8), or TLS: the rest."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "TLS_CERTIFICATE"
    reason = error.reason or str(error)
    if any(part in reason for part in _OWN_CERTIFICATE_REASONS):
        return "TLS_OWN_CERTIFICATE"
    if any(part in reason for part in _VERSION_REASONS):
        return "TLS_VERSION"
    if any(part in reason for part in _CIPHER_REASONS):
        return "TLS_CIPHER"
    return "TLS"


def wildcard_of(tls: ssl.SSLObject | None, host: str) -> str | None:
    """The name with a wildcard by which the certificate of the peer fits `host`; None: it fits without one."""
    certificate: Any = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    names = [text for kind, text in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        names = [text for part in certificate.get("subject", ()) for key, text in part if key == "commonName"]
    if host.lower() in (name.lower() for name in names):
        return None
    return next((name for name in names if "*" in name), None)


def verified_chain(tls: ssl.SSLObject | None) -> tuple[bytes, ...] | None:
    """The certificates (DER) by which the peer was verified, its own first, the trust anchor last; () without TLS.

    None: this Python does not tell."""
    if tls is None:
        return ()
    # Public since Python 3.13, where it gives DER; before that OpenSSL's objects behind the connection.
    public = getattr(tls, "get_verified_chain", None)
    try:
        if public is not None:
            found = tuple(public())
        else:
            hidden: Any = getattr(tls, "_sslobj", None)
            found = tuple(
                ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in hidden.get_verified_chain()
            )
    except (AttributeError, TypeError, ValueError, ssl.SSLError) as error:
        logger.warning("who vouched for the CSMS cannot be told: %s", error)
        return None
    return found or None
