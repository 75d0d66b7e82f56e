"""From a message on a command topic to a command, or to the reason why it is none. Pure; no input makes it raise.

Only what the configuration names is a command; what a command says is checked here as far as it can be without the
station. Contract: docs/mqtt.md.
"""

import math
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from agent.charging.ids import EvseId
from agent.config_mqtt import CURRENT_LIMIT, ENABLE, STOP
from agent.mqtt.topics import Topics

PAYLOAD_MOST = 4096
"""Bytes."""
CURRENT_MOST_A = 1000.0
DURATION_LEAST_S, DURATION_MOST_S = 1, 7 * 86_400
_ON = frozenset({"on", "true", "1"})
_OFF = frozenset({"off", "false", "0"})
_LIFT = frozenset({"none", "null", "off", ""})
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Enable:
    """EVSE 0: the whole station."""

    evse_id: EvseId
    is_operative: bool


@dataclass(frozen=True, slots=True)
class LimitCurrent:
    """`current_a` None: lift it. `duration_s` None: as configured. EVSE 0: the sum of all."""

    evse_id: EvseId
    current_a: float | None
    duration_s: int | None = None


@dataclass(frozen=True, slots=True)
class StopCharging:
    evse_id: EvseId


@dataclass(frozen=True, slots=True)
class RunAction:
    """A hardware action of the catalogue; its parameters are judged there."""

    evse_id: EvseId
    """0: the topic named none."""
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


Command: TypeAlias = Enable | LimitCurrent | StopCharging | RunAction


@dataclass(frozen=True, slots=True)
class NoCommand:
    """Why a message is not obeyed."""

    evse_id: EvseId
    name: str
    outcome: str
    """forbidden, bad_payload, unknown_evse or stale."""
    reason: str


def parse(
    topics: Topics, topic: str, payload: bytes, *, is_retained: bool, allowed: Set[str], evse_ids: Set[EvseId]
) -> Command | NoCommand | None:
    """None: this is no topic of a command."""
    place = topics.parse_command(topic)
    if place is None:
        return None
    evse_id, name = place
    name = _printable(name)

    def no(outcome: str, reason: str) -> NoCommand:
        return NoCommand(evse_id, name, outcome, reason)

    if name not in allowed:
        return no("forbidden", f"{name} is not in mqtt.commands")
    if is_retained:
        return no("stale", "a retained message may be from any time: publish commands without retain")
    if evse_id and evse_id not in evse_ids:
        return no("unknown_evse", f"there is no EVSE {evse_id}")
    if len(payload) > PAYLOAD_MOST:
        return no("bad_payload", f"more than {PAYLOAD_MOST} bytes")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return no("bad_payload", "is no UTF-8 text")
    try:
        if name == ENABLE:
            return Enable(evse_id, _switch(text))
        if name == CURRENT_LIMIT:
            return _limit(evse_id, text)
        if name == STOP:
            return _stop(evse_id, text)
        return RunAction(evse_id, name, _parameters(evse_id, text))
    except ValueError as error:
        return no("bad_payload", str(error))


def _printable(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name[:64])


def _switch(text: str) -> bool:
    word = text.casefold()
    if word in _ON:
        return True
    if word in _OFF:
        return False
    raise ValueError("must be ON or OFF")


def _stop(evse_id: EvseId, text: str) -> StopCharging:
    if evse_id == 0:
        raise ValueError("needs the topic of an EVSE")
    if text not in ("", "PRESS", "{}"):
        raise ValueError("must be empty, or PRESS")
    return StopCharging(evse_id)


def _limit(evse_id: EvseId, text: str) -> LimitCurrent:
    if text.casefold() in _LIFT:
        return LimitCurrent(evse_id, None)
    if _NUMBER.fullmatch(text):
        return LimitCurrent(evse_id, _current(float(text)))
    given = _json(text, 'must be a number of A, "none", or {"current_a": 16, "duration_s": 900}')
    unknown = sorted(set(given) - {"current_a", "duration_s"})
    if unknown:
        raise ValueError(f"{_printable(unknown[0])}: unknown field")
    if "current_a" not in given:
        raise ValueError("current_a: is missing")
    current, duration = given["current_a"], given.get("duration_s")
    if duration is not None and (
        type(duration) is not int or not DURATION_LEAST_S <= duration <= DURATION_MOST_S
    ):
        raise ValueError(f"duration_s: must be {DURATION_LEAST_S} to {DURATION_MOST_S} whole seconds")
    if current is None:
        return LimitCurrent(evse_id, None)
    if type(current) not in (int, float):
        raise ValueError("current_a: must be a number of A, or null")
    return LimitCurrent(evse_id, _current(current), duration)


def _current(value: float) -> float:
    if not 0 <= value <= CURRENT_MOST_A or math.isnan(value):
        raise ValueError(f"current_a: must be 0 to {CURRENT_MOST_A:g}")
    return float(value)


def _parameters(evse_id: EvseId, text: str) -> Mapping[str, Any]:
    if text in ("", "PRESS"):
        given: dict[str, Any] = {}
    else:
        given = _json(text, "must be a JSON object with the parameters of the action, or empty")
    if evse_id and given.setdefault("evse_id", evse_id) != evse_id:
        raise ValueError("evse_id: is not that of the topic")
    return given


def _json(text: str, shape: str) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise ValueError(shape) from None
    if not isinstance(given, dict):
        raise ValueError(shape)
    return given
