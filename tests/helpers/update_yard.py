"""Everything around a firmware update on the bench: releases on disk, a manufacturer, a file server, a CSMS.

async with Yard(tmp_path, monkeypatch) as yard:
    async with yard.bench() as bench:            # the station with what `current` points to
        await yard.online(bench)
        await yard.order(bench, file)
        await bench.ended()                      # it restarts itself for the update
    async with yard.bench() as bench: ...        # what was started instead
"""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from agent.charging.ids import CertificateUse
from agent.security.certificates import CertificateStore
from agent.update import building
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.csms_calls import Answer
from tests.helpers.firmware import Manufacturer, make_release, make_root
from tests.helpers.moody_server import MoodyServer

EXTRA = """
[update]
root = "{root}"
confirm_within_s = 300
"""
TOLD = ("FirmwareStatusNotification", "SignedFirmwareStatusNotification", "SecurityEventNotification")
LONG_AGO = "2020-01-01T00:00:00Z"


class Yard:
    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, extra: str = "", version: str = "ocpp1.6"
    ) -> None:
        self.folder = folder
        self._version = version
        self.root = make_root(folder)
        self.state_dir = folder / "state"
        self._extra = EXTRA.format(root=self.root) + extra
        self._stack = AsyncExitStack()
        self.maker = Manufacturer()
        self.csms = Csms()
        self.files = MoodyServer()
        # A process takes its code from what `current` pointed to at its start; here one process plays them all.
        monkeypatch.setattr(building, "running_release", lambda: (self.root / "current").resolve())

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.files)
        await self._stack.enter_async_context(self.csms)
        friendly(self.csms)
        for action in TOLD:
            self.csms.always(action)
        self.trust()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def bench(self, state_dir: Path | None = None) -> Bench:
        return Bench(state_dir or self.state_dir, self._extra, self.csms, version=self._version)

    def trust(self, state_dir: Path | None = None) -> None:
        """Install the manufacturer's root certificate."""
        store = CertificateStore((state_dir or self.state_dir) / "certificates")
        now = datetime(2026, 1, 1, tzinfo=UTC)
        store.install_root(CertificateUse.MANUFACTURER_ROOT, self.maker.root_text, now, limit=32)

    def release(self, version: str = "1.1", files: dict[str, str] | None = None, **rules: Any) -> Path:
        return make_release(self.folder, version, files, **rules)

    async def online(self, bench: Bench) -> None:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=2)

    def at(self, bench: Bench, after: timedelta) -> str:
        """A time on the wire, from now as the station sees it."""
        return (bench.agent.clock.now() + after).isoformat()

    async def order(self, bench: Bench, location: str, **fields: Any) -> Answer:
        """UpdateFirmware of `location`."""
        return await bench.csms.call(
            "UpdateFirmware", {"location": location, "retrieveDate": LONG_AGO, **fields}
        )

    async def order_signed(
        self,
        bench: Bench,
        file: Path,
        request_id: int = 7,
        *,
        top: dict[str, Any] | None = None,
        **firmware: Any,
    ) -> Answer:
        """SignedUpdateFirmware of a file that the manufacturer has signed; `firmware` is put over its fields."""
        described = {
            "location": self.files.serve(file),
            "retrieveDateTime": LONG_AGO,
            "signingCertificate": self.maker.signer_text(),
            "signature": self.maker.sign(file),
            **firmware,
        }
        return await bench.csms.call(
            "SignedUpdateFirmware", {"requestId": request_id, "firmware": described, **(top or {})}
        )

    async def order201(
        self,
        bench: Bench,
        file: Path,
        request_id: int = 7,
        *,
        top: dict[str, Any] | None = None,
        **firmware: Any,
    ) -> Any:
        """UpdateFirmware of 2.0.1, signed by the manufacturer; `firmware` is put over its fields (None: out)."""
        described = {
            "location": self.files.serve(file),
            "retrieveDateTime": LONG_AGO,
            "signingCertificate": self.maker.signer_text(),
            "signature": self.maker.sign(file),
            **firmware,
        }
        described = {name: value for name, value in described.items() if value is not None}
        answer = await bench.csms.call(
            "UpdateFirmware", {"requestId": request_id, "firmware": described, **(top or {})}
        )
        return answer.payload

    def told(self, bench: Bench) -> list[str]:
        """Statuses and boots in the order in which the CSMS heard of them, security events of firmware among them."""
        words = []
        for action, payload in bench.calls():
            if action in TOLD[:2]:
                words.append(payload["status"])
            elif action == "BootNotification":
                words.append("boot")
            elif action == TOLD[2] and "Firmware" in payload["type"]:
                words.append(payload["type"])
        return words
