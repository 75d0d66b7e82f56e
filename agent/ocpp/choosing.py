"""Which OCPP versions are offered, and the front end and the conventions of the one that the CSMS chose.

A version is imported when its subprotocol has been agreed, so that a station pays for one only. What the charging core
has to obey of a version (`charging/conventions.py`) is known before, because transactions begin without a connection,
too: it is that of the version spoken last. Built by `agent/app.py`, asked by `agent/ocpp/conversation.py`.
OCPP-J 1.6 3.1.2, OCPP 2.0.1 part 4, 3.1.2.
"""

from collections.abc import Iterator, Mapping, Sequence

from agent.charging.conventions import Conventions
from agent.charging.measurands import DEFAULT_ENTRY
from agent.charging.ports import SettingStore
from agent.ocpp.frontend import FrontEnd

CONVENTIONS: Mapping[str, Conventions] = {
    "ocpp1.6": Conventions(),
    "ocpp2.0.1": Conventions(
        start_points=None,
        stop_points=None,
        grants_energy_first=False,
        awaits_lost_ev=True,
        tells_begin_apart=False,
        has_own_end_intervals=True,
        empty_list_is_register=False,
        stamps_periods_at_start=False,
        samples_main_meter=False,
        queues_idle_readings=False,
        asks_for_other_tokens=True,
        in_use_is_valid=False,
        keeps_list_version=True,
        hears_every_alarm=True,
        availability_has_layers=True,
        repeats_signing=True,
        keeps_one_certificate=True,
        defaults={"start_measurands": DEFAULT_ENTRY, "stop_sampled_measurands": DEFAULT_ENTRY},
    ),
}
"""By subprotocol. 2.0.1 tells the register in meter values only, hence its defaults (2.7.5, 2.7.7)."""

_ROW = "version spoken last"
"""In the table of settings, where no setting has a blank in its name."""


class LastVersion:
    """The subprotocol that was agreed last, kept over restarts."""

    def __init__(self, store: SettingStore, offered: Sequence[str]) -> None:
        self._store = store
        self._offered = tuple(offered)
        self._kept = ""

    async def load(self) -> str:
        """The one spoken last, if it is still offered, else the best of those offered. Raises StoreError."""
        if len(self._offered) > 1:
            self._kept = (await self._store.load()).get(_ROW, "")
        return self._kept if self._kept in self._offered else self._offered[0]

    def is_news(self, subprotocol: str) -> bool:
        """There is something to be noted."""
        return subprotocol != self._kept and len(self._offered) > 1

    async def note(self, subprotocol: str) -> None:
        """On the disk when this returns. Raises StoreError."""
        await self._store.save({_ROW: subprotocol})
        self._kept = subprotocol


class FrontEnds(Mapping[str, FrontEnd]):
    """By subprotocol, best first."""

    def __init__(self, subprotocols: Sequence[str], *, json_in_data_transfer: bool = False) -> None:
        """`json_in_data_transfer`: in 1.6 too, DataTransfer takes any JSON value."""
        self._subprotocols = tuple(subprotocols)
        self._json_in_data_transfer = json_in_data_transfer
        self._loaded: dict[str, FrontEnd] = {}

    def __getitem__(self, subprotocol: str) -> FrontEnd:
        if subprotocol not in self._loaded:
            if subprotocol not in self._subprotocols:
                raise KeyError(subprotocol)
            self._loaded[subprotocol] = self._load(subprotocol)
        return self._loaded[subprotocol]

    def _load(self, subprotocol: str) -> FrontEnd:
        match subprotocol:
            case "ocpp1.6":
                from agent.ocpp import v16

                return v16.WITH_JSON_IN_DATA_TRANSFER if self._json_in_data_transfer else v16.FRONT_END
            case "ocpp2.0.1":
                from agent.ocpp import v201

                return v201.FRONT_END
        raise KeyError(subprotocol)

    def __iter__(self) -> Iterator[str]:
        return iter(self._subprotocols)

    def __len__(self) -> int:
        return len(self._subprotocols)
