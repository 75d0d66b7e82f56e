"""Keeps the broker told of the station and hears its commands; under the supervisor from the start to the end.

A loop that looks at the station now and then, a queue that holds the latest only (`outgoing.py`), and a connection that
is made again with growing pauses. Nobody waits for it: not the station, not the local API. Built by `operating.py`.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.charging.facts import Fact
from agent.charging.ports import Clock
from agent.charging.profiles import LimitOrigin
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from agent.config_mqtt import MqttConfig
from agent.mqtt import payloads
from agent.mqtt.broker import Broker, BrokerLost, Received, Version, connected
from agent.mqtt.commands import parse
from agent.mqtt.desk import CommandDesk, CommandOutcome
from agent.mqtt.discovery import Button, discovery_document, discovery_topic
from agent.mqtt.outgoing import Outgoing
from agent.mqtt.topics import Topics

log = logging.getLogger(__name__)

CHARGING_LOOK_S, IDLE_LOOK_S = 1.0, 5.0
"""How often the station is looked at, beside each time that something happens there."""
STATE_LEAST_S = 0.25
"""Between two messages of the same state."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
STEADY_S = 60.0
"""A connection that lived so long makes the next pause short again."""
GOODBYE_S = 2.0


class StationPort(Protocol):
    def snapshot(self) -> StationSnapshot: ...
    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgePorts:
    """What the bridge sees of the agent."""

    config: MqttConfig
    about: Mapping[str, str]
    station: StationPort
    clock: Clock
    is_connected: Callable[[], bool]
    """To the CSMS."""
    registration: Callable[[], str | None]
    outputs: Callable[[], Mapping[str, bool]]
    buttons: Sequence[Button] = ()
    """Actions that need no parameters, allowed or not."""
    switched_outputs: Sequence[str] = ()


