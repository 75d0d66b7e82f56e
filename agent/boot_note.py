"""Why the agent starts: a note on the disk from the run before to the next one.

A run that ends by itself leaves its reason; whoever starts takes the note away, so that it is said once. No note means
that the power came. Used by `agent/app.py`. OCPP 2.0.1 B01.FR.03, B01.FR.09 and BootReasonEnumType.
"""

from agent.charging.ids import BootReason
from agent.charging.ports import SettingStore

_ROW = "boot reason"
"""In the table of settings, where no setting has a blank in its name."""


class BootNote:
    def __init__(self, store: SettingStore) -> None:
        self._store = store

    async def leave(self, reason: BootReason) -> None:
        """On the disk when this returns. Raises StoreError."""
        await self._store.save({_ROW: reason.value})

    async def take(self) -> BootReason:
        """What the run before left. Raises StoreError."""
        left = (await self._store.load()).get(_ROW, BootReason.POWER_UP.value)
        if left != BootReason.POWER_UP:
            await self.leave(BootReason.POWER_UP)
        return BootReason(left)
