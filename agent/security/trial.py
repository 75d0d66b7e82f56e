"""New credentials on trial: a password or a security profile that does not lead to a connection is taken back.

Changes of the two settings are kept with their former value until a connection was made with them, also over a restart
(`Settings.try_out`). A change that has proven itself is final. `agent/security_desk.py` tells it what becomes of each
attempt; it knows no link. Security white paper edition 3, A01, A05.FR.05 to .09 (R16-330, R16-334, R16-335).
"""

import logging

from agent.charging.settings import Settings

log = logging.getLogger(__name__)

MOST_FAILURES = 3
"""Attempts that new credentials get."""
NAMES = ("authorization_key", "security_profile")


class Trial:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures = 0
        settings.try_out(*NAMES)

    @property
    def names(self) -> list[str]:
        """What is on trial in the connections of now: a password only where it is sent."""
        sends_password = self._settings.integer("security_profile") in (1, 2)
        return [
            name
            for name in NAMES
            if self._settings.former(name) is not None and (sends_password or name != "authorization_key")
        ]

    def failed(self, kind: str) -> bool:
        """An attempt failed (`ConnectFailed.kind`), or a connection ended before it proved anything. True: undo now.

        A password is judged by the CSMS alone: an unreachable network says nothing of it. A profile may also point to
        another port or need another network, so that every failure counts."""
        names = self.names
        if not names or ("security_profile" not in names and kind not in ("CREDENTIALS", "REFUSED")):
            return False
        self._failures += 1
        return self._failures >= MOST_FAILURES

    async def undo(self) -> list[str]:
        """Back to what worked; returns the names of what was taken back. Raises StoreError."""
        names = self.names
        self._failures = 0
        await self._settings.undo(*names)
        for name in names:
            log.warning("%s: the new value led to no connection, the former one is in force again", name)
        return names

    async def settle(self) -> list[str]:
        """A connection works: what was on trial is final (A05.FR.09); returns the names. Raises StoreError."""
        names = self.names
        self._failures = 0
        await self._settings.settle(*names)
        return names
