"""Plays a scenario: does what each step says, waits for what it expects, and times it on the board's clock.

A finding that fails does not end the scenario; something that never comes does (`Missing`). Where the electricity takes
notes of its own, contactor times are judged by these, too. Driven by `suite_scenarios.py`.
"""

import asyncio
import itertools
import random
import statistics
from collections.abc import Callable
from typing import Any, assert_never

from board import wire
from hal.errors import DeviceMissing
from tests.helpers.board_client import BoardClient
from tests.helpers.board_rigs import DETECTION_MS, LogEntry, Rig
from tests.rig import iec, script
from tests.rig.recording import Place, Recorder

GRACE_S = 3.0
"""How much longer than a limit the player waits, so that a late board is measured and not just missed."""
SAMPLE_EVERY_S = 0.2
TAIL_S = 0.6
"""The drawing goes on for a moment after the last step."""


class Missing(AssertionError):
    """Something expected never came."""


class Player:
    """One scenario on one rig whose stream `recorder` listens to. `tell` hears each finding as it is made."""

    def __init__(self, rig: Rig, recorder: Recorder, tell: Callable[[script.Finding], None]) -> None:
        self._rig = rig
        self._recorder = recorder
        self._tell = tell
        self._client = BoardClient(rig.stream, rig.connector)
        self._keeper: asyncio.Task[None] | None = None
        self._number = "0"
        self._text = ""
        self._place = Place(0, 0)
        self._deed: script.Deed | None = None
        self._deed_ms = 0.0
        self._log: list[LogEntry] = []
        self._hello: dict[str, Any] = {}
        self._is_over = False

    async def play(self, scenario: script.Scenario) -> None:
        """Raises Missing; a finding that fails is only told."""
        await self._call()
        watcher = asyncio.create_task(self._watch())
        try:
            await self._client.until_tested()
            for number, step in enumerate(scenario.steps, 1):
                await self._step(str(number), step)
            await asyncio.sleep(TAIL_S)
        finally:
            self._is_over = True  # asyncio.wait_for of Python 3.11 may swallow a cancellation
            watcher.cancel()
            self._recorder.note_end()
            self._hang_up(lease_ms=0)
            await asyncio.gather(watcher, return_exceptions=True)

    async def _call(self) -> None:
        setpoint = self._client.setpoint
        self._client = BoardClient(self._rig.stream, self._rig.connector)
        await self._client.open()
        self._hello = self._client.hello
        self._client.setpoint = setpoint
        self._keeper = asyncio.create_task(self._client.keep())

    def _hang_up(self, lease_ms: int) -> None:
        setpoint = self._client.setpoint
        if setpoint is not None:
            setpoint.lease_ms = lease_ms
            self._client.send(wire.SETPOINT, setpoint.pack())
        if self._keeper is not None:
            self._keeper.cancel()
        self._client.close()

    async def _watch(self) -> None:
        """For the drawing: what STATUS, which comes on change, does not tell in time."""
        question = {
            "a": "read",
            "c": self._client.connector,
            "args": {"names": ["cp_high_mv", "cp_low_mv", "uptime_ms"]},
        }
        while not self._is_over:
            await asyncio.sleep(SAMPLE_EVERY_S)
            drawn_a = await self._rig.drawn_a()
            if drawn_a is not None:
                self._recorder.note_drawn(drawn_a)
                self._tell_meter(drawn_a)
            try:
                reply_type, reply = await self._client.exchange(wire.ACTION, wire.pack_json(question), 1.0)
            except (TimeoutError, DeviceMissing):
                continue  # the line is closed for now, or noisy
            if reply_type == wire.ACTION | wire.REPLY:  # NAK: busy with a request of the script
                data: Any = wire.unpack_json(reply)["data"]
                self._recorder.note_plateaus(data["uptime_ms"], data["cp_high_mv"], data["cp_low_mv"])

    def _tell_meter(self, drawn_a: float) -> None:
        """The host's meter: a board without sensors of its own watches over-current by it."""
        setpoint = self._client.setpoint
        if setpoint is not None and setpoint.measured_da != round(drawn_a * 10):
            setpoint.measured_da = round(drawn_a * 10)
            self._client.send(wire.SETPOINT, setpoint.pack())

    async def _step(self, number: str, step: script.Step) -> None:
        self._number, self._text, self._deed = number, step.text, step.deed
        await self._rig.log()
        self._log = []
        self._deed_ms = await self._board_ms() if not isinstance(step.deed, script.CallAgain) else 0.0
        self._place = self._recorder.place
        self._recorder.note_step(number, self._deed_ms or self._recorder.now_ms or 0.0)
        if step.deed is not None:
            await self._do(step.deed)
        if not step.expect and not isinstance(step.deed, script.Ask):
            self._found("", "done", "", True)
        for expectation in step.expect:
            await self._check(expectation)
            self._text = ""

    def _found(self, what: str, measured: str, limit: str, passed: bool) -> None:
        text = f"{self._text}: {what}" if self._text and what else self._text or what
        self._tell(script.Finding(self._number, text, measured, limit, passed))

    async def _board_ms(self) -> float:
        return float(await self._client.board_ms())

    # ---- deeds -------------------------------------------------------------------------------------------

    async def _do(self, deed: script.Deed) -> None:
        client = self._client
        match deed:
            case script.Car(state):
                await self._rig.car(state)
            case script.Put(name, value):
                await self._rig.set(**{name: value})
            case script.Permit(limit_a, lease_ms, fallback_a):
                client.permit(limit_a, lease_ms=lease_ms, fallback_a=fallback_a)
            case script.Forbid():
                client.permit(0, lease_ms=5000, allow=False)
            case script.FallSilent(lease_ms):
                assert client.setpoint is not None, "there is no permission to let run out"
                client.setpoint.lease_ms = lease_ms
                client.send(wire.SETPOINT, client.setpoint.pack())
                client.setpoint = None
            case script.HangUp(seconds, lease_ms):
                self._hang_up(lease_ms)
                await asyncio.sleep(seconds)
            case script.CallAgain():
                await self._call()
            case script.Noise(octets):
                self._make_noise(octets)
            case script.SelfTest():
                reply = await client.ask(wire.RCD_TEST, wire.pack_rcd_test(client.connector))
                passed = wire.unpack_rcd_test_reply(reply)[1] == 1
                self._found("self-test", "passed" if passed else "failed", "passed", passed)
            case script.Ask(action, code):
                answer = (await client.act(action))["code"]
                self._found(f"action {action}", answer, code, answer == code)
            case script.Wait(seconds):
                await asyncio.sleep(seconds)
            case _:
                assert_never(deed)

    def _make_noise(self, octets: int) -> None:
        noise = random.Random(1)
        line = bytes(noise.choice(range(256)) for _ in range(octets))
        half = wire.encode(wire.SETPOINT, 9, wire.Setpoint(self._client.connector, 0).pack())[:-6]
        for start in range(0, octets, 250):
            self._client.write(line[start : start + 250] + half + b"~~~\n")
        self._client.write(b"\n")

    # ---- expectations ------------------------------------------------------------------------------------

    async def _check(self, expected: script.Expectation) -> None:
        match expected:
            case script.Sees(state):
                await self._check_pilot(state)
            case script.Offers(limit_a, within_ms):
                await self._check_offer(limit_a, within_ms)
            case script.OffersNothing(within_ms):
                status = await self._status(lambda s: s.duty == wire.DUTY_OFF, within_ms, "PWM still runs")
                self._timed(
                    "PWM stopped", status.uptime_ms - self._deed_ms, 0, within_ms, is_timed=self._is_prompt
                )
            case script.Closes(within_ms, since):
                await self._check_contactor(True, within_ms, 0, since)
            case script.Opens(within_ms, not_before_ms, since):
                await self._check_contactor(False, within_ms, not_before_ms, since)
            case script.Holds(closed, seconds):
                await self._check_holds(closed, seconds)
            case script.Locks(locked, within_ms):
                await self._check_lock(locked, within_ms)
            case script.Faults():
                await self._check_fault(expected)
            case script.NoFaults(within_ms):
                mask = ~wire.FAULTS_DERATE
                await self._status(lambda s: not s.faults & mask, within_ms, "faults still stand")
                self._found("no fault", "none", "none", True)
            case script.Cable(rating_a):
                status = await self._status(lambda s: s.cable_a > 0, 2000, "no cable known")
                self._found(
                    "cable's rating", f"{status.cable_a} A", f"{rating_a} A", status.cable_a == rating_a
                )
            case script.Lease(valid, not_before_ms, within_ms):
                await self._check_lease(valid, not_before_ms, within_ms)
            case script.SelfTestPasses(within_ms):
                event = await self._event(
                    wire.EVENT_RCD_TEST, lambda e: e.a == 1, within_ms, "no passed self-test"
                )
                self._timed("self-test passed", event.uptime_ms - self._deed_ms, 0, within_ms)
            case script.Pulse(length_ms, tolerance_ms):
                await self._check_pulse(length_ms, tolerance_ms)
            case script.Answers(times):
                await self._check_answers(times)
            case script.Reports(every_ms, seconds):
                await self._check_rhythm(every_ms, seconds)
            case script.NothingLost():
                seqs = sorted(self._recorder.event_seqs)
                gaps = seqs[-1] - seqs[0] + 1 - len(seqs) if seqs else 0
                self._found("events heard", f"{len(seqs)}, {gaps} lost", "0 lost", gaps == 0)
            case _:
                assert_never(expected)

    @property
    def _is_prompt(self) -> bool:
        """The deed took no time of a person's."""
        return self._rig.has_electricity or not isinstance(self._deed, script.Car | script.Put)

    def _timed(
        self, what: str, took_ms: float, not_before_ms: int, within_ms: int, *, is_timed: bool = True
    ) -> None:
        if not is_timed:
            self._found(what, "yes", "", True)
            return
        limit = f"at most {within_ms} ms" if not not_before_ms else f"{not_before_ms} to {within_ms} ms"
        self._found(what, f"{took_ms:.0f} ms", limit, not_before_ms <= took_ms <= within_ms)

    async def _status(
        self, fits: Callable[[wire.Status], bool], within_ms: int, otherwise: str
    ) -> wire.Status:
        status = await self._recorder.status(self._place, fits, within_ms / 1000 + GRACE_S)
        if status is None:
            raise self._missing(otherwise, within_ms)
        return status

    async def _event(
        self, kind: int, fits: Callable[[wire.Event], bool], within_ms: int, otherwise: str
    ) -> wire.Event:
        timeout_s = within_ms / 1000 + GRACE_S
        event = await self._recorder.event(self._place, lambda e: e.kind == kind and fits(e), timeout_s)
        if event is None:
            raise self._missing(otherwise, within_ms)
        return event

    def _missing(self, what: str, within_ms: int) -> Missing:
        self._found(what, "never came", f"at most {within_ms} ms", False)
        status = self._client.status
        seen = {name: getattr(status, name) for name in wire.Status.__slots__} if status else "none"
        return Missing(
            f"step {self._number}: {what} ({within_ms} ms and {GRACE_S:g} s of grace); last status {seen}"
        )

    # ---- one expectation each ----------------------------------------------------------------------------

    async def _check_pilot(self, state: str) -> None:
        number = wire.PILOT_NAMES.index(state)
        statuses = self._recorder.recording.statuses

        def is_settled(status: wire.Status) -> bool:
            # The sample of the tick in which PWM began says nothing of the low plateau yet.
            before = statuses[max(0, statuses.index(status) - 1)]
            steady = status.duty == before.duty and status.pilot == before.pilot
            return status.pilot == number and (steady or status.duty == wire.DUTY_OFF)

        status = await self._status(is_settled, 2 * iec.STATUS_MS, f"the pilot is not in {state}")
        least, most = iec.WINDOW_MV[state]
        self._found(
            f"pilot {state}",
            f"{status.cp_high_mv / 1000:.2f} V",
            f"{least / 1000:g} to {most / 1000:g} V",
            least <= status.cp_high_mv <= most,
        )
        if state in "BCD" and status.duty != wire.DUTY_OFF:
            least, most = iec.LOW_PLATEAU_MV
            self._text = ""
            self._found(
                "its low plateau",
                f"{status.cp_low_mv / 1000:.2f} V",
                f"{least / 1000:g} to {most / 1000:g} V",
                least <= status.cp_low_mv <= most,
            )

    async def _check_offer(self, limit_a: float, within_ms: int) -> None:
        caps = self._hello["caps"]
        cable_a = self._client.status.cable_a if self._client.status and caps["lock"] else 0
        expected_a = min([limit_a, caps["max_a"], *([cable_a] if cable_a else [])])
        ideal = iec.duty_percent(expected_a)

        def fits(status: wire.Status) -> bool:
            return -1e-9 < ideal - status.duty / 100 < iec.DUTY_STEP

        status = await self._recorder.status(self._place, fits, within_ms / 1000 + GRACE_S)
        seen = status or self._client.status
        assert seen is not None
        duty = seen.duty / 100
        measured = f"{duty:.2f} % = {iec.offered_a(duty):.3f} A"
        limit = f"{ideal - iec.DUTY_STEP:.2f} to {ideal:.2f} % = {expected_a:g} A"
        self._found("offered", measured, limit, status is not None)
        self._text = ""
        if status is None:
            raise Missing(f"step {self._number}: offered {measured} instead of {limit}")
        if isinstance(self._deed, script.Permit):
            self._timed("offered after the host's word", status.uptime_ms - self._deed_ms, 0, within_ms)
        outside = await self._rig.seen_pilot()
        if outside is not None:
            least, most = ideal - outside.tolerance, ideal + min(outside.tolerance, 0.5)
            passed = least <= outside.duty_percent <= most
            self._found(
                "on the line", f"{outside.duty_percent:.2f} %", f"{least:.2f} to {most:.2f} %", passed
            )
            if outside.frequency_hz is not None:
                least, most = iec.FREQUENCY_HZ
                passed = least <= outside.frequency_hz <= most
                self._found(
                    "frequency", f"{outside.frequency_hz:.1f} Hz", f"{least:g} to {most:g} Hz", passed
                )

    async def _check_contactor(
        self, closed: bool, within_ms: int, not_before_ms: int, since: script.Start
    ) -> None:
        word = "closed" if closed else "open"

        def has_moved(event: wire.Event) -> bool:
            return bool(event.a & wire.CONTACTOR_FEEDBACK) == closed

        moved = await self._event(wire.EVENT_CONTACTOR, has_moved, within_ms, f"the contactor is not {word}")
        took_ms = moved.uptime_ms - await self._start_ms(since)
        self._timed(
            f"contactor {word}", took_ms, not_before_ms, within_ms, is_timed=self._is_prompt or since != "do"
        )
        self._text = ""
        self._log += await self._rig.log()
        electric_ms = self._electric_ms(closed, since)
        if electric_ms is not None:
            self._timed("by the electricity's own notes", electric_ms, not_before_ms, within_ms)
        elif since == "pilot" and self._is_prompt:
            # Nobody's word but the box's: with the way to it, and without the firmware's debounce being taken on trust.
            took_ms = moved.uptime_ms - self._deed_ms
            self._timed("from the word to the EV box", took_ms, 0, within_ms + iec.BOX_MS)

    async def _start_ms(self, since: script.Start) -> float:
        match since:
            case "do":
                return self._deed_ms
            case "pilot":
                event = await self._event(wire.EVENT_PILOT, lambda _: True, 0, "the pilot did not change")
                return event.uptime_ms - DETECTION_MS[wire.PILOT_NAMES[event.a]]
            case "no_offer":
                return (await self._status(lambda s: s.duty == wire.DUTY_OFF, 0, "PWM still runs")).uptime_ms
            case _:
                assert_never(since)

    def _electric_ms(self, closed: bool, since: script.Start) -> float | None:
        match self._deed:
            case _ if since == "no_offer":
                starts = [at for at, what, value in self._log if what == "duty" and value == wire.DUTY_OFF]
            case script.Car():
                starts = [at for at, what, _ in self._log if what == "car"]
            case script.Put(name):
                starts = [at for at, what, _ in self._log if what == name]
            case _:
                starts = []
        ends = [at for at, what, value in self._log if what == "closed" and bool(value) == closed]
        return ends[0] - starts[0] if starts and ends else None

    async def _check_holds(self, closed: bool, seconds: float) -> None:
        word = "closed" if closed else "open"
        place = self._recorder.place
        await asyncio.sleep(seconds)
        status = await self._recorder.status(place, lambda _: True, 2 * iec.STATUS_MS / 1000)
        events = self._recorder.recording.events[place.events :]
        moves = [event for event in events if event.kind == wire.EVENT_CONTACTOR]
        both = wire.CONTACTOR_COMMAND | wire.CONTACTOR_FEEDBACK
        is_right = status is not None and status.contactor == (both if closed else 0)
        measured = f"{len(moves)} moves" if moves or not is_right else f"{word} for {seconds:g} s"
        if status is None:
            measured = "no STATUS"
        self._found(f"contactor stays {word}", measured, f"{word} for {seconds:g} s", is_right and not moves)

    async def _check_lock(self, locked: bool, within_ms: int) -> None:
        if not self._hello["caps"]["lock"]:
            return
        wanted = wire.LOCK_LOCKED if locked else wire.LOCK_OPEN
        word = "locked" if locked else "unlocked"
        status = await self._status(lambda s: s.lock == wanted, within_ms, f"the cable is not {word}")
        took_ms = status.uptime_ms - self._deed_ms
        self._timed(f"cable {word}", took_ms, 0, within_ms, is_timed=self._is_prompt)

    async def _check_fault(self, expected: script.Faults) -> None:
        bit = wire.FAULT_NAMES.index(expected.name)
        event = await self._event(
            wire.EVENT_FAULT, lambda e: e.a == bit, expected.within_ms, f"no fault {expected.name}"
        )
        took_ms = event.uptime_ms - await self._start_ms(expected.since)
        is_timed = self._is_prompt or expected.since != "do"
        self._timed(
            f"fault {expected.name}", took_ms, expected.not_before_ms, expected.within_ms, is_timed=is_timed
        )
        mask = ~(wire.FAULTS_DERATE | 1 << bit)
        status = await self._status(
            lambda s: bool(s.faults >> bit & 1), 2 * iec.STATUS_MS, "the fault is in no STATUS"
        )
        others = wire.fault_names(status.faults & mask)
        if others:
            self._found("other faults", ", ".join(others), "none", False)

    async def _check_lease(self, valid: bool, not_before_ms: int, within_ms: int) -> None:
        what = "lease is back" if valid else "lease ran out"
        event = await self._event(
            wire.EVENT_LEASE, lambda e: bool(e.a) == valid, within_ms, f"not seen: {what}"
        )
        self._timed(what, event.uptime_ms - self._deed_ms, not_before_ms, within_ms)

    async def _check_pulse(self, length_ms: int, tolerance_ms: int) -> None:
        begin = await self._status(lambda s: s.duty == 0, 1000, "no pulse began")
        end = await self._status(
            lambda s: s.duty != 0 and s.uptime_ms > begin.uptime_ms,
            length_ms + tolerance_ms,
            "the pulse does not end",
        )
        took_ms = end.uptime_ms - begin.uptime_ms
        self._timed("pilot at 0 V", took_ms, length_ms - tolerance_ms, length_ms + tolerance_ms)

    async def _check_answers(self, times: int) -> None:
        clock = asyncio.get_running_loop().time
        trips_ms = []
        for _ in range(times):
            began = clock()
            await self._client.board_ms()
            trips_ms.append((clock() - began) * 1000)
        measured = f"{times}; {statistics.median(trips_ms):.1f} ms typical, {max(trips_ms):.1f} ms at most"
        self._found("PING answered", measured, f"{times}", True)

    async def _check_rhythm(self, every_ms: int, seconds: float) -> None:
        place = self._recorder.place
        await asyncio.sleep(seconds)
        times = [status.uptime_ms for status in self._recorder.recording.statuses[place.statuses :]]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        longest = max(gaps, default=0)
        self._found(
            "STATUS comes by itself",
            f"longest pause {longest} ms",
            f"at most {every_ms + 100} ms",
            0 < longest <= every_ms + 100,
        )
