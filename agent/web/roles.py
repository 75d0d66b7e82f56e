"""Who may do what on the page and the local API: four roles, each including the ones below it.

Light, because the command line imports it, too. Who has which role is decided in `access.py`; what each request
needs stands in its `Endpoint`. Words for the operator: docs/access.md.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class Role(IntEnum):
    """NOBODY: whoever asks. VIEWER looks; OPERATOR also acts on sessions; INSTALLER also changes the station."""

    NOBODY = 0
    VIEWER = 1
    OPERATOR = 2
    INSTALLER = 3

    @property
    def word(self) -> str:
        """As in commands, files and JSON: "viewer"."""
        return self.name.lower()


Means = Literal["socket", "open", "session", "token", "none"]
"""How somebody is known: by the unix socket, by loopback without a password, by cookie, by token, or not at all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `name` is the user of the socket, the token's name or "" ; `address` is "" on the socket."""

    role: Role
    means: Means
    name: str = ""
    address: str = ""

    @property
    def source(self) -> str:
        """For the audit: who and from where, in one word each."""
        who = f"{self.means}:{self.name}" if self.name else self.means
        return f"{self.role.word} {who} {self.address}".strip()
