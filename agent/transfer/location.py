"""Where a file is fetched from or brought to: a URL in parts, checked, its credentials decoded and never shown.

`SCHEMES` is the one list of what this package can do; its values are the names of the setting
SupportedFileTransferProtocols. Pure. OCPP 1.6 chapter 8, errata 3.88 and 3.90 (R16-303).
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from agent.transfer.errors import TransferError, TransferFailure

SCHEMES: Mapping[str, str] = MappingProxyType(
    {"http": "HTTP", "https": "HTTPS", "ftp": "FTP", "ftps": "FTPS", "sftp": "SFTP"}
)
"""Scheme of a URL -> name of the protocol in SupportedFileTransferProtocols."""
PROTOCOLS = frozenset(SCHEMES.values())
DEFAULT_PORTS: Mapping[str, int] = MappingProxyType(
    {"http": 80, "https": 443, "ftp": 21, "ftps": 990, "sftp": 22}
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no protocol can carry: it would end a command of FTP, or has no bytes in UTF-8."""
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class Location:
    """`path` and `query` are percent-encoded as in the URL; user and password are decoded."""

    scheme: str
    host: str
    port: int | None
    """None: none was given."""
    user: str | None
    password: str | None = field(repr=False)
    path: str
    query: str = field(default="", repr=False)

    @property
    def real_port(self) -> int:
        return self.port or DEFAULT_PORTS[self.scheme]

    @property
    def authority(self) -> str:
        """Host and, if given, port; IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For logs: without credentials, and without the query, which may hold a signature."""
        return f"{self.scheme}://{self.authority}{self.path}" + ("?..." if self.query else "")

    @property
    def decoded_path(self) -> str:
        return unquote(self.path)

    @property
    def is_directory(self) -> bool:
        """It says so itself: it ends in a slash, or has no path at all."""
        return self.path == "" or self.path.endswith("/")

    @property
    def digest(self) -> str:
        """Tells two locations apart without naming them; credentials do not count."""
        text = f"{self.scheme}://{self.authority}{self.path}?{self.query}"
        return hashlib.sha256(text.encode()).hexdigest()

    def named(self, name: str) -> "Location":
        """The file `name` in this directory."""
        return replace(self, path=f"{self.path.rstrip('/')}/{quote(name, safe='')}")


def parse_location(text: str, protocols: Collection[str] = PROTOCOLS) -> Location:
    """Raises TransferError: BAD_LOCATION for what is no URL, NOT_SUPPORTED for a scheme not in `protocols`."""
    text = text.strip()
    if _CONTROL.search(text) or _CONTROL.search(unquote(text)):
        raise TransferError(TransferFailure.BAD_LOCATION, "the location holds a control character")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as every library will, and each fails in its own way then
    except ValueError as error:
        raise TransferError(TransferFailure.BAD_LOCATION, "the location is not a URL") from error
    if not parts.scheme:
        raise TransferError(TransferFailure.BAD_LOCATION, "the location is not a URL with a scheme")
    if SCHEMES.get(parts.scheme) not in protocols:
        raise TransferError(TransferFailure.NOT_SUPPORTED, f"{parts.scheme} is not offered")
    if not host or port == 0:
        raise TransferError(TransferFailure.BAD_LOCATION, "the location names no host")
    return Location(
        scheme=parts.scheme,
        host=host,
        port=port,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        path=quote(parts.path, safe=_PATH_CHARACTERS),
        query=quote(parts.query, safe=_PATH_CHARACTERS + "?"),
    )
