"""How the agent would connect to its CSMS: by the file, and by what the CSMS has changed since (the database).

The same rule as the agent's own, because it is the agent's own: `security_desk` and `network_desk`, on copies of what
is stored.
"""

import asyncio
from collections.abc import Collection, Mapping

from agent.app import CERTIFICATES
from agent.charging.network import NetworkProfile, StoredNetworks
from agent.charging.settings import Settings, initial
from agent.clock import SystemClock
from agent.config import Config
from agent.network_desk import NetworkDesk
from agent.ocpp.link import LinkConfig
from agent.security.certificates import CertificateStore
from agent.security_desk import SecurityDesk


class _NetworksCopy:
    """What is in the database. The agent's own rule may change it: only here."""

    def __init__(self, stored: StoredNetworks) -> None:
        self._profiles = dict(stored.profiles)
        self._good, self._url = stored.last_good_slot, stored.configured_url

    async def load(self) -> StoredNetworks:
        return StoredNetworks(self._profiles, self._good, self._url)

    async def put(self, slot: int, profile: NetworkProfile | None) -> None:
        self._profiles[slot] = profile

    async def put_new(self, slot: int, profile: NetworkProfile) -> None:
        raise NotImplementedError("the doctor was never accepted by a CSMS")

    async def drop(self, slots: Collection[int]) -> None:
        raise NotImplementedError("the doctor was never accepted by a CSMS")

    async def note_good(self, slot: int) -> None:
        raise NotImplementedError("the doctor was never accepted by a CSMS")

    async def note_configured(self, url: str) -> None:
        self._url = url


class _NoStore:
    """Settings that are written nowhere."""

    async def load(self) -> Mapping[str, str]:
        return {}

    async def save(self, values: Mapping[str, str]) -> None:
        """Not on the disk."""


async def link_config(
    config: Config, stored: Mapping[str, str], networks: StoredNetworks | None = None
) -> LinkConfig:
    """`stored`, `networks`: as in the database; empty before the first start, when those of the file hold."""
    values = dict(stored or initial(config.settings)[0])
    profile = max(int(values.get("security_profile", "0")), config.csms.security_profile)
    settings = Settings({**values, "security_profile": str(profile)}, _NoStore())
    certificates = CertificateStore(config.state_dir / CERTIFICATES)
    desk = await NetworkDesk.open(config, settings, _NetworksCopy(networks or StoredNetworks({})))
    clock = SystemClock(asyncio.get_running_loop())
    return SecurityDesk(config, settings, clock, certificates, {}, desk).link_config()


def is_password_stored(stored: Mapping[str, str]) -> bool:
    """The CSMS has set a password (AuthorizationKey), which beats that of the file."""
    return bool(stored.get("authorization_key"))
