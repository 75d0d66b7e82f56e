"""Uploads of logs and diagnostics: names of files, what there is to send, how often it is tried, what is going on.

Pure. The files are made and brought away by `agent/diagnostics`; the words of 1.6 are in `ocpp/v16/diagnostics.py`.
OCPP 1.6 4.4, 5.9, 6.25, errata 3.50 (R16-289, R16-300 to R16-304); security white paper N01 (R16-357 to R16-360).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.charging.facts import LogUploadChanged
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.requests import UploadLog

DEFAULT_RETRIES = 3
DEFAULT_RETRY_INTERVAL_S = 60.0
LONGEST_NAME = 255
"""Characters of a file name: CiString255 in 1.6."""
ENDINGS = {LogKind.DIAGNOSTICS: "tar.gz", LogKind.SECURITY: "jsonl"}


@dataclass(frozen=True, slots=True)
class Period:
    """From `oldest` to `latest`, both included; None = no bound. Aware."""

    oldest: datetime | None = None
    latest: datetime | None = None

    def includes(self, at: datetime) -> bool:
        after = self.oldest is None or self.oldest <= at
        return after and (self.latest is None or at <= self.latest)

    def touches(self, begin: datetime, end: datetime) -> bool:
        """Something that lasted from `begin` to `end` belongs to it."""
        after = self.oldest is None or self.oldest <= end
        return after and (self.latest is None or begin <= self.latest)

    def can_hold(self, now: datetime) -> bool:
        """False: it ends before it begins, or begins in the future; nothing can lie in it."""
        if self.oldest is None:
            return True
        return self.oldest <= now and (self.latest is None or self.oldest <= self.latest)


def period_of(request: UploadLog) -> Period:
    return Period(request.oldest, request.latest)


@dataclass(frozen=True, slots=True)
class Retries:
    """After the first attempt: how often again, and how long to wait before each."""

    times: int
    interval_s: float

    def may_try_again(self, attempts: int) -> bool:
        """`attempts`: how many were made."""
        return attempts <= self.times


def retries_of(request: UploadLog) -> Retries:
    """0 means one attempt and no other (R16-302, errata 3.50); nothing given: our choice. Less than 0 counts as 0."""
    times = DEFAULT_RETRIES if request.retries is None else max(0, request.retries)
    if request.retry_interval_s is None:
        return Retries(times, DEFAULT_RETRY_INTERVAL_S)
    return Retries(times, float(max(0, request.retry_interval_s)))


def file_name(kind: LogKind, identity: str, at: datetime) -> str:
    """Of this station and moment, with characters that every server takes."""
    what = "diagnostics" if kind is LogKind.DIAGNOSTICS else "security"
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%S") + f"{at.microsecond // 1000:03d}Z"
    tail = f"_{what}_{moment}.{ENDINGS[kind]}"
    station = re.sub(r"[^A-Za-z0-9._-]", "_", identity).lstrip(".") or "station"
    return station[: LONGEST_NAME - len(tail)] + tail


def is_uploading(last: LogUploadChanged | None) -> bool:
    """What the last fact says of now; after any end, and before the first upload, the station is idle (R16-289)."""
    return last is not None and last.status is UploadStatus.UPLOADING
