"""Where the station connects to: network connection profiles, their order, and going back to one that works.

Part of the composition root: joins settings, store and `ocpp/network_plan.py`. Which profile is in which slot is
settled when the agent starts (B09, remark); what the CSMS sets meanwhile is on disk and counts from the next start on.
What it replaces is kept until the new profile works, where it was the last one that did.
Who edits the address in the configuration file means it: then slot 1 is that connection again, and tried first.
Asked by `agent/security_desk.py`; implements `charging.ports.Networks`. OCPP 2.0.1 part 2, A05, B09, B10.
"""

import logging
import re
from collections.abc import Callable

from msgspec.structs import replace

from agent.charging.network import (
    FILE_SLOT,
    FORMER_SLOT,
    SLOTS,
    NetworkAnswer,
    NetworkProfile,
    NetworkVerdict,
    SetNetworkProfile,
    StoredNetworks,
)
from agent.charging.ports import NetworkStore
from agent.charging.settings import Settings
from agent.config import Config, CsmsConfig
from agent.errors import ConnectFailed, StoreError
from agent.ocpp.link import LinkConfig, connection_url
from agent.ocpp.network_plan import NetworkPlan

log = logging.getLogger(__name__)

PRIORITY = "network_priority"
TIMEOUT = "message_timeout_s"


