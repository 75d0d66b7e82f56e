"""What the file and the composition root tell of the station, and how monitoring starts.

Called by `agent/app.py` and `agent/operating.py`. Imports the device model and the monitors only when somebody needs
them, so that a station that speaks 1.6 does not pay for them. OCPP 2.0.1 part 2, B05 to B08, N02 to N08.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.charging.station import Station
from agent.config import Config
from agent.ocpp.frontend import StationIdentity
from agent.security.certificates import CertificateStore
from agent.store.db import Database
from agent.version import VERSION

if TYPE_CHECKING:
    from agent.charging.describing import Description

OCPP16 = "ocpp1.6"


def about(config: Config, url: str) -> dict[str, str]:
    """The station's own facts for the local API; `url` is the whole one, identity included."""
    return {
        "identity": config.station.identity,
        "vendor": config.station.vendor,
        "model": config.station.model,
        "serial_number": config.station.serial_number,
        "firmware_version": config.station.firmware_version or VERSION,
        "agent_version": VERSION,
        "csms_url": url,
    }


def describe(
    config: Config,
    who: StationIdentity,
    certificates: CertificateStore,
    network_slot: Callable[[], int],
    description: "Description",
) -> None:
    """The nameplate, and the numbers that others own."""
    from agent.charging.device_model import Nameplate

    description.nameplate = Nameplate(
        vendor=who.vendor,
        model=who.model,
        serial_number=who.serial_number or "",
        firmware_version=who.firmware_version or "",
        identity=config.station.identity,
    )
    description.provide("SecurityCtrlr.CertificateEntries", lambda: str(certificates.count()))
    description.provide("OCPPCommCtrlr.ActiveNetworkProfile", lambda: str(network_slot()))


def is_monitored(config: Config) -> bool:
    """Only a CSMS of 2.x could be told."""
    return any(name != OCPP16 for name in config.csms.subprotocols)


async def start_monitoring(station: Station, database: Database) -> None:
    """After the first attempt to connect: nothing of it is needed before. Raises StoreError."""
    from agent.store.monitors import SqlMonitors

    await station.monitor(SqlMonitors(database))
