"""The names of our topics. Pure.

<prefix>/<identity>/... : a station is one branch of the tree, whatever characters its identity has. docs/mqtt.md.
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

_LEVEL = re.compile(r"[1-9][0-9]{0,3}")


def level_of(text: str) -> str:
    """One level of a topic: what means something in a topic, and what is not ASCII, is percent-encoded."""
    return quote(text, safe="-_.~:@!,;=()'&*")


def object_id_of(text: str) -> str:
    """For Home Assistant, which takes letters, digits, - and _ only; different texts stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    return plain if plain == text else f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True)
class Topics:
    prefix: str
    identity: str

    @property
    def root(self) -> str:
        return f"{self.prefix}/{level_of(self.identity)}"

    @property
    def availability(self) -> str:
        return f"{self.root}/availability"

    @property
    def station(self) -> str:
        return f"{self.root}/station"

    @property
    def result(self) -> str:
        """What came of each command."""
        return f"{self.root}/result"

    def state(self, evse_id: int) -> str:
        return f"{self.root}/evse/{evse_id}/state"

    def meter(self, evse_id: int) -> str:
        return f"{self.root}/evse/{evse_id}/meter"

    def command(self, name: str, evse_id: int = 0) -> str:
        """EVSE 0: the station."""
        place = f"/evse/{evse_id}" if evse_id else ""
        return f"{self.root}{place}/command/{level_of(name)}"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        return f"{self.root}/command/+", f"{self.root}/evse/+/command/+"

    def parse_command(self, topic: str) -> tuple[int, str] | None:
        """EVSE (0: the station) and name of a command; None: this is no topic of a command of ours."""
        if not topic.startswith(self.root + "/"):
            return None
        match topic[len(self.root) + 1 :].split("/"):
            case ["command", name]:
                return 0, unquote(name)
            case ["evse", number, "command", name] if _LEVEL.fullmatch(number):
                return int(number), unquote(name)
        return None
