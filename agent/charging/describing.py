"""The station's own device model: built from a picture of it when it is first asked for, and anew when it has changed.

The shell around `device_model.py` and `device_variables.py`: it holds the nameplate and the gauges that other parts
provide. Owned by `station.py`; asked by the conversation and by `monitoring_watch.py`. OCPP 2.0.1 part 2, B05 to B08.
"""

from collections.abc import Callable

from agent.charging.core import StationCore
from agent.charging.device_model import DeviceModel, Nameplate, Present
from agent.charging.device_variables import GAUGES, build, shape
from agent.charging.snapshot import StationSnapshot


class Description:
    def __init__(self, core: StationCore, snapshot: Callable[[], StationSnapshot]) -> None:
        self._core = core
        self._snapshot = snapshot
        self.nameplate = Nameplate()
        self._gauges: dict[str, Callable[[], str]] = {}
        self._model: DeviceModel | None = None
        self._shape: tuple[object, ...] = ()
        for name in ("AuthCacheCtrlr", "LocalAuthListCtrlr", "ReservationCtrlr", "SmartChargingCtrlr"):
            self.provide(f"{name}.Available", lambda: "true")
        self.provide("LocalAuthListCtrlr.Entries", lambda: str(core.listing.length))
        self.provide("SmartChargingCtrlr.Entries.ChargingProfiles", lambda: str(core.limiting.installed))
        if core.screens.has_display:
            self.provide("DisplayMessageCtrlr.Available", lambda: "true")
            self.provide("DisplayMessageCtrlr.DisplayMessages", lambda: str(len(core.screens.messages)))
        if core.costs.is_active:
            self.provide("TariffCostCtrlr.Available.Tariff", lambda: "true")
            self.provide("TariffCostCtrlr.Available.Cost", lambda: "true")

    def provide(self, path: str, read: Callable[[], str]) -> None:
        """From now on the variable `path` of `device_variables.GAUGES` is there. Raises KeyError for another one."""
        self._gauges[GAUGES[path].path] = read
        self._model = None

    @property
    def model(self) -> DeviceModel:
        return self.model_in(self._snapshot())

    def model_in(self, picture: StationSnapshot) -> DeviceModel:
        """Until the hardware shows other capabilities it is the same one; `picture` is of now."""
        present_shape = shape(picture)
        if self._model is None or present_shape != self._shape:
            self._model = build(self._core.settings, picture, self.nameplate, self._gauges)
            self._shape = present_shape
        return self._model

    def present(self) -> Present:
        """What values are read from, now."""
        return Present(self._core.settings, self._snapshot(), self._core.clock.now())
