"""Whom the certificate of a file server may come from.

File servers are the CSMS's own, the manufacturer's or a cloud's, so its roots add to the system's authorities, in
contrast to the link (`agent/ocpp/tls.py`), where they take their place. Used by `agent/diagnostics` and `agent/update`.
"""

import ssl


def authorities(ca_file: str, roots: str) -> ssl.SSLContext | None:
    """The system's authorities, those in `ca_file`, and `roots` (PEM); "" = none. None: the system's alone.

    Blocks. Raises OSError for a file that is missing or no PEM."""
    if not ca_file and not roots:
        return None
    context = ssl.create_default_context()
    # A root that another one signed is an anchor all the same, also when the other one is gone.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if ca_file:
        context.load_verify_locations(ca_file)
    if roots:
        context.load_verify_locations(cadata=roots)
    return context
