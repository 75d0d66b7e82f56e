"""What can go wrong with a transfer of a file, in the few kinds that a caller treats differently.

Every error of aiohttp, ftplib, asyncssh, ssl and the disk is translated into `TransferError` inside this package;
nobody outside ever sees theirs. The reason names no credentials. Raised to `agent/diagnostics` and `agent/update`.
"""

from enum import StrEnum

from agent.errors import AgentError


class TransferFailure(StrEnum):
    BAD_LOCATION = "BadLocation"
    """The location is no URL with a host, or holds characters that no protocol can carry."""
    NOT_SUPPORTED = "NotSupported"
    """The scheme is not served here, or the server does not know the operation."""
    PERMISSION_DENIED = "PermissionDenied"
    """Credentials missing or wrong, or they do not allow it."""
    NOT_FOUND = "NotFound"
    """No such file; for an upload: no such directory."""
    UNTRUSTED = "Untrusted"
    """TLS failed, or the host key is not the known one."""
    UNREACHABLE = "Unreachable"
    """No connection: name, network, refused, or no answer to the dial."""
    STALLED = "Stalled"
    """Connected, and then nothing moved for too long."""
    BROKEN = "Broken"
    """The connection or the protocol broke, or the length is not what was promised."""
    REFUSED = "Refused"
    """The server had another reason: busy, quota, an internal error."""
    TOO_LARGE = "TooLarge"
    """More than the caller or the server allows."""
    NO_SPACE = "NoSpace"
    """Our own disk took no more, or the file on it cannot be used."""


HOPELESS = frozenset({TransferFailure.BAD_LOCATION, TransferFailure.NOT_SUPPORTED})
"""Nothing that another attempt could change: the caller need not make one."""


class TransferError(AgentError):
    """A transfer did not come to its end. What has arrived so far is kept for `download` to go on with."""

    def __init__(self, failure: TransferFailure, reason: str) -> None:
        super().__init__(f"{failure}: {reason}")
        self.failure = failure