class Bridge:
    """`run` until cancelled."""

    def __init__(self, ports: BridgePorts, desk: CommandDesk) -> None:
        self._ports = ports
        self._desk = desk
        self._topics = Topics(ports.config.topic_prefix, ports.about["identity"])
        self._origin = LimitOrigin(ports.config.limit_origin)
        self._outgoing = Outgoing()
        self._news = asyncio.Event()
        self._version = Version()
        self._said = ""
        self._described: object = None
        self._at_work: set[asyncio.Future[CommandOutcome]] = set()
        self.is_connected = False
        self.connects = 0

    @property
    def waiting(self) -> int:
        return self._outgoing.waiting

    @property
    def commands(self) -> Counter[str]:
        return self._desk.outcomes

    @property
    def client_id(self) -> str:
        return self._ports.config.client_id or f"evse-agent-{self._ports.about['identity']}"

    async def run(self) -> None:
        stop_listening = self._ports.station.subscribe(lambda _fact: self._news.set())
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                begun_time = self._ports.clock.time()
                was_five = self._version.is_five
                try:
                    await self._attend()
                except BrokerLost as error:
                    self._say(f"no MQTT broker at {self._ports.config.url}: {error}")
                finally:
                    self.is_connected = False
                if self._ports.clock.time() - begun_time >= STEADY_S:
                    pause_s = FIRST_PAUSE_S
                is_other_version = was_five and not self._version.is_five
                await asyncio.sleep(0.0 if is_other_version else pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            stop_listening()
            if self._at_work:
                await asyncio.wait(self._at_work, timeout=GOODBYE_S)

    def _say(self, text: str) -> None:
        """A broker that is away for a night is one line, not a thousand."""
        log.log(logging.DEBUG if text == self._said else logging.WARNING, "%s", text)
        self._said = text

    async def _attend(self) -> None:
        """One connection from its beginning to its end, which is BrokerLost."""
        will = self._topics.availability, payloads.OFFLINE.encode()
        async with connected(self._ports.config, self.client_id, will, self._version) as broker:
            self.is_connected = True
            self.connects += 1
            self._said = ""
            log.info("connected to %s with MQTT %s", self._ports.config.url, self._version)
            self._outgoing.start_over()
            if self._ports.config.commands:
                await broker.subscribe(self._topics.subscriptions)
            try:
                await _first_end(self._publish(broker), self._hear(broker))
            except asyncio.CancelledError:
                await self._say_goodbye(broker)
                raise

    async def _say_goodbye(self, broker: Broker) -> None:
        """An end that is meant is no loss: the broker publishes no will then."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await broker.publish(self._topics.availability, payloads.OFFLINE.encode(), is_retained=True)
        except (BrokerLost, TimeoutError):
            log.debug("the broker did not hear that we go")

    # --- telling ---------------------------------------------------------------------------------------

    async def _publish(self, broker: Broker) -> None:
        clock = self._ports.clock
        self._outgoing.put(self._topics.availability, payloads.ONLINE.encode())
        look_time = float("-inf")
        while True:
            if self._news.is_set() or clock.time() >= look_time:
                self._news.clear()
                look_time = clock.time() + self._look()
            message = self._outgoing.take(clock.time())
            if message is not None:
                await broker.publish(message.topic, message.payload, is_retained=message.is_retained)
                self._outgoing.confirm(message, clock.time())
                continue
            due_time = self._outgoing.next_time()
            wake_time = look_time if due_time is None else min(look_time, due_time)
            try:
                async with asyncio.timeout_at(max(wake_time, clock.time())):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _look(self) -> float:
        """Put down how everything is now; in how many s to look again."""
        ports, topics = self._ports, self._topics
        station = ports.station.snapshot()
        evses = [evse for _number, evse in sorted(station.evses.items())]
        if ports.config.discovery_prefix:
            self._describe(evses)
        self._outgoing.put(
            topics.station,
            payloads.encode(
                payloads.station_json(
                    station,
                    is_connected=ports.is_connected(),
                    registration=ports.registration(),
                    outputs=ports.outputs(),
                )
            ),
            STATE_LEAST_S,
        )
        for evse in evses:
            state = payloads.evse_json(evse, station, self._origin)
            self._outgoing.put(topics.state(evse.evse_id), payloads.encode(state), STATE_LEAST_S)
            meter = payloads.meter_json(evse, ports.clock.time())
            if meter is not None:
                self._outgoing.put(
                    topics.meter(evse.evse_id), payloads.encode(meter), ports.config.publish_interval_s
                )
        return CHARGING_LOOK_S if any(evse.transaction for evse in evses) else IDLE_LOOK_S

    def _describe(self, evses: Sequence[EvseSnapshot]) -> None:
        """The discovery document, made anew only when the hardware has said what it can do."""
        ports = self._ports
        known = [(evse.capabilities, evse.has_meter) for evse in evses]
        if known == self._described:
            return
        self._described = known
        document = discovery_document(
            self._topics,
            ports.about,
            evses,
            allowed=frozenset(ports.config.commands),
            buttons=ports.buttons,
            outputs=ports.switched_outputs,
        )
        topic = discovery_topic(ports.config.discovery_prefix, ports.about["identity"])
        self._outgoing.put(topic, payloads.encode(document), STATE_LEAST_S)

    # --- hearing ---------------------------------------------------------------------------------------

    async def _hear(self, broker: Broker) -> None:
        is_flooded = False
        async for received in broker.received():
            if not self._desk.may_take():
                if not is_flooded:
                    log.warning("too many commands by MQTT: what is too much is ignored")
                is_flooded = True
                continue
            is_flooded = False
            await self._obey(received)

    async def _obey(self, received: Received) -> None:
        command = parse(
            self._topics,
            received.topic,
            received.payload,
            is_retained=received.is_retained,
            allowed=frozenset(self._ports.config.commands),
            evse_ids=self._ports.station.snapshot().evses.keys(),
        )
        if command is None:
            return
        # A broker that goes in the middle of it ends this connection, and not what the station is doing.
        work = asyncio.ensure_future(self._desk.obey(command))
        self._at_work.add(work)
        work.add_done_callback(self._at_work.discard)
        outcome = await asyncio.shield(work)
        self._outgoing.tell(self._topics.result, payloads.encode(self._result_json(outcome)))
        self._news.set()

    def _result_json(self, outcome: CommandOutcome) -> dict[str, Any]:
        return {
            "at": self._ports.clock.now(),
            "command": outcome.command,
            "evse_id": outcome.evse_id,
            "is_ok": outcome.is_ok,
            "outcome": outcome.outcome,
            "detail": outcome.detail,
            "values": dict(outcome.values),
        }


async def _first_end(*parts: Any) -> None:
    """Run all; when one ends or fails, the others are ended, and its failure is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
