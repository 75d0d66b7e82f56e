"""Throws frames at a station, batch by batch, lets it live meanwhile, and sees at the end whether it still charges.

A batch is some legal, some damaged and some absurd frames sent at once; every answer that is owed has to come before
the next batch. Cars come and go, and the station's own calls are answered badly now and then. A station that ends by a
Reset is started again on what it left on disk. What differs between versions is asked of `dialects` and `stories`.
Used by `__main__` and the tests.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType

from tests.fuzz.broken import Broken
from tests.fuzz.dialects import Dialect
from tests.fuzz.judge import Judge
from tests.fuzz.legal import Legal
from tests.fuzz.stories import Story, story_of
from tests.helpers.csms import Csms, write_now
from tests.helpers.csms_calls import Answer

PATIENCE_S = 45.0
"""Longer than the station gives itself for an answer."""
RESET_TAKES_S = 60.0
"""A reset first gets rid of what is queued, and is tried again when it fails."""
HELPFUL = 0.04
"""Part of the frames that put something right, or nobody would charge any more after the first thousand."""
WARM_UP = 0.1
"""Part of the frames after which memory is measured the first time."""


class Stage(Protocol):
    """A station with its surroundings, in this process or another one."""

    csms: Csms
    pause_s: float
    """A moment that is enough for the station to answer."""
    batch_sizes: Sequence[int]
    """Frames sent at once, drawn from these."""

    async def revive(self) -> bool:
        """Start the station again if it ended by a reset; an end of another kind raises AssertionError."""

    async def plug(self, evse_id: int) -> None: ...
    async def unplug(self, evse_id: int) -> None: ...
    async def tap(self, id_token: str) -> None: ...
    async def pass_time(self, seconds: float) -> None:
        """Let so much happen as happens in that time (less of it where time is real)."""

    def memory_kb(self) -> int:
        """Resident memory of the process that the station runs in."""

    def faults(self) -> list[str]:
        """Crashes that the station logged since the last look."""

    async def unsafe(self) -> list[str]:
        """Outlets that are live and may not be, as far as this can be seen from here."""


@dataclass
class Report:
    frames: int = 0
    batches: int = 0
    restarts: int = 0
    connections: int = 0
    own_calls: int = 0
    transactions: int = 0
    warm_kb: int = 0
    """Memory after the first tenth of the frames."""
    last_kb: int = 0
    faults: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)


class Fuzzer:
    """One run; `seed` makes it repeatable as far as the station's own timing is."""

    def __init__(
        self,
        stage: Stage,
        seed: int,
        dialect: Dialect,
        *,
        keys: Sequence[Any] = (),
        texts: Sequence[str] = (),
        resets: bool = True,
    ) -> None:
        """`keys`, `texts`: as for `Legal`; no keys: those that the station tells. Without `resets` the same process
        goes on all the time."""
        self._stage = stage
        self._dialect = dialect
        self._reset_rate = 0.1 if resets else 0.0
        self._random = random.Random(seed)
        self._legal = Legal(dialect, self._random, keys, texts)
        self._broken = Broken(self._random)
        self._judge = Judge(dialect, on_accepted=self._note_accepted)
        self._story: Story = story_of(dialect)
        self._answers_badly = 0.1
        self._reservations: set[int] = set()
        self._will_reset = False
        self._may_reset_at_any_time = False
        self._may_disconnect = False
        self._excused_until_time = 0.0
        self.report = Report()

    async def run(self, frames: int) -> Report:
        """Ends at the first batch with a fault; a station that ends otherwise than by a reset raises AssertionError."""
        csms = self._stage.csms
        csms.first_look = self._look
        self._answers_badly = 0.0
        await self._be_ready()
        self._legal.keys = await self._story.remember(self._ask, self._calls) or self._legal.keys
        self._judge.verdicts.clear()  # the answers to calls of `Csms.call` are not owed to the judge
        self._answers_badly = 0.1
        while self.report.frames < frames and not self.report.faults:
            await self._batch(min(frames - self.report.frames, self._random.choice(self._stage.batch_sizes)))
            await self._live()
            self._forget_traffic()
            if not self.report.warm_kb and self.report.frames >= frames * WARM_UP:
                self.report.warm_kb = self._stage.memory_kb()
        self.report.last_kb = self._stage.memory_kb()
        self.report.answers = dict(self._judge.answers)
        if not self.report.faults:
            try:
                await self._charge_at_last()
            except AssertionError as error:
                self.report.faults.append(str(error))
            self.report.faults += self._stage.faults()
        return self.report

    # --- one batch ---------------------------------------------------------------------------------------

    async def _batch(self, size: int) -> None:
        csms = self._stage.csms
        before = len(csms.handshakes)
        texts = [self._frame() for _ in range(size)]
        disconnecting = [text for text in texts if self._dialect.may_disconnect.search(text)]
        texts = disconnecting[:1] if disconnecting and self._random.random() < 0.3 else texts
        loop = asyncio.get_running_loop()
        if any(self._dialect.may_disconnect.search(text) for text in texts):
            self._excused_until_time = loop.time() + RESET_TAKES_S
        for text in texts:
            self._judge.owe(text)
        for text in texts:
            csms.send_text(text)
        is_no_text = self._random.random() < 0.002
        if is_no_text:
            write_now(csms.sockets[-1].send_frame(b'[2,"\xff\xfe","Heartbeat",{}]', WSMsgType.TEXT))
        await self._answered()
        if self._will_reset:  # it may take its time to get rid of what is queued
            self._will_reset = False
            await csms.connected(False)
        elif self._may_disconnect or is_no_text:
            self._may_disconnect = False
            await self._stage.pass_time(2)
        has_ended = len(csms.handshakes) != before or not csms.is_connected
        is_excused = loop.time() <= self._excused_until_time or self._may_reset_at_any_time
        if has_ended and not is_no_text and not is_excused:
            self.report.faults.append(f"the connection ended: {csms.close_code}")
        self._judge.settle(is_excused=has_ended)
        self.report.frames += len(texts)
        self.report.batches += 1
        self.report.faults += [*self._judge.verdicts, *self._stage.faults(), *await self._stage.unsafe()]
        if has_ended:
            await self._be_ready()

    async def _answered(self) -> None:
        waited_s = 0.0
        while self._judge.left > 0 and waited_s < PATIENCE_S and self._stage.csms.is_connected:
            await asyncio.sleep(self._stage.pause_s)
            waited_s += self._stage.pause_s
        await asyncio.sleep(self._stage.pause_s)

    def _frame(self) -> str:
        choose, chance = self._random.choice, self._random.random()
        action, message_id = choose(self._dialect.calls), self._legal.message_id()
        if self._random.random() < HELPFUL:
            return json.dumps([2, message_id, *self._story.helpful(self._random)])
        if action == "Reset" and self._random.random() >= self._reset_rate:
            action = "DataTransfer"  # a station that restarts all the time is hardly tested
        payload = self._legal.payload(action)
        if chance < 0.40:
            return self._broken.dumps([2, message_id, action, payload])
        if chance < 0.75:
            return self._broken.dumps([2, message_id, action, self._broken.payload(payload)])
        if chance < 0.87:
            return self._broken.envelope(message_id, action, payload)
        if chance < 0.997:
            text = json.dumps([2, message_id, action, payload])
            # Damage to an address could make it somebody's.
            return text if "://" in text else self._broken.text(text)
        return choose((self._broken.deep, self._broken.deep, self._broken.large))(message_id, action)

    # --- the station's life ------------------------------------------------------------------------------

    async def _live(self) -> None:
        stage, chance = self._stage, self._random.random()
        evse_id = self._random.choice((1, 2))
        if chance < 0.15:
            await stage.plug(evse_id)
        elif chance < 0.20:
            await stage.unplug(evse_id)
        elif chance < 0.40:
            await stage.tap(self._random.choice(("TAG1", "TAG2", "DEADBEEF")))
        elif chance < 0.50:
            await stage.pass_time(self._random.choice((1, 10, 60)))

    async def _be_ready(self) -> None:
        """Connected, and past the first boot answer."""
        csms = self._stage.csms
        status = "Pending" if self._answers_badly and self._random.random() < 0.2 else "Accepted"
        csms.always("BootNotification", status=status, interval=self._random.choice((0, 1, 30, 300)))
        if await self._stage.revive():
            self.report.restarts += 1
            self._may_reset_at_any_time = False
        await csms.connected()
        self.report.connections += 1
        await self._stage.pass_time(3)

    def _look(self, text: str) -> bool:
        """Every frame of the station passes here first; True = it has been dealt with."""
        self._judge.see(text)
        frame = json.loads(text)
        if frame[0] != 2:
            return False
        self.report.own_calls += 1
        self.report.transactions += self._dialect.is_end(frame[2], frame[3])
        self._story.meet(self._legal.met, frame[2], frame[3])
        if self._random.random() >= self._answers_badly:
            return False
        for answer in self._bad_answers(frame[1], frame[2]):
            self._stage.csms.send_text(answer)
        return True

    def _bad_answers(self, message_id: str, action: str) -> list[str]:
        """To a call of the station: a refusal, nonsense, too much, or nothing at all."""
        good = self._dialect.friendly(action)
        broken = self._broken.payload(good)
        odd = [3, message_id, self._legal.answer(action) if action != "BootNotification" else good]
        return self._random.choice(
            (
                lambda: [],
                lambda: [json.dumps([4, message_id, self._random.choice(("InternalError", "Nope")), "", {}])],
                lambda: [json.dumps([4, message_id, "RpcFrameworkError", "Call already in progress", {}])],
                lambda: [self._broken.dumps([3, message_id, broken])] if action != "BootNotification" else [],
                lambda: [json.dumps(odd)],
                lambda: [json.dumps(odd)] * 2,
                lambda: [json.dumps([3, "somebody-else", {}]), json.dumps([3, message_id])],
                lambda: [json.dumps([4, message_id])],
            )
        )()

    def _forget_traffic(self) -> None:
        csms = self._stage.csms
        csms.received.clear()
        csms.ping_times.clear()
        csms.pongs.clear()
        del csms.handshakes[:-1]

    def _note_accepted(self, action: str, payload: Any, status: str) -> None:
        if action == "Reset" and status == "Scheduled":
            self._may_reset_at_any_time = True
        elif action == "Reset" and not payload.get("evseId"):
            self._will_reset = True
        self._may_disconnect |= self._dialect.may_disconnect.search(f"{action} {payload}") is not None
        if action == "ReserveNow" and isinstance(payload, dict):
            self._reservations.add(payload[self._dialect.reservation_id])

    # --- the end -----------------------------------------------------------------------------------------

    async def _ask(self, action: str, payload: dict[str, Any] | None = None) -> Answer:
        answer = await self._stage.csms.call(action, payload)
        self._judge.settle()
        return answer

    async def _charge_at_last(self) -> None:
        """Put everything back by OCPP, restart, and charge like any other day."""
        stage, csms = self._stage, self._stage.csms
        self._answers_badly = 0.0
        csms.first_look = None
        csms.always("BootNotification", status="Accepted", interval=300)
        for evse_id in (1, 2):
            await stage.unplug(evse_id)
        await self._story.reset(self._ask)
        await csms.connected(False)
        await self._be_ready()
        await self._story.put_back(self._ask, sorted(self._reservations))
        await stage.pass_time(60)
        self._forget_traffic()
        await stage.plug(1)
        await stage.pass_time(5)
        await stage.tap("LASTTAG")
        await self._heard(self._story.is_start)
        await stage.pass_time(120)
        await stage.tap("LASTTAG")
        await self._heard(self._story.is_good_end)

    def _calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Of the station, since the traffic was forgotten."""
        frames = [json.loads(text) for _time, text in self._stage.csms.received]
        return [(frame[2], frame[3]) for frame in frames if frame[0] == 2]

    async def _heard(self, is_it: Callable[[str, dict[str, Any]], object]) -> None:
        for _ in range(600):
            if any(is_it(*each) for each in self._calls()):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {is_it.__name__} after the fuzzing, only {self._calls()[-20:]}")
