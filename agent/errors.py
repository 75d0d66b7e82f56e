"""The agent's own errors; hardware errors are `hal.errors`.

    AgentError
        ConfigError(problems)        the configuration file; every problem at once
        StoreError
            StoreCorrupt             the database cannot be trusted; nothing was changed
                StoreTooNew          a newer version of the agent wrote it
            StoreFull                the disk took no more; what was committed before is safe
        LinkError
            ConnectFailed            no usable connection: refused, TLS, HTTP status, no subprotocol
            LinkClosed               the connection ended while something waited for it
            CallTimeout              the peer did not answer a CALL in time
        RemoteProtocolError(code, path)   the peer sent something that its protocol forbids
        LocalProtocolError           we were about to break the protocol: a bug of ours
        CallRejected(code, description)   the peer answered a CALL with a CALLERROR
        CertificateRefused           a certificate that must not be used; says why
            CertificateStoreFull     one too many
        InstallError(reason)         firmware that cannot be installed; the running release is untouched
            ReleaseBroken            what was unpacked is not what the file promised, or does not run here

A class exists only if some code catches it by name. A legal "no" is a return value, never one of these.
"""

from dataclasses import dataclass


class AgentError(Exception):
    """Base of the agent's errors."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: `key` is dotted, `line` counts from 1 (None: the key is missing)."""

    key: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.key}: {self.message}"


class ConfigError(AgentError):
    """The configuration cannot be used; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class StoreError(AgentError):
    """The durable store failed."""


class StoreCorrupt(StoreError):
    """The database is damaged or from an unknown newer version."""


class StoreTooNew(StoreCorrupt):
    """The database is of a newer version of the agent; the one before an update takes its copy instead."""


class StoreFull(StoreError):
    """No space or no permission to write."""


class LinkError(AgentError):
    """Something about the connection to the CSMS."""


class ConnectFailed(LinkError):
    """A connection attempt that did not lead to a usable connection.

    `kind`: UNREACHABLE (network, server busy), REFUSED (a human has to settle it), CREDENTIALS (the same: it does not
    take our password), CONFIGURATION, TLS, TLS_CERTIFICATE (that of the CSMS), TLS_OWN_CERTIFICATE (it does not take
    ours), TLS_VERSION, TLS_CIPHER. `retry_after_s`: what the server asked for, 0 if nothing. `status`: of HTTP, as the
    server answered the upgrade (101: it agreed, but to no subprotocol of ours), else 0.
    """

    def __init__(
        self, reason: str, kind: str = "UNREACHABLE", retry_after_s: float = 0.0, status: int = 0
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.status = status


class LinkClosed(LinkError):
    """The connection is gone."""


class CallTimeout(LinkError):
    """No answer to a CALL in time."""


class RemoteProtocolError(AgentError):
    """The peer broke the protocol: `code` is an `agent.ocpp.codec.Category` name, `path` a JSON path."""

    def __init__(self, code: str, path: str = "", description: str = "") -> None:
        super().__init__(
            f"{code} at {path or '$'}: {description}" if description else f"{code} at {path or '$'}"
        )
        self.code = code
        self.path = path
        self.description = description


class LocalProtocolError(AgentError):
    """We were about to send something illegal."""


class CallRejected(AgentError):
    """The peer answered with a CALLERROR."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


class InstallError(AgentError):
    """Firmware that cannot be installed here; what runs is untouched."""


class ReleaseBroken(InstallError):
    """The unpacked release is not what its file promised, or does not run on this machine."""


class CertificateRefused(AgentError):
    """A certificate is broken, too weak, out of date, or not of the hierarchy that it should be of."""


class CertificateStoreFull(CertificateRefused):
    """There is nothing wrong with the certificate but its number."""
