"""The keys of [mqtt]: the broker that is told of the station and may ask things of it.

Read by `config.py`: a field is a key, its metadata the allowed values. Which actions there are is known above
(`config_check.py`). Keys: docs/configuration.md.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from agent.toml_lines import KeyPath

PLAIN_PORT, TLS_PORT = 1883, 8883
ENABLE, CURRENT_LIMIT, STOP = "enable", "current_limit", "stop"
OWN_COMMANDS = (ENABLE, CURRENT_LIMIT, STOP)
"""Beside these, the hardware actions by their names."""
_TOPIC = r"[^+#\x00-\x1f\x7f/]+(/[^+#\x00-\x1f\x7f/]+)*"


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig:
    url: str = ""
    """mqtt://host:1883 or mqtts://host:8883; empty: no MQTT."""
    client_id: str = field(default="", metadata={"longest": 64})
    """Empty: evse-agent- and the identity of the station."""
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    """Trust anchors of the broker as PEM; empty: those of the system."""
    topic_prefix: str = field(
        default="evse-agent",
        metadata={"pattern": _TOPIC, "longest": 100, "shape": "a topic without +, # and empty levels"},
    )
    discovery_prefix: str = field(
        default="homeassistant",
        metadata={
            "pattern": f"({_TOPIC})?",
            "longest": 100,
            "shape": "a topic without +, # and empty levels",
        },
    )
    """Home Assistant's; empty: no discovery."""
    commands: tuple[str, ...] = ()
    """What may be asked by MQTT; nothing unless it is named."""
    publish_interval_s: float = field(default=5.0, metadata={"least": 1.0, "most": 3600.0})
    """The shortest time between two messages of the same meter."""
    limit_origin: str = field(default="Other", metadata={"choices": ("EMS", "Other")})
    """As whom it limits the current (docs/smart-charging.md)."""
    limit_duration_s: int = field(default=3600, metadata={"least": 10, "most": 604_800})
    """After so long a limit lifts itself."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (TLS_PORT if self.has_tls else PLAIN_PORT)

    @property
    def has_tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    def read_password(self) -> str | None:
        """None: there is none. Raises OSError, UnicodeDecodeError."""
        if self.password_file:
            return Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        return self.password or None


def check_mqtt(mqtt: MqttConfig) -> Iterator[tuple[KeyPath, str]]:
    """What no single key shows."""
    if mqtt.url:
        url = urlsplit(mqtt.url)
        if (
            url.scheme not in ("mqtt", "mqtts")
            or not url.hostname
            or not _has_port(url)
            or url.path.strip("/")
        ):
            yield ("url",), 'must look like "mqtt://broker.example:1883"'
        elif url.username is not None or url.password is not None:
            yield ("url",), "must not hold a password: use mqtt.username and mqtt.password_file"
    if mqtt.password and mqtt.password_file:
        yield ("password_file",), "is set beside password: only one of them can be the password"
    if (mqtt.password or mqtt.password_file) and not mqtt.username:
        yield ("username",), "is needed with a password"
    for name in ("password_file", "ca_file"):
        path = getattr(mqtt, name)
        if path and not os.access(path, os.R_OK):
            yield (name,), f"cannot be read: {path}"
    if len(set(mqtt.commands)) < len(mqtt.commands):
        yield ("commands",), "names one twice"


def _has_port(url: SplitResult) -> bool:
    """None is the one of the scheme."""
    try:
        return url.port != 0
    except ValueError:
        return False
