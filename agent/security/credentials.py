"""What the station proves itself with and whom it trusts: keys, signing requests, certificates, and when which is used.

The shell around `certificates.py`, `checks.py` and `signing.py`: it answers requests (`ports.Credentials`), asks for a
new certificate before the old one ends, switches when another one begins, and goes back to one that still works. Disk
and arithmetic have a thread; nothing cryptographic is imported before it is needed. It knows no message.
Security white paper edition 3, A02, A03, A05, M03 to M05 (R16-332, R16-336 to R16-352).
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, assert_never

from msgspec import Struct

from agent.charging import certificates
from agent.charging.certificates import (
    CertificateAnswer,
    CertificateRequest,
    CertificateResult,
    CertificateVerdict,
)
from agent.charging.conventions import Conventions
from agent.charging.ids import CertificateUse, SecurityEventType
from agent.charging.ports import Clock
from agent.charging.settings import Settings
from agent.errors import AgentError, CertificateRefused, CertificateStoreFull, LinkClosed
from agent.security.certificates import CertificateStore, OwnCertificate

log = logging.getLogger(__name__)

TICK_S = 900.0
"""How often it looks at least whether a certificate begins or ends; a connection makes it look, too."""
RENEW_BEFORE = timedelta(days=30)
"""A03.FR.02: one month."""
KEEP_OLD = timedelta(days=31)
"""A02.FR.10: old certificates stay about a month."""
MOST_FAILURES = 3
"""Attempts that a new certificate gets before an older one is tried."""
_SWITCH_MARGIN = timedelta(seconds=1)
"""The CSMS judges by its own clock: never a moment too early."""
_ACCEPTED = CertificateAnswer(CertificateVerdict.ACCEPTED)


class CsmsPort(Protocol):
    """The connection, as far as credentials need it."""

    @property
    def is_online(self) -> bool: ...
    @property
    def peer_chain(self) -> tuple[bytes, ...] | None:
        """The certificates (DER) by which the present connection was verified; () without TLS, None: unknown."""

    @property
    def conventions(self) -> Conventions:
        """What the CSMS takes for granted."""

    async def ask_to_sign(self, request: str, *, triggered: bool) -> bool:
        """Send a signing request (PEM); whether the CSMS takes it. Raises AgentError."""

    def use_credentials(self, reconnect_because: str | None) -> None:
        """`StationCredentials.material` has changed: it counts from the next connection on, which is now if asked."""


class ConfiguredFiles(Struct, frozen=True):
    """From the configuration file; "" = not given."""

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


class Material(Struct, frozen=True):
    """What the link needs for TLS."""

    roots: str = ""
    """Installed root certificates of the CSMS, PEM."""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


RaiseEvent = Callable[[SecurityEventType, str], None]


class StationCredentials:
    """Implements `charging.ports.Credentials`. `run` has to run beside it."""

    def __init__(
        self,
        store: CertificateStore,
        settings: Settings,
        clock: Clock,
        csms: CsmsPort,
        raise_event: RaiseEvent,
        *,
        name: str,
        files: ConfiguredFiles,
    ) -> None:
        """`name`: CN of the station's certificates, its serial number (A00.FR.511)."""
        self._store = store
        self._settings = settings
        self._clock = clock
        self._csms = csms
        self._raise = raise_event
        self._name = name
        self._files = files
        self._changes = asyncio.Lock()
        self._failures = 0
        self._distrusted: set[str] = set()
        """Certificates that led to no connection ("": the configured one); a restart gives them another chance."""
        self._in_use = ""
        self._proven: str | None = None
        """The certificate that a connection of this run of the agent was made with."""
        self._asked_time: float | None = None
        self._is_left_to_csms = False
        """The CSMS has taken the latest signing request, and is not asked for another one before it wants it."""
        self._wanted = asyncio.Event()
        self._is_triggered = False
        self._is_settled = asyncio.Event()
        """Nobody waits for the certificate of the latest signing request any more."""
        self._look_now = asyncio.Event()

    # --- what the link uses ----------------------------------------------------------------------------

    def material(self, *, is_migrating: bool = False) -> Material:
        """What a connection made now should use. Raises OSError.

        `is_migrating`: to a CSMS that never took the station; a replaced root vouches for the former one only
        (2.0.1 M05.FR.15)."""
        own = self._best()
        self._in_use = own.name if own is not None else ""
        # The roots that the CSMS manages replace the file where only one may hold (M05.FR.08); else they add to it.
        is_strict = self._settings.flag("additional_root_check")
        roots = self._store.trust_anchors(with_fallback=not (is_migrating and is_strict))
        return Material(
            roots=roots,
            ca_file="" if is_strict and roots else self._files.ca_file,
            certificate_file=str(own.path) if own is not None else self._files.certificate_file,
            key_file="" if own is not None else self._files.key_file,
        )

    def _best(self) -> OwnCertificate | None:
        """The first candidate that has not failed lately; None: the configured one, or there is none."""
        candidates = self._candidates()
        hopeful = [each for each in candidates if _name(each) not in self._distrusted]
        return next(iter(hopeful or candidates), None)

    def _candidates(self) -> list[OwnCertificate | None]:
        """What may be shown, best first: the newest that are valid now (A02.FR.09), None for the configured one.

        Without a valid one also the others: our time may be wrong, and without a connection it stays so, and whether
        an expired one will do is for the CSMS to say (2.0.1 A00.FR.430)."""
        valid = self._valid()
        configured: list[OwnCertificate | None] = [None] if self._files.certificate_file else []
        if valid:
            return [*valid, *configured]
        now = self._clock.now()
        if not self._clock.is_trusted:
            return [*self._own(), *configured]
        begun = [own for own in self._own() if own.not_before <= now]
        return [*configured, *(begun or self._own())]

    def _own(self) -> list[OwnCertificate]:
        """The newest first: where only one may stay that is the one installed last, whenever its validity began."""
        return sorted(self._store.own(), key=self._age, reverse=True)

    def _age(self, own: OwnCertificate) -> tuple[int, datetime, int]:
        """The greater, the newer."""
        by_installation = self._csms.conventions.keeps_one_certificate
        return own.number if by_installation else 0, own.not_before, own.number

    def _valid(self) -> list[OwnCertificate]:
        now = self._clock.now()
        return [own for own in self._own() if own.not_before + _SWITCH_MARGIN <= now < own.not_after]

    def profile_obstacle(self, wanted: int) -> str | None:
        """What is missing for a security profile beside the password, or None (A05.FR.03, .04, R16-332)."""
        now = self._clock.now()
        if wanted >= 2 and not self._files.ca_file and not self._store.has_valid_root(now):
            return "there is no valid root certificate of the CSMS: install one first"
        if wanted == 3 and not self._valid() and not self._files.certificate_file:
            return "there is no valid certificate of the station: have one signed first"
        return None

    def connection_failed(self, kind: str) -> None:
        """`ConnectFailed.kind`, while profile 3 is in force: after some failures another certificate has its turn."""
        if kind not in ("TLS_OWN_CERTIFICATE", "CREDENTIALS", "REFUSED", "TLS"):
            return
        self._failures += 1
        if self._failures < MOST_FAILURES:
            return
        self._failures = 0
        former = self._in_use
        self._distrusted.add(former)
        if self._distrusted.issuperset(_name(each) for each in self._candidates()):
            self._distrusted.clear()  # there is no other: all of them may try again
        if _name(self._best()) == former:
            return
        log.warning(
            "certificate %s led to no connection, trying another one", former or "of the configuration"
        )
        self._csms.use_credentials(None)

    async def connection_proven(self) -> None:
        """The connection works with what is in use: nothing older is needed any more (A02.FR.10, M05.FR.12)."""
        self._failures = 0
        async with self._changes:
            chain = self._csms.peer_chain
            is_strict = self._settings.flag("additional_root_check")
            if chain and is_strict and await asyncio.to_thread(self._store.drop_fallback, chain):
                self._raise(_RECONFIGURED, "the replaced root certificate of the CSMS is removed")
                self._csms.use_credentials(None)
        if self._settings.integer("security_profile") == 3:
            self._proven = self._in_use
        self._look_now.set()

    def _drop_old(self, own: list[OwnCertificate], now: datetime) -> list[OwnCertificate]:
        """What a proven certificate has replaced: after a month, or at once where only one may stay.

        Newer ones that led nowhere go with them then, and are given back."""
        keeps_one = self._csms.conventions.keeps_one_certificate
        proven = next((each for each in own if each.name == self._proven), None)
        if proven is None:
            is_configured = self._proven == "" and bool(self._files.certificate_file)
            failed = [each for each in own if keeps_one and is_configured and each.name in self._distrusted]
            for each in failed:
                self._store.remove_own(each)
            return failed
        old = [each for each in own if self._age(each) < self._age(proven)]
        failed = [each for each in own if self._age(each) > self._age(proven)]
        failed = [each for each in failed if keeps_one and each.name in self._distrusted]
        if not (keeps_one or now > proven.not_before + KEEP_OLD):
            old = []
        for each in (*old, *failed):
            self._store.remove_own(each)
        return failed

    # --- requests --------------------------------------------------------------------------------------

    async def execute(self, request: CertificateRequest) -> CertificateResult:
        """One at a time. A full or broken disk is Failed."""
        chain = (
            self._csms.peer_chain
        )  # of the connection that the request came by, whatever becomes of it meanwhile
        async with self._changes:
            try:
                answer = await self._carry_out(request, chain)
            except OSError as error:
                log.error("%s: %s", type(request).__name__, error)
                return CertificateAnswer(CertificateVerdict.FAILED, str(error))
        if isinstance(answer, CertificateAnswer) and answer.verdict is not CertificateVerdict.ACCEPTED:
            log.warning("%s: %s %s", type(request).__name__, answer.verdict, answer.reason)
        return answer

    async def _carry_out(
        self, request: CertificateRequest, chain: tuple[bytes, ...] | None
    ) -> CertificateResult:
        match request:
            case certificates.InstallCertificate():
                return await self._install(request)
            case certificates.DeleteCertificate():
                verdict = await asyncio.to_thread(self._delete, request, chain)
                if verdict is CertificateVerdict.ACCEPTED:
                    self._raise(
                        _RECONFIGURED, f"root certificate {request.certificate.serial_number} deleted"
                    )
                    self._csms.use_credentials(None)
                return CertificateAnswer(verdict, "in use" if verdict is CertificateVerdict.FAILED else "")
            case certificates.ListCertificates():
                return certificates.InstalledCertificates(
                    await asyncio.to_thread(self._store.hashes, request.use)
                )
            case certificates.ListCertificatesByUse():
                found = []
                for use in request.uses:
                    hashes = await asyncio.to_thread(self._store.hashes, use)
                    found += [(use, each) for each in hashes]
                return certificates.CertificatesByUse(tuple(found))
            case certificates.RequestOwnCertificate():
                if not self._settings.text("organization_name"):
                    return CertificateAnswer(CertificateVerdict.REJECTED, "the operator's name is not set")
                self._want()
                self._is_triggered = True
                return _ACCEPTED
            case certificates.TakeOwnCertificate():
                return await self._take(request.chain)
            case _:
                assert_never(request)

    async def _install(self, request: certificates.InstallCertificate) -> CertificateAnswer:
        """M05. A broken root of the CSMS is also a security event (R16-350)."""
        is_csms = request.use is CertificateUse.CSMS_ROOT
        try:
            await asyncio.to_thread(self._install_root, request, self._clock.now())
        except CertificateStoreFull as error:
            return CertificateAnswer(CertificateVerdict.REJECTED, str(error), is_full=True)
        except CertificateRefused as error:
            if is_csms:
                self._raise(SecurityEventType.INVALID_CSMS_CERTIFICATE, f"not installed: {error}")
            return CertificateAnswer(CertificateVerdict.REJECTED, str(error))
        self._raise(_RECONFIGURED, f"{request.use} installed")
        if is_csms:
            self._csms.use_credentials(None)
        return _ACCEPTED

    def _install_root(self, request: certificates.InstallCertificate, now: datetime) -> None:
        limit = self._settings.integer("certificate_store_max_length")
        anchors = [Path(self._files.ca_file).read_text("ascii", "replace")] if self._files.ca_file else []
        is_csms = request.use is CertificateUse.CSMS_ROOT
        if is_csms and self._settings.flag("additional_root_check"):
            self._store.replace_root(request.certificate, now, limit=limit, anchors=anchors)
        else:
            used = anchors if is_csms else []
            self._store.install_root(request.use, request.certificate, now, limit=limit, anchors=used)

    def _delete(
        self, request: certificates.DeleteCertificate, chain: tuple[bytes, ...] | None
    ) -> CertificateVerdict:
        own = self._files.certificate_file
        try:
            text = Path(own).read_text("ascii", "replace") if own else ""
        except FileNotFoundError:
            text = ""
        return self._store.delete_root(request.certificate, chain, request.uses, text)

    def _want(self) -> None:
        """A new signing request; the one before is forgotten."""
        self._wanted.set()
        self._is_settled.set()

    async def _take(self, chain: str) -> CertificateAnswer:
        """A02.FR.06 to .09. What is refused is a security event (A02.FR.07); the key goes on waiting."""
        self._is_settled.set()  # also a refusal is an end: nobody asks again by himself (2.0.1 A02.FR.20)
        try:
            own = await asyncio.to_thread(self._accept_own, chain, self._clock.now())
        except CertificateRefused as error:
            self._raise(SecurityEventType.INVALID_STATION_CERTIFICATE, str(error))
            return CertificateAnswer(CertificateVerdict.REJECTED, str(error))
        log.info("new certificate of the station, valid from %s to %s", own.not_before, own.not_after)
        self._raise(_RECONFIGURED, f"new certificate of the station, valid from {own.not_before.isoformat()}")
        self._distrusted.discard(own.name)
        self._asked_time = None
        self._is_left_to_csms = False
        self._look_now.set()
        return _ACCEPTED

    def _accept_own(self, chain: str, now: datetime) -> OwnCertificate:
        from agent.security import checks, signing

        longest = self._settings.integer("certificate_chain_max_length")
        if len(chain) > longest:
            raise CertificateRefused(f"longer than {longest} characters")
        certificates = checks.read_all(chain)
        installed = self._store.own_certificate(certificates[0])
        if installed is not None:
            return installed  # sent twice
        key = self._store.pending_key()
        if key is None:
            raise CertificateRefused("no signing request waits for a certificate")
        leaf = next((each for each in certificates if signing.belongs_to(each, key)), None)
        if leaf is None:
            raise CertificateRefused("not about the key of the latest signing request")
        checks.check_station_certificate(leaf, self._name, self._settings.text("organization_name"), now)
        if (
            self._csms.conventions.keeps_one_certificate
            and leaf.not_valid_before_utc > now + checks.CLOCK_SKEW
        ):
            raise CertificateRefused(f"not valid before {leaf.not_valid_before_utc.isoformat()}")
        roots = list(self._store.roots(CertificateUse.CSMS_ROOT))
        if self._files.ca_file:
            roots += checks.read_some(Path(self._files.ca_file).read_text("ascii", "replace"))
        path = checks.check_path(leaf, certificates, roots, now)
        return self._store.add_own((leaf, *path), key)

    # --- as time goes by -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_time())
            group.create_task(self._sign_when_wanted())

    async def _watch_time(self) -> None:
        while True:
            self._look_now.clear()
            now = self._clock.now()
            own = await asyncio.to_thread(self._own)
            self._switch()
            for failed in await asyncio.to_thread(self._drop_old, own, now):  # A02.FR.29
                self._raise(SecurityEventType.DISCARDED_RENEWED_CERTIFICATE, failed.name)
            if self._may_renew():
                end = own[0].not_after if own else await asyncio.to_thread(self._configured_end)
                if end is not None and end <= now + RENEW_BEFORE:
                    self._want()
            begins = [(each.not_before + _SWITCH_MARGIN - now).total_seconds() for each in own]
            wait_s = min([TICK_S, *(seconds for seconds in begins if seconds > 0)])
            try:
                async with asyncio.timeout(wait_s):
                    await self._look_now.wait()
            except TimeoutError:
                continue

    def _switch(self) -> None:
        """A newer certificate has begun, or the one in use has ended (A02.FR.08, .09)."""
        best = self._best()
        if best is None or best.name == self._in_use:
            return
        is_used = self._settings.integer("security_profile") == 3
        self._csms.use_credentials("a new certificate of the station is valid" if is_used else None)

    def _may_renew(self) -> bool:
        """A03.FR.02: whether it makes sense to ask now; again only as the setting says (A03 error handling)."""
        if not self._csms.is_online or not self._settings.text("organization_name"):
            return False
        repeat_s = self._settings.integer("certificate_repeat_wait_s")
        if self._asked_time is None:
            return True
        if self._is_left_to_csms:
            return False
        return repeat_s > 0 and self._clock.time() >= self._asked_time + repeat_s

    def _configured_end(self) -> datetime | None:
        """When the certificate of the configuration file ends; None: there is none that can be read."""
        if not self._files.certificate_file:
            return None
        from agent.security import checks

        try:
            text = Path(self._files.certificate_file).read_text("ascii", "replace")
            return checks.read_all(text)[0].not_valid_after_utc
        except (OSError, CertificateRefused) as error:
            log.error("%s: %s", self._files.certificate_file, error)
            return None

    async def _sign_when_wanted(self) -> None:
        """One request at a time; the latest wish counts, with a key of its own (A02.FR.02)."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            is_triggered, self._is_triggered = self._is_triggered, False
            self._asked_time = self._clock.time()
            self._is_left_to_csms = False
            try:
                request = await self._new_request()
                self._is_settled.clear()
                is_taken = await self._csms.ask_to_sign(request, triggered=is_triggered)
            except (AgentError, OSError) as error:
                log.warning("no certificate could be asked for: %s", error)
                if isinstance(error, LinkClosed) and not is_triggered:
                    self._asked_time = None  # nobody was asked
                continue
            if is_taken:
                log.info("the CSMS has taken the signing request; its certificate is awaited")
                self._is_left_to_csms = self._csms.conventions.repeats_signing  # 2.0.1 A02.FR.19, .20
                await self._repeat(request, triggered=is_triggered)
            else:
                # A02.FR.12: the old certificate stays; a renewal of our own is tried again after a day.
                log.warning("the CSMS refused the signing request")

    async def _repeat(self, request: str, *, triggered: bool) -> None:
        """Send it again, each time after twice the wait, until a certificate comes (2.0.1 A02.FR.17 to .19)."""
        wait_s = float(self._settings.integer("certificate_wait_s"))
        if not self._csms.conventions.repeats_signing or wait_s <= 0 or self._wanted.is_set():
            return
        for _ in range(self._settings.integer("certificate_repeats") + 1):
            try:
                async with asyncio.timeout(wait_s):
                    await self._is_settled.wait()
            except TimeoutError:
                wait_s *= 2
            else:
                return
            log.warning("no certificate has come: the signing request is sent again")
            try:
                if not await self._csms.ask_to_sign(request, triggered=triggered):
                    return
            except AgentError as error:
                log.warning("the signing request could not be sent again: %s", error)
        log.warning("the CSMS has sent no certificate; nobody asks again before it wants it")

    async def _new_request(self) -> str:
        kind = self._settings.text("certificate_key_type")
        organization = self._settings.text("organization_name")

        def prepare() -> str:
            from agent.security import signing

            key = signing.new_key(kind)
            request = signing.signing_request(key, self._name, organization)
            self._store.keep_pending_key(key)
            return request

        return await asyncio.to_thread(prepare)


def _name(own: OwnCertificate | None) -> str:
    """As in `_in_use`: "" for the configured one."""
    return "" if own is None else own.name


_RECONFIGURED = SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS
