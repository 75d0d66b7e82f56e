"""One connection to the broker by aiomqtt, the only file that knows that library. Opened and closed by `bridge.py`.

Speaks MQTT 5 if the broker does, else 3.1.1. Every wait ends: connecting, subscribing, publishing. Raises BrokerLost
for whatever goes wrong with the other side.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config_mqtt import MqttConfig

log = logging.getLogger(__name__)

T = TypeVar("T")
WAIT_S = 10.0
"""For each answer of the broker."""
KEEP_ALIVE_S = 30
INCOMING_MOST = 20
"""Commands that may wait; more are dropped."""
SLOW_CLOSE_S = 2.0
REFUSED = 0x80
"""Reason codes from here on are a no."""
_JUST_GONE = 0x80
"""What the library says of a broker that went without a word."""
_UNSUPPORTED_VERSION = frozenset({1, 132})
"""The answers of brokers that do not speak MQTT 5."""

_quiet = logging.getLogger("agent.mqtt.library")
_quiet.setLevel(logging.CRITICAL)  # what goes wrong is raised, too, and said once by whoever catches it


class BrokerLost(Exception):
    """There is no connection, or none any more; the text says why."""


class Received(NamedTuple):
    topic: str
    payload: bytes
    is_retained: bool


@dataclass(slots=True)
class Version:
    """Of the protocol; remembered from attempt to attempt."""

    is_five: bool = True

    def turn(self) -> None:
        self.is_five = not self.is_five

    def __str__(self) -> str:
        return "5" if self.is_five else "3.1.1"


class Broker:
    """Inside `connected`."""

    def __init__(self, client: aiomqtt.Client, version: Version) -> None:
        self._client = client
        self._version = version

    async def subscribe(self, topics: Sequence[str]) -> None:
        """By MQTT 5 we hear that a message is to be retained also when it comes at once; by 3.1.1 only afterwards."""
        how: dict[str, Any] = {"qos": 1}
        if self._version.is_five:
            how = {"options": SubscribeOptions(qos=1, retainAsPublished=True)}
        try:
            for topic in topics:
                answers = await _through(self._client.subscribe(topic, **how))
                if any(_code(each) >= REFUSED for each in answers):
                    log.error("the broker does not let us subscribe to %s", topic)
        except aiomqtt.MqttError as error:
            raise BrokerLost(f"subscribing to {topic}: {_words(error)}") from error

    async def publish(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        """Returns when the broker has confirmed it."""
        try:
            await _through(self._client.publish(topic, payload, qos=1, retain=is_retained))
        except aiomqtt.MqttError as error:
            raise BrokerLost(f"publishing {topic}: {_words(error)}") from error

    async def received(self) -> AsyncIterator[Received]:
        """Until the connection is lost, which raises BrokerLost."""
        try:
            async for message in self._client.messages:
                payload = message.payload
                octets = payload if isinstance(payload, bytes) else str(payload or "").encode()
                yield Received(message.topic.value, octets, bool(message.retain))
        except aiomqtt.MqttError as error:
            raise BrokerLost(_words(error)) from error


@contextlib.asynccontextmanager
async def connected(
    config: MqttConfig, client_id: str, will: tuple[str, bytes], version: Version
) -> AsyncIterator[Broker]:
    """A connection for the time of the block. `will`: topic and payload that the broker publishes, retained, when we
    are gone without a word. Raises BrokerLost; after that `version` may be another one, for the next attempt."""
    try:
        password = config.read_password()
        context = await asyncio.to_thread(_trust, config) if config.has_tls else None
    except (OSError, ValueError) as error:
        raise BrokerLost(f"password or trust anchors: {error}") from error
    client = _client(config, client_id, will, version, password, context)
    try:
        await _through(client.__aenter__())
    except aiomqtt.MqttCodeError as error:
        await _let_go(client)
        if version.is_five and _code(error.rc) in _UNSUPPORTED_VERSION:
            version.turn()
            raise BrokerLost("it does not speak MQTT 5; next time 3.1.1") from error
        raise BrokerLost(f"it refuses the connection: {error}") from error
    except aiomqtt.MqttError as error:
        # Some old brokers do not even answer the greeting of MQTT 5.
        if "timed out" in str(error):
            version.turn()
        await _let_go(client)
        raise BrokerLost(str(error)) from error
    except BaseException:
        await _let_go(client)
        raise
    try:
        yield Broker(client, version)
    finally:
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(SLOW_CLOSE_S):
                await _through(client.__aexit__(None, None, None))
        await _let_go(client)


def _client(
    config: MqttConfig,
    client_id: str,
    will: tuple[str, bytes],
    version: Version,
    password: str | None,
    context: ssl.SSLContext | None,
) -> aiomqtt.Client:
    topic, payload = will
    return aiomqtt.Client(
        config.host,
        config.port,
        username=config.username or None,
        password=password,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if version.is_five else aiomqtt.ProtocolVersion.V311,
        clean_session=None if version.is_five else True,
        will=aiomqtt.Will(topic, payload, qos=1, retain=True),
        timeout=WAIT_S,
        keepalive=KEEP_ALIVE_S,
        max_queued_incoming_messages=INCOMING_MOST,
        tls_context=context,
        logger=_quiet,
    )


async def _through(call: Coroutine[Any, Any, T]) -> T:
    """The library waits with `asyncio.wait_for`, which up to Python 3.11 loses a cancellation that comes together with
    what it waits for: whoever ends us would wait for ever. Here it is not lost."""
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=SLOW_CLOSE_S)
        if task.done() and not task.cancelled():
            task.exception()  # seen
    return task.result()


async def _let_go(client: aiomqtt.Client) -> None:
    """The library leaves socket, reader and task behind where connecting failed or the broker hangs."""
    inner = client._client
    sock = inner.socket()
    if sock is not None:
        inner._sock_close()
    task = client._misc_task
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for future in (client._connected, client._disconnected):
        if future.done() and not future.cancelled():
            future.exception()  # seen


def _words(error: aiomqtt.MqttError) -> str:
    """Of the end of a connection that stood."""
    cause = error.__cause__ or error
    if isinstance(cause, aiomqtt.MqttCodeError) and _code(cause.rc) == _JUST_GONE:
        return "the connection was lost"
    return str(cause)


def _code(reason: object) -> int:
    """Of both versions of the protocol."""
    code = getattr(reason, "value", reason)
    return code if isinstance(code, int) else 0


def _trust(config: MqttConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=config.ca_file or None)
