"""The simulated card reader: every tap of the simulated world, as a `CardReader`.

A tap may be meant for certain EVSEs only, as if each had its own reader; `evse_ids` says for which, while the
listeners are called. What a played reader takes (hal/sim/card_readers.py) comes in through its driver instead. Built
by hal.factory.
"""

from collections.abc import Callable, Sequence

from hal.sim.card_readers import TapPlayer
from hal.sim.world import World


class SimulatedReader:
    def __init__(self, world: World, players: Sequence[TapPlayer] = ()) -> None:
        self._world = world
        self._players = tuple(players)
        self._evse_ids: tuple[int, ...] = ()

    @property
    def evse_ids(self) -> Sequence[int]:
        return self._evse_ids

    def subscribe(self, listener: Callable[[str, str], None]) -> Callable[[], None]:
        def on_tap(uid: str, token_type: str, evse_ids: tuple[int, ...]) -> None:
            if any(player.takes(uid, token_type, evse_ids) for player in self._players):
                return
            self._evse_ids = evse_ids
            listener(uid, token_type)

        return self._world.subscribe_taps(on_tap)
