"""One recorded session, and a recorder that knows no other."""

from collections.abc import Sequence
from datetime import timedelta

from msgspec.structs import replace

from agent.charging.ids import IdToken, StopReason
from agent.charging.recording import (
    RecordedSession,
    SessionCurve,
    SessionQuery,
    SessionSample,
    Totals,
)
from agent.errors import StoreError
from tests.helpers.snapshots import T0

SESSION = RecordedSession(
    session_id="8b54349c-49c9-420e-a305-a0f96746bf80",
    evse_id=1,
    connector_id=1,
    id_token=IdToken("04A1B2C3D4"),
    started_at=T0,
    stopped_at=T0 + timedelta(hours=1),
    meter_start_wh=1000,
    meter_stop_wh=12_000,
    energy_wh=11_000.0,
    stop_reason=StopReason.LOCAL,
    reference="42",
    totals=Totals(3500.04, 60.0, 30.0, 11_040.0, "3.30"),
    duration_s=3600.0,
)
SAMPLE = SessionSample(round(T0.timestamp() * 1000) + 1500, 11_040.0, (16.0, 16.0, None), 16.0, 3.1)
LATER = SessionSample(SAMPLE.at_ms + 4000, 11_040.0, (16.0, 16.0, None), 16.0, 15.3)


class Recorder:
    """A `SessionsPort` with one session."""

    def __init__(self) -> None:
        self.asked: list[SessionQuery] = []
        self.failure: StoreError | None = None
        self.given: dict[str, str] = {}
        """Changes to the session; the token as a text."""

    async def sessions(self, query: SessionQuery) -> Sequence[RecordedSession]:
        if self.failure is not None:
            raise self.failure
        self.asked.append(query)
        if "id_token" in self.given:
            return [replace(SESSION, id_token=IdToken(self.given["id_token"]))]
        return [SESSION]

    async def session(self, session_id: str) -> SessionCurve | None:
        if self.failure is not None:
            raise self.failure
        return SessionCurve(SESSION, 4, (SAMPLE, LATER)) if session_id == SESSION.session_id else None
