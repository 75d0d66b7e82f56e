"""The secrets that this station knows, taken out of every text that leaves it, wherever they may stand.

`agent/log.py` hides what looks like a secret; this hides what is one, in all its spellings. Pure.
OCPP 1.6 security white paper A01.FR.12 (R16-361).
"""

import base64
from collections.abc import Iterable
from urllib.parse import quote

from agent.log import HIDDEN

SHORTEST = 6
"""Characters. A shorter password would take ordinary words with it; the rules of `agent/log.py` still hide it."""


class Secrets:
    def __init__(self, values: Iterable[bytes], user: str = "") -> None:
        """`values` as bytes; `user`: the name that goes with them in HTTP Basic."""
        found: set[str] = set()
        for value in values:
            text = value.decode(errors="replace")
            basic = base64.b64encode(user.encode() + b":" + value).decode()
            found.update((text, quote(text, safe=""), value.hex(), value.hex().upper(), basic))
            found.add(base64.b64encode(value).decode())
        self._found = sorted((each for each in found if len(each) >= SHORTEST), key=len, reverse=True)

    def hide(self, text: str) -> str:
        for secret in self._found:
            text = text.replace(secret, HIDDEN)
        return text
