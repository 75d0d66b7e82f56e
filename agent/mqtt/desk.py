"""Carries out commands that came by MQTT, through the same requests that the local API makes; each leaves an audit row.

Decides nothing about charging: the station and the catalogue of actions do, and their answer is what the sender gets to
hear. Called by `bridge.py`, one command at a time.
"""

import logging
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, assert_never

from agent.charging.facts import VendorActionRun
from agent.charging.ports import AuditLog, Clock
from agent.charging.profiles import ChargingSchedule, LimitOrigin, RateUnit, SchedulePeriod
from agent.charging.requests import (
    Answer,
    ChangeAvailability,
    LiftExternalLimit,
    LimitExternally,
    Request,
    RequestStop,
    Result,
    Verdict,
)
from agent.charging.snapshot import StationSnapshot
from agent.config_mqtt import CURRENT_LIMIT, ENABLE, STOP
from agent.errors import StoreError
from agent.mqtt.commands import Command, Enable, LimitCurrent, NoCommand, RunAction, StopCharging

log = logging.getLogger(__name__)

SOURCE = "mqtt"
COMMANDS_PER_MINUTE = 60
"""A row of the audit log is a write to the disk: whoever floods the broker does not wear it out."""
DETAIL_MOST = 300
"""Characters: some reasons quote the sender."""


class StationPort(Protocol):
    def snapshot(self) -> StationSnapshot: ...
    async def execute(self, request: Request) -> Result: ...


class ActionsPort(Protocol):
    """The catalogue of hardware actions; it audits by itself."""

    async def run(
        self, name: str, parameters: Mapping[str, Any], *, source: str, is_installer: bool
    ) -> tuple[str, str, Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What came of a command; `outcome` is one of a few words."""

    command: str
    evse_id: int
    outcome: str
    detail: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return self.outcome in ("ok", "scheduled")


_WORDS = {
    Verdict.ACCEPTED: "ok",
    Verdict.SCHEDULED: "scheduled",
    Verdict.REJECTED: "rejected",
    Verdict.UNKNOWN: "rejected",
    Verdict.REBOOT_REQUIRED: "ok",
}


class CommandDesk:
    def __init__(
        self,
        station: StationPort,
        actions: ActionsPort,
        audit: AuditLog,
        clock: Clock,
        *,
        origin: LimitOrigin,
        duration_s: int,
    ) -> None:
        """`origin`, `duration_s`: as whom, and for how long, a current is limited."""
        self._station = station
        self._actions = actions
        self._audit = audit
        self._clock = clock
        self._origin = origin
        self._duration_s = duration_s
        self._times: deque[float] = deque(maxlen=COMMANDS_PER_MINUTE)
        self.outcomes: Counter[str] = Counter()
        """Commands by what came of them."""

    def may_take(self) -> bool:
        """Takes one of this minute's commands; False: there were too many, and nothing is written of this one."""
        now = self._clock.time()
        if len(self._times) == COMMANDS_PER_MINUTE and now - self._times[0] < 60.0:
            self.outcomes["too_many"] += 1
            return False
        self._times.append(now)
        return True

    async def obey(self, command: Command | NoCommand) -> CommandOutcome:
        """Never raises for what a command may be."""
        try:
            outcome = await self._carry(command)
        except Exception:  # a crash of what is asked is an answer, and nobody's end
            log.exception("the command %s crashed", str(command)[:DETAIL_MOST])
            outcome = CommandOutcome(_name_of(command), command.evse_id, "failed", "see the log")
        if len(outcome.detail) > DETAIL_MOST:
            outcome = replace(outcome, detail=outcome.detail[: DETAIL_MOST - 3] + "...")
        self.outcomes[outcome.outcome] += 1
        level = logging.INFO if outcome.is_ok else logging.WARNING
        log.log(
            level, "%s on EVSE %d: %s %s", outcome.command, outcome.evse_id, outcome.outcome, outcome.detail
        )
        if not isinstance(command, RunAction):
            await self._note(outcome)
        return outcome

    async def _carry(self, command: Command | NoCommand) -> CommandOutcome:
        match command:
            case NoCommand(evse_id, name, outcome, reason):
                return CommandOutcome(name, evse_id, outcome, reason)
            case Enable(evse_id, is_operative):
                words = "in service" if is_operative else "out of service"
                return await self._ask(ENABLE, evse_id, ChangeAvailability(evse_id, 0, is_operative), words)
            case LimitCurrent():
                return await self._limit(command)
            case StopCharging(evse_id):
                transaction = self._station.snapshot().evses[evse_id].transaction
                if transaction is None:
                    return CommandOutcome(STOP, evse_id, "rejected", "no session runs there")
                request = RequestStop(transaction.transaction_id, is_local=True)
                return await self._ask(STOP, evse_id, request, transaction.transaction_id)
            case RunAction(evse_id, name, parameters):
                result, detail, values = await self._actions.run(
                    name, parameters, source=SOURCE, is_installer=True
                )
                return CommandOutcome(name, evse_id, result, detail, values)
            case _:
                assert_never(command)

    async def _limit(self, command: LimitCurrent) -> CommandOutcome:
        evse_id, current_a = command.evse_id, command.current_a
        if current_a is None:
            answer = await self._station.execute(LiftExternalLimit(self._origin, evse_id))
            assert isinstance(answer, Answer)
            if answer.verdict is Verdict.UNKNOWN:  # as wanted
                return CommandOutcome(CURRENT_LIMIT, evse_id, "ok", "there was none")
            return CommandOutcome(CURRENT_LIMIT, evse_id, _WORDS[answer.verdict], answer.reason or "lifted")
        duration_s = command.duration_s or self._duration_s
        schedule = ChargingSchedule(RateUnit.AMPERE, (SchedulePeriod(0, current_a),), duration_s)
        request = LimitExternally(self._origin, schedule, None, evse_id)
        return await self._ask(CURRENT_LIMIT, evse_id, request, f"{current_a:g} A for {duration_s} s")

    async def _ask(self, name: str, evse_id: int, request: Request, words: str) -> CommandOutcome:
        answer = await self._station.execute(request)
        assert isinstance(answer, Answer)
        return CommandOutcome(name, evse_id, _WORDS[answer.verdict], f"{words} {answer.reason}".rstrip())

    async def _note(self, outcome: CommandOutcome) -> None:
        row = VendorActionRun(
            self._clock.now(), SOURCE, outcome.command, outcome.evse_id, outcome.outcome, outcome.detail
        )
        try:
            await self._audit.add(row)
        except StoreError:
            log.exception("the audit row of %s could not be stored", outcome.command)


def _name_of(command: Command | NoCommand) -> str:
    match command:
        case Enable():
            return ENABLE
        case LimitCurrent():
            return CURRENT_LIMIT
        case StopCharging():
            return STOP
        case RunAction(name=name) | NoCommand(name=name):
            return name
