"""The keys of [web]: where the local API and its page are served, and who may use them.

Read by `config.py`: a field is a key, its metadata the allowed values. Keys: docs/configuration.md.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.toml_lines import KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    listen: str = ""
    """Address and port; empty = unix socket only. Beyond loopback it is opened when a password is set."""
    loopback_role: str = field(
        default="installer", metadata={"choices": ("installer", "operator", "viewer", "none")}
    )
    """Of who comes from this machine without logging in, as far as that is allowed."""
    password_on_loopback: bool = True
    """Whether loopback asks for the password, too, once one is set."""
    session_idle_minutes: int = field(default=60, metadata={"least": 1, "most": 43_200})
    session_hours: int = field(default=24, metadata={"least": 1, "most": 8_760})
    certificate_file: str = ""
    """PEM, own certificate first; with `key_file`: HTTPS only."""
    key_file: str = ""

    @property
    def address(self) -> tuple[str, int] | None:
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def is_loopback(host: str | None) -> bool:
    """Also of the name localhost; False for what is no address."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def check_web(web: WebConfig) -> Iterator[tuple[KeyPath, str]]:
    yield from _check_files(web)
    if not web.listen:
        return
    host, _, port = web.listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        yield ("listen",), 'must look like "127.0.0.1:8080"'
        return
    host = host.strip("[]")
    if host == "localhost":
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        yield ("listen",), f'{host} is no IP address; all addresses of this machine are "0.0.0.0" or "[::]"'


def _check_files(web: WebConfig) -> Iterator[tuple[KeyPath, str]]:
    if bool(web.certificate_file) is bool(web.key_file):
        return
    missing, given = (
        ("key_file", "certificate_file") if web.certificate_file else ("certificate_file", "key_file")
    )
    yield (missing,), f"is needed with {given}"
