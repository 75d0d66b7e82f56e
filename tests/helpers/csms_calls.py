"""What passes between a station and the scripted CSMS (`csms.py`)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(slots=True)
class Call:
    """A CALL of the station, to be answered now or later."""

    send: Callable[[str], None]
    transaction_ids: Iterator[int]
    message_id: str
    action: str
    payload: dict[str, Any]
    time: float

    def reply(self, payload: dict[str, Any]) -> None:
        self.send(json.dumps([3, self.message_id, payload]))

    def accept(self, **fields: Any) -> None:
        """The usual friendly answer, with `fields` put over it."""
        is_version2 = self.action == "Authorize" and "idToken" in self.payload
        answer = (
            {"idTokenInfo": {"status": "Accepted"}}
            if is_version2
            else friendly_answer(self.action, self.time, self.transaction_ids)
        )
        self.reply(answer | fields)

    def error(self, code: str, description: str = "") -> None:
        self.send(json.dumps([4, self.message_id, code, description, {}]))

    def ignore(self) -> None:
        """Never answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The station's answer to a CALL of ours: `error` is the code of a CALLERROR, else None."""

    payload: dict[str, Any]
    error: str | None
    description: str
    time: float


@dataclass(frozen=True, slots=True)
class Handshake:
    path: str
    headers: dict[str, str]
    time: float


def friendly_answer(action: str, time: float, transaction_ids: Iterator[int]) -> dict[str, Any]:
    """What a CSMS says when all is well, at `time` seconds of loop time; where versions differ, that of OCPP 1.6."""
    now = (datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=time)).isoformat()
    accepted = {"status": "Accepted"}
    match action:
        case "BootNotification":
            return {**accepted, "currentTime": now, "interval": 300}
        case "Heartbeat":
            return {"currentTime": now}
        case "Authorize":
            return {"idTagInfo": accepted}
        case "StartTransaction":
            return {"transactionId": next(transaction_ids), "idTagInfo": accepted}
        case "DataTransfer":
            return accepted
    return {}
