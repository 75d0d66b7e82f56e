"""TLS as the security profiles want it, and what a failed handshake was about.

Called by `link`, in a thread, when the URL is `wss`: reading trust anchors takes tens of milliseconds. It holds no keys
yet (profile 3 brings the client certificate). Security white paper edition 3, A00.FR.307 to A00.FR.322
(R16-317 to R16-321).
"""

import ssl

CIPHERS = "ECDHE+AESGCM:AES256-GCM-SHA384:AES128-GCM-SHA256"
"""For TLS 1.2: the suites of R16-320 and their ECDHE_RSA sisters; the suites of TLS 1.3 are all allowed."""

_VERSION_REASONS = ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "WRONG_SSL_VERSION", "VERSION_TOO_LOW")
_CIPHER_REASONS = ("HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "NO_CIPHERS", "INSUFFICIENT_SECURITY")


def client_context(ca_file: str) -> ssl.SSLContext:
    """Verifies path and host name against `ca_file` (PEM), or against the system's authorities if that is empty.

    Raises OSError (missing file, ssl.SSLError for what is no PEM).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name, no TLS compression
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # The white paper puts the name into the CN and discourages dNSName (A00.FR.509 to .511); a SAN still wins.
    context.hostname_checks_common_name = True
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.set_default_verify_paths()
    return context


def failure_kind(error: ssl.SSLError) -> str:
    """TLS_CERTIFICATE, TLS_VERSION, TLS_CIPHER (each one a security event, W 8) or TLS for the rest."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "TLS_CERTIFICATE"
    reason = error.reason or str(error)
    if any(part in reason for part in _VERSION_REASONS):
        return "TLS_VERSION"
    if any(part in reason for part in _CIPHER_REASONS):
        return "TLS_CIPHER"
    return "TLS"