class NetworkDesk:
    def __init__(
        self, config: Config, settings: Settings, store: NetworkStore, stored: StoredNetworks
    ) -> None:
        self._csms = config.csms
        self._identity = config.station.identity
        self._settings = settings
        self._store = store
        self._stored = dict(stored.profiles)
        """What is on disk."""
        self._in_force = dict(stored.profiles)
        """As it was at the start."""
        slots = [slot for slot in _slots(settings.text(PRIORITY)) if slot in self._stored]
        if not slots:
            self._in_force.setdefault(FILE_SLOT, None)
            slots = sorted(self._in_force)
        good = stored.last_good_slot
        self._plan = NetworkPlan(slots, good if good in self._in_force else None)
        self._accepted_slot: int | None = None
        self._is_good = False
        self.credentials_obstacle: Callable[[int], str | None] = lambda _profile: None
        """What is missing for a security profile, or None."""
        self.on_accepted: Callable[[], None] = lambda: None
        """Called when the CSMS has accepted the station."""
        settings.guard(PRIORITY, self._priority_obstacle)

    @classmethod
    async def open(cls, config: Config, settings: Settings, store: NetworkStore) -> "NetworkDesk":
        """Raises StoreError."""
        stored = await store.load()
        url = f"{config.csms.url} {config.csms.secure_url}".rstrip()
        if stored.configured_url not in (None, url):
            log.warning("the address of the CSMS in the configuration file is another one: it is tried first")
            others = [str(slot) for slot in _slots(settings.text(PRIORITY)) if slot != FILE_SLOT]
            await store.put(FILE_SLOT, None)
            await settings.note(PRIORITY, ",".join([str(FILE_SLOT), *others]))
        if stored.configured_url != url:
            await store.note_configured(url)
            stored = await store.load()
        return cls(config, settings, store, stored)

    # --- what the link uses ----------------------------------------------------------------------------

    @property
    def slot(self) -> int:
        """The one to be tried now, or the one in use."""
        return self._plan.slot

    @property
    def is_elsewhere(self) -> bool:
        """Another slot than the one by which a CSMS accepted the station; it may know nothing of us (B10.FR.10)."""
        return self._accepted_slot not in (None, self._plan.slot)

    @property
    def is_migrating(self) -> bool:
        """The present slot has never worked, and another one has."""
        return self._plan.last_good not in (None, self._plan.slot)

    @property
    def security_profile(self) -> int:
        """Of the present slot; what the CSMS raised meanwhile by a setting beats it."""
        present = self._settings.integer("security_profile")
        profile = self._in_force.get(self._plan.slot)
        return present if profile is None else max(present, profile.security_profile)

    def url(self, security_profile: int) -> str:
        """Where the CSMS of the present slot is, with this security profile."""
        profile = self._in_force.get(self._plan.slot)
        if profile is None:
            return url_for(self._csms, security_profile)
        return _secured(profile.url) if security_profile >= 2 else profile.url

    def connection_opened(self) -> None:
        """The message timeout of the present slot holds; without one that of the settings."""
        self._is_good = False
        profile = self._in_force.get(self._plan.slot)
        if profile is None:
            self._settings.release(TIMEOUT)
        else:
            self._settings.fix(TIMEOUT, str(profile.message_timeout_s))

    # --- what becomes of it ----------------------------------------------------------------------------

    def connection_failed(self) -> None:
        attempts = self._settings.integer("network_profile_attempts")
        if self._plan.failed(attempts):
            log.warning("no connection: network profile %d is tried now", self._plan.slot)

    def connection_ended_early(self) -> None:
        """Before it proved anything; unless the CSMS had accepted the station."""
        if not self._is_good:
            self.connection_failed()

    def connection_proven(self) -> None:
        """It lives: it is a good one (`settle` writes that down)."""
        self._is_good = True
        self._plan.worked()

    def accepted(self) -> None:
        """`ports.Networks`."""
        self._accepted_slot = self._plan.slot
        self.connection_proven()
        self.on_accepted()

    async def settle(self) -> str | None:
        """Note the good slot; after a raise of the security profile drop what is less safe (A05.FR.06).

        What to tell of it, or None. Raises StoreError; then the next connection makes up for it."""
        slot = self._plan.slot
        profile = self._in_force.get(slot)
        if slot in self._stored and self._stored[slot] == profile:
            await self._store.note_good(slot)
        else:  # a CSMS has put another one there meanwhile: that has not worked yet
            await self._keep_former(profile)
        present = self._settings.integer("security_profile")
        if profile is None or profile.security_profile == present:
            return None
        if profile.security_profile < present:  # raised by a setting: the slot is as safe from now on
            raised = replace(profile, security_profile=present, url=_secured(profile.url))
            self._in_force[slot] = raised
            if self._stored.get(slot) == profile:
                await self._store.put(slot, raised)
                self._stored[slot] = raised
            return None
        wanted = profile.security_profile
        less_safe = [each for each, other in self._stored.items() if each != slot and _level(other) < wanted]
        await self._store.drop(less_safe)
        for each in less_safe:
            del self._stored[each]
            self._in_force.pop(each, None)
        self._plan.forget(less_safe)
        kept = [each for each in _slots(self._settings.text(PRIORITY)) if each not in less_safe]
        await self._settings.note(PRIORITY, ",".join(map(str, kept or [slot or FILE_SLOT])))
        await self._settings.note("security_profile", str(wanted))
        return f"security profile {wanted} by network profile {slot}"

    async def _keep_former(self, profile: NetworkProfile | None) -> None:
        await self._store.put(FORMER_SLOT, profile)
        await self._store.note_good(FORMER_SLOT)
        self._stored[FORMER_SLOT] = profile

    # --- what a CSMS sets ------------------------------------------------------------------------------

    async def order(self, request: SetNetworkProfile) -> NetworkAnswer:
        """`ports.Networks`. B09: Accepted means that it is on the disk."""
        answer = self._judge(request)
        if answer is None:
            try:
                await self._store.put_new(request.slot, request.profile)
                self._stored = dict((await self._store.load()).profiles)
            except StoreError as error:
                answer = NetworkAnswer(NetworkVerdict.FAILED, str(error))
            else:
                log.info("network profile %d: %s", request.slot, request.profile.url)
                return NetworkAnswer(NetworkVerdict.ACCEPTED)
        log.warning("network profile %d is refused: %s", request.slot, answer.reason)
        return answer

    def _judge(self, request: SetNetworkProfile) -> NetworkAnswer | None:
        """None: nothing is wrong with it. What it needs beside (certificates) may come later (A05.FR.02, .03)."""
        profile = request.profile
        if request.slot not in SLOTS:
            return NetworkAnswer(NetworkVerdict.NO_SUCH_SLOT, f"the slots are {', '.join(map(str, SLOTS))}")
        try:
            connection_url(
                LinkConfig(
                    profile.url,
                    self._identity,
                    security_profile=profile.security_profile,
                    certificate_file="later",
                )
            )
        except (ConnectFailed, ValueError) as error:
            return NetworkAnswer(NetworkVerdict.INVALID, str(error))
        if not 1 <= profile.message_timeout_s <= 3600:
            return NetworkAnswer(NetworkVerdict.INVALID, "messageTimeout is not within 1 to 3600 s")
        if profile.security_profile < self._settings.integer("security_profile"):  # B09.FR.04
            return NetworkAnswer(NetworkVerdict.DOWNGRADE, "less safe than the present connection")
        return None

    def _priority_obstacle(self, wanted: str) -> str | None:
        """Why this order cannot be, or None (A05.FR.02 to .04, .10, B10.FR.02)."""
        slots = _slots(wanted)
        if not slots:
            return "no slot is named"
        present = self._settings.integer("security_profile")
        for slot in slots:
            if slot not in self._stored:
                return f"slot {slot} is empty"
            profile = self._stored[slot]
            if profile is None:
                continue
            if profile.security_profile < present:
                return f"slot {slot} is less safe than the present connection"
            missing = self.credentials_obstacle(profile.security_profile)
            if profile.security_profile > present and missing is not None:
                return f"slot {slot}: {missing}"
        return None


def url_for(csms: CsmsConfig, profile: int) -> str:
    """Profiles 2 and 3 may be served elsewhere (A00.FR.006); without an address of their own the same one with TLS."""
    if profile < 2:
        return csms.url
    return csms.secure_url or _secured(csms.url)


def _secured(url: str) -> str:
    return re.sub("^ws:", "wss:", url)


def _level(profile: NetworkProfile | None) -> int:
    """The connection of the configuration file is as safe as it was before: less than what was raised now."""
    return -1 if profile is None else profile.security_profile


def _slots(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]
